//! What several properties have in common.

use serde_json::Value;
use url::{Host, Url};

/// Fits a header and a terminal (RFC 6749 appendix A, VSCHAR).
pub(super) fn is_visible(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

pub(super) fn assert_scopes(scopes: &[String]) {
    assert!(scopes.len() <= 256, "a bounded number of scopes");
    for (index, scope) in scopes.iter().enumerate() {
        let token = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
        assert!(!scope.is_empty() && scope.len() <= 256 && scope.bytes().all(token));
        assert!(!scopes.iter().take(index).any(|before| before == scope), "each scope once");
    }
}

/// An address that may be asked or shown to a browser: OC-29, OC-30.
pub(super) fn assert_endpoint(url: &Url, issuer_is_https: bool) {
    let loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    let safe = url.scheme() == "https" || (url.scheme() == "http" && loopback && !issuer_is_https);
    assert!(safe, "https, or http on this machine for an issuer of this machine");
    assert!(url.has_host() && url.username().is_empty() && url.password().is_none());
    assert!(url.fragment().is_none());
    assert!(!url.as_str().contains(char::is_control));
}

/// Another reader of the same document: one that lets the last of equal names win. It may refuse
/// what ours does not even look at, such as a number of no type.
pub(super) struct Elsewhere(Option<Value>);

impl Elsewhere {
    pub(super) fn read(body: &[u8]) -> Self {
        Self(serde_json::from_slice(body).ok())
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.as_ref()?.get(name)?.as_str()
    }

    pub(super) fn value(&self) -> Option<&Value> {
        self.0.as_ref()
    }

    pub(super) fn assert_text(&self, name: &str, text: &str) {
        if self.0.is_some() {
            assert_eq!(self.text(name), Some(text), "two readers agree on {name}");
        }
    }

    pub(super) fn assert_address(&self, name: &str, url: &Url) {
        if self.0.is_some() {
            let other = self.text(name).and_then(|text| Url::parse(text).ok());
            assert_eq!(Some(url), other.as_ref(), "two readers agree on {name}");
        }
    }
}

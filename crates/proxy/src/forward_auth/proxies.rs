//! Which proxies there are, and how one proves that it is one of them.

use std::num::NonZeroU32;

use attache_core::{Secret, UpstreamName};
use attache_crypto::digest::{same, sha256};
use http::HeaderMap;

use super::{PROXY_SECRET, pace::Pace};

/// A proxy that may ask.
#[derive(Debug)]
pub struct Proxy {
    pub(super) name: String,
    /// SHA-256: comparing digests tells nothing of the length, either.
    secret: [u8; 32],
    upstreams: Vec<UpstreamName>,
    pub(super) pace: Pace,
}

impl Proxy {
    /// `rate` is how often a second one person is answered through it.
    pub fn new(
        name: String,
        secret: &Secret,
        upstreams: Vec<UpstreamName>,
        rate: NonZeroU32,
    ) -> Self {
        let secret = sha256(secret.expose().as_bytes());
        Self { name, secret, upstreams, pace: Pace::new(rate) }
    }

    pub(super) fn may_ask_for(&self, upstream: &UpstreamName) -> bool {
        self.upstreams.contains(upstream)
    }
}

#[derive(Debug)]
pub(crate) struct Proxies(pub(crate) Vec<Proxy>);

impl Proxies {
    /// Takes as long for every secret, whichever it is like.
    pub(super) fn proven(&self, headers: &HeaderMap) -> Option<&Proxy> {
        let mut presented = headers.get_all(PROXY_SECRET).iter();
        let (Some(secret), None) = (presented.next(), presented.next()) else { return None };
        let secret = sha256(secret.as_bytes());
        let is_it = |one: &&Proxy| same(&one.secret, &secret);
        self.0.iter().fold(None, |found, one| Some(one).filter(is_it).or(found))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_whole_secret_names_one_proxy() {
        let proxy = |name: &str, secret: &str| {
            Proxy::new(name.to_owned(), &Secret::new(secret), vec![], NonZeroU32::MIN)
        };
        let proxies = Proxies(vec![proxy("a", "secret-a"), proxy("b", "secret-b")]);
        let cases: [(&[&str], Option<&str>); 8] = [
            (&["secret-a"], Some("a")),
            (&["secret-b"], Some("b")),
            (&[], None),
            (&[""], None),
            (&["secret-"], None),
            (&["secret-a "], None),
            (&["secret-a", "secret-a"], None),
            (&["secret-b", "x"], None),
        ];
        for (presented, expected) in cases {
            let mut headers = HeaderMap::new();
            for value in presented {
                headers.append(PROXY_SECRET, value.parse().unwrap());
            }
            let found = proxies.proven(&headers).map(|proxy| proxy.name.as_str());
            assert_eq!(found, expected, "{presented:?}");
        }
    }
}

//! Cookies, as far as a gateway on loopback needs them (RFC 6265).
//!
//! They are kept apart by host *and port*: each peer is a site of its own here, though real
//! browsers share the cookies of one host.

use http::{HeaderMap, HeaderValue, header};
use url::Url;

/// Cookies in one jar; the oldest go first.
const MAX_COOKIES: usize = 200;

#[derive(Default)]
pub(super) struct Jar(Vec<Cookie>);

struct Cookie {
    authority: String,
    path: String,
    name: String,
    value: String,
}

impl Jar {
    /// The `Cookie` header for a request to `url`.
    pub(super) fn header(&self, url: &Url) -> Option<HeaderValue> {
        let pairs: Vec<String> = self
            .0
            .iter()
            .filter(|cookie| cookie.goes_to(url))
            .map(|cookie| format!("{}={}", cookie.name, cookie.value))
            .collect();
        (!pairs.is_empty()).then(|| HeaderValue::try_from(pairs.join("; ")).ok()).flatten()
    }

    pub(super) fn value(&self, url: &Url, name: &str) -> Option<&str> {
        let known = self.0.iter().find(|cookie| cookie.name == name && cookie.goes_to(url));
        known.map(|cookie| cookie.value.as_str())
    }

    pub(super) fn put(&mut self, url: &Url, name: &str, value: &str) {
        self.keep(Cookie {
            authority: url.authority().to_owned(),
            path: "/".to_owned(),
            name: name.to_owned(),
            value: value.to_owned(),
        });
    }

    /// Takes what an answer from `url` sets.
    pub(super) fn take(&mut self, url: &Url, headers: &HeaderMap) {
        let lines = headers.get_all(header::SET_COOKIE).iter().filter_map(|it| it.to_str().ok());
        for (cookie, ended) in lines.filter_map(|line| parse(line, url)) {
            if ended {
                self.drop_same(&cookie);
            } else {
                self.keep(cookie);
            }
        }
    }

    fn keep(&mut self, cookie: Cookie) {
        self.drop_same(&cookie);
        if self.0.len() >= MAX_COOKIES {
            self.0.remove(0);
        }
        self.0.push(cookie);
    }

    fn drop_same(&mut self, cookie: &Cookie) {
        self.0.retain(|known| {
            known.name != cookie.name
                || known.path != cookie.path
                || known.authority != cookie.authority
        });
    }
}

impl Cookie {
    fn goes_to(&self, url: &Url) -> bool {
        let below = url.path().strip_prefix(self.path.as_str());
        self.authority == url.authority()
            && below.is_some_and(|rest| {
                rest.is_empty() || rest.starts_with('/') || self.path.ends_with('/')
            })
    }
}

/// Values are secrets; names are not.
impl std::fmt::Debug for Jar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = self.0.iter().map(|cookie| (&cookie.authority, &cookie.name));
        f.debug_list().entries(names).finish()
    }
}

/// The cookie, and whether it ends here. `None` when a browser would not take it.
fn parse(line: &str, url: &Url) -> Option<(Cookie, bool)> {
    let mut parts = line.split(';').map(str::trim);
    let (name, value) = parts.next()?.split_once('=')?;
    let attributes: Vec<(String, &str)> = parts
        .map(|part| part.split_once('=').unwrap_or((part, "")))
        .map(|(name, value)| (name.to_ascii_lowercase(), value))
        .collect();
    let attribute =
        |name: &str| attributes.iter().rev().find(|(it, _)| it == name).map(|(_, value)| *value);

    let secure = attribute("secure").is_some();
    let path = attribute("path").filter(|path| path.starts_with('/'));
    let host_only = secure && path == Some("/") && attribute("domain").is_none();
    let refused = (name.starts_with("__Host-") && !host_only)
        || (name.starts_with("__Secure-") && !secure)
        || (secure && !is_trustworthy(url));
    if refused {
        return None;
    }
    let ended = attribute("max-age").is_some_and(|age| age.starts_with('-') || age == "0")
        || attribute("expires").is_some_and(|date| date.contains("1970"));
    let cookie = Cookie {
        authority: url.authority().to_owned(),
        path: path.map_or_else(|| default_path(url), str::to_owned),
        name: name.to_owned(),
        value: value.to_owned(),
    };
    Some((cookie, ended))
}

/// Browsers take `Secure` cookies over http from loopback, too.
fn is_trustworthy(url: &Url) -> bool {
    let loopback = match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    };
    url.scheme() == "https" || loopback
}

/// RFC 6265 section 5.1.4.
fn default_path(url: &Url) -> String {
    match url.path().rsplit_once('/') {
        Some((folder, _)) if !folder.is_empty() => folder.to_owned(),
        _ => "/".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_goes_where_a_browser_would_send_it() {
        let home = Url::parse("http://127.0.0.1:4001/login/callback").unwrap();
        let cases = [
            ("a=1; Path=/", "http://127.0.0.1:4001/ui", Some("a=1")),
            ("a=1; Path=/", "http://127.0.0.1:4002/ui", None),
            ("a=1", "http://127.0.0.1:4001/login/other", Some("a=1")),
            ("a=1", "http://127.0.0.1:4001/logins", None),
            ("a=1; path=/ui; HttpOnly", "http://127.0.0.1:4001/ui/x", Some("a=1")),
            ("a=1; Max-Age=0; Path=/", "http://127.0.0.1:4001/", None),
            ("__Host-a=1; Secure; Path=/", "http://127.0.0.1:4001/", Some("__Host-a=1")),
            ("__Host-a=1; Secure; Path=/ui", "http://127.0.0.1:4001/ui", None),
            ("__Host-a=1; Path=/", "http://127.0.0.1:4001/", None),
        ];
        for (line, target, sent) in cases {
            let mut jar = Jar::default();
            let headers = HeaderMap::from_iter([(header::SET_COOKIE, line.parse().unwrap())]);
            jar.take(&home, &headers);
            let header = jar.header(&Url::parse(target).unwrap());
            assert_eq!(header.as_ref().map(|it| it.to_str().unwrap()), sent, "{line} {target}");
        }
    }
}

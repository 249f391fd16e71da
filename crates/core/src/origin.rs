//! Under which name the gateway is called: `public_url` alone decides (RS-2, RS-17).

use http::{HeaderMap, Uri, header, uri::Authority};
use url::Url;

/// The origin of every URL the gateway prints, and the only one it answers for.
#[derive(Clone, Debug)]
pub struct PublicOrigin {
    /// As a browser writes it: no default port, no slash at the end.
    origin: String,
    host: String,
    port: Option<u16>,
    default_port: u16,
}

impl PublicOrigin {
    pub fn new(public_url: &Url) -> Self {
        Self {
            origin: public_url.origin().ascii_serialization(),
            host: public_url.host_str().unwrap_or_default().to_owned(),
            port: public_url.port_or_known_default(),
            default_port: if public_url.scheme() == "https" { 443 } else { 80 },
        }
    }

    /// `https://gw.example.com`
    pub fn as_str(&self) -> &str {
        &self.origin
    }

    /// `https://gw.example.com/connect/github`
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    pub fn is_https(&self) -> bool {
        self.origin.starts_with("https:")
    }

    /// Whether a request was sent to this gateway by its own name. Another name is DNS rebinding,
    /// or a mistake.
    pub fn is_asked(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        let mut given = headers.get_all(header::HOST).iter();
        let host = match (given.next(), given.next()) {
            (None, _) => None,
            (Some(host), None) => match Authority::try_from(host.as_bytes()) {
                Ok(host) => Some(host),
                Err(_) => return false,
            },
            (Some(_), Some(_)) => return false,
        };
        // HTTP/2 has the authority in the URI; whoever sends both must mean one.
        let mut asked = uri.authority().into_iter().chain(&host).peekable();
        asked.peek().is_some() && asked.all(|authority| self.is(authority))
    }

    fn is(&self, authority: &Authority) -> bool {
        !authority.as_str().contains('@')
            && authority.host().eq_ignore_ascii_case(&self.host)
            && Some(authority.port_u16().unwrap_or(self.default_port)) == self.port
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_host_of_the_public_url_is_answered_for() {
        let cases = [
            ("https://gw.example.com", "gw.example.com", true),
            ("https://gw.example.com", "GW.example.com:443", true),
            ("https://gw.example.com", "gw.example.com:8443", false),
            ("https://gw.example.com", "gw.example.com:80", false),
            ("https://gw.example.com", "gw.example.com.evil.test", false),
            ("https://gw.example.com", "evil@gw.example.com", false),
            ("https://gw.example.com", "", false),
            ("http://127.0.0.1:8080", "127.0.0.1:8080", true),
            ("http://127.0.0.1:8080", "localhost:8080", false),
            ("http://127.0.0.1:8080", "127.0.0.1", false),
            ("http://[::1]:8080", "[::1]:8080", true),
        ];
        for (public_url, host, expected) in cases {
            let ours = PublicOrigin::new(&Url::parse(public_url).unwrap());
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().unwrap());
            let uri = Uri::from_static("/");
            assert_eq!(ours.is_asked(&uri, &headers), expected, "{public_url} {host}");
        }
    }

    #[test]
    fn two_names_must_be_one() {
        let ours = PublicOrigin::new(&Url::parse("https://gw.example.com").unwrap());
        let absolute = Uri::from_static("https://gw.example.com/");
        let mut headers = HeaderMap::new();
        assert!(!ours.is_asked(&Uri::from_static("/"), &headers));
        assert!(ours.is_asked(&absolute, &headers));
        headers.append(header::HOST, "evil.test".parse().unwrap());
        assert!(!ours.is_asked(&absolute, &headers));
        headers.append(header::HOST, "gw.example.com".parse().unwrap());
        assert!(!ours.is_asked(&absolute, &headers));
    }
}

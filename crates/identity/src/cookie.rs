//! Our cookies: one read out of a request, one line for a response (RFC 6265, AS-13).

use std::time::Duration;

use attache_core::{PublicOrigin, Secret};
use http::{HeaderMap, HeaderValue, header};

#[derive(Clone, Copy, Debug)]
pub(crate) enum Name {
    /// Who is signed in.
    Session,
    /// The browser that began to sign in.
    Login,
    /// The browser that was shown what a client asks for.
    Consent,
    /// What a client was allowed in this browser, until the client has its code.
    Approved,
}

/// How cookies are set: on https with the `__Host-` prefix, which a neighbouring host or a plain
/// connection cannot overwrite; on http, which is a loopback address, without.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cookies {
    https: bool,
}

impl Cookies {
    pub(crate) fn of(origin: &PublicOrigin) -> Self {
        Self { https: origin.is_https() }
    }

    /// The cookie's value, if it was sent exactly once: of two, one may be planted.
    pub(crate) fn read(self, headers: &HeaderMap, name: Name) -> Option<Secret> {
        let name = self.name(name);
        let mut values = headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .filter(|(given, _)| *given == name)
            .map(|(_, value)| value);
        match (values.next(), values.next()) {
            (Some(value), None) => Some(Secret::new(value)),
            _ => None,
        }
    }

    /// A `Set-Cookie` value. `value` is one of our tokens, which need no quoting.
    pub(crate) fn set(self, name: Name, value: &Secret, lives: Duration) -> HeaderValue {
        self.line(name, value.expose(), lives)
    }

    pub(crate) fn clear(self, name: Name) -> HeaderValue {
        self.line(name, "", Duration::ZERO)
    }

    fn line(self, name: Name, value: &str, lives: Duration) -> HeaderValue {
        let (name, seconds) = (self.name(name), lives.as_secs());
        let secure = if self.https { "; Secure" } else { "" };
        let line =
            format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}");
        let mut line = HeaderValue::try_from(line).expect("base64url fits a header");
        line.set_sensitive(true);
        line
    }

    fn name(self, name: Name) -> &'static str {
        match (name, self.https) {
            (Name::Session, true) => "__Host-attache_session",
            (Name::Session, false) => "attache_session",
            (Name::Login, true) => "__Host-attache_login",
            (Name::Login, false) => "attache_login",
            (Name::Consent, true) => "__Host-attache_consent",
            (Name::Consent, false) => "attache_consent",
            (Name::Approved, true) => "__Host-attache_approved",
            (Name::Approved, false) => "attache_approved",
        }
    }
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;

    fn cookies(public_url: &str) -> Cookies {
        Cookies::of(&PublicOrigin::new(&Url::parse(public_url).unwrap()))
    }

    #[test]
    fn says_everything_a_browser_must_heed() {
        let https = cookies("https://gw.example.com");
        let line = https.set(Name::Session, &Secret::new("abc"), Duration::from_mins(1));
        assert_eq!(
            line,
            "__Host-attache_session=abc; Path=/; Max-Age=60; HttpOnly; SameSite=Lax; Secure"
        );
        assert!(line.is_sensitive());
        assert_eq!(
            cookies("http://127.0.0.1:8080").clear(Name::Login),
            "attache_login=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"
        );
    }

    #[test]
    fn reads_a_cookie_that_came_once() {
        let https = cookies("https://gw.example.com");
        for (lines, expected) in [
            (&["__Host-attache_session=abc"][..], Some("abc")),
            (&["a=b; __Host-attache_session=a=b;c=d"], Some("a=b")),
            (&["a=b", "__Host-attache_session=abc"], Some("abc")),
            (&["attache_session=abc"], None),
            (&["__host-attache_session=abc"], None),
            (&["__Host-attache_session=a; __Host-attache_session=b"], None),
            (&["__Host-attache_session=a", "__Host-attache_session=a"], None),
            (&[], None),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(header::COOKIE, HeaderValue::from_static(line));
            }
            let read = https.read(&headers, Name::Session);
            assert_eq!(read.as_ref().map(Secret::expose), expected, "{lines:?}");
        }
    }
}

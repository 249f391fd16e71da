//! Where a browser may be sent with a code (AS-6, RFC 8252 section 7.3).

use url::Url;

/// Longer ones are no address of a program.
const MAX_BYTES: usize = 1024;

/// One that a client registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedirectUri(String);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a redirect URI is https, or http on a loopback address, without fragment or credentials")]
pub struct InvalidRedirectUri;

impl RedirectUri {
    /// `private` lists the schemes of programs that the operator lets in, such as `cursor`.
    ///
    /// # Errors
    /// [`InvalidRedirectUri`], whose text says what is allowed.
    pub fn parse(text: &str, private: &[String]) -> Result<Self, InvalidRedirectUri> {
        let plain = text.len() <= MAX_BYTES
            && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\' && byte != b'#');
        let url = Url::parse(text).ok().filter(|_| plain).ok_or(InvalidRedirectUri)?;
        let anonymous = url.username().is_empty() && url.password().is_none();
        // What the browser will make of it is what was written: no dot segments, no other host.
        let literal = |scheme: &str| text.starts_with(&format!("{scheme}://"));
        let fits = match url.scheme() {
            "https" => literal("https") && url.host_str().is_some(),
            "http" => Loopback::of(text).is_some(),
            scheme => private.iter().any(|one| one == scheme) && text.starts_with(scheme),
        };
        let at = text.split_once("://").is_some_and(|(_, rest)| {
            rest.split(['/', '?']).next().is_some_and(|authority| authority.contains('@'))
        });
        if fits && anonymous && !at { Ok(Self(text.to_owned())) } else { Err(InvalidRedirectUri) }
    }

    /// One that was parsed when it was registered.
    pub(super) fn kept(text: String) -> Self {
        Self(text)
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// The same, letter by letter; on a loopback address with any port, because programs take the
    /// one that is free.
    pub(super) fn matches(&self, given: &str) -> bool {
        self.0 == given
            || (given.len() <= MAX_BYTES
                && Loopback::of(given).is_some_and(|given| Loopback::of(&self.0) == Some(given)))
    }
}

/// An http address of this machine, apart from its port.
#[derive(PartialEq, Eq)]
struct Loopback<'a> {
    host: &'a str,
    path_and_query: &'a str,
}

impl<'a> Loopback<'a> {
    fn of(text: &'a str) -> Option<Self> {
        let rest = text.strip_prefix("http://")?;
        let hosts = ["127.0.0.1", "[::1]", "localhost"];
        let host = hosts.into_iter().find(|host| rest.starts_with(host))?;
        let (host, rest) = rest.split_at(host.len());
        let path_and_query = match rest.strip_prefix(':') {
            Some(rest) => {
                let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
                let (port, path_and_query) = rest.split_at(end);
                port.parse::<u16>().ok()?;
                path_and_query
            }
            None => rest,
        };
        let is_path = path_and_query.is_empty() || path_and_query.starts_with(['/', '?']);
        let plain = path_and_query
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'\\' && byte != b'#');
        (is_path && plain).then_some(Self { host, path_and_query })
    }
}

/// Where the browser goes, as a person reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// A site, by its host.
    Site(String),
    /// Some program on the machine of the browser.
    ThisMachine,
    /// A program that this scheme belongs to, by its scheme.
    Program(String),
}

impl Destination {
    pub(super) fn of(redirect_uri: &str) -> Self {
        if Loopback::of(redirect_uri).is_some() {
            return Self::ThisMachine;
        }
        match Url::parse(redirect_uri) {
            Ok(url) if url.scheme() == "https" => {
                let host = url.host_str().unwrap_or_default();
                let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
                Self::Site(format!("{host}{port}"))
            }
            Ok(url) => Self::Program(url.scheme().to_owned()),
            Err(_) => Self::Program(String::new()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_safe_addresses_are_registered() {
        let private = ["cursor".to_owned()];
        for (text, good) in [
            ("https://app.example.com/cb", true),
            ("https://app.example.com:8443/cb?a=b", true),
            ("http://127.0.0.1/cb", true),
            ("http://127.0.0.1:1234/cb", true),
            ("http://[::1]:1234/cb", true),
            ("http://localhost:1234/cb", true),
            ("http://localhost", true),
            ("cursor://anysphere.cursor-mcp/oauth/callback", true),
            ("vscode://other/cb", false),
            ("http://app.example.com/cb", false),
            ("http://127.0.0.1.evil.test/cb", false),
            ("http://localhost.evil.test/cb", false),
            ("http://127.0.0.1@evil.test/cb", false),
            ("http://127.0.0.1:80@evil.test/cb", false),
            ("http://127.0.0.2/cb", false),
            ("http://0/cb", false),
            ("https://app.example.com/cb#f", false),
            ("https://me@app.example.com/cb", false),
            ("https://@app.example.com/cb", false),
            ("https:app.example.com/cb", false),
            ("https:\\\\app.example.com/cb", false),
            ("HTTPS://app.example.com/cb", false),
            ("javascript:alert(1)", false),
            ("data:text/html,x", false),
            ("/cb", false),
            ("https://app.example.com/c b", false),
            ("https://app.example.com/\u{e9}", false),
            ("", false),
        ] {
            assert_eq!(RedirectUri::parse(text, &private).is_ok(), good, "{text}");
        }
        assert!(RedirectUri::parse("javascript:x", &["javascript".to_owned()]).is_ok());
    }

    #[test]
    fn it_matches_letter_by_letter_but_for_a_loopback_port() {
        for (registered, given, same) in [
            ("https://a.example/cb", "https://a.example/cb", true),
            ("https://a.example/cb", "https://a.example/cb/", false),
            ("https://a.example/cb", "https://a.example/cb?x", false),
            ("https://a.example/cb", "https://a.example:443/cb", false),
            ("https://a.example/cb", "https://a.example/x/../cb", false),
            ("https://a.example/cb", "https://A.example/cb", false),
            ("https://a.example/cb", "http://a.example/cb", false),
            ("http://127.0.0.1/cb", "http://127.0.0.1:4321/cb", true),
            ("http://127.0.0.1:1/cb", "http://127.0.0.1:4321/cb", true),
            ("http://127.0.0.1:1/cb", "http://127.0.0.1/cb", true),
            ("http://localhost:1/cb", "http://localhost:2/cb", true),
            ("http://[::1]:1/cb", "http://[::1]:2/cb", true),
            ("http://localhost:1/cb", "http://127.0.0.1:1/cb", false),
            ("http://127.0.0.1/cb", "http://127.0.0.1:99999/cb", false),
            ("http://127.0.0.1/cb", "http://127.0.0.1:1/other", false),
            ("http://127.0.0.1/cb", "http://127.0.0.1:1@evil.test/cb", false),
            ("http://127.0.0.1", "http://127.0.0.1.evil.test", false),
            ("http://127.0.0.1/cb", "https://127.0.0.1:1/cb", false),
            ("http://127.0.0.1/cb", "http://127.0.0.1:1/cb#f", false),
            ("http://127.0.0.1/cb", "http://127.0.0.1:+1/cb", false),
        ] {
            let registered = RedirectUri::parse(registered, &[]).unwrap();
            assert_eq!(registered.matches(given), same, "{registered:?} {given}");
        }
    }
}

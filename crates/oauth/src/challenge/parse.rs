//! Challenges as a server wrote them.

use std::fmt;

use http::{HeaderMap, header};

/// One challenge. What it says is the server's text: `Debug` does not repeat it.
#[derive(Clone, PartialEq, Eq)]
pub struct Challenge {
    scheme: String,
    parameters: Vec<(String, String)>,
}

impl Challenge {
    /// Every well-formed challenge of every `WWW-Authenticate` header, in order. Reading a header
    /// stops where its syntax breaks, for nobody can say where the next challenge begins. A
    /// challenge that says something twice is left out (RFC 9110 section 11.2).
    pub fn all(headers: &HeaderMap) -> Vec<Self> {
        headers
            .get_all(header::WWW_AUTHENTICATE)
            .into_iter()
            .filter_map(|value| value.to_str().ok())
            .filter(|value| value.len() <= MAX_HEADER)
            .take(MAX_HEADERS)
            .flat_map(|value| Reader { rest: value }.challenges())
            .filter(Self::is_unambiguous)
            .collect()
    }

    /// Whether this is of `scheme`, in any case.
    pub fn is(&self, scheme: &str) -> bool {
        self.scheme.eq_ignore_ascii_case(scheme)
    }

    /// The value of the parameter `name`, in any case; quotes and escapes are gone.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find(|(given, _)| given.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    fn is_unambiguous(&self) -> bool {
        let mut names: Vec<_> =
            self.parameters.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
        names.sort_unstable();
        names.dedup();
        names.len() == self.parameters.len()
    }
}

impl fmt::Debug for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Challenge({} parameters)", self.parameters.len())
    }
}

/// Bytes of one header, and how many headers: what hyper's defaults let through is far more than
/// any server needs.
const MAX_HEADER: usize = 8 * 1024;
const MAX_HEADERS: usize = 16;

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn challenges(mut self) -> Vec<Challenge> {
        let mut challenges: Vec<Challenge> = Vec::new();
        while let Some(element) = self.element() {
            match (element, challenges.last_mut()) {
                (Element::Scheme(scheme), _) => {
                    let scheme = scheme.to_owned();
                    challenges.push(Challenge { scheme, parameters: Vec::new() });
                }
                (Element::Parameter(name, value), Some(challenge)) => {
                    challenge.parameters.push((name.to_owned(), value));
                }
                (Element::Parameter(..), None) => break,
            }
        }
        challenges
    }

    /// A scheme and a parameter can follow a comma alike; only a parameter has a `=` behind its
    /// name. `None` at the end and where the syntax breaks.
    fn element(&mut self) -> Option<Element<'a>> {
        self.skip(|c| is_space(c) || c == ',');
        let name = self.token()?;
        let after_name = self.rest;
        self.skip(is_space);
        if let Some(value) = self.rest.strip_prefix('=') {
            self.rest = value;
            self.skip(is_space);
            return Some(Element::Parameter(name, self.value()?));
        }
        if !after_name.is_empty() && after_name == self.rest && !after_name.starts_with(',') {
            return None;
        }
        self.skip_token68();
        Some(Element::Scheme(name))
    }

    fn value(&mut self) -> Option<String> {
        let value = match self.rest.strip_prefix('"') {
            Some(quoted) => {
                self.rest = quoted;
                self.quoted()?
            }
            None => self.token()?.to_owned(),
        };
        // a value ends its list element: `a="b"c` is neither a value nor the next element
        let ends = self.rest.trim_start_matches(is_space);
        (ends.is_empty() || ends.starts_with(',')).then_some(value)
    }

    /// The inside of a quoted-string, and its closing quote (RFC 9110 section 5.6.4).
    fn quoted(&mut self) -> Option<String> {
        let mut value = String::new();
        let mut characters = self.rest.chars();
        loop {
            match characters.next()? {
                '"' => break,
                '\\' => value.push(characters.next()?),
                other => value.push(other),
            }
        }
        self.rest = characters.as_str();
        Some(value)
    }

    fn token(&mut self) -> Option<&'a str> {
        let end = self.rest.find(|c| !is_token(c)).unwrap_or(self.rest.len());
        let (token, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest;
        (!token.is_empty()).then_some(token)
    }

    /// `Negotiate oYH1...=`: data of a scheme nobody here speaks. It is there when nothing but the
    /// end of the element follows it.
    fn skip_token68(&mut self) {
        let rest = self.rest.trim_start_matches(is_token68).trim_start_matches('=');
        let ends = rest.trim_start_matches(is_space);
        if ends.is_empty() || ends.starts_with(',') {
            self.rest = ends;
        }
    }

    fn skip(&mut self, unwanted: impl Fn(char) -> bool) {
        self.rest = self.rest.trim_start_matches(unwanted);
    }
}

enum Element<'a> {
    Scheme(&'a str),
    Parameter(&'a str, String),
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t')
}

fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

fn is_token68(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._~+/".contains(c)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    /// `Scheme name=value name=value | Scheme`, to compare with.
    fn read(values: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in values {
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            headers.append(header::WWW_AUTHENTICATE, value);
        }
        let shown: Vec<_> = Challenge::all(&headers)
            .into_iter()
            .map(|challenge| {
                let mut text = challenge.scheme;
                for (name, value) in challenge.parameters {
                    text = format!("{text} {name}={value}");
                }
                text
            })
            .collect();
        shown.join(" | ")
    }

    #[test]
    fn reads_what_servers_write_and_nothing_else() {
        for (values, expected) in [
            (&["Bearer"][..], "Bearer"),
            (
                &["Bearer resource_metadata=\"https://a/b?c=d,e\""],
                "Bearer resource_metadata=https://a/b?c=d,e",
            ),
            (
                &["bearer ERROR=invalid_token , scope = \"a b\""],
                "bearer ERROR=invalid_token scope=a b",
            ),
            // RFC 9110 section 11.6.1
            (
                &[
                    "Basic realm=\"simple\", Newauth realm=\"apps\", type=1, title=\"Login to \\\"apps\\\"\"",
                ],
                "Basic realm=simple | Newauth realm=apps type=1 title=Login to \"apps\"",
            ),
            (&["Basic realm=\"x\"", "Bearer a=b"], "Basic realm=x | Bearer a=b"),
            (&["Negotiate, Negotiate oYH1==, Bearer a=b"], "Negotiate | Negotiate | Bearer a=b"),
            (&[", ,Bearer a=b,, ,c=d,"], "Bearer a=b c=d"),
            (&["Bearer realm=\"Basic x=y, Bearer z=w\""], "Bearer realm=Basic x=y, Bearer z=w"),
            (
                &["Bearer error_description=\"\", DPoP algs=\"ES256\""],
                "Bearer error_description= | DPoP algs=ES256",
            ),
            // broken: everything before it counts
            (&["Bearer a=b, c=\"unterminated"], "Bearer a=b"),
            (&["Bearer a=\"b\"c, Basic"], "Bearer"),
            (&["a=b, Bearer c=d"], ""),
            (&["Bearer a=\"x\", (Basic"], "Bearer a=x"),
            (&["Bearer@x a=b"], ""),
            (&["Bearer a=b, A=c", "Basic"], "Basic"),
            (&["Bearer a=\"é\"", "Basic"], "Basic"),
            (&[""], ""),
        ] {
            assert_eq!(read(values), expected, "{values:?}");
        }
    }

    #[test]
    fn reads_no_header_that_is_too_long() {
        let long = format!("Bearer a=\"{}\"", "b".repeat(MAX_HEADER));
        assert_eq!(read(&[&long, "Basic"]), "Basic");
    }

    #[test]
    fn finds_parameters_in_any_case_and_shows_none() {
        let value = HeaderValue::from_static("BEARER Resource_Metadata=MARK");
        let headers = HeaderMap::from_iter([(header::WWW_AUTHENTICATE, value)]);
        let challenge = Challenge::all(&headers).remove(0);
        assert!(challenge.is("bearer") && !challenge.is("basic"));
        assert_eq!(challenge.parameter("resource_metadata"), Some("MARK"));
        assert_eq!(challenge.parameter("scope"), None);
        assert!(!format!("{challenge:?}").contains("MARK"));
    }

    /// Every string of five symbols of the grammar: nothing loops, and what is found is well-formed.
    #[test]
    fn survives_every_short_input() {
        const SYMBOLS: [&str; 9] = ["a", "B", "=", "\"", "\\", ",", " ", "/", "\t"];
        for number in 0..9_usize.pow(5) {
            let text: String = (0..5).map(|i| SYMBOLS[number / 9_usize.pow(i) % 9]).collect();
            for challenge in (Reader { rest: &text }).challenges() {
                assert!(!challenge.scheme.is_empty() && challenge.scheme.chars().all(is_token));
                assert!(challenge.parameters.iter().all(|(name, _)| name.chars().all(is_token)));
            }
        }
    }
}

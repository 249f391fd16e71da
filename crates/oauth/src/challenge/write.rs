//! The challenge we answer with.

use http::HeaderValue;
use url::Url;

/// A `Bearer` challenge (RFC 6750 section 3) that says where our metadata is (RFC 9728 section
/// 5.1).
#[derive(Clone, Copy, Debug, Default)]
pub struct BearerChallenge<'a> {
    /// Only when something was presented (RS-6).
    pub error: Option<BearerError>,
    pub error_description: Option<&'static str>,
    /// Every scope the request needs, at once.
    pub scopes: &'a [&'a str],
    pub resource_metadata: Option<&'a Url>,
}

/// RFC 6750 section 3.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BearerError {
    InvalidRequest,
    InvalidToken,
    InsufficientScope,
}

impl BearerError {
    /// `None` for a word of no standard.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::InvalidRequest, Self::InvalidToken, Self::InsufficientScope]
            .into_iter()
            .find(|error| error.as_str() == word)
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidToken => "invalid_token",
            Self::InsufficientScope => "insufficient_scope",
        }
    }
}

impl BearerChallenge<'_> {
    /// The value of `WWW-Authenticate`. Characters that no quoted-string can hold are left out.
    pub fn header(&self) -> HeaderValue {
        let scopes = (!self.scopes.is_empty()).then(|| self.scopes.join(" "));
        let parameters = [
            ("error", self.error.map(BearerError::as_str)),
            ("error_description", self.error_description),
            ("resource_metadata", self.resource_metadata.map(Url::as_str)),
            ("scope", scopes.as_deref()),
        ];
        let parameters: Vec<_> = parameters
            .into_iter()
            .filter_map(|(name, value)| Some(format!("{name}={}", quoted(value?))))
            .collect();
        let text = format!("Bearer {}", parameters.join(", "));
        HeaderValue::from_str(text.trim_end())
            .unwrap_or_else(|_| HeaderValue::from_static("Bearer"))
    }
}

/// RFC 9110 section 5.6.4.
fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for character in text.chars().filter(|character| matches!(character, ' '..='~')) {
        if matches!(character, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(character);
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, header};

    use super::*;
    use crate::challenge::Challenge;

    #[test]
    fn the_three_challenges_of_the_gateway() {
        let metadata =
            Url::parse("https://gw.example.com/.well-known/oauth-protected-resource/mcp/github")
                .unwrap();
        let at = "resource_metadata=\"https://gw.example.com/.well-known/oauth-protected-resource/mcp/github\"";
        let bare = BearerChallenge { resource_metadata: Some(&metadata), ..Default::default() };
        for (challenge, expected) in [
            (BearerChallenge::default(), "Bearer".to_owned()),
            (bare, format!("Bearer {at}")),
            (
                BearerChallenge {
                    error: Some(BearerError::InvalidToken),
                    error_description: Some("expired"),
                    ..bare
                },
                format!("Bearer error=\"invalid_token\", error_description=\"expired\", {at}"),
            ),
            (
                BearerChallenge {
                    error: Some(BearerError::InsufficientScope),
                    scopes: &["mcp:use", "github:write"],
                    ..bare
                },
                format!(
                    "Bearer error=\"insufficient_scope\", {at}, scope=\"mcp:use github:write\""
                ),
            ),
        ] {
            assert_eq!(challenge.header(), expected);
        }
    }

    #[test]
    fn what_is_written_reads_back_and_breaks_out_of_nothing() {
        for (nasty, expected) in [
            ("a\"b\\c", "a\"b\\c"),
            ("\", error=\"x", "\", error=\"x"),
            ("a\r\nSet-Cookie: b", "aSet-Cookie: b"),
            ("é\0\u{7f}\u{2028}z", "z"),
            ("\\", "\\"),
        ] {
            let challenge = BearerChallenge { scopes: &[nasty], ..Default::default() };
            let headers = HeaderMap::from_iter([(header::WWW_AUTHENTICATE, challenge.header())]);
            let [read] = &Challenge::all(&headers)[..] else { panic!("{headers:?}") };
            assert_eq!(read.parameter("scope"), Some(expected));
            assert_eq!(read.parameter("error"), None);
        }
    }
}

//! What a resource server wants before it does what was asked (RFC 6750 section 3, RFC 9728
//! section 5.1).

use http::HeaderMap;
use url::Url;

use super::{BearerError, Challenge};
use crate::scope;

/// The part of a 401 or 403 that a client can act on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// Where the resource says its metadata is.
    pub resource_metadata: Option<Url>,
    /// Every scope the request needs; empty when it does not say.
    pub scopes: Vec<String>,
    pub error: Option<BearerError>,
}

impl Demand {
    /// What the first `Bearer` challenge demands, and the first `resource_metadata` of any scheme:
    /// metadata is about the resource, whatever token it wants. `None` when nobody demands anything
    /// of the kind.
    pub fn read(headers: &HeaderMap) -> Option<Self> {
        let challenges = Challenge::all(headers);
        let bearer = challenges.iter().find(|challenge| challenge.is("bearer"));
        let resource_metadata = challenges
            .iter()
            .filter_map(|challenge| challenge.parameter("resource_metadata"))
            .find_map(|text| Url::parse(text).ok());
        if bearer.is_none() && resource_metadata.is_none() {
            return None;
        }
        let parameter = |name| bearer.and_then(|challenge| challenge.parameter(name));
        Some(Self {
            resource_metadata,
            scopes: parameter("scope").map(scope::parse).unwrap_or_default(),
            error: parameter("error").and_then(BearerError::parse),
        })
    }

    /// The scopes that a token lacks for what was asked of the resource (RFC 6750 section 3.1).
    /// `None` where that is not the matter, or where none is named: there is nothing to ask for.
    pub fn lacking(self) -> Option<Vec<String>> {
        let lacking = self.error == Some(BearerError::InsufficientScope);
        Some(scope::of_upstream(&self.scopes)).filter(|scopes| lacking && !scopes.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, header};

    use super::*;

    fn read(values: &[&'static str]) -> Option<Demand> {
        let values = values.iter().copied().map(HeaderValue::from_static);
        Demand::read(&values.map(|value| (header::WWW_AUTHENTICATE, value)).collect())
    }

    /// OC-1, OC-14.
    #[test]
    fn reads_what_a_client_can_act_on() {
        let metadata = Some(Url::parse("https://u.example.com/prm").unwrap());
        for (values, expected) in [
            (&[][..], None),
            (&["Basic realm=\"x\""], None),
            (&["Bearer"], Some(Demand::default())),
            (
                &[
                    "Basic realm=\"x\", bearer Scope=\"b a b\", RESOURCE_METADATA=\"https://u.example.com/prm\"",
                ],
                Some(Demand {
                    resource_metadata: metadata.clone(),
                    scopes: vec!["b".to_owned(), "a".to_owned()],
                    error: None,
                }),
            ),
            (
                &["DPoP algs=\"ES256\", resource_metadata=\"https://u.example.com/prm\""],
                Some(Demand { resource_metadata: metadata.clone(), ..Demand::default() }),
            ),
            (
                &["Bearer error=\"insufficient_scope\", scope=\"w\"", "Bearer scope=\"x\""],
                Some(Demand {
                    resource_metadata: None,
                    scopes: vec!["w".to_owned()],
                    error: Some(BearerError::InsufficientScope),
                }),
            ),
            (&["Bearer resource_metadata=\"/prm\", error=\"MARK\""], Some(Demand::default())),
            (
                &[
                    "Bearer resource_metadata=\"/prm\"",
                    "X resource_metadata=\"https://u.example.com/prm\"",
                ],
                Some(Demand { resource_metadata: metadata, ..Demand::default() }),
            ),
        ] {
            assert_eq!(read(values), expected, "{values:?}");
        }
    }

    /// OC-14.
    #[test]
    fn only_named_scopes_are_lacking() {
        for (value, expected) in [
            ("Bearer error=\"insufficient_scope\", scope=\"b a\"", Some(&["b", "a"][..])),
            ("Bearer error=\"insufficient_scope\", scope=\"a offline_access\"", Some(&["a"])),
            ("Bearer error=\"insufficient_scope\", scope=\"offline_access\"", None),
            ("Bearer error=\"insufficient_scope\"", None),
            ("Bearer error=\"invalid_token\", scope=\"a\"", None),
            ("Bearer scope=\"a\"", None),
        ] {
            let lacking = read(&[value]).and_then(Demand::lacking);
            let expected = expected.map(|scopes| scopes.iter().map(ToString::to_string).collect());
            assert_eq!(lacking, expected, "{value}");
        }
    }
}

//! The authorization request (RFC 6749 section 4.1.1) with PKCE (RFC 7636) and a resource
//! indicator (RFC 8707): OC-11.

use std::{borrow::Cow, fmt};

use attache_core::{Dialect, dialect::Pkce};
use attache_crypto::digest;
use url::Url;

/// Where a browser is sent to ask for consent.
pub struct AuthorizationRequest<'a> {
    pub endpoint: &'a Url,
    pub client_id: &'a str,
    pub redirect_uri: &'a str,
    pub scopes: &'a [String],
    pub state: &'a str,
    /// From [`code_challenge`].
    pub code_challenge: &'a str,
    pub resource: Option<&'a str>,
    pub dialect: &'a Dialect,
    /// What the caller wants besides, such as a `nonce`. Like the dialect's parameters it is left
    /// out where this request speaks for itself: nothing overrides `state` or PKCE.
    pub extra: &'a [(&'a str, &'a str)],
}

impl AuthorizationRequest<'_> {
    /// The endpoint with this request added to whatever query it has (RFC 6749 section 3.1).
    pub fn url(&self) -> Url {
        let mut url = self.endpoint.clone();
        url.query_pairs_mut().extend_pairs(self.parameters());
        url
    }

    /// Everything but the endpoint, each name once.
    pub(crate) fn parameters(&self) -> Vec<(&str, Cow<'_, str>)> {
        let dialect = self.dialect;
        let mut parameters = vec![
            ("response_type", "code".into()),
            (dialect.client_id_param.as_str(), self.client_id.into()),
            ("redirect_uri", self.redirect_uri.into()),
            ("state", self.state.into()),
        ];
        if dialect.pkce == Pkce::S256 {
            parameters.push(("code_challenge", self.code_challenge.into()));
            parameters.push(("code_challenge_method", "S256".into()));
        }
        let scopes = dialect.scopes(self.scopes, self.resource);
        if !scopes.is_empty() {
            let scopes = scopes.join(&dialect.scope_separator);
            parameters.push((&dialect.scope_param, scopes.into()));
        }
        let resource = dialect.resource(self.resource);
        parameters.extend(resource.map(|resource| ("resource", resource.into())));
        let usual = dialect.authorize_params.iter().map(|(name, value)| (&**name, &**value));
        for (name, value) in usual.chain(self.extra.iter().copied()) {
            if !RESERVED.contains(&name) && !parameters.iter().any(|(taken, _)| *taken == name) {
                parameters.push((name, value.into()));
            }
        }
        parameters
    }
}

/// `state` and `nonce` are worth something to whoever reads a log.
impl fmt::Debug for AuthorizationRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorizationRequest")
            .field("client_id", &self.client_id)
            .field("redirect_uri", &self.redirect_uri)
            .finish_non_exhaustive()
    }
}

/// The `S256` challenge of a PKCE verifier (RFC 7636 section 4.2).
pub fn code_challenge(verifier: &str) -> String {
    digest::base64url(&digest::sha256(verifier.as_bytes()))
}

/// Parameters that decide what is granted and where the answer goes.
const RESERVED: [&str; 11] = [
    "client_id",
    "code_challenge",
    "code_challenge_method",
    "redirect_uri",
    "request",
    "request_uri",
    "resource",
    "response_mode",
    "response_type",
    "scope",
    "state",
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn keeps_the_query_of_the_endpoint_and_cannot_be_overridden() {
        let endpoint = Url::parse("https://as.example.com/authorize?tenant=a%26b").unwrap();
        let url = AuthorizationRequest {
            endpoint: &endpoint,
            client_id: "me & you",
            redirect_uri: "https://gw.example.com/cb",
            scopes: &["repo".to_owned(), "read:user".to_owned()],
            state: "the-state",
            code_challenge: "the-challenge",
            resource: Some("https://api.example.com/mcp"),
            dialect: &Dialect::default(),
            extra: &[
                ("prompt", "consent"),
                ("state", "forged"),
                ("code_challenge_method", "plain"),
                ("redirect_uri", "https://evil.example.com"),
            ],
        }
        .url();

        assert_eq!(url.query_pairs().count(), 10, "{url}");
        let query: BTreeMap<_, _> = url.query_pairs().collect();
        let expected = [
            ("tenant", "a&b"),
            ("response_type", "code"),
            ("client_id", "me & you"),
            ("redirect_uri", "https://gw.example.com/cb"),
            ("scope", "repo read:user"),
            ("state", "the-state"),
            ("code_challenge", "the-challenge"),
            ("code_challenge_method", "S256"),
            ("resource", "https://api.example.com/mcp"),
            ("prompt", "consent"),
        ];
        for (name, value) in expected {
            assert_eq!(query[name], value, "{name}");
        }
    }

    #[test]
    fn asks_for_neither_scope_nor_resource_when_there_is_none() {
        let url = AuthorizationRequest {
            endpoint: &Url::parse("https://as.example.com/authorize").unwrap(),
            client_id: "c",
            redirect_uri: "https://gw.example.com/cb",
            scopes: &[],
            state: "s",
            code_challenge: "h",
            resource: None,
            dialect: &Dialect::default(),
            extra: &[],
        }
        .url();
        assert!(!url.query_pairs().any(|(name, _)| name == "scope" || name == "resource"));
    }

    #[test]
    fn the_challenge_is_the_one_of_rfc_7636_appendix_b() {
        assert_eq!(
            code_challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
        );
    }
}

//! Authorization requests (RFC 6749 section 4.1.1; AS-3 to AS-8), and how they are answered.

use std::sync::Arc;

use attache_oauth::scope;
use url::form_urlencoded;

use super::{
    client::{Client, ClientError, Clients},
    document::Asker,
    params::Params,
    resource::{Resource, Resources},
};

/// Bytes of a request: it travels in a cookie, of which browsers keep 4 KiB.
const MAX_QUERY: usize = 2_560;

/// The only scope: whatever the resource does, as the person.
pub const SCOPE: &str = "mcp:use";

/// One that can be put to a person.
#[derive(Clone, Debug)]
pub(super) struct AuthorizationRequest {
    pub(super) client: Arc<Client>,
    /// As given, so perhaps with another port than the registered one.
    pub(super) redirect_uri: String,
    pub(super) state: Option<String>,
    pub(super) challenge: String,
    pub(super) resource: Resource,
}

#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// Shown to the person, and the browser goes nowhere (AS-3).
    #[error("it cannot be told who asks")]
    Unanswerable(&'static str),
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Store(#[from] attache_core::store::StoreError),
    /// The client is told, at an address of its own.
    #[error("the client asks for what it cannot have")]
    Answered(Answer),
}

/// An authorization response: where the browser goes.
#[derive(Clone, PartialEq, Eq)]
pub struct Answer {
    url: String,
}

/// The address may hold a code.
impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Answer(…)")
    }
}

impl Answer {
    pub fn url(&self) -> &str {
        &self.url
    }

    /// With `iss` (RFC 9207) and whatever `state` was sent.
    fn new(redirect_uri: &str, state: Option<&str>, issuer: &str, says: &[(&str, &str)]) -> Self {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(says);
        if let Some(state) = state {
            query.append_pair("state", state);
        }
        query.append_pair("iss", issuer);
        let joint = if redirect_uri.contains('?') { '&' } else { '?' };
        Self { url: format!("{redirect_uri}{joint}{}", query.finish()) }
    }
}

impl AuthorizationRequest {
    pub(super) async fn parse(
        query: &str,
        clients: &Clients,
        resources: &Resources,
    ) -> Result<Self, RequestError> {
        if query.len() > MAX_QUERY {
            return Err(RequestError::Unanswerable("The request is longer than any real one."));
        }
        let params = Params::parse(query.as_bytes());
        if params.is_repeated("client_id") || params.is_repeated("redirect_uri") {
            return Err(RequestError::Unanswerable("The request names two programs at once."));
        }
        let client_id = params.get("client_id").ok_or(ClientError::Unknown)?;
        let client = clients.find(client_id, Asker::Stranger).await?;
        let redirect_uri = params.get("redirect_uri").unwrap_or_default();
        if !client.may_return_to(redirect_uri) {
            return Err(RequestError::Unanswerable(
                "The request would send you to an address that this program did not register.",
            ));
        }
        // From here on the client can be told.
        let redirect_uri = redirect_uri.to_owned();
        let state = params.get("state").map(str::to_owned);
        let asked = Asked::parse(&params, resources).and_then(|asked| {
            if resources.are_for(&client, &asked.resource.opens) {
                Ok(asked)
            } else {
                Err(Unasked { code: "invalid_target", why: "the resource is not for this client" })
            }
        });
        asked
            .map(|Asked { challenge, resource }| Self {
                client: Arc::clone(&client),
                redirect_uri: redirect_uri.clone(),
                state: state.clone(),
                challenge,
                resource,
            })
            .map_err(|error| {
                if client.is_strange(&redirect_uri) {
                    return RequestError::Unanswerable("The program asks for what it cannot have.");
                }
                let issuer = resources.origin.as_str();
                let says = [("error", error.code), ("error_description", error.why)];
                RequestError::Answered(Answer::new(&redirect_uri, state.as_deref(), issuer, &says))
            })
    }

    pub(super) fn allowed(&self, code: &str, issuer: &str) -> Answer {
        Answer::new(&self.redirect_uri, self.state.as_deref(), issuer, &[("code", code)])
    }

    pub(super) fn refused(&self, error: &str, issuer: &str) -> Answer {
        Answer::new(&self.redirect_uri, self.state.as_deref(), issuer, &[("error", error)])
    }
}

/// What remains to be judged when it is known who asks.
struct Asked {
    challenge: String,
    resource: Resource,
}

#[derive(Debug)]
struct Unasked {
    code: &'static str,
    why: &'static str,
}

impl Asked {
    fn parse(params: &Params, resources: &Resources) -> Result<Self, Unasked> {
        let no = |code, why| Err(Unasked { code, why });
        if params.is_repeated("resource") {
            return no("invalid_target", "one resource at a time");
        }
        if params.has_repeated() {
            return no("invalid_request", "a parameter is there twice");
        }
        if params.get("request").is_some() || params.get("request_uri").is_some() {
            return no("request_not_supported", "request objects are not supported");
        }
        if params.get("response_type") != Some("code") {
            return no("unsupported_response_type", "response_type is code");
        }
        if params.get("response_mode").is_some_and(|mode| mode != "query") {
            return no("invalid_request", "response_mode is query");
        }
        let challenge = params.get("code_challenge").filter(|text| is_challenge(text));
        let Some(challenge) = challenge else {
            return no(
                "invalid_request",
                "PKCE is required: code_challenge is missing or malformed",
            );
        };
        if params.get("code_challenge_method") != Some("S256") {
            return no("invalid_request", "code_challenge_method is S256");
        }
        // A wish that is not known may be ignored (RFC 6749 section 3.3), but not if nothing is left:
        // that would give more than was asked for.
        let scopes = params.get("scope").map(scope::parse);
        if scopes.is_some_and(|scopes| !scopes.iter().any(|one| one == SCOPE)) {
            return no("invalid_scope", "the scope is mcp:use");
        }
        // Nobody is allowed anything without being asked.
        if params.get("prompt").is_some_and(|prompt| prompt.split(' ').any(|one| one == "none")) {
            return no("interaction_required", "the person is asked each time");
        }
        let Some(resource) = resources.asked(params.get("resource")) else {
            return no("invalid_target", "resource names no resource of this gateway");
        };
        Ok(Self { challenge: challenge.to_owned(), resource })
    }
}

/// SHA-256 in base64url (RFC 7636 section 4.2).
fn is_challenge(text: &str) -> bool {
    text.len() == 43
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

#[cfg(test)]
mod tests {
    use attache_core::PublicOrigin;
    use url::Url;

    use super::*;

    #[test]
    fn what_cannot_be_had_has_a_word() {
        let origin = PublicOrigin::new(&Url::parse("https://gw.example.com").unwrap());
        let resources = Resources { origin, whole: false, several_for_anybody: true, only: None };
        let challenge = "c".repeat(43);
        let good = [
            ("response_type", "code"),
            ("code_challenge", challenge.as_str()),
            ("code_challenge_method", "S256"),
            ("resource", "https://gw.example.com/mcp/notes"),
            ("scope", "mcp:use offline_access"),
        ];
        let outcome = |changed: &[(&str, &str)], without: &str| {
            let mut query = form_urlencoded::Serializer::new(String::new());
            let changes = |name: &str| changed.iter().any(|(one, _)| *one == name);
            let rest = good.iter().filter(|(name, _)| *name != without && !changes(name));
            query.extend_pairs(rest.chain(changed));
            let params = Params::parse(query.finish().as_bytes());
            Asked::parse(&params, &resources).map(drop).map_err(|error| error.code)
        };
        assert_eq!(outcome(&[], ""), Ok(()));
        assert_eq!(outcome(&[], "scope"), Ok(()));
        for (changed, without, code) in [
            (&[][..], "response_type", "unsupported_response_type"),
            (&[("response_type", "token")], "", "unsupported_response_type"),
            (&[], "code_challenge", "invalid_request"),
            (&[("code_challenge", "short")], "", "invalid_request"),
            (&[], "code_challenge_method", "invalid_request"),
            (&[("code_challenge_method", "plain")], "", "invalid_request"),
            (&[("state", "a"), ("state", "b")], "", "invalid_request"),
            (&[("response_mode", "fragment")], "", "invalid_request"),
            (&[("request", "x")], "", "request_not_supported"),
            (&[("scope", "offline_access")], "", "invalid_scope"),
            (&[("prompt", "none")], "", "interaction_required"),
            (&[], "resource", "invalid_target"),
            (&[("resource", "https://evil.test/mcp/notes")], "", "invalid_target"),
            (
                &[
                    ("resource", "https://gw.example.com/mcp/notes"),
                    ("resource", "https://gw.example.com/mcp/mail"),
                ],
                "",
                "invalid_target",
            ),
        ] {
            assert_eq!(outcome(changed, without), Err(code), "{changed:?} without {without}");
        }
    }

    #[test]
    fn an_answer_keeps_what_was_registered_and_names_us() {
        let answer = |uri| Answer::new(uri, Some("a b&c"), "https://gw", &[("code", "x")]).url;
        let said = "code=x&state=a+b%26c&iss=https%3A%2F%2Fgw";
        assert_eq!(answer("http://127.0.0.1:1/cb"), format!("http://127.0.0.1:1/cb?{said}"));
        assert_eq!(answer("https://a.example/cb?k=v"), format!("https://a.example/cb?k=v&{said}"));
    }
}

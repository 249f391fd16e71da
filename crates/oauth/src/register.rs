//! Dynamic client registration (RFC 7591): OC-9.

use std::time::Duration;

use attache_core::{
    IssuerId, Secret, Timestamp,
    audit::Reason,
    outbound::{FetchError, Outbound},
};
use bytes::Bytes;
use http::{HeaderValue, Request, header};
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use crate::{
    auth_method::AuthMethod,
    client_assertion::AssertionSigner,
    client_auth::{Client, ClientAuthentication},
    client_metadata::ClientMetadata,
    endpoint::{LIMITS, is_transient, retry_after},
    json,
};

/// Us, as one authorization server knows us. It is nobody else's to see: keep it by issuer (OC-7).
#[derive(Clone, Debug)]
pub struct Registration {
    pub issuer: IssuerId,
    pub client_id: String,
    pub method: AuthMethod,
    /// With the methods that have one.
    pub client_secret: Option<Secret>,
    /// `None`: never.
    pub secret_expires_at: Option<Timestamp>,
}

/// What an operator was given to register with (RFC 7591 section 3), and where it may be shown.
#[derive(Clone, Debug)]
pub struct InitialAccessToken {
    pub token: Secret,
    /// Of this origin alone, whatever metadata says (GHSA-3768-rwj3-38p2).
    pub registration_endpoint: Url,
}

/// Registers us at `endpoint`, which the metadata of `issuer` names.
///
/// # Errors
/// [`RegistrationError`]. An answer that was lost may leave a client behind that nobody uses.
pub async fn register(
    outbound: &dyn Outbound,
    issuer: &IssuerId,
    endpoint: &Url,
    metadata: &ClientMetadata,
    permit: Option<&InitialAccessToken>,
) -> Result<Registration, RegistrationError> {
    let request = request(endpoint, metadata, permit)?;
    let response = outbound.fetch(request, LIMITS).await?;
    let status = response.status();
    if is_transient(status) {
        let retry_after = retry_after(response.headers());
        Err(RegistrationError::Unavailable { retry_after })
    } else if status.is_client_error() {
        Err(RegistrationError::Refused)
    } else if status.is_success() {
        Registration::parse(issuer, metadata, response.body())
    } else {
        Err(RegistrationError::Malformed("a redirect"))
    }
}

impl Registration {
    /// Reads an answer to `metadata` (RFC 7591 section 3.2.1). The server may change what was asked
    /// for; a client that it registered for somebody else's redirect URI, or for a method that we
    /// cannot, is of no use.
    #[doc(hidden)]
    pub fn parse(
        issuer: &IssuerId,
        metadata: &ClientMetadata,
        body: &[u8],
    ) -> Result<Self, RegistrationError> {
        use RegistrationError::Malformed;
        let wire: Wire = json::object(body).ok_or(Malformed("no JSON answer to a registration"))?;
        let client_id = wire
            .client_id
            .filter(|id| is_visible(id))
            .ok_or(Malformed("a registration without a usable client id"))?;
        if wire
            .redirect_uris
            .is_some_and(|uris| !uris.iter().any(|uri| uri == metadata.redirect_uri()))
        {
            return Err(Malformed("a registration without our redirect URI"));
        }
        let method = match wire.token_endpoint_auth_method {
            Some(name) => AuthMethod::parse(&name),
            None => Some(metadata.method()),
        };
        let can = |method: &AuthMethod| {
            *method != AuthMethod::PrivateKeyJwt || metadata.method() == *method
        };
        let method = method
            .filter(can)
            .ok_or(Malformed("a registration with a method that was not asked for"))?;
        let wants_secret =
            matches!(method, AuthMethod::ClientSecretBasic | AuthMethod::ClientSecretPost);
        let client_secret = wire.client_secret.filter(|_| wants_secret);
        if wants_secret && !client_secret.as_ref().is_some_and(|secret| is_visible(secret)) {
            return Err(Malformed("a registration without a usable client secret"));
        }
        Ok(Self {
            issuer: issuer.clone(),
            client_id,
            method,
            secret_expires_at: client_secret
                .as_ref()
                .and(wire.client_secret_expires_at.as_ref())
                .and_then(moment),
            client_secret: client_secret.map(Secret::new),
        })
    }

    /// Whether the secret is of no more use.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.secret_expires_at.is_some_and(|end| end <= now)
    }

    /// Us at this server's endpoints. `None` when it wants a key and `signer` has none any more.
    pub fn client(&self, signer: Option<&AssertionSigner>) -> Option<Client> {
        let secret = || self.client_secret.clone();
        let authentication = match self.method {
            AuthMethod::ClientSecretBasic => ClientAuthentication::Basic(secret()?),
            AuthMethod::ClientSecretPost => ClientAuthentication::Post(secret()?),
            AuthMethod::PrivateKeyJwt => ClientAuthentication::PrivateKeyJwt(signer?.clone()),
            AuthMethod::None => ClientAuthentication::None,
        };
        Some(Client { id: self.client_id.clone(), authentication })
    }
}

/// Why we are not registered. No variant can hold text of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistrationError {
    /// The operator's move: register by hand.
    #[error("the authorization server does not let us register")]
    Refused,
    /// Nobody's move: later.
    #[error("the authorization server is unavailable")]
    Unavailable { retry_after: Option<Duration> },
    /// The text says what is wrong, in our words.
    #[error("the authorization server answered with {0}")]
    Malformed(&'static str),
    /// The operator's move.
    #[error("the endpoint's address is not allowed by the egress rules")]
    Blocked,
    /// The operator's move: the initial access token is for another place than the metadata names.
    #[error("the registration endpoint is not where the initial access token may be shown")]
    ForeignEndpoint,
}

impl RegistrationError {
    /// The word for logs, answers and the audit.
    pub fn reason(self) -> Reason {
        match self {
            Self::Refused => Reason::RegistrationRefused,
            Self::Unavailable { .. } => Reason::ProviderUnavailable,
            Self::Malformed(_) => Reason::MalformedResponse,
            Self::Blocked | Self::ForeignEndpoint => Reason::Misconfigured,
        }
    }
}

impl From<FetchError> for RegistrationError {
    fn from(error: FetchError) -> Self {
        match error {
            FetchError::Blocked | FetchError::Insecure => Self::Blocked,
            FetchError::Unreachable(_) | FetchError::Transport(_) | FetchError::Timeout(_) => {
                Self::Unavailable { retry_after: None }
            }
            FetchError::TooLarge(_) => Self::Malformed("too large a response"),
        }
    }
}

#[derive(Deserialize)]
struct Wire {
    client_id: Option<String>,
    client_secret: Option<String>,
    client_secret_expires_at: Option<Value>,
    token_endpoint_auth_method: Option<String>,
    redirect_uris: Option<Vec<String>>,
}

fn request(
    endpoint: &Url,
    metadata: &ClientMetadata,
    permit: Option<&InitialAccessToken>,
) -> Result<Request<Bytes>, RegistrationError> {
    let mut request = Request::post(endpoint.as_str())
        .header(header::ACCEPT, "application/json")
        .header(header::CONTENT_TYPE, "application/json");
    if let Some(permit) = permit {
        if permit.registration_endpoint.origin() != endpoint.origin() {
            return Err(RegistrationError::ForeignEndpoint);
        }
        let bearer = Secret::new(format!("Bearer {}", permit.token.expose()));
        let mut bearer =
            HeaderValue::from_str(bearer.expose()).map_err(|_| RegistrationError::Refused)?;
        bearer.set_sensitive(true);
        request = request.header(header::AUTHORIZATION, bearer);
    }
    let body = serde_json::to_vec(metadata).map_err(|_| RegistrationError::Blocked)?;
    request.body(Bytes::from(body)).map_err(|_| RegistrationError::Blocked)
}

/// `1*VSCHAR` (RFC 6749 appendix A), of a length that fits a header.
fn is_visible(text: &str) -> bool {
    (1..=MAX_VALUE).contains(&text.len()) && text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

/// Bytes of an id or a secret. Ids that hold the whole registration, signed, are of some KiB.
const MAX_VALUE: usize = 4 * 1024;

/// Seconds since the epoch; 0 is never (RFC 7591 section 3.2.1).
fn moment(expires_at: &Value) -> Option<Timestamp> {
    let seconds = match expires_at {
        Value::Number(number) => number.as_i64()?,
        Value::String(text) => text.parse().ok()?,
        _ => return None,
    };
    (seconds > 0).then(|| Timestamp::from_seconds(seconds))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{client_metadata::Ourselves, scripted::Scripted};

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn metadata(method: AuthMethod) -> ClientMetadata {
        let (redirect_uri, jwks_uri) =
            (url("https://gw.example.com/cb"), url("https://gw.example.com/jwks.json"));
        let ourselves = Ourselves {
            client_name: "attache",
            redirect_uri: &redirect_uri,
            jwks_uri: Some(&jwks_uri),
        };
        ClientMetadata::new(&ourselves, method).unwrap().with_scopes(&["a".into(), "b".into()])
    }

    async fn registered(
        outbound: &Scripted,
        permit: Option<&InitialAccessToken>,
    ) -> Result<Registration, RegistrationError> {
        let issuer = IssuerId::new("https://as.example.com");
        let endpoint = url("https://as.example.com/register");
        register(outbound, &issuer, &endpoint, &metadata(AuthMethod::None), permit).await
    }

    /// OC-9.
    #[tokio::test]
    async fn says_who_we_are_and_shows_a_permit_where_it_is_for() {
        let outbound = Scripted::always(201, &[], r#"{"client_id":"c"}"#);
        let permit = |endpoint| InitialAccessToken {
            token: Secret::new("MARK"),
            registration_endpoint: url(endpoint),
        };
        let here = permit("https://as.example.com/clients");
        for permit in [None, Some(&here)] {
            registered(&outbound, permit).await.unwrap();
        }
        for there in ["https://as.example.com:8443/register", "https://evil.example.com/register"] {
            let refused = registered(&outbound, Some(&permit(there))).await;
            assert_eq!(refused.unwrap_err(), RegistrationError::ForeignEndpoint);
        }
        let asked = outbound.asked.lock().unwrap();
        assert_eq!(asked.len(), 2);
        assert!(!asked[0].headers().contains_key(header::AUTHORIZATION));
        assert_eq!(asked[1].headers()[header::AUTHORIZATION], "Bearer MARK");
        assert!(asked[1].headers()[header::AUTHORIZATION].is_sensitive());
        assert_eq!(
            serde_json::from_slice::<Value>(asked[0].body()).unwrap(),
            json!({
                "client_name": "attache",
                "redirect_uris": ["https://gw.example.com/cb"],
                "grant_types": ["authorization_code", "refresh_token"],
                "response_types": ["code"],
                "application_type": "web",
                "token_endpoint_auth_method": "none",
                "scope": "a b",
            })
        );
    }

    #[tokio::test]
    async fn every_answer_is_somebodys_move() {
        use RegistrationError::{Malformed, Refused, Unavailable};
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        let no_json = "no JSON answer to a registration";
        for (status, headers, body, expected) in [
            (400, &[][..], r#"{"error":"invalid_redirect_uri"}"#, Refused),
            (401, &[], "", Refused),
            (403, &[], "<html>MARK", Refused),
            (404, &[], "", Refused),
            (429, &[("retry-after", "9")], "", Unavailable { retry_after: seconds(9) }),
            (503, &[], "", Unavailable { retry_after: None }),
            (307, &[], "", Malformed("a redirect")),
            (200, &[], "<html>MARK", Malformed(no_json)),
            (
                200,
                &[],
                r#"{"error":"MARK"}"#,
                Malformed("a registration without a usable client id"),
            ),
        ] {
            let error = registered(&Scripted::always(status, headers, body), None).await;
            assert_eq!(error.unwrap_err(), expected, "{status} {body}");
        }
        let blocked = Scripted::new(|_| Err(FetchError::Blocked));
        assert_eq!(registered(&blocked, None).await.unwrap_err(), RegistrationError::Blocked);
    }

    #[test]
    fn a_registration_is_usable_or_none() {
        use AuthMethod::PrivateKeyJwt as Key;
        use AuthMethod::{ClientSecretBasic as Basic, ClientSecretPost as Post, None as Public};
        let issuer = IssuerId::new("https://as.example.com");
        for (asked, body, expected) in [
            (Basic, r#"{"client_id":"c","client_secret":"s"}"#, Some((Basic, None))),
            (
                Basic,
                r#"{"client_id":"c","client_secret":"s","client_secret_expires_at":0}"#,
                Some((Basic, None)),
            ),
            (
                Basic,
                r#"{"client_id":"c","client_secret":"s","client_secret_expires_at":"1800000000",
                    "token_endpoint_auth_method":"client_secret_post"}"#,
                Some((Post, Some(1_800_000_000))),
            ),
            (
                Basic,
                r#"{"client_id":"c","client_secret":"s","client_secret_expires_at":1800000000,
                    "token_endpoint_auth_method":"none","redirect_uris":["https://gw.example.com/cb"]}"#,
                Some((Public, None)),
            ),
            (Public, r#"{"client_id":"c","client_secret":"s"}"#, Some((Public, None))),
            (Key, r#"{"client_id":"c"}"#, Some((Key, None))),
            (Public, r#"{"client_id":"c","token_endpoint_auth_method":"private_key_jwt"}"#, None),
            (Public, r#"{"client_id":"c","token_endpoint_auth_method":"tls_client_auth"}"#, None),
            (Public, r#"{"client_id":"c","redirect_uris":["https://evil.example.com"]}"#, None),
            (Public, r#"{"client_id":"c","redirect_uris":[]}"#, None),
            (Public, r#"{"client_id":""}"#, None),
            (Public, r#"{"client_id":"c\r\nd"}"#, None),
            (Public, r#"{"client_id":7}"#, None),
            (Basic, r#"{"client_id":"c"}"#, None),
            (Basic, r#"{"client_id":"c","client_secret":""}"#, None),
            (Basic, r#"{"client_id":"c","client_secret":"é"}"#, None),
        ] {
            let read = Registration::parse(&issuer, &metadata(asked), body.as_bytes()).ok();
            let (method, end) = match &read {
                Some(read) => {
                    assert_eq!(read.client(None).is_some(), read.method != Key, "{body}");
                    assert_eq!(read.client_secret.is_some(), matches!(read.method, Basic | Post));
                    (Some(read.method), read.secret_expires_at.map(Timestamp::as_seconds))
                }
                None => (None, None),
            };
            assert_eq!(method.map(|method| (method, end)), expected, "{body}");
        }
    }
}

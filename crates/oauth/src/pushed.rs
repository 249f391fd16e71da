//! Pushed authorization requests (RFC 9126): what is asked for goes to the server directly, and the
//! browser carries a name for it. OC-15.

use std::{fmt, time::Duration};

use attache_core::outbound::Outbound;
use serde::Deserialize;
use url::Url;

use crate::{
    authorize::AuthorizationRequest, client_auth::Client, endpoint, error::TokenError, json,
};

/// A request that the server holds. Whoever has its name can go on with it: it is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct PushedRequest {
    request_uri: String,
    /// How long the browser may take to get there; at most ten minutes.
    pub expires_in: Duration,
}

/// Hands `request` over to `endpoint`, which is of the same server as `request.endpoint`.
///
/// # Errors
/// Those of the token endpoint (RFC 9126 section 2.3). Nothing is spent by any of them.
pub async fn push(
    outbound: &dyn Outbound,
    endpoint: &Url,
    client: &Client,
    request: &AuthorizationRequest<'_>,
) -> Result<PushedRequest, TokenError> {
    let parameters = request.parameters();
    let parameters: Vec<_> = parameters.iter().map(|(name, value)| (*name, &**value)).collect();
    PushedRequest::parse(
        &endpoint::post(outbound, endpoint, client, request.dialect, &parameters).await?,
    )
}

impl PushedRequest {
    /// Where the browser goes: nothing but who asks and for what (RFC 9126 section 4).
    pub fn url(&self, authorization_endpoint: &Url, client_id: &str) -> Url {
        let mut url = authorization_endpoint.clone();
        url.query_pairs_mut()
            .append_pair("client_id", client_id)
            .append_pair("request_uri", &self.request_uri);
        url
    }

    /// Reads an answer (RFC 9126 section 2.2).
    #[doc(hidden)]
    pub fn parse(body: &[u8]) -> Result<Self, TokenError> {
        #[derive(Deserialize)]
        struct Wire {
            request_uri: String,
            expires_in: f64,
        }
        let Wire { request_uri, expires_in } = json::object(body)
            .ok_or(TokenError::Malformed("no JSON answer to a pushed request"))?;
        let named = (1..=MAX_REQUEST_URI).contains(&request_uri.len())
            && request_uri.bytes().all(|byte| byte.is_ascii_graphic());
        if !named || expires_in <= 0.0 {
            return Err(TokenError::Malformed("a pushed request without a usable name"));
        }
        let expires_in = Duration::from_secs_f64(expires_in.min(MAX_LIFETIME.as_secs_f64()));
        Ok(Self { request_uri, expires_in })
    }
}

impl fmt::Debug for PushedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PushedRequest")
            .field("expires_in", &self.expires_in)
            .finish_non_exhaustive()
    }
}

/// Bytes. The known ones are a prefix and a random part of some dozens.
const MAX_REQUEST_URI: usize = 2 * 1024;

/// A flow of ours lives no longer (OC-12).
const MAX_LIFETIME: Duration = Duration::from_mins(10);

#[cfg(test)]
mod tests {
    use attache_core::{Dialect, Secret, audit::Reason};

    use super::*;
    use crate::{client_auth::ClientAuthentication, scripted::Scripted};

    fn request<'a>(endpoint: &'a Url, dialect: &'a Dialect) -> AuthorizationRequest<'a> {
        AuthorizationRequest {
            endpoint,
            client_id: "c",
            redirect_uri: "https://gw.example.com/cb",
            scopes: &[],
            state: "s",
            code_challenge: "h",
            resource: Some("https://api.example.com/mcp"),
            dialect,
            extra: &[("request_uri", "urn:forged"), ("prompt", "consent")],
        }
    }

    /// OC-15.
    #[tokio::test]
    async fn everything_is_pushed_and_only_its_name_is_shown() {
        let dialect = Dialect::default();
        let authorize = Url::parse("https://as.example.com/authorize?tenant=1").unwrap();
        let par = Url::parse("https://as.example.com/par").unwrap();
        let asked = "response_type=code&client_id=c&redirect_uri=https%3A%2F%2Fgw.example.com%2Fcb\
                     &state=s&code_challenge=h&code_challenge_method=S256\
                     &resource=https%3A%2F%2Fapi.example.com%2Fmcp&prompt=consent";
        let secret = || Secret::new("p");
        for (authentication, more) in [
            (ClientAuthentication::Basic(secret()), ""),
            (ClientAuthentication::Post(secret()), "&client_secret=p"),
            (ClientAuthentication::None, ""),
        ] {
            let client = Client { id: "c".to_owned(), authentication };
            let body = r#"{"request_uri":"urn:x:1&state=evil","expires_in":60}"#;
            let outbound = Scripted::always(201, &[], body);
            let pushed =
                push(&outbound, &par, &client, &request(&authorize, &dialect)).await.unwrap();
            assert_eq!(outbound.asked.lock().unwrap()[0].body(), &format!("{asked}{more}"));
            assert_eq!(pushed.expires_in, Duration::from_mins(1));
            assert_eq!(
                pushed.url(&authorize, "c").as_str(),
                "https://as.example.com/authorize?tenant=1&client_id=c\
                 &request_uri=urn%3Ax%3A1%26state%3Devil"
            );
            assert!(!format!("{pushed:?}").contains("urn"));
        }
        let refusal = Scripted::always(400, &[], r#"{"error":"invalid_scope"}"#);
        let client = Client { id: "c".to_owned(), authentication: ClientAuthentication::None };
        let refused = push(&refusal, &par, &client, &request(&authorize, &dialect)).await;
        assert_eq!(refused, Err(TokenError::Refused(Reason::InvalidScope)));
    }

    #[test]
    fn reads_a_usable_name_or_nothing() {
        let long = format!(r#"{{"request_uri":"{}","expires_in":60}}"#, "u".repeat(2049));
        for (body, expected) in [
            (r#"{"request_uri":"urn:x","expires_in":90}"#, Some(Duration::from_secs(90))),
            (r#"{"request_uri":"urn:x","expires_in":86400}"#, Some(MAX_LIFETIME)),
            (r#"{"request_uri":"urn:x","expires_in":0}"#, None),
            (r#"{"request_uri":"urn:x","expires_in":-1}"#, None),
            (r#"{"request_uri":"urn:x"}"#, None),
            (r#"{"request_uri":"","expires_in":60}"#, None),
            (r#"{"request_uri":"urn: x","expires_in":60}"#, None),
            ("<html>", None),
            (&long, None),
        ] {
            let read = PushedRequest::parse(body.as_bytes()).ok();
            assert_eq!(read.map(|pushed| pushed.expires_in), expected, "{body}");
        }
    }
}

//! One request to an endpoint that authenticates clients, and what its status means.

use std::time::Duration;

use attache_core::{
    audit::Reason,
    outbound::{Limits, Outbound},
};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use crate::{
    client_auth::Client,
    error::{TokenError, reason},
};

/// Bounds of every fetch here (OC-21, OC-29): people wait behind it, and no honest answer is big.
pub(crate) const LIMITS: Limits = Limits { timeout: Duration::from_secs(10), max_body: 1 << 20 };

/// Posts a form and gives back the body of a 2xx; anything else is an error, also a 2xx that says
/// `error` inside (GitHub, Slack).
pub(crate) async fn post(
    outbound: &dyn Outbound,
    endpoint: &Url,
    client: &Client,
    parameters: &[(&str, &str)],
) -> Result<Bytes, TokenError> {
    let request = client.post(endpoint, parameters).map_err(|_| TokenError::Blocked)?;
    let response = outbound.fetch(request, LIMITS).await?;
    if is_transient(response.status()) {
        return Err(TokenError::Unavailable { retry_after: retry_after(response.headers()) });
    }
    if response.status().is_redirection() {
        return Err(TokenError::Malformed("a redirect"));
    }
    match refusal(response.body()) {
        Some(reason) => Err(refused(reason, response.headers())),
        None if response.status().is_success() => Ok(response.into_body()),
        None => Err(TokenError::Malformed("an error that has no code")),
    }
}

/// Worth trying again, whatever the body says: a load balancer may have written it (OC-26).
pub(crate) fn is_transient(status: StatusCode) -> bool {
    status.is_server_error()
        || status == StatusCode::REQUEST_TIMEOUT
        || status == StatusCode::TOO_MANY_REQUESTS
}

fn refused(reason: Reason, headers: &HeaderMap) -> TokenError {
    match reason {
        Reason::ServerError | Reason::TemporarilyUnavailable => {
            TokenError::Unavailable { retry_after: retry_after(headers) }
        }
        reason => TokenError::Refused(reason),
    }
}

/// The `error` of a JSON body; its description is not even read.
fn refusal(body: &[u8]) -> Option<Reason> {
    #[derive(Deserialize)]
    struct Refusal {
        error: Option<Value>,
    }
    match serde_json::from_slice::<Refusal>(body).ok()?.error? {
        Value::String(code) if code.is_empty() => None,
        Value::String(code) => Some(reason(&code)),
        _ => Some(Reason::Other),
    }
}

/// `Retry-After` in seconds (RFC 9110 section 10.2.3). A date is read as no advice: it would need
/// the server's clock to be right.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(MAX_RETRY_AFTER))
}

/// Longer is a mistake or malice: a person would be locked out by one bad header.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);

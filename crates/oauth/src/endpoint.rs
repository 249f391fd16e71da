//! One request to an endpoint that authenticates clients, and what its status means.

use std::time::Duration;

use attache_core::{
    Dialect, Secret,
    audit::Reason,
    dialect::Success,
    outbound::{Limits, Outbound},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use url::Url;

use crate::{
    client_auth::Client,
    error::{TokenError, reason},
    json::Json,
};

/// Bounds of every fetch here (OC-21, OC-29): people wait behind it, and no honest answer is big.
pub(crate) const LIMITS: Limits = Limits { timeout: Duration::from_secs(10), max_body: 1 << 20 };

/// Posts as `client`; the answer is [`send`]'s.
pub(crate) async fn post(
    outbound: &dyn Outbound,
    endpoint: &Url,
    client: &Client,
    dialect: &Dialect,
    parameters: &[(&str, &str)],
) -> Result<Bytes, TokenError> {
    let request = client.post(endpoint, parameters, dialect).map_err(|_| TokenError::Blocked)?;
    send(outbound, request, dialect).await
}

/// A request that a token itself authenticates (RFC 6750 section 2.1).
pub(crate) fn bearer(
    method: Method,
    endpoint: &Url,
    token: &Secret,
    dialect: &Dialect,
) -> http::Result<Request<Bytes>> {
    let value = Secret::new(format!("Bearer {}", token.expose()));
    let mut value = HeaderValue::from_str(value.expose())?;
    value.set_sensitive(true);
    let mut request = Request::builder()
        .method(method)
        .uri(endpoint.as_str())
        .header(header::ACCEPT, "application/json")
        .header(header::AUTHORIZATION, value);
    for (name, value) in &dialect.token_headers {
        request = request.header(name, value);
    }
    request.body(Bytes::new())
}

/// The body of a 2xx; anything else is an error, also a 2xx that says `error` inside (GitHub,
/// Slack).
pub(crate) async fn send(
    outbound: &dyn Outbound,
    request: Request<Bytes>,
    dialect: &Dialect,
) -> Result<Bytes, TokenError> {
    judge(outbound.fetch(request, LIMITS).await?, dialect)
}

pub(crate) fn judge(response: Response<Bytes>, dialect: &Dialect) -> Result<Bytes, TokenError> {
    if is_transient(response.status()) {
        return Err(transient(response.status(), response.headers()));
    }
    if response.status().is_redirection() {
        return Err(TokenError::Malformed("a redirect"));
    }
    match refusal(response.body(), response.status(), dialect) {
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

/// Turned away at the door, or dropped on the way: behind a gateway that gave up, the token endpoint
/// may have done its work.
fn transient(status: StatusCode, headers: &HeaderMap) -> TokenError {
    match status {
        StatusCode::INTERNAL_SERVER_ERROR
        | StatusCode::BAD_GATEWAY
        | StatusCode::GATEWAY_TIMEOUT => TokenError::Lost,
        _ => TokenError::Unavailable { retry_after: retry_after(headers) },
    }
}

fn refused(reason: Reason, headers: &HeaderMap) -> TokenError {
    match reason {
        Reason::ServerError | Reason::TemporarilyUnavailable => {
            TokenError::Unavailable { retry_after: retry_after(headers) }
        }
        reason => TokenError::Refused(reason),
    }
}

/// The `error` of a JSON body, wherever this provider has it; its description is not even read.
fn refusal(body: &[u8], status: StatusCode, dialect: &Dialect) -> Option<Reason> {
    let json = Json::parse(body)?;
    let code = match json.at(&dialect.error_path) {
        Some(Json::Text(code)) => Some(code.as_str()).filter(|code| !code.is_empty()),
        Some(_) => return Some(Reason::Other),
        None => None,
    };
    match code {
        Some(code) => Some(dialect.error_map.get(code).copied().unwrap_or_else(|| reason(code))),
        None => dialect
            .success
            .as_ref()
            .filter(|_| status.is_success())
            .filter(|success| !holds(&json, success))
            .map(|_| Reason::Other),
    }
}

fn holds(json: &Json<'_>, success: &Success) -> bool {
    matches!(json.at(&success.path), Some(Json::Bool(value)) if *value == success.equals)
}

/// `Retry-After` in seconds (RFC 9110 section 10.2.3). A date is read as no advice: it would need
/// the server's clock to be right.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(MAX_RETRY_AFTER))
}

/// Longer is a mistake or malice: a person would be locked out by one bad header.
const MAX_RETRY_AFTER: Duration = Duration::from_hours(1);

#[cfg(test)]
mod tests {
    use attache_core::outbound::FetchError;

    use super::*;
    use crate::{client_auth::ClientAuthentication, scripted::Scripted};

    async fn answered(outbound: &Scripted) -> TokenError {
        let endpoint = Url::parse("https://as.example.com/token").unwrap();
        let client = Client { id: "c".to_owned(), authentication: ClientAuthentication::None };
        post(outbound, &endpoint, &client, &Dialect::default(), &[]).await.unwrap_err()
    }

    /// OC-21 and OC-26, one row a misbehaviour. Each body carries a mark that must not come out.
    #[tokio::test]
    async fn every_misbehaviour_is_somebodys_move() {
        const LONG: Option<Duration> = Some(Duration::from_hours(1));
        let refused = TokenError::Refused;
        let unavailable = |retry_after| TokenError::Unavailable { retry_after };
        let no_code = TokenError::Malformed("an error that has no code");
        let code = |code: &str| format!(r#"{{"error":"{code}","error_description":"MARK"}}"#);
        let html = || "<html>MARK</html>".to_owned();
        let after = |value| [("retry-after", value)];

        for (status, headers, body, expected) in [
            (400, &[][..], code("invalid_grant"), refused(Reason::InvalidGrant)),
            (401, &[], code("invalid_client"), refused(Reason::InvalidClient)),
            (403, &[], code("unauthorized_client"), refused(Reason::UnauthorizedClient)),
            (400, &[], code("MARK"), refused(Reason::Other)),
            // our own words are not theirs to say
            (400, &[], code("not_connected"), refused(Reason::Other)),
            // GitHub and Slack say no with a yes
            (200, &[], code("bad_refresh_token"), refused(Reason::InvalidGrant)),
            (200, &[], code("bad_verification_code"), refused(Reason::InvalidGrant)),
            (200, &[], r#"{"ok":false,"error":"MARK"}"#.to_owned(), refused(Reason::Other)),
            (200, &[], r#"{"error":{"message":"MARK"}}"#.to_owned(), refused(Reason::Other)),
            (400, &[], code("temporarily_unavailable"), unavailable(None)),
            (400, &after("7"), code("server_error"), unavailable(Some(Duration::from_secs(7)))),
            (400, &[], html(), no_code.clone()),
            (401, &[], String::new(), no_code.clone()),
            (404, &[], r#"{"message":"MARK"}"#.to_owned(), no_code.clone()),
            (400, &[], r#"{"error":null}"#.to_owned(), no_code.clone()),
            (400, &[], r#"{"error":""}"#.to_owned(), no_code),
            (302, &[("location", "https://MARK")], html(), TokenError::Malformed("a redirect")),
            (307, &[], code("invalid_grant"), TokenError::Malformed("a redirect")),
            (408, &[], html(), unavailable(None)),
            (429, &after("120"), code("MARK"), unavailable(Some(Duration::from_mins(2)))),
            (429, &after("86400"), html(), unavailable(LONG)),
            (429, &after("-1"), html(), unavailable(None)),
            (503, &after("Wed, 21 Oct 2026 07:28:00 GMT"), html(), unavailable(None)),
            // a proxy's word on a grant is not the server's
            (500, &[], code("invalid_grant"), TokenError::Lost),
            (502, &[], html(), TokenError::Lost),
            (504, &[], html(), TokenError::Lost),
            (
                200,
                &[],
                "x".repeat(LIMITS.max_body + 1),
                TokenError::Malformed("too large a response"),
            ),
        ] {
            let error = answered(&Scripted::always(status, headers, &body)).await;
            let row: String = format!("{status} {body}").chars().take(80).collect();
            assert_eq!(error, expected, "{row}");
            assert!(!format!("{error} {error:?}").contains("MARK"), "{row}");
        }
    }

    #[tokio::test]
    async fn no_answer_is_not_a_refusal() {
        const AWAY: TokenError = TokenError::Unavailable { retry_after: None };
        for (failure, expected) in [
            ((|| FetchError::Unreachable("MARK".into())) as fn() -> FetchError, AWAY),
            (|| FetchError::Timeout(LIMITS.timeout), TokenError::Lost),
            (|| FetchError::Transport("MARK".into()), TokenError::Lost),
            (|| FetchError::Blocked, TokenError::Blocked),
            (|| FetchError::Insecure, TokenError::Blocked),
            (|| FetchError::TooLarge(1), TokenError::Malformed("too large a response")),
        ] {
            let error = answered(&Scripted::new(move |_| Err(failure()))).await;
            assert_eq!(error, expected);
            assert!(!format!("{error} {error:?}").contains("MARK"));
        }
    }
}

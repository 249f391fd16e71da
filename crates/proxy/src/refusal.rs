//! What the gateway answers itself: every refusal says what happened, whose move it is, and what
//! to do next.

use std::time::Duration;

use attache_broker::ObtainError;
use attache_core::{
    PublicOrigin, RequestId, UpstreamName, authenticator::AuthnError, explain::explain,
};
use http::{HeaderValue, Response, StatusCode, header};
use serde_json::json;

use crate::{body::ResponseBody, snapshot::Protocol};

#[derive(Debug)]
pub(crate) enum Refusal {
    ForeignHost,
    ForeignOrigin,
    Unauthenticated(AuthnError),
    /// Not there, or not for this person: the two look the same.
    NoSuchUpstream,
    PathEscapes,
    UnknownSession,
    BodyTooLarge,
    NoCredential(ObtainError),
    /// The credential was renewed, but this request's body cannot be sent a second time.
    SendAgain,
    UpstreamUnreachable,
    UpstreamBlocked,
    UpstreamSilent,
}

/// A problem of RFC 9457 before it is written.
struct Problem {
    status: StatusCode,
    kind: &'static str,
    title: &'static str,
    detail: String,
    retry_after: Option<Duration>,
}

impl Refusal {
    /// The answer in a plain API's language.
    pub(crate) fn into_response(
        self,
        origin: &PublicOrigin,
        asked: Option<(Protocol, &UpstreamName)>,
        request: &RequestId,
    ) -> Response<ResponseBody> {
        let challenge = self.challenge(origin, asked);
        let connect_url = match (&self, asked) {
            (Self::NoCredential(ObtainError::NotConnected { .. }), Some((_, upstream))) => {
                Some(connect_url(origin, upstream))
            }
            _ => None,
        };
        let problem = self.problem(origin, connect_url.as_deref());
        let mut body = json!({
            "type": format!("{}/problems/{}", origin.as_str(), problem.kind),
            "title": problem.title,
            "status": problem.status.as_u16(),
            "detail": problem.detail,
            "request_id": request,
        });
        if let (Some(url), Some(body)) = (connect_url, body.as_object_mut()) {
            body.insert("connect_url".to_owned(), json!(url));
        }
        let mut response = json_response(problem.status, "application/problem+json", &body);
        if let Some(challenge) = challenge {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        if let Some(wait) = problem.retry_after {
            // Rounded up: never invite too early.
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }

    fn problem(&self, origin: &PublicOrigin, connect_url: Option<&str>) -> Problem {
        let problem = |status, kind, title, detail: &str| Problem {
            status,
            kind,
            title,
            detail: detail.to_owned(),
            retry_after: None,
        };
        match self {
            Self::ForeignHost => Problem {
                detail: format!("This gateway answers as {} only.", origin.as_str()),
                ..problem(StatusCode::FORBIDDEN, "foreign-host", "Wrong host name", "")
            },
            Self::ForeignOrigin => problem(
                StatusCode::FORBIDDEN,
                "foreign-origin",
                "Wrong origin",
                "Scripts of other web pages may not call this gateway.",
            ),
            Self::Unauthenticated(AuthnError::Missing) => problem(
                StatusCode::UNAUTHORIZED,
                "unauthenticated",
                "Sign in first",
                "Send an access token of yours as `Authorization: Bearer …`.",
            ),
            Self::Unauthenticated(AuthnError::Rejected(why)) => {
                problem(StatusCode::UNAUTHORIZED, "invalid-token", "Not a valid access token", why)
            }
            Self::Unauthenticated(AuthnError::Malformed(why)) => problem(
                StatusCode::BAD_REQUEST,
                "malformed-credentials",
                "Malformed credentials",
                why,
            ),
            Self::Unauthenticated(AuthnError::Unavailable(_)) => Problem {
                retry_after: Some(Duration::from_secs(5)),
                ..problem(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "identity-unavailable",
                    "Your token cannot be checked right now",
                    "The gateway cannot reach the issuer of your token. Try again shortly.",
                )
            },
            Self::NoSuchUpstream => problem(
                StatusCode::NOT_FOUND,
                "no-such-upstream",
                "No such upstream",
                "There is no upstream of this name that you may use here.",
            ),
            Self::PathEscapes => problem(
                StatusCode::BAD_REQUEST,
                "unsafe-path",
                "Unsafe path",
                "The path has a `.` or `..` segment, perhaps encoded. Send the path you mean.",
            ),
            Self::UnknownSession => problem(
                StatusCode::NOT_FOUND,
                "unknown-session",
                "Unknown session",
                "This Mcp-Session-Id is not one of yours any more. Begin a new session.",
            ),
            Self::BodyTooLarge => problem(
                StatusCode::PAYLOAD_TOO_LARGE,
                "body-too-large",
                "Body too large",
                "This message is too large for a server that is not connected yet.",
            ),
            Self::NoCredential(error) => Self::no_credential(*error, connect_url),
            Self::SendAgain => Problem {
                retry_after: Some(Duration::from_secs(1)),
                ..problem(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "send-again",
                    "Send this request again",
                    "The upstream refused an outdated credential. It has been renewed, but this \
                     request was too large to be repeated for you.",
                )
            },
            Self::UpstreamUnreachable => problem(
                StatusCode::BAD_GATEWAY,
                "upstream-unreachable",
                "The upstream cannot be reached",
                "It refused the connection or broke it off. Whoever runs it has to look.",
            ),
            Self::UpstreamBlocked => problem(
                StatusCode::BAD_GATEWAY,
                "upstream-blocked",
                "The upstream's address is not allowed",
                "Its name leads to an address that the gateway's egress rules refuse. Whoever \
                 runs this gateway has to change `egress.allow_private` or the upstream's URL.",
            ),
            Self::UpstreamSilent => problem(
                StatusCode::GATEWAY_TIMEOUT,
                "upstream-silent",
                "The upstream does not answer",
                "It took the request and sent no answer in time. It may still have acted on it.",
            ),
        }
    }

    fn no_credential(error: ObtainError, connect_url: Option<&str>) -> Problem {
        let words = explain(error.reason());
        let detail = match connect_url {
            Some(url) => format!("{} {} {url}", words.happened, words.next),
            None => format!("{} {}", words.happened, words.next),
        };
        let (status, kind, title, retry_after) = match error {
            // 403 and not 401: the caller's token for this gateway is fine (PX-21).
            ObtainError::NotConnected { .. } => {
                (StatusCode::FORBIDDEN, "not-connected", "Connect this upstream first", None)
            }
            ObtainError::Unavailable { retry_after, .. } => (
                StatusCode::SERVICE_UNAVAILABLE,
                "credential-unavailable",
                "Your credential is not available right now",
                Some(retry_after.unwrap_or(Duration::from_secs(5))),
            ),
            ObtainError::Operator { .. } => (
                StatusCode::BAD_GATEWAY,
                "credential-misconfigured",
                "Your credential cannot be used",
                None,
            ),
        };
        Problem { status, kind, title, detail, retry_after }
    }

    /// RFC 6750 section 3, RFC 9728 section 5.1. Every part of it is ours or quoted safely: names
    /// of upstreams need no escaping, and `why` is a literal.
    fn challenge(
        &self,
        origin: &PublicOrigin,
        asked: Option<(Protocol, &UpstreamName)>,
    ) -> Option<HeaderValue> {
        let error = match self {
            Self::Unauthenticated(AuthnError::Missing) => String::new(),
            Self::Unauthenticated(AuthnError::Rejected(why)) => {
                format!(" error=\"invalid_token\", error_description=\"{why}\",")
            }
            _ => return None,
        };
        let metadata = match asked {
            Some((protocol, upstream)) => {
                let path = protocol.path(upstream);
                origin.url(&format!("/.well-known/oauth-protected-resource{path}"))
            }
            None => origin.url("/.well-known/oauth-protected-resource"),
        };
        HeaderValue::from_str(&format!("Bearer{error} resource_metadata=\"{metadata}\"")).ok()
    }
}

/// The one place a person is sent to; it asks them to sign in and is worth nothing to others.
pub(crate) fn connect_url(origin: &PublicOrigin, upstream: &UpstreamName) -> String {
    origin.url(&format!("/connect/{upstream}"))
}

pub(crate) fn json_response(
    status: StatusCode,
    content_type: &'static str,
    body: &serde_json::Value,
) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::from(body.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

//! What the gateway answers itself: every refusal says what happened, whose move it is, and what
//! to do next.

use std::time::Duration;

use attache_broker::ObtainError;
use attache_core::{
    ConnectionName, PublicOrigin, RequestId, audit::Reason, authenticator::AuthnError,
    explain::explain, policy::Denial, problem::Kind,
};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use serde_json::{json, value::RawValue};

use crate::{body::ResponseBody, crowd::Full, guard::Cut, inspect::Unclear, snapshot::Protocol};

#[derive(Debug)]
pub(crate) enum Refusal {
    ForeignHost,
    ForeignOrigin,
    Unauthenticated(AuthnError),
    /// Who asks at `/forward-auth/…` is no proxy that may, or may not ask for this upstream.
    UnknownProxy,
    /// Whoever it is may ask again after this long.
    TooOften(Duration),
    /// Not there, or not for this person: the two look the same.
    NoSuchUpstream,
    AccountUnclear,
    PathEscapes,
    /// TRACE or CONNECT.
    Method,
    /// The operator opened others, which are named.
    MethodClosed(HeaderValue),
    /// The operator opened others.
    PathClosed,
    TooManyHeaders,
    TooManyRequests,
    /// The upstream said so, a moment ago.
    RateLimited(Duration),
    UpstreamBusy,
    UnknownSession,
    /// The key that all replicas seal session ids with cannot be had.
    NoSessionKey,
    /// The caller's token is for reading only.
    ReadOnly,
    /// A tool that is not open to the caller, or not there; answered as MCP does, to the message of
    /// this id (raw JSON).
    ToolNotOpen {
        id: Option<String>,
    },
    /// By a rule of the operator's; with the message, where one of MCP is to be answered.
    Denied(Denial, Option<Bytes>),
    Unclear(Unclear),
    BodyTooLarge,
    BodyTooSlow,
    /// For this account.
    NoCredential(ObtainError, ConnectionName),
    /// The credential was renewed, but this request's body cannot be sent a second time.
    SendAgain,
    UpstreamUnreachable,
    /// It was unreachable a moment ago; how long it is left alone.
    UpstreamAway(Duration),
    UpstreamBlocked,
    UpstreamSilent,
    UpstreamUnreadable,
}

/// Where a request came in, as far as that is known.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Door<'a> {
    Route(Protocol, &'a ConnectionName),
    /// `/mcp`, for all of them.
    Together,
    Nowhere,
}

impl<'a> From<Option<(Protocol, &'a ConnectionName)>> for Door<'a> {
    fn from(named: Option<(Protocol, &'a ConnectionName)>) -> Self {
        named.map_or(Self::Nowhere, |(protocol, name)| Self::Route(protocol, name))
    }
}

impl Door<'_> {
    /// `/mcp/notes`; nothing where it is the gateway's own.
    fn path(self) -> String {
        match self {
            Self::Route(protocol, name) => protocol.path(name),
            Self::Together => "/mcp".to_owned(),
            Self::Nowhere => String::new(),
        }
    }

    fn speaks_mcp(self) -> bool {
        matches!(self, Self::Route(Protocol::Mcp, _) | Self::Together)
    }
}

impl From<Full> for Refusal {
    fn from(full: Full) -> Self {
        match full {
            Full::Person => Self::TooManyRequests,
            Full::Upstream => Self::UpstreamBusy,
        }
    }
}

impl Refusal {
    /// Before there was an answer that could be cut.
    pub(crate) fn cut(cut: Cut, server: &ConnectionName) -> Self {
        match cut {
            Cut::Idle | Cut::Lifetime => Self::UpstreamSilent,
            Cut::Expired => {
                Self::Unauthenticated(AuthnError::Rejected("the token has expired meanwhile"))
            }
            Cut::SwitchedOff => Self::Unauthenticated(AuthnError::Rejected(
                "this person's access was switched off meanwhile",
            )),
            Cut::NoAccess => Self::NoSuchUpstream,
            Cut::Disconnected => {
                let error = ObtainError::NotConnected { reason: Reason::NotConnected };
                Self::NoCredential(error, server.clone())
            }
            // What was closed is open again, or another gateway is there.
            Cut::Denied | Cut::Shutdown => Self::SendAgain,
        }
    }

    /// The answer in a plain API's language (RFC 9457).
    pub(crate) fn into_response<'a>(
        self,
        origin: &PublicOrigin,
        asked: impl Into<Door<'a>>,
        request: &RequestId,
    ) -> Response<ResponseBody> {
        if let Self::ToolNotOpen { id } = &self {
            return tool_not_open(id.as_deref());
        }
        let status = self.kind().facts().status;
        self.with_status(status, origin, asked.into(), request)
    }

    /// The same for a proxy that asks whether a request may pass: nginx takes 401 and 403 for a
    /// "no", and for a mistake of ours what else is not 2xx.
    pub(crate) fn into_verdict(
        self,
        origin: &PublicOrigin,
        asked: Option<(Protocol, &ConnectionName)>,
        request: &RequestId,
    ) -> Response<ResponseBody> {
        let status = match self.kind().facts().status {
            wait @ StatusCode::TOO_MANY_REQUESTS => wait,
            StatusCode::UNAUTHORIZED => StatusCode::UNAUTHORIZED,
            theirs if theirs.is_client_error() => StatusCode::FORBIDDEN,
            ours => ours,
        };
        self.with_status(status, origin, asked.into(), request)
    }

    fn with_status(
        self,
        status: StatusCode,
        origin: &PublicOrigin,
        asked: Door<'_>,
        request: &RequestId,
    ) -> Response<ResponseBody> {
        let facts = self.kind().facts();
        let connect_url = match &self {
            Self::NoCredential(ObtainError::NotConnected { .. }, server) => {
                Some(connect_url(origin, server))
            }
            _ => None,
        };
        let mut body = json!({
            "type": origin.url(&facts.path()),
            "title": facts.title,
            "status": status.as_u16(),
            "detail": self.detail(origin, connect_url.as_deref()),
            "request_id": request,
        });
        if let (Some(url), Some(body)) = (&connect_url, body.as_object_mut()) {
            body.insert("connect_url".to_owned(), json!(url));
        }
        if let (Self::Denied(denial, _), Some(body)) = (&self, body.as_object_mut()) {
            body.insert("rule".to_owned(), json!(denial.rule));
            body.insert("opens_at".to_owned(), json!(denial.opens_at));
        }
        let content_type = if asked.speaks_mcp() && self.is_passing_load() {
            // An answer without an id may accompany any status (MCP 2025-11-25, transports).
            let detail = body.get("detail").cloned();
            let error = json!({ "code": -32000, "message": detail, "data": body });
            body = json!({ "jsonrpc": "2.0", "id": null, "error": error });
            "application/json"
        } else {
            "application/problem+json"
        };
        let mut response = json_response(status, content_type, &body);
        if let Self::MethodClosed(open) = &self {
            response.headers_mut().insert(header::ALLOW, open.clone());
        }
        if let Some(url) = connect_url.and_then(|url| HeaderValue::try_from(url).ok()) {
            response.headers_mut().insert(CONNECT_URL, url);
        }
        if let Some(challenge) = self.challenge(origin, asked) {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        if let Some(wait) = self.retry_after() {
            // Rounded up: never invite too early.
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }

    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::ForeignHost => Kind::ForeignHost,
            Self::ForeignOrigin => Kind::ForeignOrigin,
            Self::Unauthenticated(error) => error.into(),
            Self::UnknownProxy => Kind::UnknownProxy,
            Self::TooOften(_) => Kind::TooOften,
            Self::NoSuchUpstream => Kind::NoSuchUpstream,
            Self::AccountUnclear => Kind::AccountUnclear,
            Self::PathEscapes => Kind::UnsafePath,
            Self::Method | Self::MethodClosed(_) => Kind::MethodNotAllowed,
            Self::PathClosed => Kind::PathClosed,
            Self::TooManyHeaders => Kind::TooManyHeaders,
            Self::TooManyRequests => Kind::TooManyRequests,
            Self::RateLimited(_) => Kind::RateLimited,
            Self::UpstreamBusy => Kind::UpstreamBusy,
            Self::UnknownSession => Kind::UnknownSession,
            Self::NoSessionKey => Kind::Unavailable,
            Self::ReadOnly => Kind::ReadOnly,
            Self::Denied(..) => Kind::ClosedByRule,
            Self::Unclear(_) | Self::ToolNotOpen { .. } => Kind::UnclearMessage,
            Self::BodyTooLarge => Kind::BodyTooLarge,
            Self::BodyTooSlow => Kind::BodyTooSlow,
            // 403 and not 401: the caller's token for this gateway is fine (PX-21).
            Self::NoCredential(error, _) => match error {
                ObtainError::NotConnected { reason: Reason::InsufficientScope } => {
                    Kind::InsufficientScope
                }
                ObtainError::NotConnected { .. } => Kind::NotConnected,
                ObtainError::Refused { .. } => Kind::ExchangeRefused,
                ObtainError::Unavailable { .. } => Kind::CredentialUnavailable,
                ObtainError::Operator { reason: Reason::ScopesNotGranted } => {
                    Kind::ScopesNotGranted
                }
                ObtainError::Operator { .. } => Kind::CredentialMisconfigured,
            },
            Self::SendAgain => Kind::SendAgain,
            Self::UpstreamUnreachable | Self::UpstreamAway(_) => Kind::UpstreamUnreachable,
            Self::UpstreamBlocked => Kind::UpstreamBlocked,
            Self::UpstreamSilent => Kind::UpstreamSilent,
            Self::UpstreamUnreadable => Kind::UpstreamUnreadable,
        }
    }

    /// Nothing is wrong with the request but its hour.
    fn is_passing_load(&self) -> bool {
        matches!(
            self,
            Self::TooManyRequests
                | Self::RateLimited(_)
                | Self::UpstreamBusy
                | Self::UpstreamAway(_)
        )
    }

    /// The same about the message as the caller sent it.
    pub(crate) fn about(self, asked: &Bytes) -> Self {
        match self {
            Self::Denied(denial, Some(_)) => Self::Denied(denial, Some(asked.clone())),
            other => other,
        }
    }

    /// About one upstream and not about the request.
    pub(crate) fn is_upstreams(&self) -> bool {
        matches!(
            self,
            Self::NoCredential(..)
                | Self::SendAgain
                | Self::RateLimited(_)
                | Self::UpstreamBusy
                | Self::UpstreamUnreachable
                | Self::UpstreamAway(_)
                | Self::UpstreamBlocked
                | Self::UpstreamSilent
                | Self::UpstreamUnreadable
        )
    }

    /// What the kind says, or more exactly.
    fn detail(&self, origin: &PublicOrigin, connect_url: Option<&str>) -> String {
        match self {
            Self::ForeignHost => format!("This gateway answers as {} only.", origin.as_str()),
            Self::Unauthenticated(AuthnError::Rejected(why) | AuthnError::Malformed(why)) => {
                (*why).to_owned()
            }
            Self::Unauthenticated(AuthnError::SignInAgain) => {
                format!("{} {}", Kind::SignInAgain.facts().detail(), origin.url("/login"))
            }
            Self::Unclear(why) => format!("{} Here, {why}.", Kind::UnclearMessage.facts().detail()),
            Self::Denied(denial, _) => denial.to_string(),
            Self::NoCredential(error, _) => {
                let words = explain(error.reason());
                let sign_in_url = sign_in_url(origin, *error);
                match connect_url.or(sign_in_url.as_deref()) {
                    Some(url) => format!("{} {} {url}", words.happened, words.next),
                    None => format!("{} {}", words.happened, words.next),
                }
            }
            _ => self.kind().facts().detail(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::NoCredential(ObtainError::Unavailable { retry_after, .. }, _) => {
                Some(retry_after.unwrap_or(SHORTLY))
            }
            Self::Unauthenticated(AuthnError::Unavailable(_)) | Self::NoSessionKey => Some(SHORTLY),
            Self::SendAgain | Self::TooManyRequests | Self::UpstreamBusy => {
                Some(Duration::from_secs(1))
            }
            Self::UpstreamAway(wait) | Self::RateLimited(wait) | Self::TooOften(wait) => {
                Some(*wait)
            }
            _ => None,
        }
    }

    /// RFC 6750 section 3, RFC 9728 section 5.1. Every part of it is ours or quoted safely: names
    /// of upstreams need no escaping, and `why` is a literal.
    fn challenge(&self, origin: &PublicOrigin, asked: Door<'_>) -> Option<HeaderValue> {
        let error = match self {
            Self::Unauthenticated(AuthnError::Missing) => String::new(),
            Self::Unauthenticated(AuthnError::Rejected(why)) => {
                format!(" error=\"invalid_token\", error_description=\"{why}\",")
            }
            Self::Unauthenticated(AuthnError::SignInAgain) => {
                let login = origin.url("/login");
                format!(" error=\"invalid_token\", error_description=\"sign in again at {login}\",")
            }
            // RFC 6750 section 3.1; there is no scope to name, because none would do.
            Self::ReadOnly => " error=\"insufficient_scope\",".to_owned(),
            // Every 401 says how (RFC 9110 section 15.5.2); it is nothing that a person could do.
            Self::UnknownProxy => return Some(HeaderValue::from_static("Attache-Proxy-Secret")),
            _ => return None,
        };
        let path = asked.path();
        let metadata = origin.url(&format!("/.well-known/oauth-protected-resource{path}"));
        HeaderValue::from_str(&format!("Bearer{error} resource_metadata=\"{metadata}\"")).ok()
    }
}

/// For who sees no body: nginx drops that of an answer to `auth_request`.
const CONNECT_URL: HeaderName = HeaderName::from_static("attache-connect-url");

/// For what is away and named no time of its own.
const SHORTLY: Duration = Duration::from_secs(5);

/// The one place a person is sent to; it asks them to sign in and is worth nothing to others.
pub(crate) fn connect_url(origin: &PublicOrigin, server: &ConnectionName) -> String {
    origin.url(&format!("/connect/{server}"))
}

/// Where a person signs in to this gateway, when that is what is missing.
pub(crate) fn sign_in_url(origin: &PublicOrigin, error: ObtainError) -> Option<String> {
    (error.reason() == Reason::SignInMissing).then(|| origin.url("/login"))
}

/// JSON-RPC's "invalid params", as servers answer for a tool that they do not have.
fn tool_not_open(id: Option<&str>) -> Response<ResponseBody> {
    let id: Option<&RawValue> = id.and_then(|id| serde_json::from_str(id).ok());
    let error = json!({
        "code": -32602,
        "message": "There is no tool of this name that is open to you here. If you need one, ask \
                    whoever runs this gateway.",
    });
    let status = if id.is_some() { StatusCode::OK } else { StatusCode::BAD_REQUEST };
    let answer = json!({ "jsonrpc": "2.0", "id": id, "error": error });
    json_response(status, "application/json", &answer)
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

//! Everything the web surface refuses: as `application/problem+json` (RFC 9457) under `/api/`, as a
//! page elsewhere. Both say what happened, whose move it is, and what to do next.

use std::{borrow::Cow, error::Error};

use attache_core::{
    RequestId,
    audit::Reason,
    authenticator::AuthnError,
    explain::{self, Explanation},
    problem::Kind,
    store::StoreError,
};
use axum::{
    Json,
    extract::Path,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header, request::Parts};
use serde::Serialize;

use crate::{context::Context, pages::Notice};

/// RFC 9457, with our `request_id`, and a `connect_url` where that is the next step.
#[derive(Debug, Serialize)]
pub(crate) struct Problem {
    #[serde(rename = "type")]
    address: String,
    title: &'static str,
    status: u16,
    detail: Cow<'static, str>,
    request_id: Option<RequestId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connect_url: Option<String>,
    #[serde(skip)]
    challenge: Option<String>,
}

impl Problem {
    pub(crate) fn new(kind: Kind, parts: &Parts) -> Self {
        let facts = kind.facts();
        // RFC 6750 section 3.1: no `error` when nothing was presented.
        let error = match kind {
            Kind::Unauthenticated => Some(""),
            Kind::InvalidToken | Kind::SignInAgain => Some(" error=\"invalid_token\","),
            Kind::MalformedCredentials => Some(" error=\"invalid_request\","),
            Kind::ReadOnly => Some(" error=\"insufficient_scope\","),
            _ => None,
        };
        // The API is a resource of the gateway as a whole (RFC 9728 section 5.1).
        let metadata = url(parts, "/.well-known/oauth-protected-resource");
        Self {
            address: url(parts, &facts.path()),
            title: facts.title,
            status: facts.status.as_u16(),
            detail: facts.detail().into(),
            request_id: Context::request_id(parts),
            connect_url: None,
            challenge: error.map(|error| format!("Bearer{error} resource_metadata=\"{metadata}\"")),
        }
    }

    /// Says more exactly why.
    #[must_use]
    pub(crate) fn because(self, reason: Reason) -> Self {
        let Explanation { happened, next } = explain::explain(reason);
        Self { detail: format!("{happened} {next}").into(), ..self }
    }

    #[must_use]
    pub(crate) fn with_connect_path(self, path: &str, parts: &Parts) -> Self {
        Self { connect_url: Some(url(parts, path)), ..self }
    }
}

/// For programs, which are told more exactly why.
impl From<(&AuthnError, &Parts)> for Problem {
    fn from((error, parts): (&AuthnError, &Parts)) -> Self {
        let problem = Self::new(error.into(), parts);
        match error {
            AuthnError::Rejected(why) | AuthnError::Malformed(why) => {
                Self { detail: (*why).into(), ..problem }
            }
            AuthnError::SignInAgain => {
                let detail = format!("{} {}", problem.detail, url(parts, "/login"));
                Self { detail: detail.into(), ..problem }
            }
            AuthnError::Missing | AuthnError::Unavailable(_) => problem,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let challenge = self.challenge.as_deref().map(HeaderValue::from_str);
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        let problem = HeaderValue::from_static("application/problem+json");
        headers.insert(header::CONTENT_TYPE, problem);
        if let Some(Ok(challenge)) = challenge {
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
        }
        response
    }
}

/// What is away is usually back by then.
const RETRY_AFTER_SECONDS: &str = "30";

/// The answer in the form that the address implies.
pub(crate) fn refuse(parts: &Parts, kind: Kind) -> Response {
    if parts.uri.path().starts_with("/api/") {
        Problem::new(kind, parts).into_response()
    } else {
        Notice::of(kind, Context::request_id(parts)).into_response()
    }
}

/// What kind of problem it is that a key was not stored.
pub(crate) fn kind_of(reason: Reason) -> Kind {
    match reason {
        Reason::KeyRefused | Reason::KeyMalformed => Kind::KeyNotAccepted,
        Reason::Misconfigured | Reason::KeyMissing | Reason::Unreadable => {
            Kind::CredentialMisconfigured
        }
        _ => Kind::Unavailable,
    }
}

pub(crate) fn status_of(reason: Reason) -> StatusCode {
    kind_of(reason).facts().status
}

/// [`refuse`] for a store that failed; the log has the rest.
pub(crate) fn store_failed(parts: &Parts, error: &StoreError) -> Response {
    tracing::error!(
        request_id = Context::request_id(parts).as_ref().map(RequestId::as_str),
        error = error as &dyn Error,
        "the store failed a request"
    );
    refuse(
        parts,
        match error {
            StoreError::Conflict | StoreError::Unavailable(_) => Kind::Unavailable,
            StoreError::Inconsistent { .. } => Kind::Internal,
        },
    )
}

/// A path of ours as others must write it.
pub(crate) fn url(parts: &Parts, path: &str) -> String {
    Context::of(parts).map_or_else(|| path.to_owned(), |context| context.origin.url(path))
}

/// `/problems/{slug}`: what a problem's `type` means, here or on the data plane.
pub(crate) async fn explain(Path(slug): Path<String>) -> Response {
    match Kind::parse(&slug) {
        Some(kind) => (StatusCode::OK, Notice::of(kind, None).html()).into_response(),
        None => Notice::of(Kind::NotFound, None).into_response(),
    }
}

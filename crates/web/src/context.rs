//! What every answer to a request needs: an id for it, and the name we are called by.

use std::sync::Arc;

use attache_broker::Act;
use attache_core::{ConnectionName, Principal, PublicOrigin, RequestId};
use attache_crypto::{digest::base64url, random::Random};
use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use http::{HeaderName, HeaderValue, request::Parts};

/// In the extensions of every request.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    /// Ours: what a client sends is never taken for it.
    pub(crate) request_id: RequestId,
    pub(crate) origin: Arc<PublicOrigin>,
}

impl Context {
    pub(crate) fn of(parts: &Parts) -> Option<&Self> {
        parts.extensions.get()
    }

    /// What this request has somebody do.
    pub(crate) fn act(parts: &Parts, who: Arc<Principal>, server: ConnectionName) -> Act {
        Act { who, server, request_id: Self::request_id(parts) }
    }

    pub(crate) fn request_id(parts: &Parts) -> Option<RequestId> {
        Self::of(parts).map(|context| context.request_id.clone())
    }
}

/// What contexts are made of.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) random: Arc<dyn Random>,
    pub(crate) origin: Arc<PublicOrigin>,
}

/// 96 bits: unique among all requests whose logs are kept.
const ID_BYTES: usize = 12;

/// Gives the request its [`Context`], and the response its `X-Request-Id`.
pub(crate) async fn attach(
    State(source): State<Source>,
    mut request: Request,
    next: Next,
) -> Response {
    let mut bytes = [0; ID_BYTES];
    source.random.fill(&mut bytes);
    let request_id = RequestId::new(base64url(&bytes));
    let header = HeaderValue::from_str(request_id.as_str());
    request.extensions_mut().insert(Context { request_id, origin: source.origin });
    let mut response = next.run(request).await;
    if let Ok(value) = header {
        response.headers_mut().insert(HeaderName::from_static("x-request-id"), value);
    }
    response
}

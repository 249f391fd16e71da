//! Requests that a browser was tricked into sending: DNS rebinding (RS-17) and cross-site forms.

use std::sync::Arc;

use attache_core::{PublicOrigin, problem::Kind};
use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use http::{HeaderMap, header};
use tower_http::csrf::{CsrfLayer, ProtectionError};

use crate::problem::refuse;

/// Cross-site requests that change something end here, by `Sec-Fetch-Site` or `Origin`.
pub(crate) fn csrf(origin: &PublicOrigin) -> CsrfLayer {
    // An origin that cannot be a browser's only makes the layer stricter.
    CsrfLayer::new().add_trusted_origin(origin.as_str()).unwrap_or_default()
}

/// Refuses what is not for our host.
pub(crate) async fn only_our_host(
    State(origin): State<Arc<PublicOrigin>>,
    request: Request,
    next: Next,
) -> Response {
    let (parts, body) = request.into_parts();
    if !origin.is_asked(&parts.uri, &parts.headers) {
        return refuse(&parts, Kind::ForeignHost);
    }
    next.run(Request::from_parts(parts, body)).await
}

/// Refuses what comes from a foreign origin, and says so for [`csrf`] too.
pub(crate) async fn only_our_origin(
    State(origin): State<Arc<PublicOrigin>>,
    request: Request,
    next: Next,
) -> Response {
    let (parts, body) = request.into_parts();
    if !is_ours(&origin, &parts.headers) {
        return refuse(&parts, Kind::ForeignOrigin);
    }
    let asked = parts.clone();
    let response = next.run(Request::from_parts(parts, body)).await;
    if response.extensions().get::<ProtectionError>().is_some() {
        return refuse(&asked, Kind::ForeignOrigin);
    }
    response
}

/// `null` says nothing about where a request came from: [`csrf`] decides about it.
fn is_ours(origin: &PublicOrigin, headers: &HeaderMap) -> bool {
    let mut given = headers.get_all(header::ORIGIN).iter();
    given.all(|given| given == origin.as_str() || given == "null")
}

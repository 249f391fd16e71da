//! What every answer of the web surface says about itself.

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use http::{HeaderMap, HeaderName, HeaderValue, header};

/// A page runs nothing, frames nothing, and posts only to us.
const PAGE: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; \
     base-uri 'none'; frame-ancestors 'none'",
);

/// The page whose form ends at an authorization server, and that may hand the browser on to yet
/// another host. Chromium holds `form-action` against every redirect after a form, so the page
/// cannot name the hosts; it has no field that could leave with them.
pub(crate) const LEAVING: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self' https:; \
     base-uri 'none'; frame-ancestors 'none'",
);

/// [`LEAVING`] for an authorization server on plain http, which is loopback only.
pub(crate) const LEAVING_LOOPBACK: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self' http: https:; \
     base-uri 'none'; frame-ancestors 'none'",
);

/// The same, for a browser that is sent on to a program by its scheme.
pub(crate) fn leaving_to(scheme: &str) -> HeaderValue {
    let policy = format!(
        "default-src 'none'; style-src 'self'; img-src 'self'; \
         form-action 'self' http: https: {scheme}:; base-uri 'none'; frame-ancestors 'none'"
    );
    HeaderValue::try_from(policy).unwrap_or(LEAVING_LOOPBACK)
}

/// Adds what a handler did not say itself.
pub(crate) async fn secure(State(https): State<bool>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    default(headers, header::CONTENT_SECURITY_POLICY, PAGE);
    default(headers, header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // Not `no-referrer`: with it a browser sends `Origin: null` with our own forms.
    default(headers, header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    default(headers, header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let opener = HeaderName::from_static("cross-origin-opener-policy");
    default(headers, opener, HeaderValue::from_static("same-origin"));
    if https {
        let year = HeaderValue::from_static("max-age=31536000");
        default(headers, header::STRICT_TRANSPORT_SECURITY, year);
    }
    response
}

fn default(headers: &mut HeaderMap, name: HeaderName, value: HeaderValue) {
    headers.entry(name).or_insert(value);
}

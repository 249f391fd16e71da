//! What a program reads that was answered 401: whose tokens are good here (RFC 9728, RS-1 to RS-4).
//!
//! The document is the same for an upstream that exists, one that does not and one that is for
//! others: it needs no sign-in, and without one nobody is told which upstreams there are. Only a
//! name that no upstream can have is not found.

use std::time::Duration;

use attache_core::{ConnectionName, problem::Kind};
use attache_identity::authorization_server::SCOPE;
use axum::{
    Json, Router,
    extract::{Path, State},
    response::{IntoResponse as _, Response},
    routing::get,
};
use http::{Method, header, request::Parts};
use serde::Serialize;
use tower_http::cors::{Any, CorsLayer};

use crate::{
    Web,
    problem::{refuse, url},
};

/// How long a client may go without looking again: long enough for one sign-in, short enough for
/// an issuer that moves.
pub(crate) const MAX_AGE: Duration = Duration::from_mins(5);

/// Scripts of any page may read these: nothing here depends on who asks.
pub(crate) fn router() -> Router<Web> {
    let any_page = CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::GET])
        .allow_headers(Any)
        .max_age(MAX_AGE);
    Router::new()
        .route("/.well-known/oauth-protected-resource", get(gateway))
        .route("/.well-known/oauth-protected-resource/mcp", get(together))
        .route("/.well-known/oauth-protected-resource/mcp/{name}", get(mcp))
        .route("/.well-known/oauth-protected-resource/http/{name}", get(http))
        .layer(any_page)
}

/// The audience of every token, and what is named where a path names no upstream.
async fn gateway(State(web): State<Web>, parts: Parts) -> Response {
    document(&web, url(&parts, ""), "attache".to_owned())
}

/// Every MCP server of whoever asks.
async fn together(State(web): State<Web>, parts: Parts) -> Response {
    document(&web, url(&parts, "/mcp"), "attache: every server".to_owned())
}

async fn mcp(State(web): State<Web>, Path(name): Path<String>, parts: Parts) -> Response {
    upstream(&web, "mcp", &name, &parts)
}

async fn http(State(web): State<Web>, Path(name): Path<String>, parts: Parts) -> Response {
    upstream(&web, "http", &name, &parts)
}

fn upstream(web: &Web, door: &str, name: &str, parts: &Parts) -> Response {
    match name.parse::<ConnectionName>() {
        Ok(name) => {
            document(web, url(parts, &format!("/{door}/{name}")), format!("attache: {name}"))
        }
        Err(_) => refuse(parts, Kind::NoSuchUpstream),
    }
}

fn document(web: &Web, resource: String, resource_name: String) -> Response {
    let metadata = Metadata {
        resource,
        authorization_servers: web.identity.token_issuers(),
        scopes_supported: web.identity.authorization_server().map(|_| [SCOPE]),
        bearer_methods_supported: ["header"],
        resource_name,
    };
    let cached = format!("max-age={}", MAX_AGE.as_secs());
    ([(header::CACHE_CONTROL, cached)], Json(metadata)).into_response()
}

/// RFC 9728 section 2. `resource` is the configured public URL, byte for byte what a client calls
/// (RS-2).
#[derive(Debug, Serialize)]
struct Metadata<'a> {
    resource: String,
    /// Ours, and the issuers of `[[identity.jwt]]`; left out when there are none, as every empty
    /// list is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    authorization_servers: Vec<&'a str>,
    /// Of ours: clients ask for them as they stand (RS-3).
    #[serde(skip_serializing_if = "Option::is_none")]
    scopes_supported: Option<[&'static str; 1]>,
    bearer_methods_supported: [&'static str; 1],
    resource_name: String,
}

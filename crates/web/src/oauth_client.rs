//! Who the gateway is to authorization servers, for them to read: its client-id metadata documents,
//! one per upstream, and the keys that it signs client assertions with (OC-8).

use std::time::Duration;

use attache_broker::ObtainError;
use attache_core::{UpstreamName, problem::Kind};
use axum::{
    Json, Router,
    extract::{Path, State},
    response::{IntoResponse as _, Response},
    routing::get,
};
use http::{header, request::Parts};
use serde::Serialize;

use crate::{Web, problem::refuse};

/// Below [`attache_core::PublicOrigin`].
pub const KEYS_PATH: &str = "/oauth/clients/jwks.json";

/// How long a server may go without looking again. A key is published weeks before it is used.
const MAX_AGE: Duration = Duration::from_hours(1);

pub fn document_path(server: &UpstreamName) -> String {
    format!("/oauth/clients/{server}/metadata.json")
}

pub(crate) fn router() -> Router<Web> {
    Router::new()
        .route("/oauth/clients/{server}/metadata.json", get(document))
        .route(KEYS_PATH, get(keys))
}

async fn document(State(web): State<Web>, Path(server): Path<String>, parts: Parts) -> Response {
    let Ok(server) = UpstreamName::parse(&server) else { return refuse(&parts, Kind::NotFound) };
    match web.connections.client_id_metadata_document(&server).await {
        Some(document) => public(document),
        None => refuse(&parts, Kind::NotFound),
    }
}

async fn keys(State(web): State<Web>, parts: Parts) -> Response {
    match web.assertion_keys.published().await {
        Ok(keys) => public(keys),
        Err(ObtainError::Unavailable { .. }) => refuse(&parts, Kind::Unavailable),
        Err(_) => refuse(&parts, Kind::Internal),
    }
}

fn public(document: impl Serialize) -> Response {
    let cache = format!("public, max-age={}", MAX_AGE.as_secs());
    ([(header::CACHE_CONTROL, cache)], Json(document)).into_response()
}

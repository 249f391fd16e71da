//! What clients speak to the authorization server: metadata, registration, tokens. Scripts of any
//! page may (RS-4): nothing here heeds a cookie. What people see of it is in
//! [`crate::routes::authorize`].

use std::time::Duration;

use attache_core::{ClientAddress, problem::Kind};
use attache_identity::authorization_server::{OAuthError, Tokens};
use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use http::{HeaderValue, Method, StatusCode, header, request::Parts};
use serde_json::json;
use tower_http::cors::{AllowHeaders, Any, CorsLayer};

use crate::{Web, context::Context, problem::refuse, protected_resource::MAX_AGE};

/// Of a form or of what a client says about itself.
pub(crate) const MAX_BODY: usize = 16 * 1024;

/// How long a preflight is believed.
const PREFLIGHT: Duration = Duration::from_hours(1);

pub(crate) fn router() -> Router<Web> {
    let any_page = CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::GET, Method::POST])
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers([header::WWW_AUTHENTICATE])
        .max_age(PREFLIGHT);
    Router::new()
        .route("/.well-known/oauth-authorization-server", get(metadata))
        .route("/.well-known/openid-configuration", get(metadata))
        .route("/oauth/jwks.json", get(keys))
        .route("/oauth/register", post(register))
        .route("/oauth/token", post(token))
        .route("/oauth/revoke", post(revoke))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(any_page)
}

async fn metadata(State(web): State<Web>, parts: Parts) -> Response {
    match web.identity.authorization_server() {
        Some(server) => cached(Json(server.metadata()).into_response()),
        None => refuse(&parts, Kind::NotFound),
    }
}

async fn keys(State(web): State<Web>, parts: Parts) -> Response {
    let Some(server) = web.identity.authorization_server() else {
        return refuse(&parts, Kind::NotFound);
    };
    match server.key_set().await {
        Ok(keys) => cached(Json(keys).into_response()),
        Err(_) => refuse(&parts, Kind::Unavailable),
    }
}

async fn register(State(web): State<Web>, parts: Parts, body: Bytes) -> Response {
    let Some(server) = web.identity.authorization_server().filter(|server| server.registers())
    else {
        return refuse(&parts, Kind::NotFound);
    };
    let (address, id) = (ClientAddress::of(&parts), Context::request_id(&parts));
    match server.register(&body, address, id).await {
        Ok(client) => (StatusCode::CREATED, Json(client)).into_response(),
        Err(error) => refused(&error),
    }
}

async fn token(State(web): State<Web>, parts: Parts, body: Bytes) -> Response {
    let Some(server) = web.identity.authorization_server() else {
        return refuse(&parts, Kind::NotFound);
    };
    match server.token(&body, &parts.headers, Context::request_id(&parts)).await {
        Ok(tokens) => given(&tokens),
        Err(error) => refused(&error),
    }
}

async fn revoke(State(web): State<Web>, parts: Parts, body: Bytes) -> Response {
    let Some(server) = web.identity.authorization_server() else {
        return refuse(&parts, Kind::NotFound);
    };
    match server.revoke(&body, &parts.headers, Context::request_id(&parts)).await {
        Ok(ended) => {
            if let Some(user) = ended {
                web.connections.look_again(&user);
            }
            StatusCode::OK.into_response()
        }
        Err(error) => refused(&error),
    }
}

/// RFC 6749 section 5.1; `no-store` is on every answer that says nothing else.
fn given(tokens: &Tokens) -> Response {
    let mut answer = json!({
        "access_token": tokens.access_token.expose(),
        "token_type": "Bearer",
        "expires_in": tokens.expires_in.as_secs(),
        "scope": tokens.scope,
    });
    if let (Some(token), Some(answer)) = (&tokens.refresh_token, answer.as_object_mut()) {
        answer.insert("refresh_token".to_owned(), json!(token.expose()));
    }
    Json(answer).into_response()
}

/// RFC 6749 section 5.2.
pub(crate) fn refused(error: &OAuthError) -> Response {
    let body = json!({ "error": error.code(), "error_description": error.to_string() });
    let mut response = (error.status(), Json(body)).into_response();
    let headers = response.headers_mut();
    if let OAuthError::InvalidClient { header: true } = error {
        let challenge = HeaderValue::from_static("Basic realm=\"attache\"");
        headers.insert(header::WWW_AUTHENTICATE, challenge);
    }
    if matches!(error, OAuthError::Busy | OAuthError::Unavailable) {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("30"));
    }
    response
}

fn cached(mut response: Response) -> Response {
    let age = format!("max-age={}", MAX_AGE.as_secs());
    if let Ok(age) = HeaderValue::try_from(age) {
        response.headers_mut().insert(header::CACHE_CONTROL, age);
    }
    response
}

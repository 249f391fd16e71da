//! `/logout/backchannel`, where the identity provider says that somebody left (`OpenID` Connect
//! Back-Channel Logout section 2.5). No browser comes here, and no cookie counts.

use attache_core::{RequestId, problem::Kind};
use attache_identity::LogoutError;
use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    response::{IntoResponse as _, Response},
    routing::post,
};
use http::{StatusCode, request::Parts};
use serde_json::json;
use url::form_urlencoded;

use crate::{Web, context::Context, problem::refuse};

/// Of a form with one token.
const MAX_BODY: usize = 32 * 1024;

pub(crate) fn router() -> Router<Web> {
    Router::new()
        .route("/logout/backchannel", post(sign_out))
        .layer(DefaultBodyLimit::max(MAX_BODY))
}

/// 200 when it was done, and when there was nobody to sign out; 400 otherwise, whatever went wrong
/// (section 2.8).
async fn sign_out(State(web): State<Web>, parts: Parts, body: Bytes) -> Response {
    let Some(token) = logout_token(&body) else { return refused("there is no one logout_token") };
    match web.identity.signed_out(&token).await {
        Ok(people) => {
            for user in &people {
                web.connections.look_again(user);
            }
            StatusCode::OK.into_response()
        }
        Err(LogoutError::NotConfigured) => refuse(&parts, Kind::NotFound),
        Err(error) => {
            let id = Context::request_id(&parts);
            let (request_id, reason) =
                (id.as_ref().map(RequestId::as_str), error.reason().as_str());
            tracing::warn!(request_id, reason, %error, "a logout token signed nobody out");
            refused("the logout token was not accepted")
        }
    }
}

/// Two would be read differently by two readers.
fn logout_token(form: &[u8]) -> Option<String> {
    let mut tokens = form_urlencoded::parse(form).filter(|(name, _)| name == "logout_token");
    match (tokens.next(), tokens.next()) {
        (Some((_, token)), None) => Some(token.into_owned()),
        _ => None,
    }
}

fn refused(why: &str) -> Response {
    let body = json!({ "error": "invalid_request", "error_description": why });
    (StatusCode::BAD_REQUEST, Json(body)).into_response()
}

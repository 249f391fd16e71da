//! The userinfo endpoint (OIDC Core section 5.3).

use std::time::Duration;

use attache_core::{
    ClaimName, Secret,
    outbound::{Limits, Outbound},
    store::Profile,
};
use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, header};
use serde_json::{Map, Value};
use url::Url;

use super::LoginError;
use crate::claims::Claims;

/// Somebody waits for it.
const LIMITS: Limits = Limits { timeout: Duration::from_secs(10), max_body: 256 * 1024 };

/// Whom it is asked about.
#[derive(Clone, Copy)]
pub(super) struct About<'a> {
    /// The `sub` of the ID token.
    pub(super) subject: &'a str,
    /// Where their groups are.
    pub(super) groups: &'a ClaimName,
}

/// More about somebody. A provider that declines, or answers in a format of its own, adds nothing;
/// one that does not answer may have something to add, so the sign-in fails.
pub(super) async fn fetch(
    outbound: &dyn Outbound,
    endpoint: &Url,
    access_token: &Secret,
    about: About<'_>,
) -> Result<Profile, LoginError> {
    let response = outbound
        .fetch(request(endpoint, access_token)?, LIMITS)
        .await
        .map_err(|_| LoginError::UserinfoUnavailable)?;
    if response.status().is_server_error() {
        return Err(LoginError::UserinfoUnavailable);
    }
    if response.status() != StatusCode::OK {
        return Ok(Profile::default());
    }
    let Ok(claims) = serde_json::from_slice::<Map<String, Value>>(response.body()) else {
        return Ok(Profile::default());
    };
    // The identifier of the ID token, whatever else a person is known by here.
    if claims.get("sub").and_then(Value::as_str) != Some(about.subject) {
        return Err(LoginError::UserinfoMismatch);
    }
    Ok(Claims(&claims).profile(about.groups))
}

fn request(endpoint: &Url, access_token: &Secret) -> Result<Request<Bytes>, LoginError> {
    let bearer = Secret::new(format!("Bearer {}", access_token.expose()));
    let mut bearer =
        HeaderValue::from_str(bearer.expose()).map_err(|_| LoginError::UserinfoUnavailable)?;
    bearer.set_sensitive(true);
    Request::get(endpoint.as_str())
        .header(header::ACCEPT, "application/json")
        .header(header::AUTHORIZATION, bearer)
        .body(Bytes::new())
        .map_err(|_| LoginError::UserinfoUnavailable)
}

//! Whoever administers the gateway. For everybody else what is theirs is not there.

use std::sync::Arc;

use attache_core::{Principal, authenticator::AuthnError, problem::Kind};
use axum::{
    extract::{FromRequestParts, Request, State},
    middleware::Next,
    response::Response,
};
use http::request::Parts;

use crate::{Web, problem::refuse};

/// Somebody whom [`only_administrators`] let through.
#[derive(Clone, Debug)]
pub(crate) struct Administrator(pub(crate) Arc<Principal>);

/// Stands before every route of theirs, whatever the method: nobody else learns that it exists.
/// Their proof is looked at each time, and their groups as they are now: nothing is remembered.
pub(crate) async fn only_administrators(
    State(web): State<Web>,
    request: Request,
    next: Next,
) -> Response {
    let (mut parts, body) = request.into_parts();
    match web.identity.web().authenticate(&parts).await {
        Ok(who) if web.identity.administers(&who) => {
            parts.extensions.insert(Administrator(who));
            next.run(Request::from_parts(parts, body)).await
        }
        Err(AuthnError::Unavailable(_)) => refuse(&parts, Kind::IdentityUnavailable),
        Ok(_) | Err(_) => refuse(&parts, Kind::NotFound),
    }
}

/// A route that nobody stands before is nobody's.
impl<S: Sync> FromRequestParts<S> for Administrator {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        parts.extensions.get().cloned().ok_or_else(|| refuse(parts, Kind::NotFound))
    }
}

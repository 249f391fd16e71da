//! `/login`, `/login/callback`, `/logout`: signing in at the identity provider, and out here.

use std::error::Error;

use attache_core::RequestId;
use attache_identity::LoginError;
use axum::{
    extract::{RawQuery, State},
    response::{IntoResponse as _, Redirect, Response},
};
use http::{HeaderValue, header, request::Parts};
use url::form_urlencoded;

use crate::{Web, context::Context, pages::Notice, problem::store_failed};

pub(crate) async fn begin(
    State(web): State<Web>,
    RawQuery(query): RawQuery,
    parts: Parts,
) -> Response {
    let query = query.unwrap_or_default();
    let return_to = form_urlencoded::parse(query.as_bytes())
        .find(|(name, _)| name == "return_to")
        .map(|(_, path)| path);
    match web.identity.sign_in_vouched(return_to.as_deref(), &parts.headers).await {
        Ok(None) => {}
        Ok(Some(signed_in)) => {
            return with_cookies(Redirect::to(&signed_in.return_to), [signed_in.cookie]);
        }
        Err(error) => return refused(&parts, &error),
    }
    match web.identity.begin(return_to.as_deref(), &parts.headers).await {
        Ok(begun) => with_cookies(Redirect::to(begun.url.as_str()), [begun.cookie]),
        Err(error) => refused(&parts, &error),
    }
}

pub(crate) async fn callback(
    State(web): State<Web>,
    RawQuery(query): RawQuery,
    parts: Parts,
) -> Response {
    match web.identity.callback(&query.unwrap_or_default(), &parts.headers).await {
        Ok(signed_in) => with_cookies(Redirect::to(&signed_in.return_to), [signed_in.cookie]),
        Err(error) => refused(&parts, &error),
    }
}

/// Ends at a page of ours that redirects nowhere: `form-action` allows no other.
pub(crate) async fn sign_out(State(web): State<Web>, parts: Parts) -> Response {
    match web.identity.sign_out(&parts.headers).await {
        Ok(cookies) => with_cookies(Redirect::to("/ui/signed-out"), cookies),
        Err(error) => store_failed(&parts, &error),
    }
}

pub(crate) async fn signed_out() -> Notice {
    Notice::signed_out()
}

fn refused(parts: &Parts, error: &LoginError) -> Response {
    let id = Context::request_id(parts);
    let cause = error as &dyn Error;
    tracing::warn!(request_id = id.as_ref().map(RequestId::as_str), cause, "nobody was signed in");
    Notice::not_signed_in(error, id).into_response()
}

fn with_cookies<const N: usize>(redirect: Redirect, cookies: [HeaderValue; N]) -> Response {
    let mut response = redirect.into_response();
    for cookie in cookies {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    let no_referrer = HeaderValue::from_static("no-referrer");
    response.headers_mut().insert(header::REFERRER_POLICY, no_referrer);
    response
}

//! `/ui/sessions`: the browsers a person is signed in with, and out again from afar.

use attache_core::{principal::SessionDigest, problem::Kind};
use axum::{
    extract::{Path, State},
    response::{IntoResponse as _, Redirect, Response},
};
use http::request::Parts;

use crate::{
    Web,
    caller::Visitor,
    pages::SessionsPage,
    problem::{refuse, store_failed},
};

pub(crate) async fn list(
    State(web): State<Web>,
    Visitor { who, browser }: Visitor,
    parts: Parts,
) -> Response {
    match web.identity.sessions_of(&who).await {
        Ok(sessions) => {
            let person = web.greeted(&who);
            SessionsPage::new(person, &sessions, browser.digest, web.clock.now()).into_response()
        }
        Err(error) => store_failed(&parts, &error),
    }
}

pub(crate) async fn end(
    State(web): State<Web>,
    Visitor { who, .. }: Visitor,
    Path(id): Path<String>,
    parts: Parts,
) -> Response {
    let Ok(digest) = id.parse::<SessionDigest>() else { return refuse(&parts, Kind::NotFound) };
    match web.identity.end_session(&who, digest).await {
        Ok(true) => Redirect::to("/ui/sessions").into_response(),
        Ok(false) => refuse(&parts, Kind::NotFound),
        Err(error) => store_failed(&parts, &error),
    }
}

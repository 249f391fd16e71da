//! `/ui/activity`

use axum::{
    extract::{RawQuery, State},
    response::{IntoResponse as _, Response},
};
use http::request::Parts;

use crate::{Web, caller::Visitor, pages::ActivityPage, place::Place, problem::store_failed};

/// Events on one page.
const PAGE: u32 = 100;

pub(crate) async fn list(
    State(web): State<Web>,
    Visitor { who, .. }: Visitor,
    RawQuery(query): RawQuery,
    parts: Parts,
) -> Response {
    let from = Place::asked(query.as_deref());
    match web.activity(&who.user, from, PAGE).await {
        Ok((listed, older)) => {
            let person = web.greeted(&who);
            ActivityPage::new(person, &listed, from, older, web.clock.now()).into_response()
        }
        Err(error) => store_failed(&parts, &error),
    }
}

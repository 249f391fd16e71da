//! `/api/v1/admin/`: what administrators see and do, for programs.

mod look;

pub(crate) use look::{audit_page, export};

use attache_core::{
    IssuerId, Timestamp, UserId,
    changes::{Change, Memory as _},
    problem::Kind,
    store::Person,
};
use axum::{
    Json, Router,
    extract::{Path, RawQuery, State},
    middleware,
    response::Response,
    routing::{get, post},
};
use http::request::Parts;
use serde::Serialize;
use url::form_urlencoded;

use crate::{
    Web,
    administrator::{Administrator, only_administrators},
    context::Context,
    problem::{refuse, store_failed},
    routes,
};

/// People in one answer.
const PAGE: u32 = 100;

/// Every route of administrators, behind what only lets them through.
pub(crate) fn router(web: &Web) -> Router<Web> {
    Router::new()
        .route("/api/v1/admin/audit", get(look::audit))
        .route("/api/v1/admin/connections", get(look::connections))
        .route("/api/v1/admin/keys", get(look::keys))
        .route("/api/v1/admin/upstreams", get(look::upstreams))
        .route("/api/v1/admin/users", get(users))
        .route("/api/v1/admin/users/{id}/disable", post(disable))
        .route("/api/v1/admin/users/{id}/enable", post(enable))
        .method_not_allowed_fallback(routes::method_not_allowed)
        .layer(middleware::from_fn_with_state(web.clone(), only_administrators))
}

/// `GET /api/v1/admin/users?after=ID`: everybody who ever signed in, in the order of their ids.
async fn users(
    State(web): State<Web>,
    RawQuery(query): RawQuery,
    parts: Parts,
) -> Result<Json<Users>, Response> {
    let query = query.unwrap_or_default();
    let after = form_urlencoded::parse(query.as_bytes())
        .find(|(name, _)| name == "after")
        .map(|(_, id)| UserId::new(&*id));
    let people = web.offboarding.page(after.as_ref(), PAGE).await;
    let people = people.map_err(|error| store_failed(&parts, &error))?;
    let is_full = u32::try_from(people.len()).is_ok_and(|count| count == PAGE);
    let next = people.last().filter(|_| is_full).map(|last| last.id.clone());
    Ok(Json(Users { users: people.into_iter().map(User::from).collect(), next }))
}

/// `POST /api/v1/admin/users/{id}/disable`: what lets them in ends; what they connected stays.
async fn disable(
    State(web): State<Web>,
    by: Administrator,
    Path(id): Path<String>,
    parts: Parts,
) -> Result<Json<User>, Response> {
    switch(&web, &by, &UserId::new(id), true, &parts).await
}

/// `POST /api/v1/admin/users/{id}/enable`
async fn enable(
    State(web): State<Web>,
    by: Administrator,
    Path(id): Path<String>,
    parts: Parts,
) -> Result<Json<User>, Response> {
    switch(&web, &by, &UserId::new(id), false, &parts).await
}

async fn switch(
    web: &Web,
    Administrator(by): &Administrator,
    user: &UserId,
    disabled: bool,
    parts: &Parts,
) -> Result<Json<User>, Response> {
    let found = web.offboarding.find(user).await;
    let person = found.map_err(|error| store_failed(parts, &error))?;
    let person = person.ok_or_else(|| refuse(parts, Kind::NotFound))?;
    let desk = web.offboarding.by_order_of(by.user.clone(), Context::request_id(parts));
    let switched = desk.switch(&person, disabled).await;
    web.identity.heed(&Change::Person(user.clone()));
    switched.map_err(|error| store_failed(parts, &error))?;
    Ok(Json(User::from(Person { disabled, ..person })))
}

#[derive(Debug, Serialize)]
struct Users {
    users: Vec<User>,
    /// `after` of the next page; `null` at the end.
    next: Option<UserId>,
}

/// The words of `attache user list`.
#[derive(Debug, Serialize)]
struct User {
    id: UserId,
    issuer: IssuerId,
    subject: String,
    email: Option<String>,
    name: Option<String>,
    groups: Vec<String>,
    disabled: bool,
    created_at: Timestamp,
    /// When their issuer vouched for them last, to an hour.
    last_signed_in_at: Timestamp,
}

impl From<Person> for User {
    fn from(person: Person) -> Self {
        Self {
            last_signed_in_at: person.vouched_for_at(),
            id: person.id,
            issuer: person.issuer,
            subject: person.subject,
            email: person.profile.email,
            name: person.profile.name,
            groups: person.profile.groups,
            disabled: person.disabled,
            created_at: person.created_at,
        }
    }
}

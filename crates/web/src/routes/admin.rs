//! `/ui/admin`: the pages of administrators; for everybody else they are not there.

use attache_broker::Offboarding;
use attache_core::{
    UserId,
    changes::{Change, Memory as _},
    problem::Kind,
    store,
};
use axum::{
    Router,
    extract::{Path, RawQuery, State},
    middleware,
    response::{IntoResponse as _, Redirect, Response},
    routing::{get, post},
};
use http::{HeaderValue, header, request::Parts};
use url::form_urlencoded;

use crate::{
    Web,
    administrator::{Administrator, only_administrators},
    api::admin::{audit_page, export},
    audit_query::AuditQuery,
    context::Context,
    pages::{
        Person,
        admin::{AuditPage, KeysPage, OffboardedPage, OverviewPage, PeoplePage, PersonPage},
    },
    place::Place,
    problem::{refuse, store_failed},
    routes,
};

/// People on one page.
const PEOPLE: u32 = 50;
/// Bytes of what people are looked for by.
const LONGEST_SEARCH: usize = 200;

pub(crate) fn router(web: &Web) -> Router<Web> {
    Router::new()
        .route("/ui/admin", get(overview))
        .route("/ui/admin/people", get(people))
        .route("/ui/admin/people/{id}", get(person))
        .route("/ui/admin/people/{id}/disable", post(disable))
        .route("/ui/admin/people/{id}/enable", post(enable))
        .route("/ui/admin/people/{id}/offboard", post(offboard))
        .route("/ui/admin/audit", get(audit))
        .route("/ui/admin/audit.jsonl", get(download))
        .route("/ui/admin/keys", get(keys))
        .method_not_allowed_fallback(routes::method_not_allowed)
        .layer(middleware::from_fn_with_state(web.clone(), only_administrators))
}

async fn overview(
    State(web): State<Web>,
    Administrator(who): Administrator,
    parts: Parts,
) -> Result<OverviewPage, Response> {
    let now = web.clock.now();
    let failed = |error| store_failed(&parts, &error);
    let people = web.overview.people().await.map_err(failed)?;
    let day = web.overview.day(now).await.map_err(failed)?;
    Ok(OverviewPage::new(Person::from(&*who), people, &day, now))
}

async fn people(
    State(web): State<Web>,
    Administrator(who): Administrator,
    RawQuery(query): RawQuery,
    parts: Parts,
) -> Result<PeoplePage, Response> {
    let query = query.unwrap_or_default();
    let value = |name: &str| {
        let mut pairs = form_urlencoded::parse(query.as_bytes());
        pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    };
    let sought = value("q").filter(|text| text.len() <= LONGEST_SEARCH).unwrap_or_default();
    let (sought, after) = (sought.trim(), value("after").map(UserId::new));
    let found = if sought.is_empty() {
        web.offboarding.page(after.as_ref(), PEOPLE).await
    } else {
        web.offboarding.search(sought, after.as_ref(), PEOPLE).await
    };
    let found = found.map_err(|error| store_failed(&parts, &error))?;
    let is_full = u32::try_from(found.len()).is_ok_and(|count| count == PEOPLE);
    let next = found.last().filter(|_| is_full).map(|last| &last.id);
    Ok(PeoplePage::new(Person::from(&*who), sought, &found, next, web.clock.now()))
}

async fn person(
    State(web): State<Web>,
    Administrator(who): Administrator,
    Path(id): Path<String>,
    parts: Parts,
) -> Result<PersonPage, Response> {
    let whom = find(&web, id, &parts).await?;
    Ok(PersonPage::new(Person::from(&*who), &whom, web.clock.now()))
}

async fn disable(
    State(web): State<Web>,
    by: Administrator,
    Path(id): Path<String>,
    parts: Parts,
) -> Result<Redirect, Response> {
    switch(&web, &by, id, true, &parts).await
}

async fn enable(
    State(web): State<Web>,
    by: Administrator,
    Path(id): Path<String>,
    parts: Parts,
) -> Result<Redirect, Response> {
    switch(&web, &by, id, false, &parts).await
}

async fn switch(
    web: &Web,
    by: &Administrator,
    id: String,
    disabled: bool,
    parts: &Parts,
) -> Result<Redirect, Response> {
    let whom = find(web, id, parts).await?;
    let switched = desk(web, by, parts).switch(&whom, disabled).await;
    web.identity.heed(&Change::Person(whom.id.clone()));
    switched.map_err(|error| store_failed(parts, &error))?;
    Ok(Redirect::to(&format!("/ui/admin/people/{}", whom.id)))
}

/// The answer is the receipt: there is nobody left to show a page of.
async fn offboard(
    State(web): State<Web>,
    by: Administrator,
    Path(id): Path<String>,
    parts: Parts,
) -> Result<OffboardedPage, Response> {
    let whom = find(&web, id, &parts).await?;
    let ended = desk(&web, &by, &parts).offboard(&whom).await;
    web.identity.heed(&Change::Person(whom.id.clone()));
    let receipts = ended.map_err(|error| store_failed(&parts, &error))?;
    Ok(OffboardedPage::new(Person::from(&*by.0), &whom, &receipts))
}

async fn audit(
    State(web): State<Web>,
    Administrator(who): Administrator,
    RawQuery(query): RawQuery,
    parts: Parts,
) -> Result<AuditPage, Response> {
    let query = query.unwrap_or_default();
    let asked = AuditQuery::parse(&query).ok_or_else(|| refuse(&parts, Kind::NotFound))?;
    let from = Place::asked(Some(&query));
    let (listed, older) = audit_page(&web, &asked, from, &parts).await?;
    Ok(AuditPage::new(Person::from(&*who), &asked, &listed, older, web.clock.now()))
}

async fn download(
    State(web): State<Web>,
    _: Administrator,
    RawQuery(query): RawQuery,
    parts: Parts,
) -> Result<Response, Response> {
    let asked = AuditQuery::parse(&query.unwrap_or_default());
    let asked = asked.ok_or_else(|| refuse(&parts, Kind::NotFound))?;
    let lines = export(&web, &asked, &parts).await?;
    let as_file = HeaderValue::from_static("attachment; filename=\"audit.jsonl\"");
    let kind = HeaderValue::from_static("application/jsonl");
    Ok(([(header::CONTENT_TYPE, kind), (header::CONTENT_DISPOSITION, as_file)], lines)
        .into_response())
}

async fn keys(
    State(web): State<Web>,
    Administrator(who): Administrator,
    parts: Parts,
) -> Result<KeysPage, Response> {
    let keys = web.overview.keys().await.map_err(|error| store_failed(&parts, &error))?;
    Ok(KeysPage::new(Person::from(&*who), &keys))
}

async fn find(web: &Web, id: String, parts: &Parts) -> Result<store::Person, Response> {
    let found = web.offboarding.find(&UserId::new(id)).await;
    let found = found.map_err(|error| store_failed(parts, &error))?;
    found.ok_or_else(|| refuse(parts, Kind::NotFound))
}

fn desk(web: &Web, Administrator(by): &Administrator, parts: &Parts) -> Offboarding {
    web.offboarding.by_order_of(by.user.clone(), Context::request_id(parts))
}

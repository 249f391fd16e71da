//! `/scim/v2/`: the identity provider provisions people, and takes them away (RFC 7644). It proves
//! itself by a secret; no cookie and no token of a person counts.

mod answer;
mod asked;
mod discovery;

use attache_broker::{connections::Revocation, offboarding::Receipt};
use attache_core::{
    ClientAddress, UserId,
    changes::{Change, Memory as _},
    problem::Kind,
    store::{Person, Resource},
};
use attache_identity::scim::{Directory, Patch, ScimError, User, object};
use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, RawQuery, Request, State, rejection::BytesRejection},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
    routing::get,
};
use http::{StatusCode, header, request::Parts};

use self::{
    answer::{Failed, list, user},
    asked::Asked,
};
use crate::{Web, problem::refuse};

/// Below [`attache_core::PublicOrigin`].
pub(crate) const BASE: &str = "/scim/v2";
/// Of a message about one person, with all that a provider may know of them.
const MAX_BODY: usize = 64 * 1024;

pub(crate) fn router(web: &Web) -> Router<Web> {
    let routes = Router::new()
        .route("/Users", get(search).post(create))
        .route("/Users/{id}", get(read).put(replace).patch(change).delete(delete))
        .route("/ServiceProviderConfig", get(discovery::service_provider))
        .route("/ResourceTypes", get(discovery::resource_types))
        .route("/ResourceTypes/User", get(discovery::resource_type))
        .route("/Schemas", get(discovery::schemas))
        .route("/Schemas/{urn}", get(discovery::schema))
        .fallback(nothing_here)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::from_fn_with_state(web.clone(), only_the_provider));
    Router::new().nest(BASE, routes)
}

/// Everything below [`BASE`] is for whoever has the secret; without one configured it is not there.
async fn only_the_provider(State(web): State<Web>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let Some(directory) = web.identity.directory() else {
        return refuse(&parts, Kind::NotFound);
    };
    let address = ClientAddress::of(&parts);
    match directory.token().check(&parts.headers, address, web.clock.now()) {
        Ok(()) => next.run(Request::from_parts(parts, body)).await,
        Err(error) => Failed(error).into_response(),
    }
}

async fn nothing_here() -> Failed {
    Failed(ScimError::NotFound)
}

/// `GET /Users`, with a filter or by pages.
async fn search(
    State(web): State<Web>,
    RawQuery(query): RawQuery,
    parts: Parts,
) -> Result<Response, Failed> {
    let directory = directory(&web)?;
    let asked = Asked::parse(&query.unwrap_or_default())?;
    let (page, start) = match &asked.filter {
        Some(filter) => (directory.search(filter).await?, 1),
        None => (directory.page(asked.start - 1, asked.count).await?, asked.start),
    };
    Ok(list(directory, &page, start, &parts))
}

/// `POST /Users`
async fn create(
    State(web): State<Web>,
    parts: Parts,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Failed> {
    let directory = directory(&web)?;
    let said = User::read(&object(&whole(body)?)?)?;
    let known = directory.create(&said).await?;
    let known = set_active(&web, directory, known, said.active.or(Some(true))).await?;
    let location = [(header::LOCATION, answer::location(&known, &parts))];
    Ok((StatusCode::CREATED, location, user(directory, &known, &parts)).into_response())
}

/// `GET /Users/{id}`
async fn read(
    State(web): State<Web>,
    Path(id): Path<String>,
    parts: Parts,
) -> Result<Response, Failed> {
    let directory = directory(&web)?;
    Ok(user(directory, &directory.find(&id).await?, &parts))
}

/// `PUT /Users/{id}`: what is not said stays as it is, `active` above all.
async fn replace(
    State(web): State<Web>,
    Path(id): Path<String>,
    parts: Parts,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Failed> {
    let said = User::read(&object(&whole(body)?)?)?;
    apply(&web, &id, &said, &parts).await
}

/// `PATCH /Users/{id}`
async fn change(
    State(web): State<Web>,
    Path(id): Path<String>,
    parts: Parts,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Failed> {
    let Patch(said) = Patch::read(&object(&whole(body)?)?)?;
    apply(&web, &id, &said, &parts).await
}

async fn apply(web: &Web, id: &str, said: &User, parts: &Parts) -> Result<Response, Failed> {
    let directory = directory(web)?;
    let known = directory.find(id).await?;
    // First, whatever else may fail.
    let known = set_active(web, directory, known, said.active).await?;
    let known = directory.rename(known, said).await?;
    Ok(user(directory, &known, parts))
}

/// `DELETE /Users/{id}`: switched off, and not found any more; erased, where that is configured.
async fn delete(State(web): State<Web>, Path(id): Path<String>) -> Result<StatusCode, Failed> {
    let directory = directory(&web)?;
    let known = directory.find(&id).await?;
    let person = known.person.clone();
    if directory.offboards() {
        let receipts = web.offboarding.offboard(&person).await;
        tell(&web, &person.id);
        complain(&person.id, &receipts.map_err(ScimError::Unavailable)?);
        directory.deleted(&known, directory.barred(&person).await?).await?;
    } else {
        if !person.disabled {
            switch(&web, &person, true).await?;
        }
        directory.deleted(&known, person).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Switches off whom the provider says, and on again whom it switched off itself: what an operator
/// did, only an operator undoes. What failed may be said again.
async fn set_active(
    web: &Web,
    directory: &Directory,
    known: Resource,
    active: Option<bool>,
) -> Result<Resource, Failed> {
    match active {
        Some(false) => {
            let person = known.person.clone();
            let is_operators = person.disabled && !known.provisioned.switched_off;
            let known = if is_operators {
                known
            } else {
                // Noted last: what is not stays off until an operator looks.
                switch(web, &person, true).await?;
                directory.switched(known, true).await?
            };
            if directory.offboards() {
                let receipts = web.offboarding.end_connections(&person).await;
                complain(&person.id, &receipts.map_err(ScimError::Unavailable)?);
            }
            Ok(known)
        }
        Some(true) if known.person.disabled && known.provisioned.switched_off => {
            switch(web, &known.person, false).await?;
            Ok(directory.switched(known, false).await?)
        }
        _ => Ok(known),
    }
}

async fn switch(web: &Web, person: &Person, off: bool) -> Result<(), ScimError> {
    let switched = web.offboarding.switch(person, off).await;
    tell(web, &person.id);
    switched.map_err(ScimError::Unavailable)
}

/// Whoever remembers them here, and what is open for them, looks again; elsewhere the store tells.
fn tell(web: &Web, user: &UserId) {
    web.identity.heed(&Change::Person(user.clone()));
    web.connections.look_again(user);
}

/// Nobody reads the receipts of a request: the audit has them, and the log what is left to do.
fn complain(user: &UserId, receipts: &[Receipt]) {
    let is_untold = |one: &&Receipt| matches!(one.revocation, Some(Revocation::Failed(_)));
    let untold = receipts.iter().filter(is_untold).count();
    if untold > 0 {
        tracing::warn!(%user, untold, "credentials of somebody who left may go on working at their providers, which could not be told; the audit says which");
    }
}

fn directory(web: &Web) -> Result<&Directory, ScimError> {
    web.identity.directory().ok_or(ScimError::NotFound)
}

fn whole(body: Result<Bytes, BytesRejection>) -> Result<Bytes, ScimError> {
    body.map_err(|_| ScimError::TooLarge)
}

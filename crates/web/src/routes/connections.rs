//! `/ui/connections`

use attache_broker::connections::Revocation;
use attache_core::{ConnectionName, audit::Reason, problem::Kind};
use axum::{
    extract::{Path, RawQuery, State},
    response::{IntoResponse as _, Redirect, Response},
};
use http::request::Parts;

use crate::{
    Web,
    caller::Visitor,
    context::Context,
    pages::ConnectionsPage,
    problem::{refuse, store_failed},
    result::{ConnectResult, Ending},
};

/// Events of a person's that are looked through for when each was used last.
const RECENT: u32 = 500;

pub(crate) async fn list(
    State(web): State<Web>,
    Visitor { who, .. }: Visitor,
    RawQuery(query): RawQuery,
    parts: Parts,
) -> Response {
    let connections = match web.connections.list(&who).await {
        Ok(connections) => connections,
        Err(error) => return store_failed(&parts, &error),
    };
    let recent = match web.overview.activity(&who.user, None, RECENT).await {
        Ok(recent) => recent,
        Err(error) => return store_failed(&parts, &error),
    };
    let result = query.as_deref().and_then(ConnectResult::parse);
    let (person, now) = (web.greeted(&who), web.clock.now());
    ConnectionsPage::new(person, &connections, result.as_ref(), now)
        .used(&recent, now)
        .into_response()
}

pub(crate) async fn disconnect(
    State(web): State<Web>,
    Visitor { who, .. }: Visitor,
    Path(server): Path<String>,
    parts: Parts,
) -> Response {
    let Ok(server) = server.parse::<ConnectionName>() else {
        return refuse(&parts, Kind::NoSuchUpstream);
    };
    let act = Context::act(&parts, who, server.clone());
    let told = match web.connections.disconnect(&act).await {
        Ok(Some(Some(Revocation::Revoked)) | None) => None,
        Ok(Some(Some(Revocation::Failed(reason)))) => Some(reason),
        Ok(Some(None)) => Some(Reason::RevocationUnsupported),
        Err(error) => return store_failed(&parts, &error),
    };
    let result = ConnectResult { server, ending: Ending::Disconnected(told) };
    Redirect::to(&result.to_string()).into_response()
}

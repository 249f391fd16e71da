//! `/api/v1/user/credentials`: a person's connections, for programs.

pub(crate) mod activity;
pub(crate) mod admin;
pub(crate) mod own;

use std::sync::Arc;

use attache_broker::{Condition, Connection, connections::Revocation};
use attache_core::{
    Account, ConnectionName, ObtainedVia, Timestamp, audit::Reason, problem::Kind,
    store::StoreError,
};
use axum::{
    Json,
    extract::{Path, State},
    response::{IntoResponse as _, Redirect, Response},
};
use http::request::Parts;
use serde::Serialize;

use crate::{
    Web,
    caller::Caller,
    context::Context,
    problem::{Problem, refuse, store_failed},
};

/// `GET /api/v1/user/credentials`
pub(crate) async fn list(
    State(web): State<Web>,
    Caller(who): Caller,
    parts: Parts,
) -> Result<Json<Credentials>, Response> {
    let connections =
        web.connections.list(&who).await.map_err(|error| store_failed(&parts, &error))?;
    let credentials = connections.into_iter().map(Credential::from).collect();
    Ok(Json(Credentials { credentials }))
}

/// `DELETE /api/v1/user/credentials/{server}`: deletes, revokes, and says which of the two happened.
pub(crate) async fn disconnect(
    State(web): State<Web>,
    Caller(who): Caller,
    Path(server): Path<String>,
    parts: Parts,
) -> Result<Json<Receipt>, Response> {
    let Ok(server) = server.parse::<ConnectionName>() else {
        return Err(refuse(&parts, Kind::NoSuchUpstream));
    };
    let unavailable = |error: StoreError| store_failed(&parts, &error);
    let act = Context::act(&parts, Arc::clone(&who), server.clone());
    if let Some(revocation) = web.connections.disconnect(&act).await.map_err(unavailable)? {
        return Ok(Json(Receipt::new(server, revocation)));
    }
    Err(match web.connections.find(&who, &server).await.map_err(unavailable)? {
        Some(connection) => Problem::new(Kind::NothingToDisconnect, &parts)
            .with_connect_path(&connect_path(&connection.server), &parts)
            .into_response(),
        None => refuse(&parts, Kind::NoSuchUpstream),
    })
}

/// `GET /api/v1/user/credentials/{server}/connect`: begins nothing; the page there asks first.
pub(crate) async fn connect(Path(server): Path<String>, parts: Parts) -> Response {
    match server.parse() {
        Ok(server) => Redirect::to(&connect_path(&server)).into_response(),
        Err(_) => refuse(&parts, Kind::NoSuchUpstream),
    }
}

pub(crate) fn connect_path(server: &ConnectionName) -> String {
    format!("/connect/{server}")
}

#[derive(Debug, Serialize)]
pub(crate) struct Credentials {
    credentials: Vec<Credential>,
}

/// What may be known about a credential; every key is always there.
#[derive(Debug, Serialize)]
pub(crate) struct Credential {
    server: ConnectionName,
    mode: &'static str,
    status: &'static str,
    /// Whose move it is; `null` where nothing is connected.
    health: Option<&'static str>,
    reason: Option<&'static str>,
    account: Option<Account>,
    /// Another connection that is this very account at the provider.
    same_account_as: Option<ConnectionName>,
    token_type: Option<String>,
    scopes: Vec<String>,
    /// What the upstream wants besides, until the person approves or an hour has passed.
    wanted_scopes: Vec<String>,
    audience: Option<String>,
    obtained_via: Option<&'static str>,
    expires_at: Option<Timestamp>,
    /// When the connection ends unless it is used or made again before.
    ends_at: Option<Timestamp>,
    updated_at: Option<Timestamp>,
    connect_path: String,
}

impl From<Connection> for Credential {
    fn from(connection: Connection) -> Self {
        Self {
            connect_path: connect_path(&connection.server),
            server: connection.server,
            mode: connection.mode,
            status: connection.status.as_str(),
            health: connection.condition.map(Condition::as_str),
            reason: connection.reason.map(Reason::as_str),
            account: connection.account,
            same_account_as: connection.same_account_as,
            token_type: connection.token_type,
            scopes: connection.scopes,
            wanted_scopes: connection.wanted_scopes,
            audience: connection.audience,
            obtained_via: connection.obtained_via.map(ObtainedVia::as_str),
            expires_at: connection.expires_at,
            ends_at: connection.ends_at,
            updated_at: connection.updated_at,
        }
    }
}

/// What a disconnect did: here always, at the provider if it could be told.
#[derive(Debug, Serialize)]
pub(crate) struct Receipt {
    server: ConnectionName,
    deleted: bool,
    revoked: bool,
    /// Why it was not revoked.
    reason: Option<&'static str>,
}

impl Receipt {
    fn new(server: ConnectionName, revocation: Option<Revocation>) -> Self {
        let (revoked, reason) = match revocation {
            Some(Revocation::Revoked) => (true, None),
            Some(Revocation::Failed(reason)) => (false, Some(reason)),
            None => (false, Some(Reason::RevocationUnsupported)),
        };
        Self { server, deleted: true, revoked, reason: reason.map(Reason::as_str) }
    }
}

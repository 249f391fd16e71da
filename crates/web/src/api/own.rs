//! `/api/v1/user/tokens`, `/grants` and `/sessions`: what lets somebody in as this person.
//!
//! Nothing is made here: a token is made by its owner in a browser, so that one that leaked makes no
//! other.

use attache_core::{
    GrantId, Timestamp, TokenId,
    principal::{AuthenticatedBy, SessionDigest},
    problem::Kind,
    store::{PersonalToken, Session, StoreError},
};
use attache_identity::authorization_server::{LetIn, Opens, Vouched};
use axum::{
    Json,
    extract::{Path, State},
    response::{IntoResponse as _, Response},
};
use http::{StatusCode, request::Parts};
use serde::Serialize;

use crate::{
    Web,
    caller::Caller,
    context::Context,
    problem::{refuse, store_failed},
};

/// `GET /api/v1/user/tokens`
pub(crate) async fn list(
    State(web): State<Web>,
    Caller(who): Caller,
    parts: Parts,
) -> Result<Json<Tokens>, Response> {
    let tokens = web.identity.tokens(&who).await.map_err(|error| store_failed(&parts, &error))?;
    Ok(Json(Tokens { tokens: tokens.into_iter().map(Token::from).collect() }))
}

/// `DELETE /api/v1/user/tokens/{id}`
pub(crate) async fn revoke(
    State(web): State<Web>,
    Caller(who): Caller,
    Path(id): Path<String>,
    parts: Parts,
) -> Response {
    let revoked = web.identity.revoke_token(&who, &TokenId::new(id)).await;
    web.connections.look_again(&who.user);
    ended(&parts, revoked)
}

/// `GET /api/v1/user/grants`: the clients that this person let in.
pub(crate) async fn grants(
    State(web): State<Web>,
    Caller(who): Caller,
    parts: Parts,
) -> Result<Json<Grants>, Response> {
    let let_in = web.let_in_by(&who).await.map_err(|error| store_failed(&parts, &error))?;
    Ok(Json(Grants { grants: let_in.into_iter().map(Grant::from).collect() }))
}

/// `DELETE /api/v1/user/grants/{id}`
pub(crate) async fn end_grant(
    State(web): State<Web>,
    Caller(who): Caller,
    Path(id): Path<String>,
    parts: Parts,
) -> Response {
    ended(&parts, web.let_out(&who, &GrantId::new(id), Context::request_id(&parts)).await)
}

/// `GET /api/v1/user/sessions`
pub(crate) async fn sessions(
    State(web): State<Web>,
    Caller(who): Caller,
    parts: Parts,
) -> Result<Json<Sessions>, Response> {
    let sessions = web.identity.sessions_of(&who).await;
    let sessions = sessions.map_err(|error| store_failed(&parts, &error))?;
    let this = match who.authenticated_by {
        AuthenticatedBy::Session(digest) => Some(digest),
        AuthenticatedBy::AccessToken(_)
        | AuthenticatedBy::Client(_)
        | AuthenticatedBy::PersonalToken(_) => None,
    };
    let sessions = sessions.into_iter().map(|session| SignIn::new(&session, this)).collect();
    Ok(Json(Sessions { sessions }))
}

/// `DELETE /api/v1/user/sessions/{id}`
pub(crate) async fn end_session(
    State(web): State<Web>,
    Caller(who): Caller,
    Path(id): Path<String>,
    parts: Parts,
) -> Response {
    match id.parse::<SessionDigest>() {
        Ok(digest) => ended(&parts, web.identity.end_session(&who, digest).await),
        Err(_) => refuse(&parts, Kind::NotFound),
    }
}

fn ended(parts: &Parts, was_there: Result<bool, StoreError>) -> Response {
    match was_there {
        Ok(true) => StatusCode::NO_CONTENT.into_response(),
        Ok(false) => refuse(parts, Kind::NotFound),
        Err(error) => store_failed(parts, &error),
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct Tokens {
    tokens: Vec<Token>,
}

/// Never the token.
#[derive(Debug, Serialize)]
struct Token {
    id: String,
    name: String,
    /// `null`: everything.
    servers: Option<Vec<String>>,
    read_only: bool,
    created_at: Timestamp,
    expires_at: Timestamp,
    last_used_at: Option<Timestamp>,
}

impl From<PersonalToken> for Token {
    fn from(token: PersonalToken) -> Self {
        let servers = token.reach.routes();
        Self {
            servers: servers.map(|some| some.iter().map(ToString::to_string).collect()),
            read_only: token.reach.is_read_only(),
            id: token.id.to_string(),
            name: token.name,
            created_at: token.created_at,
            expires_at: token.expires_at,
            last_used_at: token.last_used_at,
        }
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct Grants {
    grants: Vec<Grant>,
}

#[derive(Debug, Serialize)]
struct Grant {
    id: String,
    client: String,
    /// `operator`, `nobody`, or the site that publishes it.
    vouched_by: String,
    /// `server`, `api` or `everything`.
    opens: &'static str,
    server: Option<String>,
    created_at: Timestamp,
    renewed_at: Timestamp,
    expires_at: Timestamp,
}

impl From<LetIn> for Grant {
    fn from(program: LetIn) -> Self {
        Self {
            id: program.grant.to_string(),
            client: program.client,
            vouched_by: match program.vouched {
                Vouched::Operator => "operator".to_owned(),
                Vouched::Host(host) => format!("https://{host}"),
                Vouched::Nobody => "nobody".to_owned(),
            },
            opens: match program.opens {
                Opens::Upstream(_) => "server",
                Opens::Together => "mcp",
                Opens::Api => "api",
                Opens::Everything => "everything",
            },
            server: program.opens.upstream().map(ToString::to_string),
            created_at: program.since,
            renewed_at: program.renewed_at,
            expires_at: program.expires_at,
        }
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct Sessions {
    sessions: Vec<SignIn>,
}

#[derive(Debug, Serialize)]
struct SignIn {
    id: String,
    /// Whether it is the one that asks.
    this: bool,
    created_at: Timestamp,
    expires_at: Timestamp,
}

impl SignIn {
    fn new(session: &Session, this: Option<SessionDigest>) -> Self {
        Self {
            id: session.digest.to_string(),
            this: this == Some(session.digest),
            created_at: session.created_at,
            expires_at: session.expires_at,
        }
    }
}

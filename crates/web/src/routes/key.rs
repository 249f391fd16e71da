//! A key that a person enters, by the form of `/connect/{server}` or by the API.

use std::sync::Arc;

use attache_broker::{Act, ConnectError, Entered};
use attache_core::{ConnectionName, Secret, audit::Reason, problem::Kind};
use axum::{
    Form, Json,
    extract::{
        Path, State,
        rejection::{FormRejection, JsonRejection},
    },
    response::{IntoResponse as _, Redirect, Response},
};
use http::request::Parts;
use serde::{Deserialize, Deserializer};

use crate::{
    Web,
    api::{Credential, connect_path},
    caller::Visitor,
    context::Context,
    pages::{KeyPage, Notice, Person},
    problem::{Problem, kind_of, refuse, store_failed},
    result::{ConnectResult, Ending},
};

/// Bytes of a body: a name and a password of the greatest length, each byte of three, and what is
/// around them.
pub(crate) const MAX_BODY: usize = 32 * 1024;

/// One key, or a pair.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fields {
    #[serde(default, deserialize_with = "secret")]
    api_key: Option<Secret>,
    #[serde(default, deserialize_with = "secret")]
    username: Option<Secret>,
    #[serde(default, deserialize_with = "secret")]
    password: Option<Secret>,
}

fn secret<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Secret>, D::Error> {
    Option::<String>::deserialize(from).map(|text| text.map(Secret::new))
}

impl Fields {
    fn entered(self) -> Result<Entered, ConnectError> {
        match self {
            Self { api_key: Some(key), username: None, password: None } => Ok(Entered::Key(key)),
            Self { api_key: None, username: Some(username), password: Some(password) } => {
                Ok(Entered::Basic { username, password })
            }
            _ => Err(ConnectError(Reason::KeyMalformed)),
        }
    }
}

/// `POST /connect/{server}/key`
pub(crate) async fn enter(
    State(web): State<Web>,
    Visitor { who, .. }: Visitor,
    Path(server): Path<String>,
    parts: Parts,
    form: Result<Form<Fields>, FormRejection>,
) -> Response {
    let Ok(server) = server.parse::<ConnectionName>() else {
        return refuse(&parts, Kind::NoSuchUpstream);
    };
    let act = Context::act(&parts, Arc::clone(&who), server.clone());
    let Err(error) = keep(&web, &act, form.ok().map(|Form(fields)| fields)).await else {
        let result = ConnectResult { server, ending: Ending::Connected };
        return Redirect::to(&result.to_string()).into_response();
    };
    match web.connections.key_offer(&who, &server).await {
        Ok(Some(offer)) => {
            KeyPage::new(Person::from(&*who), &offer).refused(error.reason()).into_response()
        }
        Ok(None) => refuse(&parts, Kind::NoSuchUpstream),
        Err(error) => {
            let (person, id) = (Person::from(&*who), Context::request_id(&parts));
            Notice::not_begun(person, error.reason(), id).into_response()
        }
    }
}

/// `PUT /api/v1/user/credentials/{server}`: of the person in their browser, like the form. Whoever has
/// a token of theirs could else put a key of their own in its place, and receive what is sent with it.
pub(crate) async fn put(
    State(web): State<Web>,
    Visitor { who, .. }: Visitor,
    Path(server): Path<String>,
    parts: Parts,
    body: Result<Json<Fields>, JsonRejection>,
) -> Result<Json<Credential>, Response> {
    let Ok(server) = server.parse::<ConnectionName>() else {
        return Err(refuse(&parts, Kind::NoSuchUpstream));
    };
    let act = Context::act(&parts, Arc::clone(&who), server.clone());
    let kept = keep(&web, &act, body.ok().map(|Json(fields)| fields)).await;
    let found = web.connections.find(&who, &server).await;
    let found = found.map_err(|error| store_failed(&parts, &error))?;
    match (kept, found) {
        (Ok(()), Some(connection)) => Ok(Json(connection.into())),
        (_, None) => Err(refuse(&parts, Kind::NoSuchUpstream)),
        (Err(ConnectError(Reason::WrongUpstream)), Some(_)) => {
            Err(refuse(&parts, Kind::MethodNotAllowed))
        }
        (Err(ConnectError(reason)), Some(_)) => Err(Problem::new(kind_of(reason), &parts)
            .because(reason)
            .with_connect_path(&connect_path(&server), &parts)
            .into_response()),
    }
}

async fn keep(web: &Web, act: &Act, fields: Option<Fields>) -> Result<(), ConnectError> {
    let entered = fields.ok_or(ConnectError(Reason::KeyMalformed))?.entered()?;
    web.connections.enter_key(act, &entered).await
}

//! `/oauth/authorize`: a client asks, and the person says yes or no before anything else happens
//! (AS-11). `/oauth/authorize/continue`: they are signed in by now, connect the server if it is not,
//! and the client gets its code.

use std::sync::Arc;

use attache_broker::{Offer, Status};
use attache_core::{ConnectionName, Principal, problem::Kind};
use attache_identity::authorization_server::{Answer, ClientError, Decided, RequestError};
use axum::{
    body::Bytes,
    extract::{RawQuery, State},
    response::{IntoResponse as _, Redirect, Response},
};
use http::{HeaderValue, header, request::Parts};

use crate::{
    Web,
    caller::{Stranger, Visitor},
    context::Context,
    pages::{ConsentPage, JoinPage, Notice, Person},
    problem::{refuse, store_failed},
    result::{ConnectResult, Ending},
};

pub(crate) const CONTINUE: &str = "/oauth/authorize/continue";

pub(crate) async fn ask(
    State(web): State<Web>,
    visitor: Result<Visitor, Stranger>,
    RawQuery(query): RawQuery,
    parts: Parts,
) -> Response {
    let Some(server) = web.identity.authorization_server() else {
        return refuse(&parts, Kind::NotFound);
    };
    let who = match signed_in(visitor) {
        Ok(who) => who,
        Err(stranger) => return stranger.into_response(),
    };
    let query = query.unwrap_or_default();
    match server.ask(&query, &parts.headers, who.as_deref()).await {
        Ok(mut asked) => {
            let cookie = std::mem::replace(&mut asked.cookie, HeaderValue::from_static(""));
            let page = ConsentPage::new(who.as_deref().map(Person::from), asked);
            with_cookie(page.into_response(), cookie)
        }
        Err(error) => not_asked(&parts, error),
    }
}

pub(crate) async fn decide(
    State(web): State<Web>,
    visitor: Result<Visitor, Stranger>,
    parts: Parts,
    form: Bytes,
) -> Response {
    let Some(server) = web.identity.authorization_server() else {
        return refuse(&parts, Kind::NotFound);
    };
    let who = match signed_in(visitor) {
        Ok(who) => who,
        Err(stranger) => return stranger.into_response(),
    };
    let id = Context::request_id(&parts);
    match server.decide(&form, &parts.headers, who.as_deref(), id).await {
        Ok(Decided::Approved(cookie)) => {
            with_cookie(Redirect::to(CONTINUE).into_response(), cookie)
        }
        Ok(Decided::Refused(answer)) => back_to_client(&answer),
        Err(error) => not_asked(&parts, error),
    }
}

/// Who is not signed in is sent to sign in, and comes back here.
pub(crate) async fn proceed(
    State(web): State<Web>,
    Visitor { who, .. }: Visitor,
    RawQuery(query): RawQuery,
    parts: Parts,
) -> Response {
    let Some(server) = web.identity.authorization_server() else {
        return refuse(&parts, Kind::NotFound);
    };
    if let Some(Some(upstream)) = server.under_way(&parts.headers, &who)
        && let Some(offer) = to_connect(&web, &who, &upstream).await
    {
        let failed =
            query.as_deref().and_then(ConnectResult::parse).and_then(|result| {
                match result.ending {
                    Ending::Failed(reason) if result.server == upstream => Some(reason),
                    _ => None,
                }
            });
        return JoinPage::new(Person::from(&*who), offer, failed).into_response();
    }
    finish(&web, &who, &parts).await
}

/// "Not now", or whatever else the person decided about the server: the client gets its code.
pub(crate) async fn not_now(
    State(web): State<Web>,
    Visitor { who, .. }: Visitor,
    parts: Parts,
) -> Response {
    finish(&web, &who, &parts).await
}

/// Where a browser goes that just connected `result.server`, or did not: back to the client whose
/// sign-in asked for it.
pub(crate) fn resume(
    web: &Web,
    who: &Principal,
    result: &ConnectResult,
    parts: &Parts,
) -> Option<String> {
    let server = web.identity.authorization_server()?;
    let wanted = server.under_way(&parts.headers, who)??;
    let page = result.to_string();
    let (_, query) = page.split_once('?')?;
    (wanted == result.server).then(|| format!("{CONTINUE}?{query}"))
}

async fn finish(web: &Web, who: &Principal, parts: &Parts) -> Response {
    let Some(server) = web.identity.authorization_server() else {
        return refuse(parts, Kind::NotFound);
    };
    match server.finish(&parts.headers, who, Context::request_id(parts)).await {
        Ok(finished) => with_cookie(back_to_client(&finished.answer), finished.cookie),
        Err(error) => not_asked(parts, error),
    }
}

/// What the person would be asked to connect; nothing when they need not, or cannot just now.
async fn to_connect(web: &Web, who: &Principal, upstream: &ConnectionName) -> Option<Offer> {
    let offer = web.connections.offer(who, upstream).await.ok().flatten()?;
    match offer.status {
        Status::NotConnected | Status::Expired | Status::NeedsReconnect => Some(offer),
        Status::Connected | Status::Unavailable => None,
    }
}

/// Nobody, where nobody is signed in.
fn signed_in(visitor: Result<Visitor, Stranger>) -> Result<Option<Arc<Principal>>, Box<Stranger>> {
    match visitor {
        Ok(visitor) => Ok(Some(visitor.who)),
        Err(stranger @ Stranger { kind: Kind::IdentityUnavailable, .. }) => Err(Box::new(stranger)),
        Err(_) => Ok(None),
    }
}

/// By 303: what was posted stays here (AS-10). The code is in no `Referer`.
fn back_to_client(answer: &Answer) -> Response {
    let mut response = Redirect::to(answer.url()).into_response();
    let no_referrer = HeaderValue::from_static("no-referrer");
    response.headers_mut().insert(header::REFERRER_POLICY, no_referrer);
    response
}

fn not_asked(parts: &Parts, error: RequestError) -> Response {
    match error {
        RequestError::Answered(answer) => back_to_client(&answer),
        RequestError::Store(error) | RequestError::Client(ClientError::Store(error)) => {
            store_failed(parts, &error)
        }
        RequestError::Client(ClientError::Busy) => refuse(parts, Kind::Unavailable),
        RequestError::Client(ClientError::Unknown) => Notice::unknown_client().into_response(),
        RequestError::Client(ClientError::Document(error)) => {
            tracing::info!(%error, "a client's own document was not accepted");
            Notice::unusable_client().into_response()
        }
        RequestError::Unanswerable(why) => Notice::unanswerable(why).into_response(),
    }
}

fn with_cookie(mut response: Response, cookie: HeaderValue) -> Response {
    response.headers_mut().append(header::SET_COOKIE, cookie);
    response
}

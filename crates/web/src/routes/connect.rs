//! `/connect/{server}` asks, its form begins, and the redirect URI ends a consent.

use std::{sync::Arc, time::Duration};

use attache_broker::{ConnectError, Ended, Finished};
use attache_core::{
    AccountName, ConnectionName, Principal, UpstreamName, audit::Reason, problem::Kind,
};
use axum::{
    body::Bytes,
    extract::{Path, RawQuery, State},
    response::{IntoResponse as _, Redirect, Response},
};
use http::{HeaderValue, header, request::Parts};
use url::form_urlencoded;

use crate::{
    Web,
    api::connect_path,
    caller::{Stranger, Visitor},
    context::Context,
    pages::{ConnectPage, KeyPage, Notice, Person},
    problem::{refuse, store_failed},
    result::{ConnectResult, Ending},
    routes::{account, authorize},
};

const SHORTEST: Duration = Duration::from_hours(1);

/// Changes nothing: a link can be followed by accident, or by a program that looks ahead.
pub(crate) async fn ask(
    State(web): State<Web>,
    Visitor { who, .. }: Visitor,
    Path(server): Path<String>,
    RawQuery(query): RawQuery,
    parts: Parts,
) -> Response {
    let Ok(server) = server.parse::<ConnectionName>() else {
        return refuse(&parts, Kind::NoSuchUpstream);
    };
    if let Some(account) = query.as_deref().and_then(new_account) {
        return match AccountName::parse(&account) {
            Ok(account) if server.account.is_none() => {
                let another = ConnectionName { account: Some(account), ..server };
                Redirect::to(&connect_path(&another)).into_response()
            }
            _ => refuse(&parts, Kind::AccountUnclear),
        };
    }
    match web.connections.key_offer(&who, &server).await {
        Ok(None) => {}
        Ok(Some(offer)) => return KeyPage::new(Person::from(&*who), &offer).into_response(),
        Err(error) => return not_begun(&who, error, &parts),
    }
    match web.connections.offer(&who, &server).await {
        Ok(Some(offer)) => ConnectPage::new(Person::from(&*who), offer).into_response(),
        Ok(None) => match web.connections.find(&who, &server).await {
            Ok(Some(_)) => Redirect::to("/ui/connections").into_response(),
            Ok(None) => refuse(&parts, Kind::NoSuchUpstream),
            Err(error) => store_failed(&parts, &error),
        },
        Err(error) => not_begun(&who, error, &parts),
    }
}

/// What the form on the connections page asks for: how another account shall be called.
fn new_account(query: &str) -> Option<String> {
    let (_, account) =
        form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "account")?;
    Some(account.into_owned())
}

/// Off to the authorization server, by 303: what was posted stays here (RFC 9700 section 4.12).
pub(crate) async fn begin(
    State(web): State<Web>,
    Visitor { who, browser }: Visitor,
    Path(server): Path<String>,
    parts: Parts,
    form: Bytes,
) -> Response {
    let Ok(server) = server.parse() else {
        return refuse(&parts, Kind::NoSuchUpstream);
    };
    match web.connections.begin(&who, &browser, &server, wished(&form)).await {
        Ok(url) => Redirect::to(url.as_str()).into_response(),
        Err(error) if error.reason() == Reason::WrongUpstream => {
            refuse(&parts, Kind::NoSuchUpstream)
        }
        Err(error) => not_begun(&who, error, &parts),
    }
}

/// For how long; `None`: until they disconnect, where the operator lets them.
fn wished(form: &[u8]) -> Option<Duration> {
    let (_, seconds) = form_urlencoded::parse(form).find(|(name, _)| name == "term")?;
    if seconds.is_empty() {
        return None;
    }
    // What is not understood is not taken for more than it may be.
    Some(seconds.parse().map_or(SHORTEST, Duration::from_secs))
}

fn not_begun(who: &Principal, error: ConnectError, parts: &Parts) -> Response {
    let (person, id) = (Person::from(who), Context::request_id(parts));
    Notice::not_begun(person, error.reason(), id).into_response()
}

/// The redirect URI, one for all accounts of an upstream. Whatever came, the browser ends at our own page, with the code out of its
/// address bar and out of every `Referer` (OC-20).
pub(crate) async fn callback(
    State(web): State<Web>,
    visitor: Result<Visitor, Stranger>,
    Path(server): Path<String>,
    RawQuery(query): RawQuery,
    parts: Parts,
) -> Response {
    let Ok(server) = UpstreamName::parse(&server) else {
        return refuse(&parts, Kind::NoSuchUpstream);
    };
    let (query, server) = (query.unwrap_or_default(), ConnectionName::from(server));
    let Ended { server, outcome } = match visitor {
        Ok(Visitor { who, browser }) => {
            let act = Context::act(&parts, Arc::clone(&who), server);
            let ended = web.connections.callback(act, &browser, &query).await;
            let outcome = ended.outcome.map_err(ConnectError::reason);
            if let Some(page) = for_a_client(&web, &who, &ended.server, outcome, &parts) {
                return away(&page);
            }
            ended
        }
        // Nobody to compare with the one who began: the state is not spent (EL-3).
        Err(Stranger { kind: Kind::IdentityUnavailable, .. }) => {
            Ended { server, outcome: Err(ConnectError(Reason::StoreUnavailable)) }
        }
        Err(_) => Ended { server, outcome: Err(ConnectError(Reason::WrongBrowser)) },
    };
    let page = match outcome {
        Ok(Finished::Undecided) => account::path(&server),
        Ok(Finished::Connected) => ConnectResult { server, ending: Ending::Connected }.to_string(),
        Err(ConnectError(reason)) => {
            ConnectResult { server, ending: Ending::Failed(reason) }.to_string()
        }
    };
    away(&page)
}

/// A client's sign-in goes on, if this consent was part of one.
fn for_a_client(
    web: &Web,
    who: &Principal,
    server: &ConnectionName,
    ended: Result<Finished, Reason>,
    parts: &Parts,
) -> Option<String> {
    let ending = match ended {
        Ok(Finished::Connected) => Ending::Connected,
        Ok(Finished::Undecided) => return None,
        Err(reason) => Ending::Failed(reason),
    };
    authorize::resume(web, who, &ConnectResult { server: server.clone(), ending }, parts)
}

fn away(page: &str) -> Response {
    let mut response = Redirect::to(page).into_response();
    let no_referrer = HeaderValue::from_static("no-referrer");
    response.headers_mut().insert(header::REFERRER_POLICY, no_referrer);
    response
}

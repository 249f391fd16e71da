//! `/connect/{server}/account`: an approval for another account than the connected one, and which of
//! the two stays.

use attache_broker::Decision;
use attache_core::{ConnectionName, audit::Reason, problem::Kind, store::Version};
use axum::{
    extract::{Path, RawQuery, State},
    response::{IntoResponse as _, Redirect, Response},
};
use http::request::Parts;
use url::form_urlencoded;

use crate::{
    Web,
    caller::Visitor,
    context::Context,
    pages::{AccountPage, Person},
    problem::refuse,
    result::{ConnectResult, Ending},
    routes::authorize,
};

/// Where a callback ends that has something to ask.
pub(crate) fn path(server: &ConnectionName) -> String {
    format!("/connect/{server}/account")
}

pub(crate) async fn ask(
    State(web): State<Web>,
    Visitor { who, browser }: Visitor,
    Path(server): Path<String>,
    parts: Parts,
) -> Response {
    let Ok(server) = server.parse() else {
        return refuse(&parts, Kind::NoSuchUpstream);
    };
    match web.connections.undecided(&who, &browser, &server).await {
        Ok(Some(asked)) => AccountPage::new(Person::from(&*who), &asked).into_response(),
        Ok(None) => ended(server, Ending::Failed(Reason::FlowUnknown)),
        Err(error) => ended(server, Ending::Failed(error.reason())),
    }
}

/// About the attempt that the form names, and no other.
pub(crate) async fn decide(
    State(web): State<Web>,
    Visitor { who, browser }: Visitor,
    Path((server, decision)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    parts: Parts,
) -> Response {
    let Ok(server) = server.parse() else {
        return refuse(&parts, Kind::NoSuchUpstream);
    };
    let (decision, ending) = match decision.as_str() {
        "keep" => (Decision::Keep, Ending::Kept),
        "replace" => (Decision::Replace, Ending::Connected),
        _ => return refuse(&parts, Kind::NotFound),
    };
    let Some(attempt) = attempt(&query.unwrap_or_default()) else {
        return ended(server, Ending::Failed(Reason::FlowUnknown));
    };
    let act = Context::act(&parts, who, server.clone());
    let ending = match web.connections.decide(&act, &browser, attempt, decision).await {
        Ok(()) => ending,
        Err(error) => Ending::Failed(error.reason()),
    };
    let result = ConnectResult { server, ending };
    match authorize::resume(&web, &act.who, &result, &parts) {
        Some(page) => Redirect::to(&page).into_response(),
        None => ended(result.server, ending),
    }
}

fn attempt(query: &str) -> Option<Version> {
    let (_, number) =
        form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "attempt")?;
    number.parse().ok().map(Version)
}

fn ended(server: ConnectionName, ending: Ending) -> Response {
    Redirect::to(&ConnectResult { server, ending }.to_string()).into_response()
}

//! `/ui/clients`

use attache_core::problem::Kind;
use axum::{
    extract::{RawQuery, State},
    response::{IntoResponse as _, Response},
};
use http::request::Parts;
use url::form_urlencoded;

use crate::{
    Web,
    caller::Visitor,
    pages::ClientsPage,
    problem::{refuse, url},
    served::Served,
};

pub(crate) async fn show(
    State(web): State<Web>,
    Visitor { who, .. }: Visitor,
    RawQuery(query): RawQuery,
    parts: Parts,
) -> Response {
    let served: Vec<&Served> = web.served.iter().filter(|one| one.access.permits(&who)).collect();
    let query = query.unwrap_or_default();
    let asked = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "server");
    let shown = match asked {
        None => None,
        Some((_, name)) => match served.iter().find(|one| one.name.as_str() == name) {
            Some(one) => Some(*one),
            None => return refuse(&parts, Kind::NoSuchUpstream),
        },
    };
    let signs_in = web.identity.authorization_server().is_some();
    ClientsPage::new(web.greeted(&who), &url(&parts, ""), &served, shown, signs_in).into_response()
}

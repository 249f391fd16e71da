//! `/connect/{server}`: who is asked to let what happen, where. Nothing happens before they agree
//! (EL-7).

use std::time::Duration;

use askama::Template;
use attache_broker::{Offer, Status};
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};
use url::Url;

use super::{Person, initial};
use crate::{assets, headers};

#[derive(Debug, Template)]
#[template(path = "connect.html")]
pub struct ConnectPage {
    person: Option<Person>,
    who: Person,
    server: String,
    initial: char,
    verb: &'static str,
    lead: &'static str,
    provider_host: String,
    granted: Vec<String>,
    asked: Vec<Scope>,
    account: Option<String>,
    lengths: Vec<Length>,
    is_open_ended: bool,
    policy: HeaderValue,
}

impl ConnectPage {
    pub fn new(who: Person, offer: Offer) -> Self {
        let (verb, lead) = match offer.status {
            Status::NotConnected => {
                ("Connect", "This gateway will use it for you, with your own account.")
            }
            Status::Connected if !offer.wanted.is_empty() => (
                "Reconnect",
                "Something you asked of it needs more permissions than you gave. Everything else \
                 goes on working, whether you approve them or not.",
            ),
            Status::Connected => (
                "Reconnect",
                "You are connected already. Go on only to use another account or to approve again.",
            ),
            Status::Expired | Status::NeedsReconnect => {
                ("Reconnect", "Your connection has ended. Approve it again to go on.")
            }
            Status::Unavailable => (
                "Reconnect",
                "Your connection cannot be used just now. Approving it again replaces it.",
            ),
        };
        let endpoint = &offer.authorization_endpoint;
        let scope = |name: String| Scope { is_new: offer.wanted.contains(&name), name };
        Self {
            person: Some(who.clone()),
            who,
            initial: initial(offer.server.upstream.as_str()),
            server: offer.server.to_string(),
            verb,
            lead,
            provider_host: host(endpoint),
            policy: if endpoint.scheme() == "http" {
                headers::LEAVING_LOOPBACK
            } else {
                headers::LEAVING
            },
            granted: offer.granted,
            asked: offer.scopes.into_iter().map(scope).collect(),
            account: offer.account.map(|account| account.label().to_owned()),
            lengths: offer.lengths.into_iter().map(Length::from).collect(),
            is_open_ended: offer.is_open_ended,
        }
    }
}

/// How long the connection may last.
#[derive(Debug)]
struct Length {
    seconds: u64,
    /// `8 hours`
    phrase: String,
}

impl From<Duration> for Length {
    fn from(length: Duration) -> Self {
        const UNITS: [(u64, &str); 3] = [(86_400, "day"), (3_600, "hour"), (60, "minute")];
        let seconds = length.as_secs();
        let unit = UNITS.into_iter().find(|(unit, _)| seconds.is_multiple_of(*unit));
        let (unit, name) = unit.unwrap_or((1, "second"));
        let (count, plural) = (seconds / unit, if seconds == unit { "" } else { "s" });
        Self { seconds, phrase: format!("{count} {name}{plural}") }
    }
}

#[derive(Debug)]
struct Scope {
    name: String,
    /// The upstream wants it beyond what the person gave.
    is_new: bool,
}

impl IntoResponse for ConnectPage {
    fn into_response(self) -> Response {
        let mut response = super::html(&self);
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, self.policy);
        response
    }
}

/// As the browser's address bar will show it: with the port, when it is an unusual one.
pub(super) fn host(endpoint: &Url) -> String {
    let host = endpoint.host_str().unwrap_or_default();
    endpoint.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

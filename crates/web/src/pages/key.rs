//! `/connect/{server}` where people enter a key of their own.

use askama::Template;
use attache_broker::{KeyKind, KeyOffer, Status, api_key::LONGEST_KEY};
use attache_core::{
    audit::Reason,
    explain::{Explanation, explain},
};
use axum::response::{IntoResponse, Response};

use super::{Person, initial};
use crate::{assets, problem::status_of};

#[derive(Clone, Debug, Template)]
#[template(path = "key.html")]
pub struct KeyPage {
    person: Option<Person>,
    who: Person,
    server: String,
    initial: char,
    verb: &'static str,
    lead: &'static str,
    is_pair: bool,
    longest: usize,
    refused: Option<Explanation>,
    reason: Option<Reason>,
}

impl KeyPage {
    pub fn new(who: Person, offer: &KeyOffer) -> Self {
        let (verb, lead) = match offer.status {
            Status::NotConnected => {
                ("Connect", "This gateway will use your own key there, for your requests alone.")
            }
            Status::Connected => {
                ("Replace", "A key of yours is stored. Another one takes its place.")
            }
            Status::Expired | Status::NeedsReconnect | Status::Unavailable => {
                ("Replace", "The key that is stored does not work. Another one takes its place.")
            }
        };
        Self {
            person: Some(who.clone()),
            who,
            initial: initial(offer.server.upstream.as_str()),
            server: offer.server.to_string(),
            verb,
            lead,
            is_pair: offer.kind == KeyKind::Basic,
            longest: LONGEST_KEY,
            refused: None,
            reason: None,
        }
    }

    /// The same page again, with why nothing was stored.
    #[must_use]
    pub fn refused(self, reason: Reason) -> Self {
        Self { refused: Some(explain(reason)), reason: Some(reason), ..self }
    }
}

impl IntoResponse for KeyPage {
    fn into_response(self) -> Response {
        let mut response = super::html(&self);
        if let Some(reason) = self.reason {
            *response.status_mut() = status_of(reason);
        }
        response
    }
}

//! `/connect/{server}/account`: which of two accounts stays connected (OC-23).

use askama::Template;
use attache_broker::Replacement;
use attache_core::Account;
use axum::response::{IntoResponse, Response};

use super::Person;
use crate::assets;

#[derive(Debug, Template)]
#[template(path = "account.html")]
pub struct AccountPage {
    person: Option<Person>,
    server: String,
    attempt: i64,
    connected: String,
    approved: String,
}

impl AccountPage {
    pub fn new(who: Person, asked: &Replacement) -> Self {
        let Replacement { server, attempt, connected, approved } = asked;
        let alike = connected.label() == approved.label();
        Self {
            person: Some(who),
            server: server.to_string(),
            attempt: attempt.0,
            connected: name(connected, alike),
            approved: name(approved, alike),
        }
    }
}

impl IntoResponse for AccountPage {
    fn into_response(self) -> Response {
        super::html(&self)
    }
}

/// With the id, where two have the same name.
fn name(account: &Account, alike: bool) -> String {
    match account.id() {
        Some(id) if alike => format!("{} ({id})", account.label()),
        _ => account.label().to_owned(),
    }
}

//! `/ui/sessions`: where I am signed in.

use askama::Template;
use attache_core::{Timestamp, principal::SessionDigest, store::Session};
use axum::response::{IntoResponse, Response};

use super::Person;
use crate::{assets, moment::Moment};

#[derive(Debug, Template)]
#[template(path = "sessions.html")]
pub struct SessionsPage {
    person: Option<Person>,
    rows: Vec<Row>,
}

impl SessionsPage {
    /// `this` is the browser that looks.
    pub fn new(person: Person, sessions: &[Session], this: SessionDigest, now: Timestamp) -> Self {
        let row = |session: &Session| Row {
            id: session.digest.to_string(),
            is_this: session.digest == this,
            began: Moment::new(session.created_at, now),
            ends: Moment::new(session.expires_at, now),
        };
        Self { person: Some(person), rows: sessions.iter().map(row).collect() }
    }
}

impl IntoResponse for SessionsPage {
    fn into_response(self) -> Response {
        super::html(&self)
    }
}

#[derive(Debug)]
struct Row {
    id: String,
    is_this: bool,
    began: Moment,
    ends: Moment,
}

//! `/ui/admin/keys`: which key-encryption keys are needed.

use askama::Template;
use attache_broker::overview::{Key, KeyRole};
use axum::response::{IntoResponse, Response};

use super::counted;
use crate::{
    assets,
    pages::{Person, Tone},
};

#[derive(Debug, Template)]
#[template(path = "admin/keys.html")]
pub struct KeysPage {
    person: Option<Person>,
    rows: Vec<Row>,
    /// Something is wrapped by another key than the active one.
    to_rotate: bool,
}

#[derive(Debug)]
struct Row {
    name: String,
    tone: Tone,
    status: &'static str,
    wraps: String,
    next: &'static str,
}

impl KeysPage {
    pub fn new(person: Person, keys: &[Key]) -> Self {
        let rows: Vec<Row> = keys.iter().map(Row::new).collect();
        let to_rotate = keys.iter().any(|key| key.role != KeyRole::Active && wraps(key) > 0);
        Self { person: Some(person), rows, to_rotate }
    }
}

impl IntoResponse for KeysPage {
    fn into_response(self) -> Response {
        crate::pages::html(&self)
    }
}

fn wraps(key: &Key) -> u64 {
    key.data_keys.saturating_add(key.audit_writers).saturating_add(key.service_keys)
}

impl Row {
    fn new(key: &Key) -> Self {
        let (tone, status, next) = match (key.role, wraps(key)) {
            (KeyRole::Active, _) => (Tone::Good, "Active", "Everything new is wrapped by it."),
            (KeyRole::Retired, 0) => {
                (Tone::Idle, "Retired", "Nothing needs it: take it out of keys.retired.")
            }
            (KeyRole::Retired, _) => {
                (Tone::Warn, "Retired", "Still needed, until attache keys rotate has run.")
            }
            (KeyRole::Missing, _) => (
                Tone::Bad,
                "Missing",
                "What it wraps does not open: put it into keys.retired, then run attache keys rotate.",
            ),
        };
        let wraps = format!(
            "Wraps the keys of {}, {} of the audit and {} of the gateway",
            counted(key.data_keys, "person", "people"),
            counted(key.audit_writers, "writer", "writers"),
            counted(key.service_keys, "key", "keys"),
        );
        Self { name: key.name.clone(), tone, status, wraps, next }
    }
}

//! `/ui/admin/people/{id}`: one person, and what can be done about them.

use askama::Template;
use attache_broker::{connections::Revocation, offboarding::Receipt};
use attache_core::{
    Slot, Timestamp, UserId,
    audit::Reason,
    explain::{Explanation, explain},
    store,
};
use axum::response::{IntoResponse, Response};

use super::people::name;
use crate::{assets, moment::Moment, pages::Person};

#[derive(Debug, Template)]
#[template(path = "admin/person.html")]
pub struct PersonPage {
    person: Option<Person>,
    id: UserId,
    name: String,
    email: Option<String>,
    subject: String,
    issuer: String,
    groups: Vec<String>,
    disabled: bool,
    since: Moment,
    seen: Moment,
}

impl PersonPage {
    /// About `whom`, for `person`.
    pub fn new(person: Person, whom: &store::Person, now: Timestamp) -> Self {
        Self {
            person: Some(person),
            id: whom.id.clone(),
            name: name(whom).to_owned(),
            email: whom.profile.email.clone(),
            subject: whom.subject.clone(),
            issuer: whom.issuer.to_string(),
            groups: whom.profile.groups.clone(),
            disabled: whom.disabled,
            since: Moment::new(whom.created_at, now),
            seen: Moment::new(whom.vouched_for_at(), now),
        }
    }
}

impl IntoResponse for PersonPage {
    fn into_response(self) -> Response {
        crate::pages::html(&self)
    }
}

/// Somebody is erased: what their providers were told.
#[derive(Debug, Template)]
#[template(path = "admin/offboarded.html")]
pub struct OffboardedPage {
    person: Option<Person>,
    name: String,
    rows: Vec<Row>,
    /// Whether somebody has to end something at a provider.
    is_untold: bool,
}

#[derive(Debug)]
struct Row {
    server: String,
    /// Why it was not revoked.
    untold: Option<(Reason, Explanation)>,
}

impl OffboardedPage {
    pub fn new(person: Person, whom: &store::Person, receipts: &[Receipt]) -> Self {
        let row = |receipt: &Receipt| {
            let reason = match receipt.revocation {
                Some(Revocation::Revoked) => None,
                Some(Revocation::Failed(reason)) => Some(reason),
                None => Some(Reason::RevocationUnsupported),
            };
            Row {
                server: server(&receipt.slot),
                untold: reason.map(|reason| (reason, explain(reason))),
            }
        };
        let rows: Vec<Row> = receipts.iter().map(row).collect();
        let is_untold = rows
            .iter()
            .filter_map(|row| row.untold)
            .any(|(reason, _)| reason != Reason::RevocationUnsupported);
        Self { person: Some(person), name: name(whom).to_owned(), rows, is_untold }
    }
}

impl IntoResponse for OffboardedPage {
    fn into_response(self) -> Response {
        crate::pages::html(&self)
    }
}

fn server(slot: &Slot) -> String {
    match slot {
        Slot::Upstream(name) | Slot::Undecided(name, _) => name.to_string(),
        Slot::SubjectToken(issuer) => issuer.to_string(),
    }
}

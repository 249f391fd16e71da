//! `/ui/activity`: what was done in a person's name.

use askama::Template;
use attache_core::{
    ConnectionName, Timestamp,
    audit::{Action, AuditEvent, Outcome, Reason, trail::Listed},
    explain::{Explanation, explain},
};
use axum::response::{IntoResponse, Response};

use super::{Mark, Person, told};
use crate::{assets, moment::Moment, place::Place};

#[derive(Debug, Template)]
#[template(path = "activity.html")]
pub struct ActivityPage {
    person: Option<Person>,
    rows: Vec<Row>,
    /// Whether something newer is on another page.
    is_continued: bool,
    older: Option<Place>,
}

impl ActivityPage {
    pub fn new(
        person: Person,
        listed: &[Listed],
        from: Option<Place>,
        older: Option<Place>,
        now: Timestamp,
    ) -> Self {
        let alike = listed.chunk_by(|one, other| is_alike(&one.event, &other.event));
        Self {
            person: Some(person),
            rows: alike.filter_map(|events| Row::new(events, now)).collect(),
            is_continued: from.is_some(),
            older,
        }
    }
}

impl IntoResponse for ActivityPage {
    fn into_response(self) -> Response {
        super::html(&self)
    }
}

/// What is one line, said with how often.
fn is_alike(one: &AuditEvent, other: &AuditEvent) -> bool {
    let facts = |event: &AuditEvent| (event.server.clone(), event.action, event.outcome);
    facts(one) == facts(other)
}

#[derive(Debug)]
struct Row {
    what: String,
    server: Option<ConnectionName>,
    mark: Option<Mark>,
    why: Option<Explanation>,
    at: Moment,
}

impl Row {
    fn new(alike: &[Listed], now: Timestamp) -> Option<Self> {
        let event = &alike.first()?.event;
        let (what, mark) = told(event);
        let what = match (alike.len(), event.action) {
            (1, _) => what.to_owned(),
            (times, Action::Inject) => format!("Used for {times} requests"),
            (times, _) => format!("{what}, {times} times"),
        };
        let why = match event.outcome {
            Outcome::Success | Outcome::Failure(Reason::AccessDenied) => None,
            Outcome::Failure(reason) => Some(explain(reason)),
        };
        let at = Moment::new(event.at, now);
        Some(Self { what, server: event.server.clone(), mark, why, at })
    }
}

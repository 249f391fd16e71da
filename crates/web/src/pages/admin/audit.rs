//! `/ui/admin/audit`: what was done by whom.

use askama::Template;
use attache_core::{
    ConnectionName, Timestamp, UserId,
    audit::{Action, Outcome, Reason, trail::Listed},
    explain::deed,
};
use axum::response::{IntoResponse, Response};

use crate::{
    assets,
    audit_query::{AuditQuery, Span},
    moment::Moment,
    pages::{Mark, Person, told},
    place::Place,
};

#[derive(Debug, Template)]
#[template(path = "admin/audit.html")]
pub struct AuditPage {
    person: Option<Person>,
    user: String,
    server: String,
    actions: Vec<Choice>,
    spans: Vec<Choice>,
    rows: Vec<Row>,
    older: Option<String>,
    export: String,
}

#[derive(Debug)]
struct Choice {
    word: &'static str,
    label: &'static str,
    chosen: bool,
}

#[derive(Debug)]
struct Row {
    what: &'static str,
    server: Option<ConnectionName>,
    user: Option<UserId>,
    mark: Option<Mark>,
    failed: Option<Reason>,
    count: Option<u64>,
    at: Moment,
}

impl AuditPage {
    pub fn new(
        person: Person,
        query: &AuditQuery,
        listed: &[Listed],
        older: Option<Place>,
        now: Timestamp,
    ) -> Self {
        let action = |action: &Action| Choice {
            word: action.as_str(),
            label: deed(*action),
            chosen: query.action == Some(*action),
        };
        let span = |span: Span| Choice {
            word: span.as_str(),
            label: span.label(),
            chosen: query.span == span,
        };
        Self {
            person: Some(person),
            user: query.user.as_ref().map(ToString::to_string).unwrap_or_default(),
            server: query.server.as_ref().map(ToString::to_string).unwrap_or_default(),
            actions: Action::ALL.iter().map(action).collect(),
            spans: Span::ALL.into_iter().map(span).collect(),
            rows: listed.iter().map(|listed| Row::new(listed, now)).collect(),
            older: older.map(|place| query.address("/ui/admin/audit", Some(place))),
            export: query.address("/ui/admin/audit.jsonl", None),
        }
    }
}

impl IntoResponse for AuditPage {
    fn into_response(self) -> Response {
        crate::pages::html(&self)
    }
}

impl Row {
    fn new(listed: &Listed, now: Timestamp) -> Self {
        let event = &listed.event;
        let (what, mark) = told(event);
        Self {
            what,
            mark,
            server: event.server.clone(),
            user: event.user.clone(),
            failed: match event.outcome {
                Outcome::Success => None,
                Outcome::Failure(reason) => Some(reason),
            },
            count: event.count,
            at: Moment::new(event.at, now),
        }
    }
}

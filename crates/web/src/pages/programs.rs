//! `/ui/programs`: which programs I let in, and what each may use.

use askama::Template;
use attache_core::Timestamp;
use attache_identity::authorization_server::{LetIn, Opens, Vouched};
use axum::response::{IntoResponse, Response};

use super::Person;
use crate::{assets, moment::Moment};

#[derive(Debug, Template)]
#[template(path = "programs.html")]
pub struct ProgramsPage {
    person: Option<Person>,
    rows: Vec<Row>,
}

impl ProgramsPage {
    pub fn new(person: Person, programs: Vec<LetIn>, now: Timestamp) -> Self {
        let row = |program: LetIn| Row {
            id: program.grant.to_string(),
            client: program.client,
            vouched: program.vouched,
            opens: program.opens,
            since: Moment::new(program.since, now),
            used: Moment::new(program.renewed_at, now),
            ends: Moment::new(program.expires_at, now),
        };
        Self { person: Some(person), rows: programs.into_iter().map(row).collect() }
    }
}

impl IntoResponse for ProgramsPage {
    fn into_response(self) -> Response {
        super::html(&self)
    }
}

#[derive(Debug)]
struct Row {
    id: String,
    client: String,
    vouched: Vouched,
    opens: Opens,
    since: Moment,
    used: Moment,
    ends: Moment,
}

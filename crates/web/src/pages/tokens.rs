//! `/ui/tokens`: which programs have a token of mine, and a form for one more.

use askama::Template;
use attache_core::{Secret, Timestamp, UpstreamName, store::PersonalToken};
use axum::response::{IntoResponse, Response};

use super::{Person, Tone};
use crate::{assets, moment::Moment};

#[derive(Debug, Template)]
#[template(path = "tokens.html")]
pub struct TokensPage {
    person: Option<Person>,
    made: Option<Made>,
    rows: Vec<Row>,
    draft: Draft,
    servers: Vec<Choice>,
}

/// A token that was just made. Its value is shown this once.
#[derive(Debug)]
pub struct Made {
    pub name: String,
    pub value: Secret,
}

/// The form as it was filled in.
#[derive(Clone, Debug)]
pub struct Draft {
    pub name: String,
    pub servers: Vec<String>,
    pub everything: bool,
    pub acts: bool,
    pub days: u32,
    /// What to change in it.
    pub wrong: Option<&'static str>,
}

impl Default for Draft {
    fn default() -> Self {
        let (name, servers) = (String::new(), Vec::new());
        Self { name, servers, everything: false, acts: false, days: LIVES[1], wrong: None }
    }
}

/// Days that are offered.
const LIVES: [u32; 4] = [7, 30, 90, 365];

impl TokensPage {
    /// `servers` are those that this person may use.
    pub fn new(
        person: Person,
        tokens: &[PersonalToken],
        servers: Vec<UpstreamName>,
        draft: Draft,
        made: Option<Made>,
        now: Timestamp,
    ) -> Self {
        let chosen = |name: &UpstreamName| draft.servers.iter().any(|one| one == name.as_str());
        Self {
            person: Some(person),
            made,
            rows: tokens.iter().map(|token| Row::new(token, now)).collect(),
            servers: servers
                .into_iter()
                .map(|name| Choice { chosen: chosen(&name), name })
                .collect(),
            draft,
        }
    }

    fn lives(&self) -> Vec<u32> {
        let mut lives = LIVES.to_vec();
        if !lives.contains(&self.draft.days) {
            lives.push(self.draft.days);
            lives.sort_unstable();
        }
        lives
    }
}

impl IntoResponse for TokensPage {
    fn into_response(self) -> Response {
        super::html(&self)
    }
}

#[derive(Debug)]
struct Choice {
    name: UpstreamName,
    chosen: bool,
}

#[derive(Debug)]
struct Row {
    id: String,
    name: String,
    tone: Tone,
    status: &'static str,
    ends: Moment,
    used: Option<Moment>,
    /// Empty: everything.
    servers: Vec<String>,
}

impl Row {
    fn new(token: &PersonalToken, now: Timestamp) -> Self {
        let (tone, status) = match (token.expires_at > now, token.reach.is_read_only()) {
            (false, _) => (Tone::Idle, "Expired"),
            (true, true) => (Tone::Good, "Looks only"),
            (true, false) => (Tone::Good, "Looks and acts"),
        };
        let servers = token.reach.routes().into_iter().flatten();
        Self {
            id: token.id.to_string(),
            name: token.name.clone(),
            tone,
            status,
            ends: Moment::new(token.expires_at, now),
            used: token.last_used_at.map(|at| Moment::new(at, now)),
            servers: servers.map(ToString::to_string).collect(),
        }
    }

    fn ended(&self) -> bool {
        matches!(self.tone, Tone::Idle)
    }
}

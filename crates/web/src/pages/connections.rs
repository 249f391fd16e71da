//! `/ui/connections`: what is connected, as whom, and what to do about it.

use askama::Template;
use attache_broker::{Connection, Status};
use attache_core::{
    Timestamp, UpstreamName,
    audit::Reason,
    explain::{Explanation, explain},
};
use axum::response::{IntoResponse, Response};

use super::{Person, Tone, initial};
use crate::{
    assets,
    moment::Moment,
    result::{ConnectResult, Ending},
};

#[derive(Debug, Template)]
#[template(path = "connections.html")]
pub struct ConnectionsPage {
    person: Option<Person>,
    banner: Option<Banner>,
    rows: Vec<Row>,
}

impl ConnectionsPage {
    pub fn new(
        person: Person,
        connections: &[Connection],
        result: Option<&ConnectResult>,
        now: Timestamp,
    ) -> Self {
        Self {
            person: Some(person),
            banner: result.and_then(|result| Banner::new(result, connections)),
            rows: connections.iter().map(|connection| Row::new(connection, now)).collect(),
        }
    }
}

impl IntoResponse for ConnectionsPage {
    fn into_response(self) -> Response {
        super::html(&self)
    }
}

/// What just happened.
#[derive(Debug)]
struct Banner {
    tone: Tone,
    headline: String,
    explanation: Option<Explanation>,
}

impl Banner {
    /// `None` when the link says what is not so (EL-8).
    fn new(result: &ConnectResult, connections: &[Connection]) -> Option<Self> {
        let server = &result.server;
        let status = connections.iter().find(|one| one.server == *server)?.status;
        let (tone, headline, explanation) = match result.ending {
            Ending::Connected if status == Status::Connected => {
                (Tone::Good, format!("{server} is connected."), Some(GO_BACK))
            }
            Ending::Kept if status != Status::NotConnected => {
                (Tone::Good, format!("{server} stays connected as before."), None)
            }
            Ending::Disconnected(None) if status == Status::NotConnected => {
                (Tone::Good, format!("{server} is disconnected."), None)
            }
            Ending::Disconnected(Some(reason)) if status == Status::NotConnected => {
                (Tone::Warn, format!("{server} is disconnected here."), Some(not_told(reason)))
            }
            Ending::Failed(reason) => {
                let tone = if reason == Reason::AccessDenied { Tone::Idle } else { Tone::Bad };
                (tone, format!("Connecting {server} did not finish."), Some(explain(reason)))
            }
            Ending::Connected | Ending::Kept | Ending::Disconnected(_) => return None,
        };
        Some(Self { tone, headline, explanation })
    }
}

const GO_BACK: Explanation = Explanation {
    happened: "You can close this page and go back to what you were doing.",
    next: "",
};

/// Whatever kept a provider from being told, what the person can do is the same.
fn not_told(reason: Reason) -> Explanation {
    Explanation { next: explain(Reason::RevocationUnsupported).next, ..explain(reason) }
}

#[derive(Debug)]
struct Row {
    server: UpstreamName,
    tone: Tone,
    status: &'static str,
    note: String,
    account: Option<String>,
    moment: Option<Moment>,
    scopes: Vec<String>,
    connect: Option<Connect>,
    /// There is something to delete.
    removable: bool,
}

impl Row {
    fn new(connection: &Connection, now: Timestamp) -> Self {
        let until = connection.expires_at;
        let why = connection.reason.map(explain).map_or_else(String::new, |explanation| {
            format!("{} {}", explanation.happened, explanation.next)
        });
        let (tone, status, note, at) = match connection.status {
            Status::Connected => match until {
                Some(at) if at > now => (Tone::Good, "Connected", "Token expires".into(), until),
                Some(_) => {
                    (Tone::Good, "Connected", "Token is renewed on its next use.".into(), None)
                }
                None => (Tone::Good, "Connected", "Connected".into(), connection.updated_at),
            },
            Status::Expired => (Tone::Warn, "Expired", "Token expired".into(), until),
            Status::NotConnected => (
                Tone::Idle,
                "Not connected",
                "Connect it to use it with your account.".into(),
                None,
            ),
            Status::NeedsReconnect => (Tone::Bad, "Needs you", why, None),
            Status::Unavailable => (Tone::Warn, "Unavailable", why, None),
        };
        Self {
            server: connection.server.clone(),
            tone,
            status,
            note,
            account: connection.account.as_ref().map(|account| account.label().to_owned()),
            moment: at.map(|at| Moment::new(at, now)),
            scopes: connection.scopes.clone(),
            connect: Connect::offered(connection),
            removable: connection.updated_at.is_some(),
        }
    }

    fn initial(&self) -> char {
        initial(self.server.as_str())
    }
}

/// The way to the connect page.
#[derive(Clone, Copy, Debug)]
enum Connect {
    First,
    /// The person has to, or nothing works.
    Needed,
    Again,
}

impl Connect {
    fn offered(connection: &Connection) -> Option<Self> {
        if connection.mode != "oauth_connect" {
            return None;
        }
        match connection.status {
            Status::NotConnected => Some(Self::First),
            Status::Expired | Status::NeedsReconnect => Some(Self::Needed),
            Status::Connected => Some(Self::Again),
            // Consenting again mends only what is lost here, not what is down elsewhere.
            Status::Unavailable => {
                (connection.reason == Some(Reason::Unreadable)).then_some(Self::Again)
            }
        }
    }

    fn verb(self) -> &'static str {
        match self {
            Self::First => "Connect",
            Self::Needed | Self::Again => "Reconnect",
        }
    }

    fn class(self) -> &'static str {
        match self {
            Self::First => "plain",
            Self::Needed => "primary",
            Self::Again => "quiet",
        }
    }
}

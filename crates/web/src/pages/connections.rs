//! `/ui/connections`: what is connected, as whom, and what to do about it.

use askama::Template;
use attache_broker::{Condition, Connection, Status, connections::ACCOUNTS_PER_UPSTREAM};
use attache_core::{
    ConnectionName, Timestamp,
    audit::{Action, AuditEvent, Reason, trail::Listed},
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
            rows: rows(connections, now),
        }
    }

    /// The same, with when each was used last, as far as these events say.
    #[must_use]
    pub fn used(mut self, listed: &[Listed], now: Timestamp) -> Self {
        for row in &mut self.rows {
            let used = |event: &AuditEvent| {
                matches!(event.action, Action::Inject | Action::Vend)
                    && event.server.as_ref() == Some(&row.server)
            };
            let last = listed.iter().find(|listed| used(&listed.event));
            row.used = last.map(|last| Moment::new(last.event.at, now));
        }
        self
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
        connections.iter().find(|one| one.server.upstream == server.upstream)?;
        // A named account is listed only while there is something of it.
        let listed = connections.iter().find(|one| one.server == *server);
        let status = listed.map_or(Status::NotConnected, |one| one.status);
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
    server: ConnectionName,
    tone: Tone,
    status: &'static str,
    note: String,
    account: Option<String>,
    same_account_as: Option<ConnectionName>,
    moment: Option<Moment>,
    used: Option<Moment>,
    scopes: Vec<String>,
    wanted: Vec<String>,
    connect: Option<Connect>,
    /// There is something to delete.
    removable: bool,
    /// Another account of the same upstream may be added.
    extensible: bool,
}

/// Below the first account's row the others'.
fn rows(connections: &[Connection], now: Timestamp) -> Vec<Row> {
    let row = |connection: &Connection| {
        let is_first = connection.server.account.is_none();
        let of_it = connections.iter().filter(|one| {
            one.server.upstream == connection.server.upstream && one.updated_at.is_some()
        });
        let row = Row::new(connection, now);
        let extensible = is_first && (1..ACCOUNTS_PER_UPSTREAM).contains(&of_it.count());
        Row { extensible, ..row }
    };
    connections.iter().map(row).collect()
}

impl Row {
    fn new(connection: &Connection, now: Timestamp) -> Self {
        let (tone, status, note, at) = Self::say(connection, now);
        Self {
            server: connection.server.clone(),
            tone,
            status,
            note,
            account: connection.account.as_ref().map(|account| account.label().to_owned()),
            same_account_as: connection.same_account_as.clone(),
            moment: at.map(|at| Moment::new(at, now)),
            used: None,
            scopes: connection.scopes.clone(),
            wanted: connection.wanted_scopes.clone(),
            connect: Connect::offered(connection),
            removable: connection.updated_at.is_some(),
            extensible: false,
        }
    }

    /// The moment stands behind the note.
    fn say(
        connection: &Connection,
        now: Timestamp,
    ) -> (Tone, &'static str, String, Option<Timestamp>) {
        let until = connection.expires_at;
        if !is_connected_by_people(connection) {
            let note = "It is used with your sign-in: there is nothing to connect.";
            return (Tone::Good, "Ready", note.into(), None);
        }
        match (connection.status, connection.condition) {
            (Status::Connected, Some(Condition::ProviderUnavailable)) => {
                let what = "is not answering just now. There is nothing you have to do.";
                (Tone::Good, "Connected", still_good(connection, what), until)
            }
            (Status::Connected, Some(Condition::Misconfigured)) => {
                let what = "does not accept how this gateway asks. Tell whoever runs it.";
                (Tone::Warn, "Connected", still_good(connection, what), until)
            }
            (Status::Connected, Some(Condition::Expiring)) => {
                (Tone::Warn, "Expiring", ending(connection, now), connection.ends_at)
            }
            (Status::Connected, _) if !connection.wanted_scopes.is_empty() => {
                let note = "It works, but something you asked of it needs more permissions than \
                            you gave. Reconnect to give them.";
                (Tone::Warn, "Connected", note.into(), None)
            }
            (Status::Connected, _) => match until {
                Some(at) if at > now => (Tone::Good, "Connected", "Token expires".into(), until),
                Some(_) => {
                    (Tone::Good, "Connected", "Token is renewed on its next use.".into(), None)
                }
                None => (Tone::Good, "Connected", "Connected".into(), connection.updated_at),
            },
            (Status::Expired, _) => (Tone::Warn, "Expired", "Token expired".into(), until),
            (Status::NotConnected, _) => (
                Tone::Idle,
                "Not connected",
                "Connect it to use it with your account.".into(),
                None,
            ),
            (Status::NeedsReconnect, _) => (Tone::Bad, "Needs you", why(connection), None),
            (Status::Unavailable, Some(Condition::Misconfigured)) => {
                (Tone::Bad, "Not set up", why(connection), None)
            }
            (Status::Unavailable, _) => (Tone::Warn, "Unavailable", why(connection), None),
        }
    }

    fn initial(&self) -> char {
        initial(self.server.upstream.as_str())
    }
}

/// Where a sign-in is exchanged there is nothing to connect.
fn is_connected_by_people(connection: &Connection) -> bool {
    matches!(connection.mode, "oauth_connect" | "api_key")
}

/// What the provider does while the token it gave serves on.
fn still_good(connection: &Connection, what: &str) -> String {
    let provider = connection.provider.as_deref().unwrap_or("The provider");
    let until = connection.expires_at.map_or(".", |_| " and expires");
    format!("{provider} {what} Your token is still good{until}")
}

/// What the person can do before they have to.
fn ending(connection: &Connection, now: Timestamp) -> String {
    let provider = connection.provider.as_deref().unwrap_or("the provider");
    let ends = if connection.ends_at.is_some_and(|end| now < end) { "ends" } else { "ended" };
    format!("Reconnect to go on without a break: what you approved at {provider} {ends}")
}

/// What happened and what to do, with the provider's name where it is about the provider.
fn why(connection: &Connection) -> String {
    let Some(reason) = connection.reason else { return String::new() };
    let Explanation { happened, next } = explain(reason);
    let ours = matches!(
        reason,
        Reason::StoreUnavailable
            | Reason::KeysUnavailable
            | Reason::Unreadable
            | Reason::KeyMissing
    );
    match &connection.provider {
        Some(provider) if !ours => format!("{happened} {next} The provider is {provider}."),
        _ => format!("{happened} {next}"),
    }
}

/// The way to the connect page.
#[derive(Clone, Copy, Debug)]
enum Connect {
    First,
    /// The person has to, or not everything works, now or soon.
    Needed,
    Again,
}

impl Connect {
    fn offered(connection: &Connection) -> Option<Self> {
        if !is_connected_by_people(connection) {
            return None;
        }
        match connection.status {
            Status::NotConnected => Some(Self::First),
            Status::Expired | Status::NeedsReconnect => Some(Self::Needed),
            Status::Connected => {
                let ends = connection.condition == Some(Condition::Expiring);
                let lacks = !connection.wanted_scopes.is_empty();
                Some(if ends || lacks { Self::Needed } else { Self::Again })
            }
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

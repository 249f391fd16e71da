use attache_core::{
    RequestId, UserId,
    audit::{Action, AuditEvent, Method, Outcome, Reason},
    store::{AuditStore, Result},
};

use crate::db::{Db, Row, Statement, Unreadable, Value, values};

/// Of no writer: the broker's ledger writes entries, and `audit verify` names what came this way.
const APPEND: &str = "
    INSERT INTO audit_event (at, user_id, server, method, action, outcome, reason, request_id,
        count)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";

const LIST: &str = "
    SELECT id, at, user_id, server, method, action, outcome, reason, request_id, count
    FROM audit_event ORDER BY at DESC, id DESC LIMIT $1";

const LIST_OF_PERSON: &str = "
    SELECT id, at, user_id, server, method, action, outcome, reason, request_id, count
    FROM audit_event WHERE user_id = $2 ORDER BY at DESC, id DESC LIMIT $1";

#[async_trait::async_trait]
impl AuditStore for Db {
    async fn append(&self, batch: &[AuditEvent]) -> Result<()> {
        let servers: Vec<_> = batch.iter().map(server_text).collect();
        let events = batch.iter().zip(&servers);
        let rows: Vec<_> =
            events.map(|(event, server)| event_values(event, server.as_deref())).collect();
        let statements: Vec<_> =
            rows.iter().map(|values| Statement { sql: APPEND, values }).collect();
        self.execute_all(&statements).await
    }

    async fn list(&self, user: Option<&UserId>, limit: u32) -> Result<Vec<AuditEvent>> {
        let rows = match user {
            Some(user) => self.read(LIST_OF_PERSON, values![limit, user]).await?,
            None => self.read(LIST, values![limit]).await?,
        };
        rows.iter().map(listed).collect()
    }
}

pub(super) fn server_text(event: &AuditEvent) -> Option<String> {
    event.server.as_ref().map(ToString::to_string)
}

/// With the event's [`server_text`].
pub(super) fn event_values<'a>(event: &'a AuditEvent, server: Option<&'a str>) -> [Value<'a>; 9] {
    let AuditEvent { at, user, server: _, method, action, outcome, request_id, count } = event;
    let (outcome, reason) = outcome_words(*outcome);
    *values![
        *at,
        user.as_ref().map(UserId::as_str),
        server,
        method.map(Method::as_str),
        action.as_str(),
        outcome,
        reason,
        request_id.as_ref().map(RequestId::as_str),
        count.map(|count| i64::try_from(count).unwrap_or(i64::MAX)),
    ]
}

fn outcome_words(outcome: Outcome) -> (&'static str, Option<&'static str>) {
    match outcome {
        Outcome::Success => ("success", None),
        Outcome::Failure(reason) => ("failure", Some(reason.as_str())),
    }
}

fn listed(row: &Row) -> Result<AuditEvent> {
    let id = row.int("id").map_err(|unreadable| unreadable.of("audit_event", "?"))?;
    event(row).map_err(|unreadable| unreadable.of("audit_event", id))
}

pub(super) fn event(row: &Row) -> Result<AuditEvent, Unreadable> {
    let count = row.maybe_int("count")?.map(u64::try_from).transpose();
    Ok(AuditEvent {
        at: row.time("at")?,
        user: row.maybe_text("user_id")?.map(UserId::new),
        server: row.maybe_word("server", |name| name.parse().ok())?,
        method: row.maybe_word("method", Method::parse)?,
        action: row.word("action", Action::parse)?,
        outcome: outcome(row)?,
        request_id: row.maybe_text("request_id")?.map(RequestId::new),
        count: count.map_err(|_| Unreadable("count"))?,
    })
}

pub(super) fn outcome(row: &Row) -> Result<Outcome, Unreadable> {
    match (row.text("outcome")?.as_str(), row.maybe_word("reason", Reason::parse)?) {
        ("success", None) => Ok(Outcome::Success),
        ("failure", Some(reason)) => Ok(Outcome::Failure(reason)),
        _ => Err(Unreadable("outcome")),
    }
}

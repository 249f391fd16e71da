//! `attache audit`: the audit log of the store that the configuration names.

use attache_broker::audit::verify::{self, Chain, Place, Problem, Report};
use attache_config::Config;
use attache_core::{
    Clock as _, SystemClock, UserId,
    audit::{
        Method, Outcome,
        trail::{Filter, Listed, Position},
    },
};
use attache_net::tls::Trust;
use attache_store::Store;
use serde_json::{Value, json};

use super::configuration;
use crate::{
    Failure,
    cli::{Audit, AuditFilter},
    terminal::Terminal,
    wire::{self, location},
};

/// Entries in memory at once.
const PAGE: u32 = 1_000;

pub(crate) async fn run(command: &Audit, terminal: Terminal) -> Result<(), Failure> {
    match command {
        Audit::List { filter, limit } => list(filter, *limit, terminal).await,
        Audit::Export { filter } => export(filter, terminal).await,
        Audit::Verify { config } => {
            let (_, config) = configuration(config.as_deref(), terminal)?;
            verify(&config, terminal).await
        }
    }
}

async fn list(filter: &AuditFilter, limit: u32, terminal: Terminal) -> Result<(), Failure> {
    let (_, config) = configuration(filter.config.as_deref(), terminal)?;
    let store = open(&config).await?;
    let listed = store.trail().newest(&conditions(filter), limit).await.map_err(Failure::failed)?;
    let events: Vec<Value> = listed.iter().map(object).collect();
    terminal.data(&json!({ "events": events }), || table(&events));
    store.close().await;
    Ok(())
}

async fn export(filter: &AuditFilter, terminal: Terminal) -> Result<(), Failure> {
    let (_, config) = configuration(filter.config.as_deref(), terminal)?;
    let store = open(&config).await?;
    let (trail, filter) = (store.trail(), conditions(filter));
    let mut after = 0;
    loop {
        let page = trail.page(&filter, after, PAGE).await.map_err(Failure::failed)?;
        let Some(last) = page.last() else { break };
        after = last.id;
        for listed in &page {
            terminal.line(object(listed));
        }
    }
    store.close().await;
    Ok(())
}

async fn verify(config: &Config, terminal: Terminal) -> Result<(), Failure> {
    let trust = Trust::load(None).map_err(Failure::failed)?;
    let ring = wire::keys::wire(config, &trust).await.map_err(Failure::usage)?.ring;
    let store = open(config).await?;
    let report = verify::verify(&*store.trail(), &ring).await.map_err(Failure::failed)?;
    store.close().await;

    if terminal.is_machine() {
        terminal.data(&report_object(&report), Vec::new);
    } else {
        terminal.data(&Value::Null, || chains(&report.chains));
        for (problem, found) in &report.problems {
            terminal.error(format_args!(
                "{}: {} time(s), first at {}",
                explain(problem),
                found.count,
                place(found.first)
            ));
        }
        terminal.message(format_args!(
            "{} of {} entries, by {} writers, are proved to be what was written",
            report.proven,
            report.rows,
            report.chains.len()
        ));
    }
    if report.problems.is_empty() {
        return Ok(());
    }
    Err(Failure::Failed("this is not the log that was written".to_owned()))
}

async fn open(config: &Config) -> Result<Store, Failure> {
    Store::open_as_is(&location(&config.store)).await.map_err(Failure::usage)
}

fn conditions(filter: &AuditFilter) -> Filter {
    Filter {
        user: filter.user.as_deref().map(UserId::new),
        server: filter.server.clone(),
        action: filter.action,
        since: filter.since.map(|span| SystemClock.now().minus(span.0)),
        below: None,
    }
}

fn object(listed: &Listed) -> Value {
    let Listed { id: _, event, at, seal } = listed;
    let (outcome, reason) = match event.outcome {
        Outcome::Success => ("success", None),
        Outcome::Failure(reason) => ("failure", Some(reason.as_str())),
    };
    json!({
        "at": event.at,
        "user": event.user,
        "server": event.server,
        "method": event.method.map(Method::as_str),
        "action": event.action.as_str(),
        "outcome": outcome,
        "reason": reason,
        "request_id": event.request_id,
        "count": event.count,
        "writer": at.map(|at| at.writer.to_string()),
        "sequence": at.map(|at| at.sequence),
        "seal": seal.map(|seal| seal.to_string()),
    })
}

fn table(events: &[Value]) -> Vec<Vec<String>> {
    const COLUMNS: [&str; 7] =
        ["at", "user", "server", "action", "outcome", "reason", "request_id"];
    let cell = |event: &Value, column| match event.get(column) {
        Some(Value::String(text)) => text.clone(),
        _ => "-".to_owned(),
    };
    let row = |event| COLUMNS.iter().map(|column| cell(event, *column)).collect();
    let header = COLUMNS.iter().map(|column| column.to_uppercase()).collect();
    std::iter::once(header).chain(events.iter().map(row)).collect()
}

fn chains(chains: &[Chain]) -> Vec<Vec<String>> {
    let header = ["WRITER", "STARTED", "ENTRIES", "STATE"].map(str::to_owned).to_vec();
    let row = |chain: &Chain| {
        vec![
            chain.writer.to_string(),
            chain.started_at.to_string(),
            format!("{}-{}", chain.expired.saturating_add(1), chain.last),
            state(chain).to_owned(),
        ]
    };
    std::iter::once(header).chain(chains.iter().map(row)).collect()
}

fn state(chain: &Chain) -> &'static str {
    if chain.ended { "ended" } else { "running or killed" }
}

fn report_object(report: &Report) -> Value {
    let chains = report.chains.iter().map(|chain| {
        json!({
            "writer": chain.writer.to_string(),
            "started_at": chain.started_at,
            "first": chain.expired.saturating_add(1),
            "last": chain.last,
            "ended": chain.ended,
        })
    });
    let problems = report.problems.iter().map(|(problem, found)| {
        json!({
            "problem": word(problem),
            "detail": explain(problem),
            "count": found.count,
            "first": place(found.first),
        })
    });
    json!({
        "intact": report.problems.is_empty(),
        "rows": report.rows,
        "proven": report.proven,
        "writers": chains.collect::<Vec<_>>(),
        "problems": problems.collect::<Vec<_>>(),
    })
}

fn word(problem: &Problem) -> &'static str {
    match problem {
        Problem::Altered => "altered",
        Problem::Missing => "missing",
        Problem::Duplicate => "duplicate",
        Problem::Cut => "cut",
        Problem::Beheaded => "beheaded",
        Problem::Stray => "stray",
        Problem::WriterAltered => "writer_altered",
        Problem::UnknownKey(_) => "unknown_key",
    }
}

fn explain(problem: &Problem) -> String {
    let text = match problem {
        Problem::Altered => "an entry was changed, or was never written",
        Problem::Missing => "entries were removed",
        Problem::Duplicate => "two rows claim the same place",
        Problem::Cut => "the end of a chain was removed: another process saw this entry",
        Problem::Beheaded => "the beginning of a chain was removed, and not by retention",
        Problem::Stray => "a row is in no chain: it was not written by a gateway",
        Problem::WriterAltered => "a writer's key was changed: its entries prove nothing",
        Problem::UnknownKey(key) => {
            return format!("a key that is not configured ({key}): add it to keys.retired");
        }
    };
    text.to_owned()
}

fn place(place: Place) -> String {
    match place {
        Place::Entry(Position { writer, sequence }) => format!("entry {sequence} of {writer}"),
        Place::Row(id) => format!("row {id} of audit_event"),
        Place::Writer(writer) => format!("writer {writer}"),
    }
}

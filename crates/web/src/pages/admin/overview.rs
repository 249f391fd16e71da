//! `/ui/admin`: how things stand, and whose move it is.

use askama::Template;
use attache_broker::overview::{Day, Hour, Trouble, UpstreamDay};
use attache_core::{
    Timestamp,
    audit::Reason,
    explain::{Explanation, Turn, explain},
    store::Headcount,
};
use axum::response::{IntoResponse, Response};

use super::{counted, grouped};
use crate::{
    assets,
    moment::Moment,
    pages::{Person, Tone, initial},
};

/// Kinds of trouble that are shown of one upstream; the audit has the rest.
const TROUBLES: usize = 3;

#[derive(Debug, Template)]
#[template(path = "admin/overview.html")]
pub struct OverviewPage {
    person: Option<Person>,
    people: String,
    disabled: Option<String>,
    connected: String,
    to_reconnect: Option<String>,
    used: String,
    failed: String,
    chart: Chart,
    rows: Vec<Row>,
    is_whole: bool,
}

impl OverviewPage {
    pub fn new(person: Person, people: Headcount, day: &Day, now: Timestamp) -> Self {
        let sum =
            |of: fn(&UpstreamDay) -> u64| day.upstreams.iter().map(of).fold(0, u64::saturating_add);
        let hours = |of: fn(&Hour) -> u64| day.hours.iter().map(of).fold(0, u64::saturating_add);
        Self {
            person: Some(person),
            people: grouped(people.all),
            disabled: some(people.disabled),
            connected: grouped(sum(|upstream| upstream.connected)),
            to_reconnect: some(sum(|upstream| upstream.ended)),
            used: grouped(hours(|hour| hour.used)),
            failed: grouped(hours(|hour| hour.failed)),
            chart: Chart::new(&day.hours),
            rows: day.upstreams.iter().map(|upstream| Row::new(upstream, now)).collect(),
            is_whole: day.is_whole,
        }
    }
}

impl IntoResponse for OverviewPage {
    fn into_response(self) -> Response {
        crate::pages::html(&self)
    }
}

/// None is not worth a word.
fn some(number: u64) -> Option<String> {
    (number > 0).then(|| grouped(number))
}

/// A bar an hour, in a box of 240 by 60.
#[derive(Debug)]
struct Chart {
    bars: Vec<Bar>,
    most: String,
}

#[derive(Debug)]
struct Bar {
    x: u64,
    used: Piece,
    /// On top of it.
    failed: Piece,
}

#[derive(Debug)]
struct Piece {
    y: u64,
    height: u64,
}

const CHART_HEIGHT: u64 = 60;
const STEP: u64 = 10;

impl Chart {
    fn new(hours: &[Hour]) -> Self {
        let all = |hour: &Hour| hour.used.saturating_add(hour.failed);
        let most = hours.iter().map(all).max().unwrap_or_default();
        // What happened at all is at least a line.
        let height = |count: u64| match count {
            0 => 0,
            count => (count.saturating_mul(CHART_HEIGHT) / most.max(1)).max(1),
        };
        let bar = |(x, hour): (u64, &Hour)| {
            let (used, failed) = (height(hour.used), height(hour.failed));
            let top = CHART_HEIGHT.saturating_sub(used);
            let failed = failed.min(top);
            Bar {
                x: x.saturating_mul(STEP),
                used: Piece { y: top, height: used },
                failed: Piece { y: top.saturating_sub(failed), height: failed },
            }
        };
        Self { bars: (0..).zip(hours).map(bar).collect(), most: grouped(most) }
    }
}

#[derive(Debug)]
struct Row {
    name: String,
    initial: char,
    mode: &'static str,
    tone: Tone,
    status: &'static str,
    note: String,
    troubles: Vec<TroubleRow>,
}

#[derive(Debug)]
struct TroubleRow {
    explanation: Explanation,
    reason: Reason,
    times: String,
    last: Moment,
}

impl Row {
    fn new(upstream: &UpstreamDay, now: Timestamp) -> Self {
        let (tone, status) = match (upstream.turn, upstream.day.used) {
            (Some(Turn::Operator), _) => (Tone::Bad, "Needs you"),
            (Some(Turn::Nobody), _) => (Tone::Warn, "Not answering well"),
            (Some(Turn::Person) | None, 0) => (Tone::Idle, "Not used today"),
            (Some(Turn::Person) | None, _) => (Tone::Good, "Works"),
        };
        let trouble = |trouble: &Trouble| TroubleRow {
            explanation: explain(trouble.reason),
            reason: trouble.reason,
            times: counted(trouble.count, "time", "times"),
            last: Moment::new(trouble.last, now),
        };
        Self {
            name: upstream.name.to_string(),
            initial: initial(upstream.name.as_str()),
            mode: upstream.mode,
            tone,
            status,
            note: note(upstream),
            troubles: upstream.trouble.iter().take(TROUBLES).map(trouble).collect(),
        }
    }
}

fn note(upstream: &UpstreamDay) -> String {
    let mut note = format!("{} connected", grouped(upstream.connected));
    if upstream.ended > 0 {
        note = format!("{note}, {} to reconnect", grouped(upstream.ended));
    }
    format!("{note} · used {}", counted(upstream.day.used, "time", "times"))
}

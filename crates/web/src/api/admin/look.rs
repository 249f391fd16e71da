//! `/api/v1/admin/upstreams`, `/connections`, `/audit` and `/keys`: how things stand.

use attache_broker::overview::{Key, Trouble, UpstreamDay};
use attache_core::{
    ConnectionName, Timestamp, UpstreamName, UserId,
    audit::{Reason, trail::Listed},
    explain::Turn,
    problem::Kind,
    store::Held,
};
use axum::{
    Json,
    extract::{RawQuery, State},
    response::Response,
};
use http::request::Parts;
use serde::Serialize;

use crate::{
    Web,
    administrator::Administrator,
    api::activity::Event,
    audit_query::AuditQuery,
    place::Place,
    problem::{refuse, store_failed},
};

/// Entries of the audit in one answer, and on one page.
const ENTRIES: u32 = 100;
/// Entries in a download: about 4 MiB.
const EXPORTED: u32 = 10_000;

/// `GET /api/v1/admin/upstreams`: the last 24 hours.
pub(super) async fn upstreams(
    State(web): State<Web>,
    _: Administrator,
    parts: Parts,
) -> Result<Json<Upstreams>, Response> {
    let day = web.overview.day(web.clock.now()).await;
    let day = day.map_err(|error| store_failed(&parts, &error))?;
    let upstreams = day.upstreams.iter().map(Upstream::from).collect();
    Ok(Json(Upstreams { upstreams, is_whole: day.is_whole }))
}

/// `GET /api/v1/admin/connections`: how many there are, and nobody's.
pub(super) async fn connections(
    State(web): State<Web>,
    _: Administrator,
    parts: Parts,
) -> Result<Json<Connections>, Response> {
    let held = web.overview.credentials().await.map_err(|error| store_failed(&parts, &error))?;
    Ok(Json(Connections { connections: held.into_iter().map(Connection::from).collect() }))
}

/// `GET /api/v1/admin/audit?user=&server=&action=&since=24h&before=PLACE`: the newest first.
pub(super) async fn audit(
    State(web): State<Web>,
    _: Administrator,
    RawQuery(query): RawQuery,
    parts: Parts,
) -> Result<Json<Audit>, Response> {
    let query = query.unwrap_or_default();
    let asked = AuditQuery::parse(&query).ok_or_else(|| refuse(&parts, Kind::NotFound))?;
    let (listed, next) = audit_page(&web, &asked, Place::asked(Some(&query)), &parts).await?;
    let events = listed.into_iter().map(Entry::from).collect();
    Ok(Json(Audit { events, next: next.map(|place| place.to_string()) }))
}

/// `GET /api/v1/admin/keys`
pub(super) async fn keys(
    State(web): State<Web>,
    _: Administrator,
    parts: Parts,
) -> Result<Json<Keys>, Response> {
    let keys = web.overview.keys().await.map_err(|error| store_failed(&parts, &error))?;
    Ok(Json(Keys { keys: keys.into_iter().map(KeyState::from).collect() }))
}

/// The newest entries, and where there are more.
pub(crate) async fn audit_page(
    web: &Web,
    asked: &AuditQuery,
    from: Option<Place>,
    parts: &Parts,
) -> Result<(Vec<Listed>, Option<Place>), Response> {
    let filter = asked.filter(from, web.clock.now());
    let listed = web.overview.audit(&filter, ENTRIES.saturating_add(1)).await;
    let mut listed = listed.map_err(|error| store_failed(parts, &error))?;
    let more = Place::cut(&mut listed, usize::try_from(ENTRIES).unwrap_or(usize::MAX));
    Ok((listed, more))
}

/// The first entries, one JSON object a line, the oldest first.
pub(crate) async fn export(
    web: &Web,
    asked: &AuditQuery,
    parts: &Parts,
) -> Result<String, Response> {
    let filter = asked.filter(None, web.clock.now());
    let listed = web.overview.audit_from(&filter, 0, EXPORTED).await;
    let listed = listed.map_err(|error| store_failed(parts, &error))?;
    let line = |listed| serde_json::to_string(&Entry::from(listed)).map(|line| line + "\n");
    listed
        .into_iter()
        .map(line)
        .collect::<Result<_, _>>()
        .map_err(|_| refuse(parts, Kind::Internal))
}

#[derive(Debug, Serialize)]
pub(super) struct Upstreams {
    upstreams: Vec<Upstream>,
    /// Whether everything of these hours was counted.
    is_whole: bool,
}

#[derive(Debug, Serialize)]
struct Upstream {
    name: UpstreamName,
    mode: &'static str,
    connected: u64,
    needs_reconnect: u64,
    used: u64,
    failed: u64,
    /// `operator` or `nobody`, where it does not work; `null` where it does.
    whose_move: Option<&'static str>,
    trouble: Vec<Wrong>,
}

impl From<&UpstreamDay> for Upstream {
    fn from(upstream: &UpstreamDay) -> Self {
        Self {
            name: upstream.name.clone(),
            mode: upstream.mode,
            connected: upstream.connected,
            needs_reconnect: upstream.ended,
            used: upstream.day.used,
            failed: upstream.day.failed,
            whose_move: upstream.turn.map(|turn| match turn {
                Turn::Person => "person",
                Turn::Operator => "operator",
                Turn::Nobody => "nobody",
            }),
            trouble: upstream.trouble.iter().map(Wrong::from).collect(),
        }
    }
}

#[derive(Debug, Serialize)]
struct Wrong {
    reason: &'static str,
    count: u64,
    last_at: Timestamp,
}

impl From<&Trouble> for Wrong {
    fn from(trouble: &Trouble) -> Self {
        let Trouble { reason, count, last } = *trouble;
        Self { reason: reason.as_str(), count, last_at: last }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Connections {
    connections: Vec<Connection>,
}

#[derive(Debug, Serialize)]
struct Connection {
    server: ConnectionName,
    /// Why these need their people; `null`: they work.
    reason: Option<&'static str>,
    count: u64,
}

impl From<Held> for Connection {
    fn from(held: Held) -> Self {
        let Held { server, ended, count } = held;
        Self { server, reason: ended.map(Reason::as_str), count }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Audit {
    events: Vec<Entry>,
    /// `before` of the next page; `null` at the end.
    next: Option<String>,
}

/// The words of `attache audit list`.
#[derive(Debug, Serialize)]
struct Entry {
    user: Option<UserId>,
    #[serde(flatten)]
    event: Event,
    count: Option<u64>,
    writer: Option<String>,
    sequence: Option<i64>,
    seal: Option<String>,
}

impl From<Listed> for Entry {
    fn from(listed: Listed) -> Self {
        let Listed { id: _, event, at, seal } = listed;
        Self {
            user: event.user.clone(),
            count: event.count,
            event: event.into(),
            writer: at.map(|at| at.writer.to_string()),
            sequence: at.map(|at| at.sequence),
            seal: seal.map(|seal| seal.to_string()),
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Keys {
    keys: Vec<KeyState>,
}

/// The words of `attache keys status`.
#[derive(Debug, Serialize)]
struct KeyState {
    name: String,
    role: &'static str,
    data_keys: u64,
    audit_writers: u64,
    service_keys: u64,
}

impl From<Key> for KeyState {
    fn from(key: Key) -> Self {
        let Key { name, role, data_keys, audit_writers, service_keys } = key;
        Self { name, role: role.as_str(), data_keys, audit_writers, service_keys }
    }
}

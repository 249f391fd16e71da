//! The audit log with its chains. A writer's entries have a place each, and no place is taken
//! twice: whoever lost track of the end of a chain hears of it.

use std::sync::LazyLock;

use attache_core::{
    Timestamp, UserId,
    audit::{
        Action,
        trail::{
            AuditTrail, Entry, Filter, Head, Listed, Position, Row as TrailRow, Seal, Strays,
            Writer, WriterId,
        },
    },
    store::{KeyId, Result, WrappedKey},
};

use super::audit::{event, event_values, server_text};
use crate::db::{Db, Insert, Row, Statement, Unreadable, Value, values};

const INSERT_WRITER: &str = "
    INSERT INTO audit_writer (writer, started_at, wrapped_by, wrapped, expired_sequence,
        expired_seal)
    VALUES ($1, $2, $3, $4, $5, $6)";

const INSERT_COLUMNS: usize = 13;
static INSERT: LazyLock<Insert> = LazyLock::new(|| {
    let into = "INSERT INTO audit_event (at, user_id, server, method, action, outcome, reason, \
                request_id, count, writer, sequence, seen, seal)";
    Insert::new(into, INSERT_COLUMNS)
});

const DELETE_EXPIRED: &str = "DELETE FROM audit_event WHERE writer = $1 AND sequence <= $2";

const MOVE_START: &str = "
    UPDATE audit_writer SET expired_sequence = $2, expired_seal = $3
    WHERE writer = $1 AND expired_sequence < $2";

const DELETE_EMPTY_WRITER: &str = "
    DELETE FROM audit_writer
    WHERE writer = $1 AND NOT EXISTS (SELECT 1 FROM audit_event WHERE writer = $1)";

const HEAD: &str = "
    SELECT sequence, seal FROM audit_event
    WHERE writer = $1 AND sequence IS NOT NULL ORDER BY sequence DESC LIMIT 1";

const HEADS: &str = "
    SELECT writer, (SELECT MAX(sequence) FROM audit_event
        WHERE audit_event.writer = audit_writer.writer) AS sequence
    FROM audit_writer ORDER BY started_at DESC, writer LIMIT $1";

const WRITERS: &str = "
    SELECT writer, started_at, wrapped_by, wrapped, expired_sequence, expired_seal
    FROM audit_writer WHERE started_at < $1 AND writer > $2 ORDER BY writer LIMIT $3";

macro_rules! columns {
    () => {
        "id, at, user_id, server, method, action, outcome, reason, request_id, count, writer, \
         sequence, seen, seal"
    };
}

const ROWS: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM audit_event WHERE writer = $1 AND (sequence, id) > ($2, $3)
    ORDER BY sequence, id LIMIT $4"
);

const STRAYS: &str = "
    SELECT COUNT(*) AS count, MIN(id) AS first FROM audit_event
    WHERE NOT EXISTS (SELECT 1 FROM audit_writer
        WHERE audit_writer.writer = audit_event.writer
            AND audit_writer.expired_sequence < audit_event.sequence)";

const NEWEST: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM audit_event
    WHERE ($1 IS NULL OR user_id = $1)
        AND ($2 IS NULL OR server = $2 OR substr(server, 1, length($2) + 1) = $2 || '@')
        AND ($3 IS NULL OR action = $3) AND at >= $4 AND (at, id) < ($6, $7)
    ORDER BY at DESC, id DESC LIMIT $5"
);

/// Of one person, which the index knows without a look at everybody's.
const NEWEST_OF_PERSON: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM audit_event
    WHERE user_id = $1
        AND ($2 IS NULL OR server = $2 OR substr(server, 1, length($2) + 1) = $2 || '@')
        AND ($3 IS NULL OR action = $3) AND at >= $4 AND (at, id) < ($6, $7)
    ORDER BY at DESC, id DESC LIMIT $5"
);

const PAGE: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM audit_event
    WHERE ($1 IS NULL OR user_id = $1)
        AND ($2 IS NULL OR server = $2 OR substr(server, 1, length($2) + 1) = $2 || '@')
        AND ($3 IS NULL OR action = $3) AND at >= $4 AND id > $6
    ORDER BY id LIMIT $5"
);

#[async_trait::async_trait]
impl AuditTrail for Db {
    async fn begin(&self, writer: &Writer, entries: &[Entry]) -> Result<()> {
        let Writer { id, started_at, key, expired } = writer;
        let values =
            values![id, *started_at, &key.wrapped_by, &key.bytes, expired.sequence, &expired.seal];
        let registration = Statement { sql: INSERT_WRITER, values };
        self.insert(Some(registration), entries, &[]).await
    }

    async fn append(&self, entries: &[Entry]) -> Result<()> {
        self.insert(None, entries, &[]).await
    }

    async fn expire(&self, record: &[Entry], gone: &[(WriterId, Head)]) -> Result<()> {
        let values: Vec<_> = gone
            .iter()
            .map(|(writer, Head { sequence, seal })| *values![writer, *sequence, seal])
            .collect();
        let removals: Vec<_> = values
            .iter()
            .flat_map(|[writer, sequence, seal]| {
                [
                    (DELETE_EXPIRED, vec![*writer, *sequence]),
                    (MOVE_START, vec![*writer, *sequence, *seal]),
                    (DELETE_EMPTY_WRITER, vec![*writer]),
                ]
            })
            .collect();
        let removals: Vec<_> =
            removals.iter().map(|(sql, values)| Statement { sql, values }).collect();
        self.insert(None, record, &removals).await
    }

    async fn head(&self, writer: WriterId) -> Result<Head> {
        let row = self.read_one(HEAD, values![&writer]).await?;
        let Some(row) = &row else { return Ok(Head::START) };
        let read = || Ok(Head { sequence: row.int("sequence")?, seal: Seal(row.digest("seal")?) });
        read().map_err(|unreadable: Unreadable| unreadable.of("audit_event", writer))
    }

    async fn heads(&self, limit: u32) -> Result<Vec<Position>> {
        let rows = self.read(HEADS, values![limit]).await?;
        let positions = rows.iter().map(|row| {
            let read = || Ok((writer_id(row)?, row.maybe_int("sequence")?));
            read().map_err(|unreadable: Unreadable| unreadable.of("audit_writer", "?"))
        });
        let positions = positions.collect::<Result<Vec<_>>>()?.into_iter();
        Ok(positions
            .filter_map(|(writer, end)| end.map(|sequence| Position { writer, sequence }))
            .collect())
    }

    async fn writers(
        &self,
        started_before: Timestamp,
        after: WriterId,
        limit: u32,
    ) -> Result<Vec<Writer>> {
        let rows = self.read(WRITERS, values![started_before, &after, limit]).await?;
        rows.iter().map(writer).collect()
    }

    async fn rows(
        &self,
        writer: WriterId,
        (sequence, id): (i64, i64),
        limit: u32,
    ) -> Result<Vec<TrailRow>> {
        let rows = self.read(ROWS, values![&writer, sequence, id, limit]).await?;
        rows.iter()
            .map(|row| {
                let read = || {
                    let (id, sequence) = (row.int("id")?, row.int("sequence")?);
                    Ok(TrailRow { id, sequence, entry: entry(row, writer).ok() })
                };
                read().map_err(|unreadable: Unreadable| unreadable.of("audit_event", writer))
            })
            .collect()
    }

    async fn strays(&self) -> Result<Strays> {
        let row = self.read_one(STRAYS, &[]).await?;
        let Some(row) = &row else { return Ok(Strays::default()) };
        let read = || {
            let count = u64::try_from(row.int("count")?).map_err(|_| Unreadable("count"))?;
            Ok(Strays { count, first: row.maybe_int("first")? })
        };
        read().map_err(|unreadable: Unreadable| unreadable.of("audit_event", "?"))
    }

    async fn newest(&self, filter: &Filter, limit: u32) -> Result<Vec<Listed>> {
        let server = filter.server.as_ref().map(ToString::to_string);
        let [user, server, action, since] = conditions(filter, server.as_deref());
        let (at, id) = filter.below.unwrap_or((Timestamp(i64::MAX), i64::MAX));
        let values = [user, server, action, since, limit.into(), at.into(), id.into()];
        let sql = if filter.user.is_some() { NEWEST_OF_PERSON } else { NEWEST };
        self.read(sql, &values).await?.iter().map(listed).collect()
    }

    async fn page(&self, filter: &Filter, after: i64, limit: u32) -> Result<Vec<Listed>> {
        let server = filter.server.as_ref().map(ToString::to_string);
        let [user, server, action, since] = conditions(filter, server.as_deref());
        let values = [user, server, action, since, limit.into(), after.into()];
        self.read(PAGE, &values).await?.iter().map(listed).collect()
    }
}

impl Db {
    async fn insert(
        &self,
        before: Option<Statement<'_>>,
        entries: &[Entry],
        after: &[Statement<'_>],
    ) -> Result<()> {
        let made = |entry: &Entry| (server_text(&entry.event), seen_bytes(&entry.seen));
        let made: Vec<_> = entries.iter().map(made).collect();
        let rows: Vec<_> = entries
            .iter()
            .zip(&made)
            .flat_map(|(entry, (server, seen))| row_values(entry, server.as_deref(), seen))
            .collect();
        let inserts = INSERT.of(&rows, self);
        let after = after.iter().map(|Statement { sql, values }| Statement { sql, values });
        let batch: Vec<_> = before.into_iter().chain(inserts).chain(after).collect();
        self.execute_all(&batch).await
    }
}

fn row_values<'a>(
    entry: &'a Entry,
    server: Option<&'a str>,
    seen: &'a [u8],
) -> [Value<'a>; INSERT_COLUMNS] {
    let Entry { at: Position { writer, sequence }, event, seen: _, seal } = entry;
    let [at, user, server, method, action, outcome, reason, request_id, count] =
        event_values(event, server);
    let seen = Some(seen).filter(|seen| !seen.is_empty());
    let [writer, sequence, seen, seal] = *values![writer, *sequence, seen, seal];
    [
        at, user, server, method, action, outcome, reason, request_id, count, writer, sequence,
        seen, seal,
    ]
}

fn conditions<'a>(filter: &'a Filter, server: Option<&'a str>) -> [Value<'a>; 4] {
    let Filter { user, server: _, action, since, below: _ } = filter;
    *values![
        user.as_ref().map(UserId::as_str),
        server,
        action.map(Action::as_str),
        since.unwrap_or(Timestamp(i64::MIN)),
    ]
}

fn entry(row: &Row, writer: WriterId) -> Result<Entry, Unreadable> {
    Ok(Entry {
        at: Position { writer, sequence: row.int("sequence")? },
        event: event(row)?,
        seen: seen(row)?,
        seal: Seal(row.digest("seal")?),
    })
}

fn listed(row: &Row) -> Result<Listed> {
    let id = row.int("id").map_err(|unreadable| unreadable.of("audit_event", "?"))?;
    let read = || {
        let place = (row.maybe_bytes("writer")?, row.maybe_int("sequence")?);
        let (at, seal) = match (place, row.maybe_bytes("seal")?) {
            ((Some(_), Some(sequence)), Some(_)) => (
                Some(Position { writer: writer_id(row)?, sequence }),
                Some(Seal(row.digest("seal")?)),
            ),
            _ => (None, None),
        };
        Ok::<_, Unreadable>(Listed { id, event: event(row)?, at, seal })
    };
    read().map_err(|unreadable| unreadable.of("audit_event", id))
}

fn writer(row: &Row) -> Result<Writer> {
    let id = writer_id(row).map_err(|unreadable| unreadable.of("audit_writer", "?"))?;
    let read = || {
        Ok::<_, Unreadable>(Writer {
            id,
            started_at: row.time("started_at")?,
            key: WrappedKey {
                wrapped_by: KeyId(row.text("wrapped_by")?.into()),
                bytes: row.bytes("wrapped")?,
            },
            expired: Head {
                sequence: row.int("expired_sequence")?,
                seal: Seal(row.digest("expired_seal")?),
            },
        })
    };
    read().map_err(|unreadable| unreadable.of("audit_writer", id))
}

pub(super) fn writer_id(row: &Row) -> Result<WriterId, Unreadable> {
    row.bytes("writer")?.try_into().map(WriterId).map_err(|_| Unreadable("writer"))
}

fn seen_bytes(seen: &[Position]) -> Vec<u8> {
    seen.iter()
        .flat_map(|Position { writer, sequence }| {
            writer.0.into_iter().chain(sequence.to_be_bytes())
        })
        .collect()
}

fn seen(row: &Row) -> Result<Vec<Position>, Unreadable> {
    let Some(bytes) = row.maybe_bytes("seen")? else { return Ok(Vec::new()) };
    let (positions, rest) = bytes.as_chunks::<24>();
    if !rest.is_empty() || positions.is_empty() {
        return Err(Unreadable("seen"));
    }
    let position = |bytes: &[u8; 24]| {
        let (writer, sequence) = bytes.split_first_chunk::<16>()?;
        let sequence = i64::from_be_bytes(sequence.try_into().ok()?);
        Some(Position { writer: WriterId(*writer), sequence })
    };
    positions.iter().map(|bytes| position(bytes).ok_or(Unreadable("seen"))).collect()
}

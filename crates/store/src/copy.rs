//! A whole store from a `SQLite` file into an empty `PostgreSQL` database, row by row as it is.
//!
//! Tables, columns and their order are asked of the databases: a table that is added later is
//! copied, too. Sealed records stay sealed: no key is needed.

mod page;

use std::path::{Path, PathBuf};

use attache_core::Secret;
use sqlx::{
    AssertSqlSafe, Connection as _, PgConnection, Row as _, SqliteConnection,
    sqlite::SqliteLockingMode,
};

use self::page::{Column, Page};
use crate::{
    OpenError, migrate,
    open::{postgres::Door, sqlite},
};

/// Rows in memory at once, and in one statement.
const PAGE: usize = 500;

/// SHA-256, which this crate has not.
pub type Digest = fn(&[u8]) -> [u8; 32];

/// Rows, of all tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    pub all: u64,
    pub copied: u64,
    /// Read again from the destination.
    pub verified: u64,
}

/// A table that arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    pub table: String,
    pub rows: u64,
    /// The same on both sides, in whatever order rows are read.
    pub digest: [u8; 32],
}

/// Why nothing was copied. The source is as it was, and the destination has no row.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    #[error("the source: {0}")]
    Source(#[source] OpenError),
    #[error(
        "{} is in use, and what is written meanwhile would be left behind: stop the gateway first",
        .0.display()
    )]
    InUse(PathBuf),
    #[error("the destination: {0}")]
    Destination(#[source] OpenError),
    #[error(
        "the destination has rows already (table {0}): name an empty database; `createdb` makes one"
    )]
    NotEmpty(String),
    #[error("the databases do not have the same tables and columns: see {0}")]
    Shape(String),
    #[error("the source cannot be read: see what `attache store check` finds")]
    Read(#[source] sqlx::Error),
    #[error("the destination does not take it")]
    Write(#[source] sqlx::Error),
    #[error("what arrived in {0} is not what was sent")]
    Differs(String),
}

struct Table {
    name: String,
    columns: Vec<Column>,
}

/// Copies everything in one transaction and reads it again: all of it arrives or nothing. The
/// destination may have no tables yet. The source is locked meanwhile, and not written to.
pub async fn copy(
    from: &Path,
    to: &Secret,
    digest: Digest,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<Vec<Copied>, CopyError> {
    let mut source = lock(from).await?;
    let mut connection = connect(to).await.map_err(CopyError::Destination)?;
    let mut destination = connection.begin().await.map_err(CopyError::Write)?;

    let mut tables = Vec::new();
    for name in in_order(&mut source).await.map_err(CopyError::Read)? {
        tables.push(table(&mut source, &mut destination, name).await?);
    }
    let mut so_far = Progress::default();
    for table in &tables {
        prepare(&mut destination, &table.name).await?;
        so_far.all += count(&mut source, &table.name).await.map_err(CopyError::Read)?;
    }
    let mut copied = Vec::new();
    for table in &tables {
        let mut sent = |rows| {
            so_far.copied += rows;
            progress(so_far);
        };
        copied.push(send(&mut source, &mut destination, table, digest, &mut sent).await?);
        go_on_counting(&mut source, &mut destination, &table.name).await?;
    }
    for (table, sent) in tables.iter().zip(&copied) {
        let mut read = |rows| {
            so_far.verified += rows;
            progress(so_far);
        };
        let arrived = read_again(&mut destination, table, digest, &mut read).await;
        if arrived.map_err(CopyError::Write)? != *sent {
            return Err(CopyError::Differs(table.name.clone()));
        }
        run(&mut destination, format!("ALTER TABLE \"{}\" ENABLE TRIGGER USER", table.name))
            .await
            .map_err(CopyError::Write)?;
    }
    destination.commit().await.map_err(CopyError::Write)?;
    connection.close().await.map_err(CopyError::Write)?;
    source.close().await.map_err(CopyError::Read)?;
    Ok(copied)
}

/// Whoever has a `SQLite` file open in WAL mode shares a lock on it: an exclusive one proves that
/// nobody has, and keeps everybody out.
async fn lock(file: &Path) -> Result<SqliteConnection, CopyError> {
    if !file.exists() {
        return Err(CopyError::Source(OpenError::Missing(file.to_owned())));
    }
    let failed = |source| match OpenError::unusable(file, source) {
        OpenError::Unusable { fault: crate::Fault::Locked, .. } => {
            CopyError::InUse(file.to_owned())
        }
        other => CopyError::Source(other),
    };
    let options = sqlite::options().filename(file).locking_mode(SqliteLockingMode::Exclusive);
    let mut source = SqliteConnection::connect_with(&options).await.map_err(failed)?;
    for sql in ["BEGIN EXCLUSIVE", "PRAGMA query_only = ON"] {
        sqlx::query(sql).execute(&mut source).await.map_err(failed)?;
    }
    sqlite::compare(&mut source, file).await.map_err(CopyError::Source)?;
    Ok(source)
}

/// Brings tables into an empty database; refuses others than this version's.
async fn connect(url: &Secret) -> Result<PgConnection, OpenError> {
    let mut door = Door::open(url).await?;
    if door.has_tables().await? {
        migrate::compare(&mut door.connection, migrate::POSTGRES).await?;
    } else {
        door.migrate().await?;
    }
    Ok(door.connection)
}

/// Every table, after those that it refers to.
async fn in_order(source: &mut SqliteConnection) -> sqlx::Result<Vec<String>> {
    let named = sqlx::query(
        "SELECT name FROM sqlite_schema
         WHERE type = 'table' AND name NOT GLOB 'sqlite_*' AND name <> $1 ORDER BY name",
    );
    let found = named.bind(migrate::TABLE).fetch_all(&mut *source).await?;
    let mut waiting = Vec::new();
    for row in found {
        let name: String = row.try_get(0)?;
        let asked = sqlx::query(r#"SELECT "table" FROM pragma_foreign_key_list($1)"#).bind(&name);
        let mut parents = Vec::new();
        for row in asked.fetch_all(&mut *source).await? {
            parents.push(row.try_get::<String, _>(0)?);
        }
        waiting.push((name, parents));
    }
    let mut ordered = Vec::new();
    while !waiting.is_empty() {
        let placed = ordered.len();
        waiting.retain(|(name, parents)| {
            let ready = parents.iter().all(|parent| parent == name || ordered.contains(parent));
            if ready {
                ordered.push(name.clone());
            }
            !ready
        });
        if ordered.len() == placed {
            // A circle: PostgreSQL will say which reference is missing.
            ordered.extend(waiting.drain(..).map(|(name, _)| name));
        }
    }
    Ok(ordered)
}

/// What both databases say of a table.
async fn table(
    source: &mut SqliteConnection,
    destination: &mut PgConnection,
    name: String,
) -> Result<Table, CopyError> {
    let asked = sqlx::query(
        "SELECT column_name::text, data_type::text FROM information_schema.columns
         WHERE table_schema = current_schema() AND table_name = $1 ORDER BY column_name",
    );
    let rows = asked.bind(&name).fetch_all(destination).await.map_err(CopyError::Write)?;
    let shape = || CopyError::Shape(name.clone());
    let mut columns = Vec::new();
    for row in rows {
        let read = |index: usize| row.try_get::<String, _>(index).map_err(CopyError::Write);
        columns.push(Column::new(read(0)?, &read(1)?).ok_or_else(shape)?);
    }
    let asked = sqlx::query("SELECT name FROM pragma_table_info($1) ORDER BY name").bind(&name);
    let rows = asked.fetch_all(source).await.map_err(CopyError::Read)?;
    let same = rows.len() == columns.len()
        && rows
            .iter()
            .zip(&columns)
            .all(|(row, column)| row.try_get::<String, _>(0).is_ok_and(|name| name == column.name));
    if same { Ok(Table { name, columns }) } else { Err(shape()) }
}

/// Nobody else writes to the table until the end, nothing happens by itself when rows arrive, and
/// there are none yet.
async fn prepare(destination: &mut PgConnection, table: &str) -> Result<(), CopyError> {
    for sql in [
        format!("LOCK TABLE \"{table}\" IN ACCESS EXCLUSIVE MODE"),
        format!("ALTER TABLE \"{table}\" DISABLE TRIGGER USER"),
    ] {
        run(destination, sql).await.map_err(CopyError::Write)?;
    }
    match run(destination, format!("SELECT 1 FROM \"{table}\" LIMIT 1")).await {
        Ok(0) => Ok(()),
        Ok(_) => Err(CopyError::NotEmpty(table.to_owned())),
        Err(error) => Err(CopyError::Write(error)),
    }
}

async fn send(
    source: &mut SqliteConnection,
    destination: &mut PgConnection,
    table: &Table,
    digest: Digest,
    sent: &mut (dyn FnMut(u64) + Send),
) -> Result<Copied, CopyError> {
    let (select, insert) = (page::select(table, PAGE), page::insert(table));
    let mut copied = Copied { table: table.name.clone(), rows: 0, digest: [0; 32] };
    let mut after = i64::MIN;
    loop {
        let asked = sqlx::query(AssertSqlSafe(select.clone())).bind(after);
        let rows = asked.fetch_all(&mut *source).await.map_err(CopyError::Read)?;
        let Some(last) = rows.last() else { return Ok(copied) };
        after = last.try_get(table.columns.len()).map_err(CopyError::Read)?;
        let page = Page::read(&table.columns, &rows).map_err(CopyError::Read)?;
        copied.add(&page, digest);
        let statement = page.bind(sqlx::query(AssertSqlSafe(insert.clone())));
        statement.execute(&mut *destination).await.map_err(CopyError::Write)?;
        sent(page.rows() as u64);
    }
}

async fn read_again(
    destination: &mut PgConnection,
    table: &Table,
    digest: Digest,
    read: &mut (dyn FnMut(u64) + Send),
) -> sqlx::Result<Copied> {
    let [begin, fetch, end] = page::cursor(table, PAGE);
    run(destination, begin).await?;
    let mut copied = Copied { table: table.name.clone(), rows: 0, digest: [0; 32] };
    loop {
        let asked = sqlx::query(AssertSqlSafe(fetch.clone()));
        let rows = asked.fetch_all(&mut *destination).await?;
        if rows.is_empty() {
            run(destination, end).await?;
            return Ok(copied);
        }
        let page = Page::read(&table.columns, &rows)?;
        copied.add(&page, digest);
        read(page.rows() as u64);
    }
}

/// A number that the database gives is not given again, even when its row is gone.
async fn go_on_counting(
    source: &mut SqliteConnection,
    destination: &mut PgConnection,
    table: &str,
) -> Result<(), CopyError> {
    let counted = sqlx::query("SELECT seq FROM sqlite_sequence WHERE name = $1").bind(table);
    let counted = counted.fetch_optional(source).await.map_err(CopyError::Read)?;
    let Some(counted) = counted else { return Ok(()) };
    let last: i64 = counted.try_get(0).map_err(CopyError::Read)?;
    let set = sqlx::query(
        "SELECT setval(pg_get_serial_sequence($1, column_name), $2)
         FROM information_schema.columns
         WHERE table_schema = current_schema() AND table_name = $1 AND is_identity = 'YES'
             AND $2 > 0",
    );
    let set = set.bind(table).bind(last).execute(destination).await;
    set.map(drop).map_err(CopyError::Write)
}

async fn count(source: &mut SqliteConnection, table: &str) -> sqlx::Result<u64> {
    let sql = AssertSqlSafe(format!("SELECT count(*) FROM \"{table}\""));
    let count: i64 = sqlx::query(sql).fetch_one(source).await?.try_get(0)?;
    Ok(count.unsigned_abs())
}

/// How many rows a statement touched or found.
async fn run(connection: &mut PgConnection, sql: String) -> sqlx::Result<u64> {
    Ok(sqlx::query(AssertSqlSafe(sql)).execute(connection).await?.rows_affected())
}

impl Copied {
    fn add(&mut self, page: &Page, digest: Digest) {
        self.rows += page.rows() as u64;
        for row in page.encoded() {
            // Rows differ by their keys: none takes another out.
            for (sum, byte) in self.digest.iter_mut().zip(digest(&row)) {
                *sum ^= byte;
            }
        }
    }
}

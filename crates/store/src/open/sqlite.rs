//! `SQLite`: one file, made for its owner only, that survives the machine losing power.

use std::{
    fs::{File, OpenOptions, Permissions, TryLockError},
    io,
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use sqlx::{
    Row as _, SqliteConnection, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use super::OpenError;
use crate::{
    db::{Db, Embedded, Watched, sqlite::readers::Readers},
    migrate::{self, migrate},
};

/// How long to wait for a connection of ours, and for another process (a backup, a second gateway)
/// to let go of the file.
const PATIENCE: Duration = Duration::from_secs(5);

/// Reads and writes; nobody else does either.
pub(crate) const OWNER_ONLY: u32 = 0o600;

/// The first with the write-ahead log's reset fixed: before, a checkpoint could corrupt the file.
const OLDEST: (u32, u32, u32) = (3, 51, 3);

pub(crate) async fn open(file: &Path) -> Result<Db, OpenError> {
    let unopened = |source| OpenError::File { file: file.to_owned(), source };
    make_private(file).map_err(unopened)?;
    let lock = lock(file)?;

    let unusable = |source| OpenError::unusable(file, source);
    let options = options().filename(file).create_if_missing(false);
    let writing = options.clone().journal_mode(SqliteJournalMode::Wal);
    let writer = pool().connect_with(writing).await.map_err(unusable)?;
    if ask(&writer, "PRAGMA journal_mode").await.map_err(unusable)? != "wal" {
        return Err(OpenError::NoWriteAheadLog { file: file.to_owned() });
    }
    let version = ask(&writer, "SELECT sqlite_version()").await.map_err(unusable)?;
    if !is_recent(&version) {
        return Err(OpenError::OldSqlite(version));
    }
    let mut connection = writer.acquire().await.map_err(unusable)?;
    migrate(&mut *connection, migrate::SQLITE)
        .await
        .map_err(|error| OpenError::migrating(file, error))?;
    drop(connection);
    let readers = Some(Readers::open(options, PATIENCE).await.map_err(unusable)?);
    let file = Watched::new(file.to_owned(), Some(lock)).map_err(unopened)?;
    Ok(Db::Sqlite(Embedded { readers, writer, file }))
}

/// Beside a gateway, or alone.
pub(crate) async fn open_as_is(file: &Path) -> Result<Db, OpenError> {
    if !file.exists() {
        return Err(OpenError::Missing(file.to_owned()));
    }
    let unusable = |source| OpenError::unusable(file, source);
    let options = options().filename(file).create_if_missing(false);
    let writer = pool().connect_with(options.clone()).await.map_err(unusable)?;
    let mut connection = writer.acquire().await.map_err(unusable)?;
    compare(&mut connection, file).await?;
    drop(connection);
    let readers = Some(Readers::open(options, PATIENCE).await.map_err(unusable)?);
    let watched = Watched::new(file.to_owned(), None);
    let file = watched.map_err(|source| OpenError::File { file: file.to_owned(), source })?;
    Ok(Db::Sqlite(Embedded { readers, writer, file }))
}

/// One connection for everything: each would have a memory of its own.
pub(crate) async fn open_in_memory() -> Result<Db, OpenError> {
    let unusable = |source| OpenError::unusable(":memory:".as_ref(), source);
    let writer = pool().connect_with(options().in_memory(true)).await.map_err(unusable)?;
    let mut connection = writer.acquire().await.map_err(unusable)?;
    migrate(&mut *connection, migrate::SQLITE).await?;
    drop(connection);
    Ok(Db::Sqlite(Embedded { readers: None, writer, file: Watched::default() }))
}

/// Refuses tables that are not this version's.
pub(crate) async fn compare(
    connection: &mut SqliteConnection,
    file: &Path,
) -> Result<(), OpenError> {
    let asked = sqlx::query("SELECT 1 FROM sqlite_schema WHERE name = $1").bind(migrate::TABLE);
    let found = asked.fetch_optional(&mut *connection).await;
    if found.map_err(|source| OpenError::unusable(file, source))?.is_none() {
        return Err(OpenError::NoTables);
    }
    migrate::compare(connection, migrate::SQLITE).await
}

pub(crate) fn options() -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        // A rotated refresh token that is lost costs a person a reconnect: sync every commit.
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(PATIENCE)
        .foreign_keys(true)
        // What is deleted is overwritten: a data key that is gone must not be found in a free page.
        .pragma("secure_delete", "ON")
        // Pages of 4 KiB that wait in the log: one that is written again and again meanwhile, as those
        // of the audit's indexes are, goes to its place once.
        .pragma("wal_autocheckpoint", "4000")
}

/// One connection writes.
fn pool() -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .min_connections(1)
        .max_connections(1)
        .acquire_timeout(PATIENCE)
        // There is no cable that could be cut.
        .test_before_acquire(false)
        .idle_timeout(None)
        .max_lifetime(None)
}

async fn ask(pool: &SqlitePool, sql: &'static str) -> sqlx::Result<String> {
    sqlx::query(sql).fetch_one(pool).await?.try_get(0)
}

/// Held by the gateway that serves from the file, in a file beside it: closing any handle of the
/// database itself would drop SQLite's own locks.
fn lock(file: &Path) -> Result<File, OpenError> {
    let beside = {
        let mut name = file.as_os_str().to_owned();
        name.push("-serving");
        PathBuf::from(name)
    };
    let opened = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(OWNER_ONLY)
        .open(&beside)
        .map_err(|source| OpenError::File { file: beside.clone(), source })?;
    match opened.try_lock() {
        Ok(()) => Ok(opened),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse(file.to_owned())),
        Err(TryLockError::Error(source)) => Err(OpenError::File { file: beside, source }),
    }
}

/// `SQLite` gives its `-wal` and `-shm` files the mode of the database.
fn make_private(file: &Path) -> io::Result<()> {
    let opened = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(OWNER_ONLY)
        .open(file)?;
    if opened.metadata()?.permissions().mode() & 0o777 == OWNER_ONLY {
        return Ok(());
    }
    opened.set_permissions(Permissions::from_mode(OWNER_ONLY))
}

fn is_recent(version: &str) -> bool {
    let mut parts = version.split('.').map(|part| part.parse().ok());
    match (parts.next().flatten(), parts.next().flatten(), parts.next().flatten()) {
        (Some(major), Some(minor), Some(patch)) => (major, minor, patch) >= OLDEST,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::is_recent;

    #[test]
    fn old_sqlite_is_refused() {
        for (version, recent) in [
            ("3.51.2", false),
            ("3.9.9", false),
            ("3.51", false),
            ("", false),
            ("3.51.3", true),
            ("3.52.0", true),
            ("4.0.0", true),
        ] {
            assert_eq!(is_recent(version), recent, "{version}");
        }
    }
}

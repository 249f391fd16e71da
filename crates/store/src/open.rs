//! Connecting, and what to tell an operator when that fails.

pub(crate) mod postgres;
pub(crate) mod sqlite;

use std::{io, path::PathBuf};

use sqlx::migrate::MigrateError;

/// Why there is no store. All of these are the operator's move.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(
        "{} cannot be opened: its directory must exist, and this user must be allowed to write there",
        file.display()
    )]
    File { file: PathBuf, source: io::Error },
    #[error(
        "{} is not a SQLite database that this version can use: restore a backup, or name a new \
         file in store.url",
        file.display()
    )]
    Unusable { file: PathBuf, source: sqlx::Error },
    #[error(
        "{} is on a file system without write-ahead logging: put it on a local disk",
        file.display()
    )]
    NoWriteAheadLog { file: PathBuf },
    #[error("SQLite {0} can corrupt its write-ahead log: build with 3.51.3 or later")]
    OldSqlite(String),
    #[error("store.url is not a PostgreSQL URL: write postgres://user@host:port/database")]
    InvalidUrl,
    #[error(
        "PostgreSQL at {server} did not let us in: check that it runs, and user, password, \
         database and sslmode in store.url"
    )]
    Unreachable { server: String, source: sqlx::Error },
    #[error("PostgreSQL at {server} did not answer in time: check host, port and firewalls")]
    Timeout { server: String },
    #[error(
        "the tables were written by a newer version (migration {0} is not known here): run that \
         version, or restore a backup from before the upgrade"
    )]
    Newer(i64),
    #[error("the tables could not be brought up to date: nothing was changed by the failed step")]
    Migration(#[source] MigrateError),
}

impl From<MigrateError> for OpenError {
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::VersionMissing(version) => Self::Newer(version),
            other => Self::Migration(other),
        }
    }
}

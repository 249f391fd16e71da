//! Connecting, and what to tell an operator when that fails.

pub(crate) mod postgres;
pub(crate) mod sqlite;

use std::{
    io,
    path::{Path, PathBuf},
};

use sqlx::migrate::MigrateError;

use crate::fault::Fault;

/// Why there is no store. All of these are the operator's move.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(
        "{} cannot be opened: its directory must exist, its file system must not be read-only, \
         and this user must be allowed to write there",
        file.display()
    )]
    File { file: PathBuf, source: io::Error },
    #[error("there is no {}: is store.url right?", .0.display())]
    Missing(PathBuf),
    #[error("{}: {fault}", file.display())]
    Unusable { file: PathBuf, fault: Fault, source: sqlx::Error },
    #[error(
        "another gateway serves from {}: one at a time may; several share a PostgreSQL (`attache \
         store copy`)",
        .0.display()
    )]
    InUse(PathBuf),
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
        "PostgreSQL at {server} cannot be reached: check that it runs, and host, port and firewalls"
    )]
    Unreachable { server: String, source: sqlx::Error },
    #[error("PostgreSQL at {server} did not answer in time: check host, port and firewalls")]
    Timeout { server: String },
    #[error(
        "PostgreSQL at {server} only lets us read: it is a standby, or a primary that was demoted. \
         Name the primary in store.url"
    )]
    ReadOnly { server: String },
    #[error(
        "PostgreSQL at {server} does not speak TLS, and sslmode in store.url demands it: switch \
         ssl on there. Only where nobody can get between, write sslmode=disable"
    )]
    NoTls { server: String },
    #[error(
        "PostgreSQL at {server} shows a certificate of an authority that is not trusted: name the \
         file of its root certificate in sslrootcert in store.url"
    )]
    UnknownAuthority { server: String },
    #[error(
        "PostgreSQL at {server} shows a certificate for another name: write the name that it is \
         for as the host in store.url, or have one made for this name"
    )]
    WrongName { server: String },
    #[error(
        "PostgreSQL at {server} shows a certificate that is not valid at this time: renew it there, \
         or set this machine's clock"
    )]
    Expired { server: String },
    #[error(
        "PostgreSQL at {server} does not accept our client certificate: check sslcert and sslkey in \
         store.url against ssl_ca_file there"
    )]
    ClientCertificate { server: String },
    #[error("TLS with PostgreSQL at {server} failed: both sides must be able to speak 1.2 or 1.3")]
    TlsFailed { server: String },
    #[error(
        "the files in sslrootcert, sslcert and sslkey in store.url cannot be used: each must be \
         there, be PEM, and the key must be the certificate's"
    )]
    TlsFiles(#[source] sqlx::Error),
    #[error("PostgreSQL at {server} refuses the password: check user and password in store.url")]
    WrongPassword { server: String },
    #[error(
        "PostgreSQL at {server} does not admit us: its pg_hba.conf must have a line for the user \
         and database in store.url and for this machine. Where that line asks for a client \
         certificate, name it in sslcert and its key in sslkey"
    )]
    NotAdmitted { server: String },
    #[error(
        "PostgreSQL at {server} has no database of the name in store.url: create it, or correct the \
         name"
    )]
    NoDatabase { server: String },
    #[error(
        "the user in store.url may not create tables at PostgreSQL at {server}: make it the owner \
         of the database, or grant it CREATE on the schema"
    )]
    NoPrivilege { server: String },
    #[error(
        "the tables were written by a newer version (migration {0} is not known here): run that \
         version, or restore a backup from before the upgrade"
    )]
    Newer(i64),
    #[error(
        "the tables are of an older version (migration {missing} is missing): `attache serve` of \
         this version brings them up to date; until then use the version that serves"
    )]
    Older { missing: i64 },
    #[error("there are no tables yet: `attache serve` makes them")]
    NoTables,
    #[error(
        "migration {0} was applied with another text than this build's: the tables are of another \
         build of attache. Run that one, or restore a backup of this one's"
    )]
    Altered(i64),
    #[error("migration {0} was begun and never finished: restore a backup from before the upgrade")]
    HalfApplied(i64),
    #[error("the tables could not be brought up to date: nothing was changed by the failed step")]
    Migration(#[source] MigrateError),
}

impl OpenError {
    /// Whether waiting may help: the server is away, or is becoming the primary.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Timeout { .. } | Self::ReadOnly { .. })
    }

    pub(crate) fn unusable(file: &Path, source: sqlx::Error) -> Self {
        Self::Unusable { file: file.to_owned(), fault: Fault::of(&source), source }
    }

    /// A failed migration of a file, whose fault it may be.
    fn migrating(file: &Path, error: MigrateError) -> Self {
        match error {
            MigrateError::Execute(source) | MigrateError::ExecuteMigration(source, _)
                if Fault::of(&source) != Fault::Other =>
            {
                Self::unusable(file, source)
            }
            other => other.into(),
        }
    }
}

impl From<MigrateError> for OpenError {
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::VersionMissing(version) => Self::Newer(version),
            MigrateError::VersionMismatch(version) => Self::Altered(version),
            MigrateError::Dirty(version) => Self::HalfApplied(version),
            other => Self::Migration(other),
        }
    }
}

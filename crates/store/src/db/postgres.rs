//! `PostgreSQL` as operators have it: restarted, failed over, behind cables that break.

pub(crate) mod connections;

use std::{fmt, future::Future, io, time::Duration};

use attache_core::store::{Result, StoreError};
use sqlx::PgConnection;
use tokio::time::timeout;

use self::connections::{Connections, Taken};
use super::circuit::{Circuit, Pass};

/// For one statement. Longer than the server's own limit ([`STATEMENT_TIMEOUT`]), so that it ends
/// only what a dead network would hold for ever.
///
/// [`STATEMENT_TIMEOUT`]: connections::STATEMENT_TIMEOUT
const STATEMENT_LIMIT: Duration = Duration::from_secs(6);

/// For a transaction of many statements, each within [`STATEMENT_LIMIT`].
const TRANSACTION_LIMIT: Duration = Duration::from_secs(30);

/// A server and what is known of it.
pub(crate) struct Server {
    pub(crate) connections: Connections,
    pub(crate) circuit: Circuit,
}

/// A connection that is ours until its [`Held::end`]. Without that nobody knows in which state it
/// is, and it is closed.
pub(crate) struct Held<'s> {
    taken: Taken<'s>,
    pass: Pass<'s>,
}

impl Server {
    /// A connection to a server that, as far as anybody knows, is there and takes writes. At once
    /// an error while it is away.
    pub(crate) async fn hold(&self) -> Result<Held<'_>> {
        let pass = self.circuit.enter().ok_or_else(|| StoreError::Unavailable(IsAway.into()))?;
        match self.take(pass.is_try).await {
            Ok(taken) => {
                if let Some(away) = pass.succeeded() {
                    tracing::info!(?away, "the database is back");
                }
                Ok(Held { taken, pass })
            }
            Err(error) => {
                note(&pass, &error);
                Err(StoreError::Unavailable(Box::new(error)))
            }
        }
    }

    /// Whether it is there and takes writes.
    pub(crate) async fn ping(&self) -> Result<()> {
        let mut held = self.hold().await?;
        let answer = takes_writes(held.connection()).await;
        held.end(answer).map_err(|error| StoreError::Unavailable(Box::new(error)))
    }

    async fn take(&self, is_try: bool) -> sqlx::Result<Taken<'_>> {
        let mut taken = self.connections.take(&self.circuit).await?;
        if is_try {
            takes_writes(&mut taken.connection).await?;
        }
        Ok(taken)
    }
}

impl Held<'_> {
    pub(crate) fn connection(&mut self) -> &mut PgConnection {
        &mut self.taken.connection
    }

    /// Gives the connection back, or throws it away when its server failed.
    pub(crate) fn end<T>(self, answer: sqlx::Result<T>) -> sqlx::Result<T> {
        let failed = answer.as_ref().is_err_and(|error| note(&self.pass, error));
        if !failed {
            self.taken.keep();
        }
        answer
    }
}

/// A statement's answer, or an error after [`STATEMENT_LIMIT`].
pub(crate) async fn in_time<T>(answer: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
    within(STATEMENT_LIMIT, answer).await
}

/// What became of a transaction, or an error after [`TRANSACTION_LIMIT`].
pub(crate) async fn all_in_time<T>(
    answer: impl Future<Output = sqlx::Result<T>>,
) -> sqlx::Result<T> {
    within(TRANSACTION_LIMIT, answer).await
}

async fn within<T>(
    limit: Duration,
    answer: impl Future<Output = sqlx::Result<T>>,
) -> sqlx::Result<T> {
    let late = |_| Err(io::Error::from(io::ErrorKind::TimedOut).into());
    timeout(limit, answer).await.unwrap_or_else(late)
}

/// A primary that was demoted goes on answering, and so does a standby: what tells them apart is
/// that they only let us read.
pub(crate) async fn takes_writes(connection: &mut PgConnection) -> sqlx::Result<()> {
    let asked = sqlx::query_scalar::<_, String>("SHOW transaction_read_only");
    let only_reads = in_time(asked.fetch_one(connection)).await? == "on";
    if only_reads { Err(io::Error::other(OnlyReads).into()) } else { Ok(()) }
}

/// Tells the circuit what an error says of the server. False when that is nothing.
fn note(pass: &Pass<'_>, error: &sqlx::Error) -> bool {
    let Some(cause) = Cause::of(error) else { return false };
    if pass.failed() {
        tracing::error!(%cause, "the database is away; it is tried again every second");
    }
    true
}

fn is_read_only(error: &io::Error) -> bool {
    error.get_ref().and_then(|inner| inner.downcast_ref::<OnlyReads>()).is_some()
}

/// Why a server counts as away, in words of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    Unreachable,
    Silent,
    Starting,
    Full,
    ReadOnly,
    Refused,
}

impl Cause {
    /// `None` when the server did its part.
    pub(crate) fn of(error: &sqlx::Error) -> Option<Self> {
        match error {
            sqlx::Error::Io(error) if is_read_only(error) => Some(Self::ReadOnly),
            sqlx::Error::Io(error) if error.kind() == io::ErrorKind::TimedOut => Some(Self::Silent),
            sqlx::Error::Io(_) | sqlx::Error::Protocol(_) => Some(Self::Unreachable),
            sqlx::Error::Tls(_) | sqlx::Error::Configuration(_) => Some(Self::Refused),
            sqlx::Error::Database(error) => error.code().and_then(|code| Self::of_code(&code)),
            _ => None,
        }
    }

    /// From `PostgreSQL`'s appendix A.
    fn of_code(code: &str) -> Option<Self> {
        match code {
            "25006" => Some(Self::ReadOnly), // read_only_sql_transaction
            "53300" => Some(Self::Full),     // too_many_connections
            // admin_shutdown, crash_shutdown, cannot_connect_now
            "57P01" | "57P02" | "57P03" => Some(Self::Starting),
            "3D000" => Some(Self::Refused), // invalid_catalog_name
            _ if code.starts_with("28") => Some(Self::Refused), // invalid authorization
            _ if code.starts_with("08") => Some(Self::Unreachable), // connection exception
            _ => None,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unreachable => "it cannot be reached",
            Self::Silent => "it does not answer in time",
            Self::Starting => "it starts or stops",
            Self::Full => "it has no connection left for us",
            Self::ReadOnly => "it only lets us read: it is not the primary",
            Self::Refused => "it does not let us in any more",
        })
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the database went away and is not back yet")]
struct IsAway;

#[derive(Debug, thiserror::Error)]
#[error("the database only lets us read")]
struct OnlyReads;

//! Connections that are kept between uses.
//!
//! sqlx's pool asks a connection whether it lives before each use and after it: three round trips
//! for one, the last without a limit, so that a cable cut just then takes the connection's place
//! with it. Here whoever used a connection says whether it is good.

use std::{
    io,
    num::NonZeroU32,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use sqlx::{Connection as _, Executor as _, PgConnection, postgres::PgConnectOptions};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{timeout, timeout_at},
};

use crate::db::circuit::Circuit;

/// To wait for a place, reach the server and sign in.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Enforced by the server: for a statement, and for a transaction that stands still. Set after
/// connecting, because a pooler in between refuses options that it does not know.
pub(crate) const STATEMENT_TIMEOUT: &str =
    "SET statement_timeout = '5s'; SET idle_in_transaction_session_timeout = '5s'";

/// Before a connection is replaced, so that a changed DNS answer is noticed.
const LIFETIME: Duration = Duration::from_mins(30);

/// A connection that was used within this is not tested before it is used again.
const FRESH: Duration = Duration::from_secs(1);

/// To answer such a test.
const TEST_LIMIT: Duration = Duration::from_secs(1);

pub(crate) struct Connections {
    options: Box<PgConnectOptions>,
    bound: NonZeroU32,
    /// As many as are not used just now.
    places: Semaphore,
    /// The last used on top; at most `bound`.
    kept: Mutex<Vec<Kept>>,
}

struct Kept {
    connection: PgConnection,
    made: Instant,
    used: Instant,
}

/// A connection in use. Dropped, it is closed.
pub(crate) struct Taken<'c> {
    pub(crate) connection: PgConnection,
    made: Instant,
    from: &'c Connections,
    _place: SemaphorePermit<'c>,
}

impl Connections {
    /// None is made yet.
    pub(crate) fn new(options: PgConnectOptions, bound: NonZeroU32) -> Self {
        let places = usize::try_from(bound.get()).unwrap_or(Semaphore::MAX_PERMITS);
        Self {
            options: Box::new(options),
            bound,
            places: Semaphore::new(places),
            kept: Mutex::default(),
        }
    }

    pub(crate) fn options(&self) -> &PgConnectOptions {
        &self.options
    }

    /// One that answers, within [`CONNECT_TIMEOUT`]. That all places are taken for as long says
    /// nothing of the server.
    pub(crate) async fn take(&self, circuit: &Circuit) -> sqlx::Result<Taken<'_>> {
        let deadline = tokio::time::Instant::now() + CONNECT_TIMEOUT;
        let place = timeout_at(deadline, self.places.acquire())
            .await
            .map_err(|_| sqlx::Error::PoolTimedOut)?
            .map_err(|_| sqlx::Error::PoolClosed)?;
        let making = async {
            match self.fit(circuit).await {
                Some(Kept { connection, made, .. }) => sqlx::Result::Ok((connection, made)),
                None => Ok((self.connect().await?, Instant::now())),
            }
        };
        let late = |_| Err(sqlx::Error::Io(io::ErrorKind::TimedOut.into()));
        let (connection, made) = timeout_at(deadline, making).await.unwrap_or_else(late)?;
        Ok(Taken { connection, made, from: self, _place: place })
    }

    /// Waits for what is under way and closes everything.
    pub(crate) async fn close(&self) {
        drop(self.places.acquire_many(self.bound.get()).await);
        self.places.close();
        let kept = std::mem::take(&mut *self.kept());
        for kept in kept {
            drop(timeout(TEST_LIMIT, kept.connection.close()).await);
        }
    }

    async fn fit(&self, circuit: &Circuit) -> Option<Kept> {
        loop {
            let mut kept = self.kept().pop()?;
            let age = kept.made.elapsed();
            if age > LIFETIME || circuit.outdates(age) {
                continue;
            }
            if kept.used.elapsed() < FRESH || answers(&mut kept.connection).await {
                return Some(kept);
            }
            // Those below were used longer ago.
            self.kept().clear();
        }
    }

    async fn connect(&self) -> sqlx::Result<PgConnection> {
        let mut connection = PgConnection::connect_with(&self.options).await?;
        connection.execute(STATEMENT_TIMEOUT).await?;
        Ok(connection)
    }

    fn kept(&self) -> MutexGuard<'_, Vec<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken<'_> {
    /// It is good, and between two transactions.
    pub(crate) fn keep(self) {
        let Self { connection, made, from, _place } = self;
        from.kept().push(Kept { connection, made, used: Instant::now() });
    }
}

async fn answers(connection: &mut PgConnection) -> bool {
    matches!(timeout(TEST_LIMIT, connection.ping()).await, Ok(Ok(())))
}

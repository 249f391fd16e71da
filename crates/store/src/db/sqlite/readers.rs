//! Connections that only read, kept between uses.
//!
//! sqlx's pool asks a connection after each use whether it lives: one more message to its thread
//! and back, on a task of its own, which costs as much as the read.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sqlx::{Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

/// Readers see the last commit and never wait for the writer; few are enough, since what requests
/// need is cached above.
const BOUND: u32 = 4;

pub(crate) struct Readers {
    options: Box<SqliteConnectOptions>,
    /// How long to wait for a place.
    patience: Duration,
    /// As many as are not used just now.
    places: Semaphore,
    /// At most [`BOUND`].
    kept: Mutex<Vec<SqliteConnection>>,
}

/// A connection in use. Dropped, it is closed.
pub(super) struct Reader<'r> {
    pub(super) connection: SqliteConnection,
    from: &'r Readers,
    _place: SemaphorePermit<'r>,
}

impl Readers {
    /// Opens one, to see that it can be done.
    pub(crate) async fn open(
        options: SqliteConnectOptions,
        patience: Duration,
    ) -> sqlx::Result<Self> {
        let options = Box::new(options.read_only(true));
        let first = SqliteConnection::connect_with(&options).await?;
        let places = Semaphore::new(BOUND as usize);
        Ok(Self { options, patience, places, kept: Mutex::new(vec![first]) })
    }

    pub(super) async fn take(&self) -> sqlx::Result<Reader<'_>> {
        let place = timeout(self.patience, self.places.acquire())
            .await
            .map_err(|_| sqlx::Error::PoolTimedOut)?
            .map_err(|_| sqlx::Error::PoolClosed)?;
        let kept = self.kept().pop();
        let connection = match kept {
            Some(connection) => connection,
            None => SqliteConnection::connect_with(&self.options).await?,
        };
        Ok(Reader { connection, from: self, _place: place })
    }

    /// Waits for what is under way and closes everything.
    pub(super) async fn close(&self) {
        drop(self.places.acquire_many(BOUND).await);
        self.places.close();
        let kept = std::mem::take(&mut *self.kept());
        for connection in kept {
            drop(connection.close().await);
        }
    }

    fn kept(&self) -> MutexGuard<'_, Vec<SqliteConnection>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reader<'_> {
    /// Gives the connection back, or throws it away when it failed.
    pub(super) fn end<T>(self, answer: sqlx::Result<T>) -> sqlx::Result<T> {
        if answer.is_ok() {
            self.from.kept().push(self.connection);
        }
        answer
    }
}

//! The SQL store: `SQLite` in one file or `PostgreSQL`, behind the storage traits of core.
//!
//! [`Store::open`] connects and migrates; [`Store::stores`] hands out the traits. One SQL text
//! serves both databases (`sql/`, one file a kind of record); `db` is the only place that knows
//! there are two, and `migrations/` the only place where they differ. What every store must do is
//! the suite in `conformance`.

mod backup;
mod changes;
#[cfg(feature = "conformance")]
pub mod conformance;
mod db;
mod migrate;
mod open;
mod sql;

use std::{path::PathBuf, sync::Arc};

use attache_core::{
    Secret,
    audit::trail::AuditTrail,
    changes::ChangeFeed,
    store::{Result, Stores},
};

pub use crate::{
    backup::{BackupError, backup},
    open::OpenError,
};
use crate::{
    changes::Listener,
    db::Db,
    open::{postgres, sqlite},
};

/// Where the store is.
#[derive(Clone, Debug)]
pub enum Location {
    /// A file, made when it is missing, readable by its owner only.
    Sqlite(PathBuf),
    /// `postgres://user:password@host:port/database?sslmode=verify-full`; secret for its password.
    Postgres(Secret),
    /// Nowhere: gone when the store is closed. For tests.
    Memory,
}

/// An open store. Clones share it.
#[derive(Clone, Debug)]
pub struct Store {
    db: Arc<Db>,
}

impl Store {
    /// Connects and brings the tables up to date.
    ///
    /// # Errors
    /// [`OpenError`] names the file or server and what to do about it.
    pub async fn open(location: &Location) -> Result<Self, OpenError> {
        let db = match location {
            Location::Sqlite(file) => sqlite::open(file).await?,
            Location::Postgres(url) => postgres::open(url).await?,
            Location::Memory => sqlite::open_in_memory().await?,
        };
        Ok(Self { db: Arc::new(db) })
    }

    pub fn stores(&self) -> Stores {
        Stores {
            people: self.db.clone(),
            sessions: self.db.clone(),
            logins: self.db.clone(),
            credentials: self.db.clone(),
            connects: self.db.clone(),
            data_keys: self.db.clone(),
            service_keys: self.db.clone(),
            wrapped_keys: self.db.clone(),
            audit: self.db.clone(),
        }
    }

    /// The audit log with its chains; what writes through it is the broker's ledger.
    pub fn trail(&self) -> Arc<dyn AuditTrail> {
        self.db.clone()
    }

    /// What others change, over a connection of its own; one for each caller. `None` where the
    /// database tells nobody: in `SQLite`.
    pub fn changes(&self) -> Option<Box<dyn ChangeFeed>> {
        match &*self.db {
            Db::Sqlite { .. } => None,
            Db::Postgres(pool) => Some(Box::new(Listener::like(pool))),
        }
    }

    /// Whether the store answers, for readiness.
    pub async fn ping(&self) -> Result<()> {
        self.db.read("SELECT 1", &[]).await.map(drop)
    }

    /// Waits for what is under way and closes the connections. Every later call is
    /// [`Unavailable`](attache_core::store::StoreError::Unavailable).
    pub async fn close(&self) {
        self.db.close().await;
    }
}

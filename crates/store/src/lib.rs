//! The SQL store: `SQLite` in one file or `PostgreSQL`, behind the storage traits of core.
//!
//! [`Store::open`] connects and migrates; [`Store::stores`] hands out the traits. One SQL text
//! serves both databases (`sql/`, one file a kind of record); `db` is the only place that knows
//! there are two, and `migrations/` the only place where they differ. What every store must do is
//! the suite in `conformance`.

mod backup;
mod changes;
mod check;
#[cfg(feature = "conformance")]
pub mod conformance;
mod copy;
mod db;
mod fault;
mod migrate;
mod open;
mod sql;

use std::{num::NonZeroU32, path::PathBuf, sync::Arc};

use attache_core::{
    Secret,
    audit::trail::AuditTrail,
    changes::ChangeFeed,
    store::{Result, Stores},
};

pub use crate::{
    backup::{BackupError, backup},
    check::{CheckError, check},
    copy::{Copied, CopyError, Digest, Progress, copy},
    fault::Fault,
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
    Postgres {
        url: Secret,
        /// Of this process; migrating takes one of its own before.
        max_connections: NonZeroU32,
    },
    /// Nowhere: gone when the store is closed. For tests.
    Memory,
}

impl Location {
    /// With as many connections as one gateway has use for.
    pub fn postgres(url: Secret) -> Self {
        Self::Postgres { url, max_connections: CONNECTIONS }
    }
}

/// A statement takes a millisecond: ten connections carry thousands of them a second.
const CONNECTIONS: NonZeroU32 = NonZeroU32::MIN.saturating_add(9);

/// An open store. Clones share it.
#[derive(Clone, Debug)]
pub struct Store {
    db: Arc<Db>,
}

impl Store {
    /// For a gateway: makes what is missing, brings the tables up to date, and keeps a file from
    /// other gateways, whose memory would hear late of what changes here.
    ///
    /// # Errors
    /// [`OpenError`] names the file or server and what to do about it.
    pub async fn open(location: &Location) -> Result<Self, OpenError> {
        let db = match location {
            Location::Sqlite(file) => sqlite::open(file).await?,
            Location::Postgres { url, max_connections } => {
                postgres::open(url, *max_connections).await?
            }
            Location::Memory => sqlite::open_in_memory().await?,
        };
        Ok(Self { db: Arc::new(db) })
    }

    /// For a command beside gateways: makes nothing and migrates nothing, since gateways of the
    /// last version may serve from these tables.
    ///
    /// # Errors
    /// [`OpenError`], also when the tables are not those of this version.
    pub async fn open_as_is(location: &Location) -> Result<Self, OpenError> {
        let db = match location {
            Location::Sqlite(file) => sqlite::open_as_is(file).await?,
            Location::Postgres { url, max_connections } => {
                postgres::open_as_is(url, *max_connections).await?
            }
            Location::Memory => sqlite::open_in_memory().await?,
        };
        Ok(Self { db: Arc::new(db) })
    }

    pub fn stores(&self) -> Stores {
        Stores {
            people: self.db.clone(),
            roster: self.db.clone(),
            provisioning: self.db.clone(),
            sessions: self.db.clone(),
            personal_tokens: self.db.clone(),
            logins: self.db.clone(),
            credentials: self.db.clone(),
            ends: self.db.clone(),
            connects: self.db.clone(),
            demands: self.db.clone(),
            data_keys: self.db.clone(),
            service_keys: self.db.clone(),
            registrations: self.db.clone(),
            notices: self.db.clone(),
            wrapped_keys: self.db.clone(),
            grants: self.db.clone(),
            clients: self.db.clone(),
            devices: self.db.clone(),
            audit: self.db.clone(),
            survey: self.db.clone(),
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
            Db::Sqlite(_) => None,
            Db::Postgres(server) => {
                Some(Box::new(Listener::to(server.connections.options().clone())))
            }
        }
    }

    /// Whether the store answers and takes writes, for readiness. Within 10 s, mostly at once.
    ///
    /// # Errors
    /// [`Unavailable`](attache_core::store::StoreError::Unavailable), whose source is a [`Fault`]
    /// when it is the file's.
    pub async fn ping(&self) -> Result<()> {
        self.db.ping().await
    }

    /// Whether part of the file was found damaged; the rest is served.
    pub fn is_damaged(&self) -> bool {
        self.db.is_damaged()
    }

    /// Waits for what is under way and closes the connections. Every later call is
    /// [`Unavailable`](attache_core::store::StoreError::Unavailable).
    pub async fn close(&self) {
        self.db.close().await;
    }
}

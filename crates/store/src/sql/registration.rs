//! Registrations, and the turn that makes one of them for all replicas.

use attache_core::{
    Timestamp, UpstreamName,
    store::{RegistrationStore, Result, Sealed, SealedRegistration, StoreError, Turn, Version},
};

use crate::db::{Db, Row, Unreadable, values};

/// Of a row that only says whose turn it is.
const NONE: Version = Version(0);

const FIND: &str = "
    SELECT version, sealed FROM registration WHERE upstream = $1 AND sealed IS NOT NULL";

const CLAIM: &str = "
    INSERT INTO registration (upstream, version, lease_holder, lease_until)
    VALUES ($1, 0, $3, $5)
    ON CONFLICT (upstream) DO UPDATE
    SET lease_holder = excluded.lease_holder, lease_until = excluded.lease_until
    WHERE registration.version = $2
        AND (registration.lease_until IS NULL OR registration.lease_until <= $4)";

const PUT: &str = "
    UPDATE registration SET version = $4, sealed = $5, lease_holder = NULL, lease_until = NULL
    WHERE upstream = $1 AND version = $2 AND lease_holder = $3";

const RELEASE: &str = "
    UPDATE registration SET lease_holder = NULL, lease_until = NULL
    WHERE upstream = $1 AND version = $2 AND lease_holder = $3";

#[async_trait::async_trait]
impl RegistrationStore for Db {
    async fn find(&self, upstream: &UpstreamName) -> Result<Option<SealedRegistration>> {
        let row = self.read_one(FIND, values![upstream]).await?;
        row.as_ref().map(|row| registration(upstream, row)).transpose()
    }

    async fn claim(
        &self,
        upstream: &UpstreamName,
        over: Option<Version>,
        holder: [u8; 16],
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<Turn>> {
        let values = values![upstream, over.unwrap_or(NONE), &holder, now, until];
        let claimed = self.execute(CLAIM, values).await? == 1;
        Ok(claimed.then(|| Turn { upstream: upstream.clone(), over, holder }))
    }

    async fn put(&self, turn: &Turn, fresh: &SealedRegistration) -> Result<()> {
        let Turn { upstream, over, holder } = turn;
        let over = over.unwrap_or(NONE);
        let values = values![upstream, over, holder, fresh.version, &fresh.sealed.0];
        match self.execute(PUT, values).await? {
            1 => Ok(()),
            _ => Err(StoreError::Conflict),
        }
    }

    async fn release(&self, turn: &Turn) -> Result<()> {
        let Turn { upstream, over, holder } = turn;
        let values = values![upstream, over.unwrap_or(NONE), holder];
        self.execute(RELEASE, values).await.map(drop)
    }
}

fn registration(upstream: &UpstreamName, row: &Row) -> Result<SealedRegistration> {
    let read = || {
        Ok::<_, Unreadable>(SealedRegistration {
            version: Version(row.int("version")?),
            sealed: Sealed(row.bytes("sealed")?),
        })
    };
    read().map_err(|unreadable| unreadable.of("registration", upstream))
}

//! Credentials, and the lease that makes one refresher of many (OC-25).
//!
//! A lease is three columns of the record it is for. Taking one is a single `UPDATE` that only a
//! free or expired lease on the version the caller saw lets through; ending one is a single
//! `UPDATE` that only its holder on the same version gets through. A lease that ran out is a
//! refresh whose end nobody reported: when it began is kept in `interrupted` until the record is
//! written again (OC-27). Its hours are the database's: a replica whose clock is ahead takes no
//! lease before its time.

use attache_core::{
    CredentialKey, ObtainedVia, Slot, Timestamp, UserId,
    audit::Reason,
    store::{
        CredentialStore, Health, KeyId, Lease, Leased, Record, Result, Sealed, StoreError, Stored,
        Version, WrappedKey,
    },
};

use crate::db::{Db, Row, Unreadable, Value, values};

/// What a list returns at most.
const LISTED: u32 = 1_000;

macro_rules! columns {
    () => {
        "slot, version, sealed, health, reason, obtained_via, expires_at, updated_at, \
         lease_until, interrupted"
    };
}

/// Of `PostgreSQL`: not the transaction's beginning but the very moment.
const NOW: &str = "SELECT (EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::BIGINT AS now";

const FIND: &str =
    concat!("SELECT ", columns!(), " FROM credential WHERE user_id = $1 AND slot = $2");

const FIND_WITH_KEY: &str = concat!(
    "SELECT ",
    columns!(),
    ", wrapped_by, wrapped
    FROM credential LEFT JOIN data_key USING (user_id) WHERE user_id = $1 AND slot = $2"
);

const LIST: &str =
    concat!("SELECT ", columns!(), " FROM credential WHERE user_id = $1 ORDER BY slot LIMIT $2");

const INSERT: &str = "
    INSERT INTO credential (user_id, slot, version, sealed, health, reason, obtained_via,
        expires_at, updated_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
    ON CONFLICT (user_id, slot) DO NOTHING";

const REPLACE: &str = "
    UPDATE credential
    SET version = $3, sealed = $4, health = $5, reason = $6, obtained_via = $7, expires_at = $8,
        updated_at = $9,
        lease_holder = NULL, lease_until = NULL, lease_started = NULL, interrupted = NULL
    WHERE user_id = $1 AND slot = $2 AND version = $10";

const COMMIT: &str = "
    UPDATE credential
    SET version = $3, sealed = $4, health = $5, reason = $6, obtained_via = $7, expires_at = $8,
        updated_at = $9,
        lease_holder = NULL, lease_until = NULL, lease_started = NULL, interrupted = NULL
    WHERE user_id = $1 AND slot = $2 AND version = $10 AND lease_holder = $11";

const REMOVE: &str =
    concat!("DELETE FROM credential WHERE user_id = $1 AND slot = $2 RETURNING ", columns!());

/// On the right of `SET` stand the old values: a lease that is still there was not ended.
const LEASE: &str = concat!(
    "UPDATE credential
    SET lease_holder = $4, lease_until = $6, lease_started = $5,
        interrupted = COALESCE(lease_started, interrupted)
    WHERE user_id = $1 AND slot = $2 AND version = $3
        AND (lease_until IS NULL OR lease_until <= $5)
    RETURNING ",
    columns!()
);

const RELEASE: &str = "
    UPDATE credential SET lease_holder = NULL, lease_until = NULL, lease_started = NULL
    WHERE user_id = $1 AND slot = $2 AND version = $3 AND lease_holder = $4";

const INTERRUPT: &str = "
    UPDATE credential
    SET lease_holder = NULL, lease_until = NULL, lease_started = NULL, interrupted = lease_started
    WHERE user_id = $1 AND slot = $2 AND version = $3 AND lease_holder = $4";

#[async_trait::async_trait]
impl CredentialStore for Db {
    async fn now(&self, here: Timestamp) -> Result<Timestamp> {
        match self {
            Self::Sqlite { .. } => Ok(here), // one machine, one clock
            Self::Postgres(_) => {
                let row = self.read_one(NOW, &[]).await?;
                let now = row.as_ref().ok_or(Unreadable("now")).and_then(|row| row.time("now"));
                now.map_err(|unreadable| unreadable.of("clock_timestamp", "?"))
            }
        }
    }

    async fn find(&self, key: &CredentialKey) -> Result<Option<Stored>> {
        Ok(self.row(key).await?.map(|row| row.stored))
    }

    async fn find_with_key(
        &self,
        key: &CredentialKey,
    ) -> Result<Option<(Stored, Option<WrappedKey>)>> {
        let row = self.read_one(FIND_WITH_KEY, values![&key.user, &key.slot.to_string()]).await?;
        let Some(row) = &row else { return Ok(None) };
        let stored = credential(&key.user, row)?.stored;
        let wrapped = data_key(row).map_err(|unreadable| unreadable.of("data_key", &key.user))?;
        Ok(Some((stored, wrapped)))
    }

    async fn put(
        &self,
        key: &CredentialKey,
        record: &Record,
        replaces: Option<Version>,
    ) -> Result<()> {
        let slot = key.slot.to_string();
        let mut values = columns(&key.user, &slot, record);
        let written = match replaces {
            None => self.execute(INSERT, &values).await?,
            Some(replaces) => {
                values.push(replaces.into());
                self.execute(REPLACE, &values).await?
            }
        };
        if written == 0 { Err(StoreError::Conflict) } else { Ok(()) }
    }

    async fn remove(&self, key: &CredentialKey) -> Result<Option<Stored>> {
        let rows = self.write(REMOVE, values![&key.user, &key.slot.to_string()]).await?;
        let removed = rows.first().map(|row| credential(&key.user, row)).transpose()?;
        Ok(removed.map(|row| row.stored))
    }

    async fn list(&self, user: &UserId) -> Result<Vec<(Slot, Stored)>> {
        let rows = self.read(LIST, values![user, LISTED]).await?;
        rows.iter().map(|row| credential(user, row).map(|row| (row.slot, row.stored))).collect()
    }

    async fn lease(
        &self,
        key: &CredentialKey,
        seen: Version,
        holder: [u8; 16],
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Leased> {
        let slot = key.slot.to_string();
        let rows = self.write(LEASE, values![&key.user, &slot, seen, &holder, now, until]).await?;
        if let Some(row) = rows.first() {
            let stored = credential(&key.user, row)?.stored;
            return Ok(Leased::Granted(
                Lease { key: key.clone(), fence: seen, holder, until },
                stored,
            ));
        }
        Ok(match self.row(key).await? {
            None => Leased::Gone,
            Some(row) if row.stored.record.version != seen => Leased::Superseded(row.stored),
            // No lease any more: it was released between the two statements. Ask again at once.
            Some(row) => Leased::Held { until: row.lease_until.unwrap_or(now) },
        })
    }

    async fn commit(&self, lease: &Lease, record: &Record) -> Result<()> {
        let slot = lease.key.slot.to_string();
        let mut values = columns(&lease.key.user, &slot, record);
        values.extend(values![lease.fence, &lease.holder]);
        if self.execute(COMMIT, &values).await? == 1 {
            return Ok(());
        }
        // Done before, if these very bytes are there: they hold a nonce that nobody else drew.
        match self.row(&lease.key).await? {
            Some(row) if row.stored.record == *record => Ok(()),
            _ => Err(StoreError::Conflict),
        }
    }

    async fn release(&self, lease: &Lease) -> Result<()> {
        let slot = lease.key.slot.to_string();
        let values = values![&lease.key.user, &slot, lease.fence, &lease.holder];
        self.execute(RELEASE, values).await.map(drop)
    }

    async fn interrupt(&self, lease: &Lease) -> Result<()> {
        let slot = lease.key.slot.to_string();
        let values = values![&lease.key.user, &slot, lease.fence, &lease.holder];
        self.execute(INTERRUPT, values).await.map(drop)
    }
}

impl Db {
    async fn row(&self, key: &CredentialKey) -> Result<Option<CredentialRow>> {
        let row = self.read_one(FIND, values![&key.user, &key.slot.to_string()]).await?;
        row.as_ref().map(|row| credential(&key.user, row)).transpose()
    }
}

struct CredentialRow {
    slot: Slot,
    stored: Stored,
    lease_until: Option<Timestamp>,
}

fn credential(user: &UserId, row: &Row) -> Result<CredentialRow> {
    let slot = row.text("slot").map_err(|unreadable| unreadable.of("credential", user))?;
    let read = || {
        Ok::<_, Unreadable>(CredentialRow {
            slot: slot.parse().map_err(|_| Unreadable("slot"))?,
            stored: Stored {
                record: Record {
                    version: Version(row.int("version")?),
                    sealed: Sealed(row.bytes("sealed")?),
                    health: health(row)?,
                    obtained_via: row.word("obtained_via", ObtainedVia::parse)?,
                    expires_at: row.maybe_time("expires_at")?,
                    updated_at: row.time("updated_at")?,
                },
                interrupted: row.maybe_time("interrupted")?,
            },
            lease_until: row.maybe_time("lease_until")?,
        })
    };
    read().map_err(|unreadable| unreadable.of("credential", format_args!("{user} {slot}")))
}

fn data_key(row: &Row) -> Result<Option<WrappedKey>, Unreadable> {
    let Some(wrapped_by) = row.maybe_text("wrapped_by")? else { return Ok(None) };
    Ok(Some(WrappedKey { wrapped_by: KeyId(wrapped_by.into()), bytes: row.bytes("wrapped")? }))
}

/// `$1` to `$9` of every statement that writes a whole record.
fn columns<'a>(user: &'a UserId, slot: &'a str, record: &'a Record) -> Vec<Value<'a>> {
    let Record { version, sealed, health, obtained_via, expires_at, updated_at } = record;
    let (health, reason) = words(*health);
    values![
        user,
        slot,
        *version,
        &sealed.0,
        health,
        reason,
        obtained_via.as_str(),
        *expires_at,
        *updated_at,
    ]
    .to_vec()
}

fn words(health: Health) -> (&'static str, Option<&'static str>) {
    match health {
        Health::Good => ("good", None),
        Health::NeedsReconnect(reason) => ("needs_reconnect", Some(reason.as_str())),
    }
}

fn health(row: &Row) -> Result<Health, Unreadable> {
    match (row.text("health")?.as_str(), row.maybe_word("reason", Reason::parse)?) {
        ("good", None) => Ok(Health::Good),
        ("needs_reconnect", Some(reason)) => Ok(Health::NeedsReconnect(reason)),
        _ => Err(Unreadable("health")),
    }
}

use attache_core::{
    Timestamp, UserId,
    store::{DataKeyStore, KeyId, Result, StoreError, WrappedKey},
};

use crate::db::{Db, Row, Unreadable, values};

const FIND: &str = "SELECT wrapped_by, wrapped FROM data_key WHERE user_id = $1";

/// The update changes nothing: it makes the row that was there come back.
const INSERT: &str = "
    INSERT INTO data_key (user_id, wrapped_by, wrapped, created_at) VALUES ($1, $2, $3, $4)
    ON CONFLICT (user_id) DO UPDATE SET user_id = excluded.user_id
    RETURNING wrapped_by, wrapped";

#[async_trait::async_trait]
impl DataKeyStore for Db {
    async fn find(&self, user: &UserId) -> Result<Option<WrappedKey>> {
        let rows = self.read(FIND, values![user]).await?;
        rows.first().map(|row| wrapped_key(user, row)).transpose()
    }

    async fn insert(
        &self,
        user: &UserId,
        fresh: &WrappedKey,
        now: Timestamp,
    ) -> Result<WrappedKey> {
        let WrappedKey { wrapped_by, bytes } = fresh;
        let rows = self.write(INSERT, values![user, wrapped_by, bytes, now]).await?;
        rows.first().ok_or(StoreError::Conflict).and_then(|row| wrapped_key(user, row))
    }
}

fn wrapped_key(user: &UserId, row: &Row) -> Result<WrappedKey> {
    let read = || {
        Ok::<_, Unreadable>(WrappedKey {
            wrapped_by: KeyId(row.text("wrapped_by")?.into()),
            bytes: row.bytes("wrapped")?,
        })
    };
    read().map_err(|unreadable| unreadable.of("data_key", user))
}

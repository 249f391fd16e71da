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

const REPLACE: &str = "
    UPDATE data_key SET wrapped_by = $4, wrapped = $5
    WHERE user_id = $1 AND wrapped_by = $2 AND wrapped = $3";

const REMOVE: &str = "
    DELETE FROM data_key WHERE user_id = $1 AND wrapped_by = $2 AND wrapped = $3";

const FIRST_PAGE: &str = "
    SELECT user_id, wrapped_by, wrapped FROM data_key ORDER BY user_id LIMIT $1";

const NEXT_PAGE: &str = "
    SELECT user_id, wrapped_by, wrapped FROM data_key
    WHERE user_id > $2 ORDER BY user_id LIMIT $1";

const COUNT: &str = "
    SELECT wrapped_by, count(*) AS keys FROM data_key
    GROUP BY wrapped_by ORDER BY wrapped_by LIMIT 1000";

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

    async fn replace(&self, user: &UserId, old: &WrappedKey, new: &WrappedKey) -> Result<()> {
        let values = values![user, &old.wrapped_by, &old.bytes, &new.wrapped_by, &new.bytes];
        self.execute(REPLACE, values).await.and_then(one_row)
    }

    async fn remove(&self, user: &UserId, old: &WrappedKey) -> Result<()> {
        self.execute(REMOVE, values![user, &old.wrapped_by, &old.bytes]).await.and_then(one_row)
    }

    async fn page(&self, after: Option<&UserId>, limit: u32) -> Result<Vec<(UserId, WrappedKey)>> {
        let rows = match after {
            None => self.read(FIRST_PAGE, values![limit]).await?,
            Some(after) => self.read(NEXT_PAGE, values![limit, after]).await?,
        };
        rows.iter().map(owned_key).collect()
    }

    async fn count(&self) -> Result<Vec<(KeyId, u64)>> {
        let counted = |row: &Row| {
            let keys = u64::try_from(row.int("keys")?).map_err(|_| Unreadable("keys"))?;
            Ok((KeyId(row.text("wrapped_by")?.into()), keys))
        };
        let rows = self.read(COUNT, values![]).await?;
        let read =
            |row| counted(row).map_err(|unreadable: Unreadable| unreadable.of("data_key", "?"));
        rows.iter().map(read).collect()
    }
}

fn one_row(touched: u64) -> Result<()> {
    if touched == 1 { Ok(()) } else { Err(StoreError::Conflict) }
}

fn owned_key(row: &Row) -> Result<(UserId, WrappedKey)> {
    let user = row.text("user_id").map_err(|unreadable| unreadable.of("data_key", "?"))?;
    let user = UserId::new(user);
    let key = wrapped_key(&user, row)?;
    Ok((user, key))
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

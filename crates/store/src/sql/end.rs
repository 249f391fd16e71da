//! When connections are over that were made for a while.

use attache_core::{
    CredentialKey, Timestamp, UserId,
    store::{EndStore, Result},
};

use crate::db::{Db, Row, Unreadable, values};

/// Where there is no credential there is nothing to select.
const SET: &str = "
    INSERT INTO connection_end (user_id, slot, ends_at)
    SELECT user_id, slot, $3 FROM credential WHERE user_id = $1 AND slot = $2
    ON CONFLICT (user_id, slot) DO UPDATE SET ends_at = excluded.ends_at";

const CLEAR: &str = "DELETE FROM connection_end WHERE user_id = $1 AND slot = $2";

const OVER: &str = "
    SELECT user_id, slot FROM connection_end WHERE ends_at <= $1 ORDER BY ends_at LIMIT $2";

#[async_trait::async_trait]
impl EndStore for Db {
    async fn set(&self, key: &CredentialKey, ends_at: Option<Timestamp>) -> Result<()> {
        let slot = key.slot.to_string();
        let written = match ends_at {
            Some(at) => self.execute(SET, values![&key.user, &slot, at]).await,
            None => self.execute(CLEAR, values![&key.user, &slot]).await,
        };
        written.map(drop)
    }

    async fn over(&self, now: Timestamp, limit: u32) -> Result<Vec<CredentialKey>> {
        let rows = self.read(OVER, values![now, limit]).await?;
        rows.iter().map(key).collect()
    }
}

fn key(row: &Row) -> Result<CredentialKey> {
    let read = || {
        let user = UserId::new(row.text("user_id")?);
        let slot = row.word("slot", |slot| slot.parse().ok())?;
        Ok::<_, Unreadable>(CredentialKey { user, slot })
    };
    read().map_err(|unreadable| unreadable.of("connection_end", "?"))
}

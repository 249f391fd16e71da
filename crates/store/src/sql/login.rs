use attache_core::{
    Timestamp,
    store::{Result, SpentLoginStore, StoreError},
};

use super::SWEPT_PER_INSERT;
use crate::db::{Db, Statement, values};

const DELETE_EXPIRED: &str = "
    DELETE FROM spent_login WHERE state IN
        (SELECT state FROM spent_login WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)";

/// Sign-ins live equally long, so the oldest is the next to expire.
const DELETE_OLDEST: &str = "
    DELETE FROM spent_login WHERE state IN
        (SELECT state FROM spent_login ORDER BY expires_at DESC, state LIMIT $2 OFFSET $1)";

const INSERT: &str = "INSERT INTO spent_login (state, expires_at) VALUES ($1, $2)";

#[async_trait::async_trait]
impl SpentLoginStore for Db {
    async fn spend(
        &self,
        state: [u8; 32],
        expires_at: Timestamp,
        bound: u32,
        now: Timestamp,
    ) -> Result<bool> {
        // The oldest goes last: were it to make room first, it could come back in its own place.
        let spent = self
            .execute_all(&[
                Statement { sql: DELETE_EXPIRED, values: values![now, SWEPT_PER_INSERT] },
                Statement { sql: INSERT, values: values![&state, expires_at] },
                Statement { sql: DELETE_OLDEST, values: values![bound, SWEPT_PER_INSERT] },
            ])
            .await;
        match spent {
            Err(StoreError::Conflict) => Ok(false),
            spent => spent.map(|()| true),
        }
    }
}

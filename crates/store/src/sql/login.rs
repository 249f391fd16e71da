use attache_core::{
    Timestamp,
    store::{LoginFlow, LoginFlowStore, Result},
};

use super::{SWEPT_PER_INSERT, prefix};
use crate::db::{Db, Row, Statement, Unreadable, values};

const DELETE_EXPIRED: &str = "
    DELETE FROM login_flow WHERE state IN
        (SELECT state FROM login_flow WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)";

/// Makes room for one more. Sign-ins live equally long, so the oldest is the next to expire.
const DELETE_OLDEST: &str = "
    DELETE FROM login_flow WHERE state IN
        (SELECT state FROM login_flow ORDER BY expires_at DESC, state LIMIT $2 OFFSET $1)";

const INSERT: &str = "
    INSERT INTO login_flow (state, browser, return_to, expires_at) VALUES ($1, $2, $3, $4)";

const TAKE: &str = "
    DELETE FROM login_flow WHERE state = $1 RETURNING browser, return_to, expires_at";

#[async_trait::async_trait]
impl LoginFlowStore for Db {
    async fn insert(&self, flow: &LoginFlow, bound: u32, now: Timestamp) -> Result<()> {
        let LoginFlow { state, browser, return_to, expires_at } = flow;
        let others = bound.saturating_sub(1);
        self.execute_all(&[
            Statement { sql: DELETE_EXPIRED, values: values![now, SWEPT_PER_INSERT] },
            Statement { sql: DELETE_OLDEST, values: values![others, SWEPT_PER_INSERT] },
            Statement { sql: INSERT, values: values![state, browser, return_to, *expires_at] },
        ])
        .await
    }

    async fn take(&self, state: [u8; 32], now: Timestamp) -> Result<Option<LoginFlow>> {
        let rows = self.write(TAKE, values![&state]).await?;
        let flow = rows.first().map(|row| flow(state, row)).transpose();
        flow.map(|flow| flow.filter(|flow| flow.expires_at > now))
            .map_err(|unreadable| unreadable.of("login_flow", prefix(&state)))
    }
}

fn flow(state: [u8; 32], row: &Row) -> Result<LoginFlow, Unreadable> {
    Ok(LoginFlow {
        state,
        browser: row.digest("browser")?,
        return_to: row.text("return_to")?,
        expires_at: row.time("expires_at")?,
    })
}

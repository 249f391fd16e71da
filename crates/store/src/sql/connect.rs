//! Consents under way. Column `upstream` holds the name of the connection, account and all: a
//! release that knows no accounts cannot read such a row, and so connects no other account by it.

use attache_core::{
    ConnectionName, IssuerId, Timestamp, UserId,
    principal::SessionDigest,
    store::{ConnectFlow, ConnectFlowStore, Result},
};

use super::{SWEPT_PER_INSERT, list, prefix};
use crate::db::{Db, Row, Statement, Unreadable, values};

const DELETE_EXPIRED: &str = "
    DELETE FROM connect_flow WHERE state IN
        (SELECT state FROM connect_flow WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)";

/// Makes room for one more.
const DELETE_OLDEST: &str = "
    DELETE FROM connect_flow WHERE state IN
        (SELECT state FROM connect_flow WHERE user_id = $1
        ORDER BY created_at DESC, state LIMIT $3 OFFSET $2)";

const INSERT: &str = "
    INSERT INTO connect_flow (state, user_id, session, upstream, issuer, redirect_uri, scopes,
        resource, created_at, expires_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";

const FIND: &str = "
    SELECT user_id, session, upstream, issuer, redirect_uri, scopes, resource, created_at,
        expires_at
    FROM connect_flow WHERE state = $1";

const TAKE: &str = "
    DELETE FROM connect_flow WHERE state = $1
    RETURNING user_id, session, upstream, issuer, redirect_uri, scopes, resource, created_at,
        expires_at";

const CLEAR: &str = "DELETE FROM connect_flow WHERE user_id = $1 AND upstream = $2";

#[async_trait::async_trait]
impl ConnectFlowStore for Db {
    async fn insert(&self, flow: &ConnectFlow, bound: u32, now: Timestamp) -> Result<()> {
        let ConnectFlow {
            state,
            user,
            session,
            connection,
            issuer,
            redirect_uri,
            scopes,
            resource,
            created_at,
            expires_at,
        } = flow;
        let others = bound.saturating_sub(1);
        let (connection, scopes) = (connection.to_string(), list(scopes));
        let insert = values![
            state,
            user,
            &session.0,
            &connection,
            issuer.as_ref().map(IssuerId::as_str),
            redirect_uri,
            &scopes,
            resource.as_deref(),
            *created_at,
            *expires_at,
        ];
        self.execute_all(&[
            Statement { sql: DELETE_EXPIRED, values: values![now, SWEPT_PER_INSERT] },
            Statement { sql: DELETE_OLDEST, values: values![user, others, SWEPT_PER_INSERT] },
            Statement { sql: INSERT, values: insert },
        ])
        .await
    }

    async fn find(&self, state: [u8; 32]) -> Result<Option<ConnectFlow>> {
        let row = self.read_one(FIND, values![&state]).await?;
        row.as_ref().map(|row| flow(state, row)).transpose()
    }

    async fn take(&self, state: [u8; 32]) -> Result<Option<ConnectFlow>> {
        let rows = self.write(TAKE, values![&state]).await?;
        rows.first().map(|row| flow(state, row)).transpose()
    }

    async fn clear(&self, user: &UserId, connection: &ConnectionName) -> Result<()> {
        self.execute(CLEAR, values![user, &connection.to_string()]).await.map(drop)
    }
}

fn flow(state: [u8; 32], row: &Row) -> Result<ConnectFlow> {
    let read = || {
        Ok::<_, Unreadable>(ConnectFlow {
            state,
            user: UserId::new(row.text("user_id")?),
            session: SessionDigest(row.digest("session")?),
            connection: row.word("upstream", |name| name.parse().ok())?,
            issuer: row.maybe_text("issuer")?.map(IssuerId::new),
            redirect_uri: row.text("redirect_uri")?,
            scopes: row.list("scopes")?,
            resource: row.maybe_text("resource")?,
            created_at: row.time("created_at")?,
            expires_at: row.time("expires_at")?,
        })
    };
    read().map_err(|unreadable| unreadable.of("connect_flow", prefix(&state)))
}

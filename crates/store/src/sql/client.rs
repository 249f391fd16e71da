use attache_core::{
    Timestamp,
    store::{ClientStore, RegisteredClient, Result},
};

use super::{SWEPT_PER_INSERT, list};
use crate::db::{Db, Row, Statement, Unreadable, values};

const DELETE_EXPIRED: &str = "
    DELETE FROM oauth_client WHERE id IN
        (SELECT id FROM oauth_client WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)";

/// Makes room for one more.
const DELETE_OLDEST: &str = "
    DELETE FROM oauth_client WHERE id IN
        (SELECT id FROM oauth_client WHERE approved = FALSE
        ORDER BY created_at DESC, id LIMIT $2 OFFSET $1)";

const DELETE_UNUSED: &str = "
    DELETE FROM oauth_client WHERE id IN
        (SELECT id FROM oauth_client WHERE approved = TRUE AND NOT EXISTS
            (SELECT 1 FROM oauth_grant
            WHERE client_id = oauth_client.id AND oauth_grant.expires_at > $2)
        ORDER BY created_at, id LIMIT $1)";

const INSERT: &str = "
    INSERT INTO oauth_client (id, name, redirect_uris, auth_method, secret, created_at, expires_at)
    SELECT $1, $2, $3, $4, $5, $6, $7
    WHERE (SELECT count(*) FROM oauth_client WHERE approved = TRUE) < $8";

const FIND: &str = "
    SELECT name, redirect_uris, auth_method, secret, created_at, expires_at
    FROM oauth_client WHERE id = $1 AND expires_at > $2";

const KEEP: &str = "UPDATE oauth_client SET approved = TRUE, expires_at = $2 WHERE id = $1";

#[async_trait::async_trait]
impl ClientStore for Db {
    async fn insert(&self, client: &RegisteredClient, bound: u32, now: Timestamp) -> Result<bool> {
        let others = bound.saturating_sub(1);
        self.execute_all(&[
            Statement { sql: DELETE_EXPIRED, values: values![now, SWEPT_PER_INSERT] },
            Statement { sql: DELETE_OLDEST, values: values![others, SWEPT_PER_INSERT] },
        ])
        .await?;
        let redirect_uris = list(&client.redirect_uris);
        let insert = values![
            &client.id,
            &client.name,
            &redirect_uris,
            &client.auth_method,
            client.secret.as_ref().map(<[u8; 32]>::as_slice),
            client.created_at,
            client.expires_at,
            bound,
        ];
        Ok(self.execute(INSERT, insert).await? == 1)
    }

    async fn evict(&self, limit: u32, now: Timestamp) -> Result<u64> {
        self.execute(DELETE_UNUSED, values![limit, now]).await
    }

    async fn find(&self, id: &str, now: Timestamp) -> Result<Option<RegisteredClient>> {
        let rows = self.read(FIND, values![id, now]).await?;
        rows.first().map(|row| client(id, row)).transpose()
    }

    async fn keep(&self, id: &str, until: Timestamp) -> Result<()> {
        self.execute(KEEP, values![id, until]).await.map(drop)
    }
}

fn client(id: &str, row: &Row) -> Result<RegisteredClient> {
    let read = || {
        let secret = row.maybe_bytes("secret")?.map(TryInto::try_into).transpose();
        Ok::<_, Unreadable>(RegisteredClient {
            id: id.to_owned(),
            name: row.text("name")?,
            redirect_uris: row.list("redirect_uris")?,
            auth_method: row.text("auth_method")?,
            secret: secret.map_err(|_| Unreadable("secret"))?,
            created_at: row.time("created_at")?,
            expires_at: row.time("expires_at")?,
        })
    };
    read().map_err(|unreadable| unreadable.of("oauth_client", id))
}

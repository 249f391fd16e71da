use attache_core::{
    GrantId, Timestamp, UserId,
    store::{ActiveGrant, Code, Family, Grant, GrantStore, Issued, Result},
};

use super::{SWEPT_PER_INSERT, list};
use crate::db::{Db, Row, Statement, Unreadable, values};

const DELETE_EXPIRED: &str = "
    DELETE FROM oauth_grant WHERE id IN
        (SELECT id FROM oauth_grant WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)";

/// Makes room for one more.
const DELETE_OLDEST: &str = "
    DELETE FROM oauth_grant WHERE id IN
        (SELECT id FROM oauth_grant WHERE user_id = $1
        ORDER BY created_at DESC, id LIMIT $3 OFFSET $2)";

const INSERT: &str = "
    INSERT INTO oauth_grant (id, user_id, client_id, client_name, resource, scopes, created_at,
        expires_at, code, challenge, redirect_uri, code_expires_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";

const FIND: &str = "
    SELECT id, user_id, client_id, client_name, resource, scopes, created_at, expires_at
    FROM oauth_grant WHERE id = $1 AND expires_at > $2";

const FIND_CODE: &str = "
    SELECT id, user_id, client_id, client_name, resource, scopes, created_at, expires_at,
        challenge, redirect_uri, code_expires_at, redeemed_at
    FROM oauth_grant WHERE code = $1 AND expires_at > $2";

const REDEEM: &str = "
    UPDATE oauth_grant
    SET redeemed_at = $5, turned_at = $5, family = $2, turn = $3, expires_at = $4
    WHERE code = $1 AND redeemed_at IS NULL AND code_expires_at > $5";

const FIND_FAMILY: &str = "
    SELECT id, user_id, client_id, client_name, resource, scopes, created_at, expires_at,
        turn, last_turn, turned_at
    FROM oauth_grant WHERE family = $1 AND expires_at > $2";

const ROTATE: &str = "
    UPDATE oauth_grant SET turn = $3, last_turn = turn, turned_at = $4
    WHERE family = $1 AND turn = $2 AND expires_at > $4";

const REMOVE: &str = "DELETE FROM oauth_grant WHERE id = $1";

const LIST: &str = "
    SELECT id, user_id, client_id, client_name, resource, scopes, created_at, expires_at,
        turned_at
    FROM oauth_grant WHERE user_id = $1 AND expires_at > $2 AND redeemed_at IS NOT NULL
    ORDER BY created_at DESC, id LIMIT 1000";

#[async_trait::async_trait]
impl GrantStore for Db {
    async fn insert(&self, grant: &Grant, code: &Code, bound: u32, now: Timestamp) -> Result<()> {
        let others = bound.saturating_sub(1);
        let scopes = list(&grant.scopes);
        let insert = values![
            grant.id.as_str(),
            &grant.user,
            &grant.client_id,
            &grant.client_name,
            &grant.resource,
            &scopes,
            grant.created_at,
            grant.expires_at,
            &code.digest,
            &code.challenge,
            &code.redirect_uri,
            code.expires_at,
        ];
        let oldest = values![&grant.user, others, SWEPT_PER_INSERT];
        self.execute_all(&[
            Statement { sql: DELETE_EXPIRED, values: values![now, SWEPT_PER_INSERT] },
            Statement { sql: DELETE_OLDEST, values: oldest },
            Statement { sql: INSERT, values: insert },
        ])
        .await
    }

    async fn find(&self, id: &GrantId, now: Timestamp) -> Result<Option<Grant>> {
        let rows = self.read(FIND, values![id.as_str(), now]).await?;
        rows.first().map(grant).transpose()
    }

    async fn find_code(&self, digest: [u8; 32], now: Timestamp) -> Result<Option<Issued>> {
        let rows = self.read(FIND_CODE, values![&digest, now]).await?;
        rows.first().map(|row| issued(digest, row)).transpose()
    }

    async fn redeem(
        &self,
        digest: [u8; 32],
        family: [u8; 32],
        turn: [u8; 32],
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<bool> {
        let values = values![&digest, &family, &turn, expires_at, now];
        Ok(self.execute(REDEEM, values).await? == 1)
    }

    async fn find_family(&self, family: [u8; 32], now: Timestamp) -> Result<Option<Family>> {
        let rows = self.read(FIND_FAMILY, values![&family, now]).await?;
        rows.first().map(|row| of_family(family, row)).transpose()
    }

    async fn rotate(
        &self,
        family: [u8; 32],
        from: [u8; 32],
        to: [u8; 32],
        now: Timestamp,
    ) -> Result<bool> {
        Ok(self.execute(ROTATE, values![&family, &from, &to, now]).await? == 1)
    }

    async fn remove(&self, id: &GrantId) -> Result<bool> {
        Ok(self.execute(REMOVE, values![id.as_str()]).await? == 1)
    }

    async fn list(&self, user: &UserId, now: Timestamp) -> Result<Vec<ActiveGrant>> {
        let rows = self.read(LIST, values![user, now]).await?;
        rows.iter().map(active).collect()
    }
}

fn grant(row: &Row) -> Result<Grant> {
    let id = row.text("id").map_err(|unreadable| unreadable.of("oauth_grant", "?"))?;
    let read = || {
        Ok::<_, Unreadable>(Grant {
            id: GrantId::new(id.as_str()),
            user: UserId::new(row.text("user_id")?),
            client_id: row.text("client_id")?,
            client_name: row.text("client_name")?,
            resource: row.text("resource")?,
            scopes: row.list("scopes")?,
            created_at: row.time("created_at")?,
            expires_at: row.time("expires_at")?,
        })
    };
    read().map_err(|unreadable| unreadable.of("oauth_grant", &id))
}

fn active(row: &Row) -> Result<ActiveGrant> {
    let grant = grant(row)?;
    let renewed_at = row.time("turned_at");
    let renewed_at = renewed_at.map_err(|unreadable| unreadable.of("oauth_grant", &grant.id))?;
    Ok(ActiveGrant { grant, renewed_at })
}

fn issued(digest: [u8; 32], row: &Row) -> Result<Issued> {
    let grant = grant(row)?;
    let read = || {
        let code = Code {
            digest,
            challenge: row.text("challenge")?,
            redirect_uri: row.text("redirect_uri")?,
            expires_at: row.time("code_expires_at")?,
        };
        Ok::<_, Unreadable>((code, row.maybe_time("redeemed_at")?.is_some()))
    };
    let (code, redeemed) = read().map_err(|unreadable| unreadable.of("oauth_grant", &grant.id))?;
    Ok(Issued { grant, code, redeemed })
}

fn of_family(family: [u8; 32], row: &Row) -> Result<Family> {
    let grant = grant(row)?;
    let read = || {
        let last = row.maybe_bytes("last_turn")?.map(TryInto::try_into);
        let last_turn = last.transpose().map_err(|_| Unreadable("last_turn"))?;
        Ok::<_, Unreadable>((row.digest("turn")?, last_turn, row.time("turned_at")?))
    };
    let (turn, last_turn, turned_at) =
        read().map_err(|unreadable| unreadable.of("oauth_grant", &grant.id))?;
    Ok(Family { grant, family, turn, last_turn, turned_at })
}

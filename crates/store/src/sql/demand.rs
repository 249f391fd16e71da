use attache_core::{
    CredentialKey, Slot, UserId,
    store::{DemandStore, DemandedScope, Result, Version},
};

use crate::db::{Db, Row, Statement, Unreadable, values};

/// What a list returns at most.
const LISTED: u32 = 1_000;

const FIND: &str = "
    SELECT slot, scope, consents, approved, open_since FROM demanded_scope
    WHERE user_id = $1 AND slot = $2 ORDER BY scope";

const LIST: &str = "
    SELECT slot, scope, consents, approved, open_since FROM demanded_scope
    WHERE user_id = $1 ORDER BY slot, scope LIMIT $2";

const CLEAR: &str = "DELETE FROM demanded_scope WHERE user_id = $1 AND slot = $2";

/// Two that replace the same at once have heard the same: whoever comes second writes over it.
const INSERT: &str = "
    INSERT INTO demanded_scope (user_id, slot, scope, consents, approved, open_since)
    VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT (user_id, slot, scope) DO UPDATE
    SET consents = excluded.consents, approved = excluded.approved,
        open_since = excluded.open_since";

#[async_trait::async_trait]
impl DemandStore for Db {
    async fn find(&self, key: &CredentialKey) -> Result<Vec<DemandedScope>> {
        let rows = self.read(FIND, values![&key.user, &key.slot.to_string()]).await?;
        rows.iter().map(|row| demanded(&key.user, row).map(|(_, scope)| scope)).collect()
    }

    async fn list(&self, user: &UserId) -> Result<Vec<(Slot, DemandedScope)>> {
        let rows = self.read(LIST, values![user, LISTED]).await?;
        rows.iter().map(|row| demanded(user, row)).collect()
    }

    async fn replace(&self, key: &CredentialKey, demanded: &[DemandedScope]) -> Result<()> {
        let slot = key.slot.to_string();
        let clear = values![&key.user, &slot];
        let rows: Vec<_> = demanded
            .iter()
            .map(|DemandedScope { scope, consents, approved, open_since }| {
                let approved = approved.map(|version| version.0);
                values![&key.user, &slot, scope, *consents, approved, *open_since].to_vec()
            })
            .collect();
        let mut batch = vec![Statement { sql: CLEAR, values: clear }];
        batch.extend(rows.iter().map(|values| Statement { sql: INSERT, values }));
        self.execute_all(&batch).await
    }
}

fn demanded(user: &UserId, row: &Row) -> Result<(Slot, DemandedScope)> {
    let slot = row.text("slot").map_err(|unreadable| unreadable.of("demanded_scope", user))?;
    let read = || {
        let demanded = DemandedScope {
            scope: row.text("scope")?,
            consents: u32::try_from(row.int("consents")?).map_err(|_| Unreadable("consents"))?,
            approved: row.maybe_int("approved")?.map(Version),
            open_since: row.maybe_time("open_since")?,
        };
        Ok::<_, Unreadable>((slot.parse().map_err(|_| Unreadable("slot"))?, demanded))
    };
    read().map_err(|unreadable| unreadable.of("demanded_scope", format_args!("{user} {slot}")))
}

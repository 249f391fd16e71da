use attache_core::{
    ConnectionName, Reach, Timestamp, TokenId, UserId,
    store::{Person, PersonalToken, PersonalTokenStore, Result},
};

use super::{list, person::person};
use crate::db::{Db, Row, Statement, Unreadable, values};

/// For the count that comes next: on `PostgreSQL` of two inserts at once one waits here.
const HOLD_PERSON: &str = "UPDATE person SET id = id WHERE id = $1";

const DELETE_EXPIRED: &str = "DELETE FROM personal_token WHERE user_id = $1 AND expires_at <= $2";

const INSERT: &str = "
    INSERT INTO personal_token
        (id, digest, user_id, name, upstreams, read_only, created_at, expires_at)
    SELECT $1, $2, $3, $4, $5, $6 = 1, $7, $8
    WHERE (SELECT count(*) FROM personal_token WHERE user_id = $3) < $9";

const EXISTS: &str = "SELECT id FROM personal_token WHERE id = $1";

const FIND: &str = "
    SELECT personal_token.id AS token, user_id, personal_token.name AS token_name, upstreams,
        read_only, personal_token.created_at AS made_at, expires_at, last_used_at,
        person.id, issuer, subject, email, person.name, groups, disabled, person.created_at,
        last_signed_in_at
    FROM personal_token JOIN person ON person.id = personal_token.user_id
    WHERE digest = $1 AND expires_at > $2";

const LIST: &str = "
    SELECT id AS token, user_id, name AS token_name, upstreams, read_only, created_at AS made_at,
        expires_at, last_used_at
    FROM personal_token WHERE user_id = $1 ORDER BY created_at DESC, id LIMIT $2";

const TOUCH: &str = "
    UPDATE personal_token SET last_used_at = $3
    WHERE id = $1 AND (last_used_at IS NULL OR last_used_at <= $2)";

const REMOVE: &str = "DELETE FROM personal_token WHERE user_id = $1 AND id = $2";

/// More than anybody may have.
const LISTED: u32 = 1_000;

#[async_trait::async_trait]
impl PersonalTokenStore for Db {
    async fn insert(&self, token: &PersonalToken, digest: [u8; 32], bound: u32) -> Result<bool> {
        let PersonalToken { id, user, name, reach, created_at, expires_at, .. } = token;
        let upstreams = reach.routes().map(|some| {
            let names: Vec<String> = some.iter().map(ToString::to_string).collect();
            list(&names)
        });
        let read_only = i64::from(reach.is_read_only());
        self.execute_all(&[
            Statement { sql: HOLD_PERSON, values: values![user] },
            Statement { sql: DELETE_EXPIRED, values: values![user, *created_at] },
            Statement {
                sql: INSERT,
                values: values![
                    id.as_str(),
                    &digest,
                    user,
                    name,
                    upstreams.as_deref(),
                    read_only,
                    *created_at,
                    *expires_at,
                    bound
                ],
            },
        ])
        .await?;
        Ok(self.read_one(EXISTS, values![id.as_str()]).await?.is_some())
    }

    async fn find(
        &self,
        digest: [u8; 32],
        now: Timestamp,
    ) -> Result<Option<(PersonalToken, Person)>> {
        let row = self.read_one(FIND, values![&digest, now]).await?;
        row.as_ref().map(|row| Ok((token(row)?, person(row)?))).transpose()
    }

    async fn list(&self, user: &UserId) -> Result<Vec<PersonalToken>> {
        self.read(LIST, values![user, LISTED]).await?.iter().map(token).collect()
    }

    async fn touch(&self, id: &TokenId, before: Timestamp, now: Timestamp) -> Result<()> {
        self.execute(TOUCH, values![id.as_str(), before, now]).await.map(drop)
    }

    async fn remove(&self, user: &UserId, id: &TokenId) -> Result<bool> {
        self.execute(REMOVE, values![user, id.as_str()]).await.map(|tokens| tokens > 0)
    }
}

fn token(row: &Row) -> Result<PersonalToken> {
    let id = row.text("token").map_err(|unreadable| unreadable.of("personal_token", "?"))?;
    let read = || {
        Ok::<_, Unreadable>(PersonalToken {
            id: TokenId::new(id.as_str()),
            user: UserId::new(row.text("user_id")?),
            name: row.text("token_name")?,
            reach: reach(row)?,
            created_at: row.time("made_at")?,
            expires_at: row.time("expires_at")?,
            last_used_at: row.maybe_time("last_used_at")?,
        })
    };
    read().map_err(|unreadable| unreadable.of("personal_token", &id))
}

fn reach(row: &Row) -> Result<Reach, Unreadable> {
    let reach = if row.maybe_text("upstreams")?.is_none() {
        Reach::everything()
    } else {
        let names = row.list("upstreams")?;
        let names = names.iter().map(|name| name.parse::<ConnectionName>());
        Reach::only(names.collect::<Result<Vec<_>, _>>().map_err(|_| Unreadable("upstreams"))?)
    };
    Ok(if row.flag("read_only")? { reach.reading() } else { reach })
}

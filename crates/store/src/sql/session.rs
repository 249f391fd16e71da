use attache_core::{
    Timestamp, UserId,
    principal::SessionDigest,
    store::{Person, Result, Session, SessionStore},
};

use super::{SWEPT_PER_INSERT, person::person, prefix};
use crate::db::{Db, Row, Statement, Unreadable, values};

const DELETE_EXPIRED: &str = "
    DELETE FROM session WHERE digest IN
        (SELECT digest FROM session WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)";

const INSERT: &str = "
    INSERT INTO session (digest, user_id, created_at, expires_at) VALUES ($1, $2, $3, $4)";

const FIND: &str = "
    SELECT session.created_at AS began_at, session.expires_at,
        person.id, issuer, subject, email, name, groups, disabled, person.created_at,
        last_signed_in_at
    FROM session JOIN person ON person.id = session.user_id
    WHERE session.digest = $1 AND session.expires_at > $2";

const LIST: &str = "
    SELECT digest, created_at AS began_at, expires_at FROM session
    WHERE user_id = $1 AND expires_at > $2 ORDER BY created_at DESC, digest LIMIT $3";

const REMOVE_OF: &str = "DELETE FROM session WHERE digest = $1 AND user_id = $2";

/// Sessions shown to one person.
const LISTED: u32 = 100;

const REMOVE: &str = "DELETE FROM session WHERE digest = $1";

#[async_trait::async_trait]
impl SessionStore for Db {
    async fn insert(&self, session: &Session) -> Result<()> {
        let Session { digest, user, created_at, expires_at } = session;
        self.execute_all(&[
            Statement { sql: DELETE_EXPIRED, values: values![*created_at, SWEPT_PER_INSERT] },
            Statement { sql: INSERT, values: values![&digest.0, user, *created_at, *expires_at] },
        ])
        .await
    }

    async fn find(
        &self,
        digest: SessionDigest,
        now: Timestamp,
    ) -> Result<Option<(Session, Person)>> {
        let row = self.read_one(FIND, values![&digest.0, now]).await?;
        row.as_ref().map(|row| session(digest, row)).transpose()
    }

    async fn remove(&self, digest: SessionDigest) -> Result<()> {
        self.execute(REMOVE, values![&digest.0]).await.map(drop)
    }

    async fn list(&self, user: &UserId, now: Timestamp) -> Result<Vec<Session>> {
        let rows = self.read(LIST, values![user, now, LISTED]).await?;
        let read = |row: &Row| {
            let digest = row.digest("digest").map_err(|none| none.of("session", user))?;
            listed(SessionDigest(digest), user, row)
        };
        rows.iter().map(read).collect()
    }

    async fn remove_of(&self, user: &UserId, digest: SessionDigest) -> Result<bool> {
        self.execute(REMOVE_OF, values![&digest.0, user]).await.map(|sessions| sessions > 0)
    }
}

fn session(digest: SessionDigest, row: &Row) -> Result<(Session, Person)> {
    let person = person(row)?;
    Ok((listed(digest, &person.id, row)?, person))
}

fn listed(digest: SessionDigest, user: &UserId, row: &Row) -> Result<Session> {
    let read = || {
        Ok::<_, Unreadable>(Session {
            digest,
            user: user.clone(),
            created_at: row.time("began_at")?,
            expires_at: row.time("expires_at")?,
        })
    };
    read().map_err(|unreadable| unreadable.of("session", prefix(&digest.0)))
}

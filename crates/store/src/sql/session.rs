use std::collections::BTreeSet;

use attache_core::{
    IssuerId, Timestamp, UserId,
    principal::SessionDigest,
    store::{Person, Result, Session, SessionStore, SignIn, SignedOut},
};

use super::{SWEPT_PER_INSERT, person::person, prefix};
use crate::db::{Db, Row, Statement, Unreadable, values};

const DELETE_EXPIRED: &str = "
    DELETE FROM session WHERE digest IN
        (SELECT digest FROM session WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)";

const INSERT: &str = "
    INSERT INTO session (digest, user_id, created_at, expires_at, issuer_subject, issuer_session)
    VALUES ($1, $2, $3, $4, $5, $6)";

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

/// A session that a version began which did not write down of which sign-in is its person's, at least.
const REMOVE_EVERYWHERE: &str = "
    DELETE FROM session WHERE digest IN
        (SELECT digest FROM session JOIN person ON person.id = session.user_id
         WHERE issuer = $1 AND (issuer_subject = $2 OR issuer_subject IS NULL AND subject = $2))
    RETURNING user_id";

const REMOVE_HERE: &str = "
    DELETE FROM session WHERE digest IN
        (SELECT digest FROM session JOIN person ON person.id = session.user_id
         WHERE issuer = $1 AND issuer_session = $2)
    RETURNING user_id";

const REMOVE_HERE_OF: &str = "
    DELETE FROM session WHERE digest IN
        (SELECT digest FROM session JOIN person ON person.id = session.user_id
         WHERE issuer = $1 AND (issuer_subject = $3 OR issuer_subject IS NULL AND subject = $3)
             AND (issuer_session = $2 OR issuer_session IS NULL))
    RETURNING user_id";

#[async_trait::async_trait]
impl SessionStore for Db {
    async fn insert(&self, session: &Session, sign_in: &SignIn) -> Result<()> {
        let Session { digest, user, created_at, expires_at } = session;
        let SignIn { subject, session } = sign_in;
        self.execute_all(&[
            Statement { sql: DELETE_EXPIRED, values: values![*created_at, SWEPT_PER_INSERT] },
            Statement {
                sql: INSERT,
                values: values![
                    &digest.0,
                    user,
                    *created_at,
                    *expires_at,
                    subject,
                    session.as_deref()
                ],
            },
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

    async fn remove_signed_out(
        &self,
        issuer: &IssuerId,
        signed_out: &SignedOut,
    ) -> Result<Vec<UserId>> {
        let rows = match signed_out {
            SignedOut::Everywhere { subject } => {
                self.write(REMOVE_EVERYWHERE, values![issuer, subject]).await
            }
            SignedOut::Here { session, subject: None } => {
                self.write(REMOVE_HERE, values![issuer, session]).await
            }
            SignedOut::Here { session, subject: Some(subject) } => {
                self.write(REMOVE_HERE_OF, values![issuer, session, subject]).await
            }
        }?;
        let whose = |row: &Row| {
            row.text("user_id").map(UserId::new).map_err(|none| none.of("session", issuer))
        };
        let people: BTreeSet<UserId> = rows.iter().map(whose).collect::<Result<_>>()?;
        Ok(people.into_iter().collect())
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

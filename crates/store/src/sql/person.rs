use attache_core::{
    IssuerId, Timestamp, UserId,
    store::{Person, PersonStore, Profile, Result, StoreError},
};

use super::list;
use crate::db::{Db, Row, Unreadable, values};

const UPSERT: &str = "
    INSERT INTO person
        (id, issuer, subject, email, name, groups, created_at, last_signed_in_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $7)
    ON CONFLICT (issuer, subject) DO UPDATE
    SET email = excluded.email, name = excluded.name, groups = excluded.groups,
        last_signed_in_at = CASE
            WHEN person.last_signed_in_at > excluded.last_signed_in_at
            THEN person.last_signed_in_at ELSE excluded.last_signed_in_at END
    RETURNING id, issuer, subject, email, name, groups, disabled, created_at,
        last_signed_in_at";

const FIND: &str = "
    SELECT id, issuer, subject, email, name, groups, disabled, created_at,
        last_signed_in_at
    FROM person WHERE id = $1";

/// Everything of a person refers to them and goes with them.
pub(super) const REMOVE: &str = "DELETE FROM person WHERE id = $1";

const FIND_BY_SUBJECT: &str = "
    SELECT id, issuer, subject, email, name, groups, disabled, created_at,
        last_signed_in_at
    FROM person WHERE issuer = $1 AND subject = $2";

#[async_trait::async_trait]
impl PersonStore for Db {
    async fn upsert(
        &self,
        issuer: &IssuerId,
        subject: &str,
        profile: &Profile,
        fresh: UserId,
        at: Timestamp,
    ) -> Result<Person> {
        let Profile { email, name, groups } = profile;
        let groups = list(groups);
        let values =
            values![&fresh, issuer, subject, email.as_deref(), name.as_deref(), &groups, at];
        let rows = self.write(UPSERT, values).await?;
        rows.first().ok_or(StoreError::Conflict).and_then(person)
    }

    async fn find(&self, id: &UserId) -> Result<Option<Person>> {
        self.read_one(FIND, values![id]).await?.as_ref().map(person).transpose()
    }

    async fn remove(&self, id: &UserId) -> Result<bool> {
        self.execute(REMOVE, values![id]).await.map(|people| people > 0)
    }

    async fn find_by_subject(&self, issuer: &IssuerId, subject: &str) -> Result<Option<Person>> {
        let row = self.read_one(FIND_BY_SUBJECT, values![issuer, subject]).await?;
        row.as_ref().map(person).transpose()
    }
}

pub(super) fn person(row: &Row) -> Result<Person> {
    let id = row.text("id").map_err(|unreadable| unreadable.of("person", "?"))?;
    let read = || {
        Ok::<_, Unreadable>(Person {
            id: UserId::new(id.as_str()),
            issuer: IssuerId::new(row.text("issuer")?),
            subject: row.text("subject")?,
            profile: Profile {
                email: row.maybe_text("email")?,
                name: row.maybe_text("name")?,
                groups: row.list("groups")?,
            },
            disabled: row.flag("disabled")?,
            created_at: row.time("created_at")?,
            last_signed_in_at: row.maybe_time("last_signed_in_at")?,
        })
    };
    read().map_err(|unreadable| unreadable.of("person", &id))
}

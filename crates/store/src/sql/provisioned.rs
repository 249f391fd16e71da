use attache_core::{
    IssuerId, Timestamp, UserId,
    store::{Handle, Person, Provisioned, ProvisioningStore, Resource, Result, StoreError},
};

use super::person::person;
use crate::db::{Db, Row, Unreadable, values};

/// Nobody is made twice, and nobody's profile is changed.
const ENROLL: &str = "
    INSERT INTO person (id, issuer, subject, groups, created_at, last_signed_in_at)
    VALUES ($1, $2, $3, '[]', $4, $4)
    ON CONFLICT (issuer, subject) DO NOTHING";

macro_rules! select {
    ($where:literal) => {
        concat!(
            "SELECT person.id, person.issuer, subject, email, name, groups, disabled, created_at,
                last_signed_in_at, user_name, external_id, switched_off, updated_at
            FROM person LEFT JOIN provisioned ON provisioned.user_id = person.id
            WHERE person.issuer = $1 AND ",
            $where
        )
    };
}

const FIND_BY_SUBJECT: &str = select!("subject = $2");

const FIND: &str = select!("person.id = $2 AND (disabled = FALSE OR user_name IS NOT NULL)");

/// A bound that no provider meets: `userName` is one person's.
const FIND_BY_USER_NAME: &str = select!(
    "(lower(user_name) = lower($2) OR subject = $3)
    AND (disabled = FALSE OR user_name IS NOT NULL) ORDER BY person.id LIMIT 100"
);

const FIND_BY_EXTERNAL_ID: &str = select!(
    "(external_id = $2 OR subject = $3)
    AND (disabled = FALSE OR user_name IS NOT NULL) ORDER BY person.id LIMIT 100"
);

const PAGE: &str =
    select!("(disabled = FALSE OR user_name IS NOT NULL) ORDER BY person.id LIMIT $3 OFFSET $2");

const COUNT: &str = "
    SELECT count(*) AS people FROM person
        LEFT JOIN provisioned ON provisioned.user_id = person.id
    WHERE person.issuer = $1 AND (disabled = FALSE OR user_name IS NOT NULL)";

const PUT: &str = "
    INSERT INTO provisioned (user_id, issuer, user_name, external_id, switched_off, updated_at)
    VALUES ($1, $2, $3, $4, $5 = 1, $6)
    ON CONFLICT (user_id) DO UPDATE
    SET issuer = excluded.issuer, user_name = excluded.user_name,
        external_id = excluded.external_id, switched_off = excluded.switched_off,
        updated_at = excluded.updated_at";

#[async_trait::async_trait]
impl ProvisioningStore for Db {
    async fn enroll(
        &self,
        issuer: &IssuerId,
        subject: &str,
        fresh: UserId,
        at: Timestamp,
    ) -> Result<Resource> {
        self.execute(ENROLL, values![&fresh, issuer, subject, at]).await?;
        let row = self.read_one(FIND_BY_SUBJECT, values![issuer, subject]).await?;
        row.as_ref().ok_or(StoreError::Conflict).and_then(resource)
    }

    async fn find(&self, issuer: &IssuerId, id: &UserId) -> Result<Option<Resource>> {
        self.read_one(FIND, values![issuer, id]).await?.as_ref().map(resource).transpose()
    }

    async fn find_by(
        &self,
        issuer: &IssuerId,
        handle: Handle<'_>,
        subject: Option<&str>,
    ) -> Result<Vec<Resource>> {
        let (sql, text) = match handle {
            Handle::UserName(name) => (FIND_BY_USER_NAME, name),
            Handle::ExternalId(id) => (FIND_BY_EXTERNAL_ID, id),
        };
        self.read(sql, values![issuer, text, subject]).await?.iter().map(resource).collect()
    }

    async fn page(
        &self,
        issuer: &IssuerId,
        skipped: u32,
        limit: u32,
    ) -> Result<(Vec<Resource>, u64)> {
        let rows = self.read(PAGE, values![issuer, skipped, limit]).await?;
        let people = rows.iter().map(resource).collect::<Result<_>>()?;
        let counted = self.read_one(COUNT, values![issuer]).await?;
        let count = counted.map_or(Ok(0), |row| row.int("people"));
        let count = count.map_err(|none| none.of("person", issuer))?;
        Ok((people, u64::try_from(count).unwrap_or_default()))
    }

    async fn put(&self, person: &Person, provisioned: &Provisioned, now: Timestamp) -> Result<()> {
        let Provisioned { user_name, external_id, switched_off } = provisioned;
        let values = values![
            &person.id,
            &person.issuer,
            user_name.as_deref(),
            external_id.as_deref(),
            i64::from(*switched_off),
            now
        ];
        self.execute(PUT, values).await.map(drop)
    }
}

fn resource(row: &Row) -> Result<Resource> {
    let person = person(row)?;
    let read = || {
        let updated_at = row.maybe_time("updated_at")?;
        let switched_off = updated_at.is_some() && row.flag("switched_off")?;
        Ok::<_, Unreadable>(Resource {
            person: person.clone(),
            provisioned: Provisioned {
                user_name: row.maybe_text("user_name")?,
                external_id: row.maybe_text("external_id")?,
                switched_off,
            },
            updated_at,
        })
    };
    read().map_err(|unreadable| unreadable.of("provisioned", &person.id))
}

//! A hundred thousand people, each with one connection, stored as the gateway would have stored
//! them, only faster.

use std::{borrow::Cow, ops::Range, time::Duration};

use anyhow::Result;
use attache_core::{
    Clock as _, CredentialKey, ObtainedVia, SystemClock, Timestamp, UpstreamName, UserId,
    store::{Sealed, Version, WrappedKey},
};
use attache_crypto::{
    digest::{base64url, sha256},
    keyring::KeyRing,
    random::SystemRandom,
    seal::{self, Binding, DataKey},
};
use attache_store::Location;
use serde::{Deserialize, Serialize};
use sqlx::{
    Connection as _, Database, Encode, Executor, IntoArguments, PgConnection, Postgres,
    QueryBuilder, Sqlite, SqliteConnection, Type, sqlite::SqliteConnectOptions,
};

pub const STORED: usize = 100_000;
pub const UPSTREAM: &str = "notes";
pub const ORIGIN: &str = "https://notes.example.com";
pub const IDP: &str = "https://idp.example.com";
pub const PROVIDER: &str = "https://as.example.com";

/// Rows of one insert: below the 32,766 values that SQLite binds.
const BATCH: usize = 1_000;
/// Characters of the tokens: what a provider with opaque tokens gives, or a little more.
const ACCESS_TOKEN: usize = 256;
const REFRESH_TOKEN: usize = 64;

/// Somebody by number, known everywhere without being kept.
#[derive(Clone, Copy, Debug)]
pub struct Someone(pub usize);

impl Someone {
    pub fn subject(self) -> String {
        format!("person-{}", self.0)
    }

    /// As random as the ids the gateway gives, and as long.
    pub fn id(self) -> UserId {
        UserId::new(base64url(&sha256(self.subject().as_bytes())))
    }

    /// # Errors
    /// None: the upstream's name is well formed.
    pub fn key(self) -> Result<CredentialKey> {
        Ok(CredentialKey::upstream(self.id(), UpstreamName::parse(UPSTREAM)?))
    }

    pub fn access_token(self) -> String {
        self.token("access", ACCESS_TOKEN)
    }

    fn token(self, what: &str, length: usize) -> String {
        let seed = base64url(&sha256(format!("{what} {}", self.0).as_bytes()));
        seed.chars().cycle().take(length).collect()
    }
}

/// The inside of a record, as the broker writes and reads it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Plaintext<'a> {
    pub access_token: Option<Cow<'a, str>>,
    pub refresh_token: Option<Cow<'a, str>>,
    pub token_type: Cow<'a, str>,
    pub scopes: Vec<String>,
    pub audience: Option<Cow<'a, str>>,
    pub issuer: Option<Cow<'a, str>>,
    pub obtained_at: i64,
    pub expires_at: Option<i64>,
    pub origin: Option<Cow<'a, str>>,
}

impl<'a> Plaintext<'a> {
    /// With what a provider of opaque tokens says beside them.
    pub fn of(access_token: Cow<'a, str>, obtained_at: i64, expires_at: i64) -> Self {
        Self {
            access_token: Some(access_token),
            refresh_token: None,
            token_type: "Bearer".into(),
            scopes: vec!["read".to_owned(), "write".to_owned()],
            audience: Some("https://notes.example.com/mcp".into()),
            issuer: Some(PROVIDER.into()),
            obtained_at,
            expires_at: Some(expires_at),
            origin: None,
        }
    }
}

/// Where they are from, and what they have connected.
#[derive(Clone, Copy, Debug)]
pub struct Home<'a> {
    pub issuer: &'a str,
    pub origin: &'a str,
}

impl Default for Home<'_> {
    fn default() -> Self {
        Self { issuer: IDP, origin: ORIGIN }
    }
}

/// What is stored of one person.
#[derive(Debug)]
pub struct Rows {
    pub key: CredentialKey,
    pub subject: String,
    pub data_key: DataKey,
    pub wrapped: WrappedKey,
    pub version: Version,
    pub sealed: Sealed,
    pub now: Timestamp,
    pub expires_at: Timestamp,
}

impl Rows {
    pub async fn of(someone: Someone, home: Home<'_>, ring: &KeyRing) -> Result<Self> {
        let key = someone.key()?;
        let now = SystemClock.now();
        let expires_at = now.plus(Duration::from_hours(8));
        let version = Version::first(now);
        let plaintext = serde_json::to_vec(&Plaintext {
            refresh_token: Some(someone.token("refresh", REFRESH_TOKEN).into()),
            origin: Some(home.origin.into()),
            ..Plaintext::of(someone.access_token().into(), now.0, expires_at.0)
        })?;
        let data_key = DataKey::generate(&SystemRandom);
        let binding = Binding { user: &key.user, slot: &key.slot, version };
        let sealed = seal::seal(&data_key, &binding, &plaintext);
        let wrapped = ring.wrap(&data_key, &key.user.clone().into()).await?;
        let subject = someone.subject();
        Ok(Self { key, subject, data_key, wrapped, version, sealed, now, expires_at })
    }
}

/// Stores `people` in tables that are there and empty, and beside them, in a table `bare`, the same
/// blobs under the same ids: what a bare get is measured with.
pub async fn store(
    location: &Location,
    ring: &KeyRing,
    people: Range<usize>,
    home: Home<'_>,
) -> Result<()> {
    match location {
        Location::Sqlite(file) => {
            let options = SqliteConnectOptions::new().filename(file);
            let mut connection = SqliteConnection::connect_with(&options).await?;
            insert::<Sqlite>(&mut connection, ring, people, home).await?;
            connection.close().await?;
        }
        Location::Postgres { url, .. } => {
            let mut connection = PgConnection::connect(url.expose()).await?;
            insert::<Postgres>(&mut connection, ring, people, home).await?;
            // As the server does by itself after a while, and then not in the middle of a round.
            connection.execute("VACUUM ANALYZE").await?;
            connection.close().await?;
        }
        Location::Memory => anyhow::bail!("nobody else can see a store in memory"),
    }
    Ok(())
}

async fn insert<DB: Database>(
    connection: &mut DB::Connection,
    ring: &KeyRing,
    people: Range<usize>,
    home: Home<'_>,
) -> Result<()>
where
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
    DB::Arguments: IntoArguments<DB>,
    String: for<'v> Encode<'v, DB> + Type<DB>,
    Vec<u8>: for<'v> Encode<'v, DB> + Type<DB>,
    i64: for<'v> Encode<'v, DB> + Type<DB>,
{
    connection.execute("CREATE TABLE bare (id TEXT NOT NULL PRIMARY KEY, value BYTEA)").await?;
    connection.execute("BEGIN").await?;
    let mut next = people.start;
    while next < people.end {
        let mut batch = Vec::with_capacity(BATCH);
        for number in next..people.end.min(next + BATCH) {
            batch.push(Rows::of(Someone(number), home, ring).await?);
        }
        next += batch.len();

        let mut insert = QueryBuilder::<DB>::new(
            "INSERT INTO person (id, issuer, subject, groups, created_at) ",
        );
        insert.push_values(&batch, |mut values, rows| {
            values.push_bind(rows.key.user.to_string()).push_bind(home.issuer.to_owned());
            values.push_bind(rows.subject.clone()).push_bind("[]".to_owned());
            values.push_bind(rows.now.0);
        });
        connection.execute(insert.build()).await?;

        let mut insert = QueryBuilder::<DB>::new(
            "INSERT INTO data_key (user_id, wrapped_by, wrapped, created_at) ",
        );
        insert.push_values(&batch, |mut values, rows| {
            values.push_bind(rows.key.user.to_string());
            values.push_bind(rows.wrapped.wrapped_by.0.to_string());
            values.push_bind(rows.wrapped.bytes.clone()).push_bind(rows.now.0);
        });
        connection.execute(insert.build()).await?;

        let mut insert = QueryBuilder::<DB>::new(
            "INSERT INTO credential (user_id, slot, version, sealed, health, obtained_via, \
             expires_at, updated_at) ",
        );
        insert.push_values(&batch, |mut values, rows| {
            values.push_bind(rows.key.user.to_string()).push_bind(rows.key.slot.to_string());
            values.push_bind(rows.version.0).push_bind(rows.sealed.0.clone());
            values.push_bind("good".to_owned());
            values.push_bind(ObtainedVia::ConnectFlow.as_str().to_owned());
            values.push_bind(rows.expires_at.0).push_bind(rows.now.0);
        });
        connection.execute(insert.build()).await?;

        let mut insert = QueryBuilder::<DB>::new("INSERT INTO bare (id, value) ");
        insert.push_values(&batch, |mut values, rows| {
            values.push_bind(rows.key.user.to_string()).push_bind(rows.sealed.0.clone());
        });
        connection.execute(insert.build()).await?;
    }
    connection.execute("COMMIT").await?;
    Ok(())
}

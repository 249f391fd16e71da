//! One blob by its primary key, and nothing else.

use anyhow::{Result, ensure};
use attache_benches::processor::Meter;
use attache_core::UserId;
use attache_store::Location;
use sqlx::{
    PgPool, SqlitePool,
    postgres::PgPoolOptions,
    sqlite::{SqliteConnectOptions, SqlitePoolOptions},
};

const GET: &str = "SELECT value FROM bare WHERE id = $1";

pub(crate) enum Bare {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

impl Bare {
    /// The driver's pool, told to do as little as it can; as many connections as the store has.
    pub(crate) async fn open(location: &Location) -> Result<Self> {
        Ok(match location {
            Location::Sqlite(file) => {
                let options = SqliteConnectOptions::new().filename(file).read_only(true);
                let pool = SqlitePoolOptions::new().max_connections(4).test_before_acquire(false);
                Self::Sqlite(pool.connect_with(options).await?)
            }
            Location::Postgres { url, .. } => Self::Postgres(
                PgPoolOptions::new()
                    .max_connections(10)
                    .test_before_acquire(false)
                    .connect(url.expose())
                    .await?,
            ),
            Location::Memory => anyhow::bail!("nobody else can see a store in memory"),
        })
    }

    pub(crate) async fn get(&self, id: &UserId) -> Result<()> {
        let id = id.as_str();
        let value: Vec<u8> = match self {
            Self::Sqlite(pool) => sqlx::query_scalar(GET).bind(id).fetch_one(pool).await?,
            Self::Postgres(pool) => sqlx::query_scalar(GET).bind(id).fetch_one(pool).await?,
        };
        ensure!(!value.is_empty(), "a blob");
        Ok(())
    }

    /// Of this process and, where there is one, of the server's.
    pub(crate) async fn meter(&self) -> Result<Meter> {
        let mut meter = Meter::own();
        if let Self::Postgres(pool) = self {
            let servers = "SELECT pid FROM pg_stat_activity";
            let servers: Vec<i32> = sqlx::query_scalar(servers).fetch_all(pool).await?;
            meter.processes.extend(servers.into_iter().filter_map(|pid| u32::try_from(pid).ok()));
        }
        Ok(meter)
    }

    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite(pool) => pool.close().await,
            Self::Postgres(pool) => pool.close().await,
        }
    }
}

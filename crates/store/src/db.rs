//! The one place that knows there are two databases.

pub(crate) mod circuit;
pub(crate) mod postgres;
mod row;
mod value;

use std::fmt;

use attache_core::store::{Result, StoreError};
use sqlx::{
    Connection as _, Database, Encode, PgConnection, Postgres, Sqlite, SqlitePool, Type,
    error::ErrorKind, query::Query,
};

use self::postgres::{Server, all_in_time, in_time};
pub(crate) use self::{
    row::{Row, Unreadable},
    value::{Value, values},
};

/// How often a batch is tried when `PostgreSQL` cancels it to break a deadlock.
const ATTEMPTS: u32 = 3;

pub(crate) enum Db {
    /// One connection writes, so that writers wait in a queue instead of failing as busy.
    Sqlite {
        reader: SqlitePool,
        writer: SqlitePool,
    },
    Postgres(Server),
}

/// Says which database, never where: a `PostgreSQL` URL may hold a password.
impl fmt::Debug for Db {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sqlite { .. } => "Db(sqlite)",
            Self::Postgres(_) => "Db(postgres)",
        })
    }
}

/// One statement of a batch.
pub(crate) struct Statement<'a> {
    pub(crate) sql: &'static str,
    pub(crate) values: &'a [Value<'a>],
}

// Rows are always fetched to the end, also where there can be one at most: SQLite ends the implicit
// transaction of a `RETURNING` with its last step, and what fails there must be heard.
impl Db {
    pub(crate) async fn read(&self, sql: &'static str, values: &[Value<'_>]) -> Result<Vec<Row>> {
        match self {
            Self::Sqlite { reader, .. } => {
                rows(bind::<Sqlite>(sql, values).fetch_all(reader).await, Row::Sqlite)
            }
            Self::Postgres(server) => fetch_postgres(server, sql, values).await,
        }
    }

    /// Runs a statement that ends in `RETURNING`.
    pub(crate) async fn write(&self, sql: &'static str, values: &[Value<'_>]) -> Result<Vec<Row>> {
        match self {
            Self::Sqlite { writer, .. } => {
                rows(bind::<Sqlite>(sql, values).fetch_all(writer).await, Row::Sqlite)
            }
            Self::Postgres(server) => fetch_postgres(server, sql, values).await,
        }
    }

    /// Runs a statement and says how many rows it touched.
    pub(crate) async fn execute(&self, sql: &'static str, values: &[Value<'_>]) -> Result<u64> {
        match self {
            Self::Sqlite { writer, .. } => {
                bind::<Sqlite>(sql, values).execute(writer).await.map(|done| done.rows_affected())
            }
            Self::Postgres(server) => {
                let mut held = server.hold().await?;
                let query = bind::<Postgres>(sql, values).execute(&mut *held.connection);
                let done = in_time(query).await;
                held.end(done).map(|done| done.rows_affected())
            }
        }
        .map_err(store_error)
    }

    /// Runs every statement in one transaction, or none.
    pub(crate) async fn execute_all(&self, batch: &[Statement<'_>]) -> Result<()> {
        match self {
            Self::Sqlite { writer, .. } => execute_all_sqlite(writer, batch).await,
            Self::Postgres(server) => {
                let mut attempt = 1;
                loop {
                    let mut held = server.hold().await?;
                    let done = execute_all_postgres(&mut held.connection, batch);
                    let done = all_in_time(done).await;
                    match held.end(done) {
                        Err(error) if is_deadlock(&error) && attempt < ATTEMPTS => attempt += 1,
                        outcome => break outcome,
                    }
                }
            }
        }
        .map_err(store_error)
    }

    /// Whether a write could succeed now.
    pub(crate) async fn ping(&self) -> Result<()> {
        match self {
            Self::Sqlite { .. } => self.read("SELECT 1", &[]).await.map(drop),
            Self::Postgres(server) => server.ping().await,
        }
    }

    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite { reader, writer } => {
                reader.close().await;
                writer.close().await;
            }
            Self::Postgres(server) => server.pool.close().await,
        }
    }
}

async fn execute_all_sqlite(pool: &SqlitePool, batch: &[Statement<'_>]) -> sqlx::Result<()> {
    // A transaction that begins by reading can find, when it first writes, that it is too late.
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
    for Statement { sql, values } in batch {
        bind::<Sqlite>(sql, values).execute(&mut *transaction).await?;
    }
    transaction.commit().await
}

async fn fetch_postgres(
    server: &Server,
    sql: &'static str,
    values: &[Value<'_>],
) -> Result<Vec<Row>> {
    let mut held = server.hold().await?;
    let fetched = in_time(bind::<Postgres>(sql, values).fetch_all(&mut *held.connection)).await;
    rows(held.end(fetched), Row::Postgres)
}

async fn execute_all_postgres(
    connection: &mut PgConnection,
    batch: &[Statement<'_>],
) -> sqlx::Result<()> {
    let mut transaction = in_time(connection.begin()).await?;
    for Statement { sql, values } in batch {
        in_time(bind::<Postgres>(sql, values).execute(&mut *transaction)).await?;
    }
    in_time(transaction.commit()).await
}

fn bind<'q, DB>(sql: &'static str, values: &[Value<'_>]) -> Query<'q, DB, DB::Arguments>
where
    DB: Database,
    for<'v> Option<&'v str>: Encode<'v, DB> + Type<DB>,
    for<'v> Option<&'v [u8]>: Encode<'v, DB> + Type<DB>,
    for<'v> Option<i64>: Encode<'v, DB> + Type<DB>,
{
    values.iter().fold(sqlx::query(sql), |query, value| match *value {
        Value::Text(text) => query.bind(text),
        Value::Bytes(bytes) => query.bind(bytes),
        Value::Int(int) => query.bind(int),
    })
}

fn rows<R>(fetched: sqlx::Result<Vec<R>>, wrap: fn(R) -> Row) -> Result<Vec<Row>> {
    fetched.map(|rows| rows.into_iter().map(wrap).collect()).map_err(store_error)
}

/// A second row where there is one, or a row whose person is gone, is a conflict; everything else
/// may pass.
fn store_error(error: sqlx::Error) -> StoreError {
    let kind = error.as_database_error().map(sqlx::error::DatabaseError::kind);
    match kind {
        Some(ErrorKind::UniqueViolation | ErrorKind::ForeignKeyViolation) => StoreError::Conflict,
        _ => StoreError::Unavailable(Box::new(error)),
    }
}

/// `deadlock_detected` and `serialization_failure`: the transaction was rolled back whole.
fn is_deadlock(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    matches!(code.as_deref(), Some("40P01" | "40001"))
}

//! The one place that knows there are two databases.

pub(crate) mod circuit;
mod file;
pub(crate) mod postgres;
mod row;
mod rows;
pub(crate) mod sqlite;
mod value;

use std::fmt;

use attache_core::store::{Result, StoreError};
use sqlx::{
    Connection as _, Database, Encode, PgConnection, Postgres, Type, error::ErrorKind, query::Query,
};

use self::postgres::{Server, all_in_time, in_time};
pub(crate) use self::{
    file::Watched,
    row::{Row, Unreadable},
    rows::Insert,
    sqlite::Embedded,
    value::{Value, values},
};

/// How often a batch is tried when `PostgreSQL` cancels it to break a deadlock.
const ATTEMPTS: u32 = 3;

pub(crate) enum Db {
    Sqlite(Embedded),
    Postgres(Server),
}

/// Says which database, never where: a `PostgreSQL` URL may hold a password.
impl fmt::Debug for Db {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sqlite(_) => "Db(sqlite)",
            Self::Postgres(_) => "Db(postgres)",
        })
    }
}

/// One statement of a batch.
pub(crate) struct Statement<'a> {
    pub(crate) sql: &'static str,
    pub(crate) values: &'a [Value<'a>],
}

// What writes is always fetched to the end, also where there can be one row at most: SQLite ends the
// implicit transaction of a `RETURNING` with its last step, and what fails there must be heard.
impl Db {
    pub(crate) async fn read(&self, sql: &'static str, values: &[Value<'_>]) -> Result<Vec<Row>> {
        match self {
            Self::Sqlite(file) => file.read(sql, values).await,
            Self::Postgres(server) => fetch_postgres(server, sql, values).await,
        }
    }

    /// As [`Db::read`], where there can be one row at most: without waiting for the end.
    pub(crate) async fn read_one(
        &self,
        sql: &'static str,
        values: &[Value<'_>],
    ) -> Result<Option<Row>> {
        match self {
            Self::Sqlite(file) => file.read_one(sql, values).await,
            Self::Postgres(server) => {
                let mut held = server.hold().await?;
                let query = bind::<Postgres>(sql, values).fetch_optional(held.connection());
                let fetched = in_time(query).await;
                Ok(held.end(fetched).map_err(store_error)?.map(Row::Postgres))
            }
        }
    }

    /// Runs a statement that ends in `RETURNING`.
    pub(crate) async fn write(&self, sql: &'static str, values: &[Value<'_>]) -> Result<Vec<Row>> {
        match self {
            Self::Sqlite(file) => file.write(sql, values).await,
            Self::Postgres(server) => fetch_postgres(server, sql, values).await,
        }
    }

    /// Runs a statement and says how many rows it touched.
    pub(crate) async fn execute(&self, sql: &'static str, values: &[Value<'_>]) -> Result<u64> {
        match self {
            Self::Sqlite(file) => file.execute(sql, values).await,
            Self::Postgres(server) => {
                let mut held = server.hold().await?;
                let query = bind::<Postgres>(sql, values).execute(held.connection());
                let done = in_time(query).await;
                held.end(done).map(|done| done.rows_affected()).map_err(store_error)
            }
        }
    }

    /// Runs every statement in one transaction, or none.
    pub(crate) async fn execute_all(&self, batch: &[Statement<'_>]) -> Result<()> {
        match self {
            Self::Sqlite(file) => file.execute_all(batch).await,
            Self::Postgres(server) => {
                let mut attempt = 1;
                loop {
                    let mut held = server.hold().await?;
                    let done = execute_all_postgres(held.connection(), batch);
                    let done = all_in_time(done).await;
                    match held.end(done) {
                        Err(error) if is_deadlock(&error) && attempt < ATTEMPTS => attempt += 1,
                        outcome => break outcome.map_err(store_error),
                    }
                }
            }
        }
    }

    /// Whether a write could succeed now.
    pub(crate) async fn ping(&self) -> Result<()> {
        match self {
            Self::Sqlite(file) => file.ping().await,
            Self::Postgres(server) => server.ping().await,
        }
    }

    /// Whether a page was met that cannot be read.
    pub(crate) fn is_damaged(&self) -> bool {
        matches!(self, Self::Sqlite(file) if file.is_damaged())
    }

    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite(file) => file.close().await,
            Self::Postgres(server) => server.connections.close().await,
        }
    }
}

async fn fetch_postgres(
    server: &Server,
    sql: &'static str,
    values: &[Value<'_>],
) -> Result<Vec<Row>> {
    let mut held = server.hold().await?;
    let fetched = in_time(bind::<Postgres>(sql, values).fetch_all(held.connection())).await;
    let fetched = held.end(fetched).map_err(store_error)?;
    Ok(fetched.into_iter().map(Row::Postgres).collect())
}

async fn execute_all_postgres(
    connection: &mut PgConnection,
    batch: &[Statement<'_>],
) -> sqlx::Result<()> {
    let mut transaction = in_time(connection.begin()).await?;
    let ran = async {
        for Statement { sql, values } in batch {
            in_time(bind::<Postgres>(sql, values).execute(&mut *transaction)).await?;
        }
        Ok(())
    };
    match ran.await {
        Ok(()) => in_time(transaction.commit()).await,
        Err(error) => {
            // At once: it holds locks, and nobody may use the connection for a while.
            in_time(transaction.rollback()).await?;
            Err(error)
        }
    }
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

/// A second row where there is one, or a row whose person is gone, is a conflict; everything else
/// may pass.
fn store_error(error: sqlx::Error) -> StoreError {
    if is_conflict(&error) {
        return StoreError::Conflict;
    }
    StoreError::Unavailable(Box::new(error))
}

fn is_conflict(error: &sqlx::Error) -> bool {
    let kind = error.as_database_error().map(sqlx::error::DatabaseError::kind);
    matches!(kind, Some(ErrorKind::UniqueViolation | ErrorKind::ForeignKeyViolation))
}

/// `deadlock_detected` and `serialization_failure`: the transaction was rolled back whole.
fn is_deadlock(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    matches!(code.as_deref(), Some("40P01" | "40001"))
}

//! `SQLite` as operators have it: on disks that fill up, and in files that come to harm.

pub(crate) mod readers;

use attache_core::store::Result;
use sqlx::{
    Connection as _, Sqlite, SqliteConnection, SqlitePool,
    query::Query,
    sqlite::{SqliteArguments, SqliteRow},
};

use self::readers::Readers;
use super::{Row, Statement, Value, Watched, bind, is_conflict};

/// Reads the file: `SELECT 1` alone would not.
const LOOK: &str = "SELECT 1 FROM person LIMIT 1";

/// Writes one page and changes nothing: nobody reads this number.
const TOUCH: &str = "PRAGMA user_version = 0";

pub(crate) struct Embedded {
    /// `None` in memory, where the writer's connection is the only one that sees anything.
    pub(crate) readers: Option<Readers>,
    /// One connection writes, so that writers wait in a queue instead of failing as busy.
    pub(crate) writer: SqlitePool,
    pub(crate) file: Watched,
}

impl Embedded {
    pub(super) async fn read(&self, sql: &'static str, values: &[Value<'_>]) -> Result<Vec<Row>> {
        self.file.find()?;
        let query = bind::<Sqlite>(sql, values);
        let fetched = match &self.readers {
            None => query.fetch_all(&self.writer).await,
            Some(readers) => all_rows(readers, query).await,
        };
        Ok(self.file.read(fetched)?.into_iter().map(Row::Sqlite).collect())
    }

    pub(super) async fn read_one(
        &self,
        sql: &'static str,
        values: &[Value<'_>],
    ) -> Result<Option<Row>> {
        self.file.find()?;
        let query = bind::<Sqlite>(sql, values);
        let fetched = match &self.readers {
            None => query.fetch_optional(&self.writer).await,
            Some(readers) => one_row(readers, query).await,
        };
        Ok(self.file.read(fetched)?.map(Row::Sqlite))
    }

    pub(super) async fn write(&self, sql: &'static str, values: &[Value<'_>]) -> Result<Vec<Row>> {
        self.file.find()?;
        let fetched = bind::<Sqlite>(sql, values).fetch_all(&self.writer).await;
        let fetched = self.file.written(fetched)?;
        self.believe().await;
        Ok(fetched.into_iter().map(Row::Sqlite).collect())
    }

    pub(super) async fn execute(&self, sql: &'static str, values: &[Value<'_>]) -> Result<u64> {
        self.file.find()?;
        let done = bind::<Sqlite>(sql, values).execute(&self.writer).await;
        let done = self.file.written(done)?;
        self.believe().await;
        Ok(done.rows_affected())
    }

    pub(super) async fn execute_all(&self, batch: &[Statement<'_>]) -> Result<()> {
        self.file.find()?;
        self.file.written(self.transaction(batch).await)?;
        self.believe().await;
        Ok(())
    }

    /// Reads, and writes if the last write failed: whoever asks hears when that is over.
    pub(super) async fn ping(&self) -> Result<()> {
        self.read_one(LOOK, &[]).await?;
        if self.file.refuses_writes() { self.touch().await } else { Ok(()) }
    }

    pub(super) fn is_damaged(&self) -> bool {
        self.file.is_damaged()
    }

    pub(super) async fn close(&self) {
        if let Some(readers) = &self.readers {
            readers.close().await;
        }
        self.writer.close().await;
        self.file.release();
    }

    async fn transaction(&self, batch: &[Statement<'_>]) -> sqlx::Result<()> {
        let mut connection = self.writer.acquire().await?;
        let outcome = all(&mut connection, batch).await;
        if outcome.as_ref().is_err_and(|error| !is_conflict(error)) {
            // A full disk ends the transaction by itself; sqlx counts it as open still, and would
            // refuse to begin the next.
            connection.close_on_drop();
        }
        outcome
    }

    /// What changes no page succeeds on a full disk, too: after a write that failed, only one that
    /// surely reaches the disk says that this is over.
    async fn believe(&self) {
        if self.file.refuses_writes() {
            // Whether it failed is written down.
            self.touch().await.ok();
        }
    }

    async fn touch(&self) -> Result<()> {
        self.file.written(sqlx::query(TOUCH).execute(&self.writer).await)?;
        self.file.takes_writes();
        Ok(())
    }
}

async fn all_rows(
    readers: &Readers,
    query: Query<'_, Sqlite, SqliteArguments>,
) -> sqlx::Result<Vec<SqliteRow>> {
    let mut reader = readers.take().await?;
    let fetched = query.fetch_all(&mut reader.connection).await;
    reader.end(fetched)
}

async fn one_row(
    readers: &Readers,
    query: Query<'_, Sqlite, SqliteArguments>,
) -> sqlx::Result<Option<SqliteRow>> {
    let mut reader = readers.take().await?;
    let fetched = query.fetch_optional(&mut reader.connection).await;
    reader.end(fetched)
}

async fn all(connection: &mut SqliteConnection, batch: &[Statement<'_>]) -> sqlx::Result<()> {
    // A transaction that begins by reading can find, when it first writes, that it is too late.
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    for Statement { sql, values } in batch {
        bind::<Sqlite>(sql, values).execute(&mut *transaction).await?;
    }
    transaction.commit().await
}

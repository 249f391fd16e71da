//! Makes the row, or says which row of which table cannot be made.

use std::fmt;

use attache_core::{
    Timestamp,
    store::{Result, StoreError},
};
use sqlx::{Decode, Postgres, Row as _, Sqlite, Type, postgres::PgRow, sqlite::SqliteRow};

pub(crate) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

/// A column that holds what no version of ours writes there.
#[derive(Debug)]
pub(crate) struct Unreadable(pub(crate) &'static str);

impl Unreadable {
    /// `row` is what an operator finds it by: never a secret.
    pub(crate) fn of(self, table: &'static str, row: impl fmt::Display) -> StoreError {
        StoreError::Inconsistent { table, row: row.to_string(), detail: self.0 }
    }
}

impl Row {
    pub(crate) fn text(&self, column: &'static str) -> Result<String, Unreadable> {
        self.cell(column)
    }

    pub(crate) fn maybe_text(&self, column: &'static str) -> Result<Option<String>, Unreadable> {
        self.cell(column)
    }

    pub(crate) fn bytes(&self, column: &'static str) -> Result<Vec<u8>, Unreadable> {
        self.cell(column)
    }

    pub(crate) fn digest(&self, column: &'static str) -> Result<[u8; 32], Unreadable> {
        self.bytes(column)?.try_into().map_err(|_| Unreadable(column))
    }

    pub(crate) fn flag(&self, column: &'static str) -> Result<bool, Unreadable> {
        self.cell(column)
    }

    pub(crate) fn int(&self, column: &'static str) -> Result<i64, Unreadable> {
        self.cell(column)
    }

    pub(crate) fn maybe_int(&self, column: &'static str) -> Result<Option<i64>, Unreadable> {
        self.cell(column)
    }

    pub(crate) fn maybe_bytes(&self, column: &'static str) -> Result<Option<Vec<u8>>, Unreadable> {
        self.cell(column)
    }

    pub(crate) fn time(&self, column: &'static str) -> Result<Timestamp, Unreadable> {
        self.int(column).map(Timestamp)
    }

    pub(crate) fn maybe_time(&self, column: &'static str) -> Result<Option<Timestamp>, Unreadable> {
        Ok(self.cell::<Option<i64>>(column)?.map(Timestamp))
    }

    /// A JSON array of strings.
    pub(crate) fn list(&self, column: &'static str) -> Result<Vec<String>, Unreadable> {
        serde_json::from_str(&self.text(column)?).map_err(|_| Unreadable(column))
    }

    /// A word of a closed list.
    pub(crate) fn word<T>(
        &self,
        column: &'static str,
        parse: fn(&str) -> Option<T>,
    ) -> Result<T, Unreadable> {
        self.maybe_word(column, parse)?.ok_or(Unreadable(column))
    }

    pub(crate) fn maybe_word<T>(
        &self,
        column: &'static str,
        parse: fn(&str) -> Option<T>,
    ) -> Result<Option<T>, Unreadable> {
        self.maybe_text(column)?.map(|word| parse(&word).ok_or(Unreadable(column))).transpose()
    }

    fn cell<T>(&self, column: &'static str) -> Result<T, Unreadable>
    where
        T: for<'r> Decode<'r, Sqlite> + Type<Sqlite>,
        T: for<'r> Decode<'r, Postgres> + Type<Postgres>,
    {
        match self {
            Self::Sqlite(row) => row.try_get(column),
            Self::Postgres(row) => row.try_get(column),
        }
        .map_err(|_| Unreadable(column))
    }
}

//! Rows by the dozen: most of an insert's cost is the statement's.

use super::{Db, Statement, Value};

/// Rows that one statement takes where there are that many.
const MANY: usize = 64;

/// `INSERT` of rows of one shape.
pub(crate) struct Insert {
    columns: usize,
    one: String,
    /// [`MANY`] rows.
    sqlite: String,
    postgres: String,
}

impl Insert {
    /// `into` is the statement up to `VALUES`.
    pub(crate) fn new(into: &str, columns: usize) -> Self {
        // SQLite looks a parameter that has a name up by walking through all names.
        let nameless = |_| "?".to_owned();
        let numbered = |number| format!("${number}");
        Self {
            columns,
            one: text(into, 1, columns, numbered),
            sqlite: text(into, MANY, columns, nameless),
            postgres: text(into, MANY, columns, numbered),
        }
    }

    /// Statements that write rows, whose `values` stand one row after the other.
    pub(crate) fn of<'a>(
        &'static self,
        values: &'a [Value<'a>],
        database: &Db,
    ) -> impl Iterator<Item = Statement<'a>> {
        let text: &'static str = match database {
            Db::Sqlite(_) => &self.sqlite,
            Db::Postgres(_) => &self.postgres,
        };
        let many = values.chunks_exact(MANY * self.columns);
        let rest = many.remainder().chunks_exact(self.columns);
        many.map(move |values| Statement { sql: text, values })
            .chain(rest.map(|values| Statement { sql: &self.one, values }))
    }
}

fn text(into: &str, rows: usize, columns: usize, parameter: fn(usize) -> String) -> String {
    let row = |row: usize| {
        let first = row * columns + 1;
        let parameters: Vec<_> = (first..first + columns).map(parameter).collect();
        format!("({})", parameters.join(", "))
    };
    let rows: Vec<_> = (0..rows).map(row).collect();
    format!("{into} VALUES {}", rows.join(", "))
}

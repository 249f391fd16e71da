//! Rows of any table, column by column, and the SQL that moves them.

use sqlx::{ColumnIndex, Decode, Postgres, Row, Type, postgres::PgArguments, query::Query};

use super::Table;

pub(super) struct Column {
    pub(super) name: String,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    Text,
    Bytes,
    Int,
    Flag,
}

impl Column {
    /// None for a type that no table of ours has.
    pub(super) fn new(name: String, data_type: &str) -> Option<Self> {
        let kind = match data_type {
            "text" => Kind::Text,
            "bytea" => Kind::Bytes,
            "bigint" => Kind::Int,
            "boolean" => Kind::Flag,
            _ => return None,
        };
        Some(Self { name, kind })
    }

    fn array(&self) -> &'static str {
        match self.kind {
            Kind::Text => "text[]",
            Kind::Bytes => "bytea[]",
            Kind::Int => "bigint[]",
            Kind::Flag => "boolean[]",
        }
    }
}

/// From `SQLite`: rows after row id `$1`, with the row id behind the columns.
pub(super) fn select(table: &Table, page: usize) -> String {
    let (name, columns) = (&table.name, names(table));
    format!("SELECT {columns}, rowid FROM \"{name}\" WHERE rowid > $1 ORDER BY rowid LIMIT {page}")
}

/// Into `PostgreSQL`: one array a column.
pub(super) fn insert(table: &Table) -> String {
    let arrays: Vec<String> = (1..)
        .zip(&table.columns)
        .map(|(number, column)| format!("${number}::{}", column.array()))
        .collect();
    format!(
        "INSERT INTO \"{}\" ({}) OVERRIDING SYSTEM VALUE SELECT * FROM UNNEST({})",
        table.name,
        names(table),
        arrays.join(", "),
    )
}

/// From `PostgreSQL`: what begins a reading, reads on, and ends it.
pub(super) fn cursor(table: &Table, page: usize) -> [String; 3] {
    let (name, columns) = (&table.name, names(table));
    [
        format!("DECLARE \"read {name}\" NO SCROLL CURSOR FOR SELECT {columns} FROM \"{name}\""),
        format!("FETCH {page} FROM \"read {name}\""),
        format!("CLOSE \"read {name}\""),
    ]
}

fn names(table: &Table) -> String {
    let quoted: Vec<String> =
        table.columns.iter().map(|column| format!("\"{}\"", column.name)).collect();
    quoted.join(", ")
}

pub(super) struct Page(Vec<Cells>);

enum Cells {
    Text(Vec<Option<String>>),
    Bytes(Vec<Option<Vec<u8>>>),
    Int(Vec<Option<i64>>),
    Flag(Vec<Option<bool>>),
}

impl Page {
    pub(super) fn read<R: Row>(columns: &[Column], rows: &[R]) -> sqlx::Result<Self>
    where
        usize: ColumnIndex<R>,
        String: for<'r> Decode<'r, R::Database> + Type<R::Database>,
        Vec<u8>: for<'r> Decode<'r, R::Database> + Type<R::Database>,
        i64: for<'r> Decode<'r, R::Database> + Type<R::Database>,
        bool: for<'r> Decode<'r, R::Database> + Type<R::Database>,
    {
        fn cells<'r, R, T>(rows: &'r [R], index: usize) -> sqlx::Result<Vec<Option<T>>>
        where
            R: Row,
            usize: ColumnIndex<R>,
            T: Decode<'r, R::Database> + Type<R::Database>,
        {
            rows.iter().map(|row| row.try_get(index)).collect()
        }
        let read = |(index, column): (usize, &Column)| {
            Ok(match column.kind {
                Kind::Text => Cells::Text(cells(rows, index)?),
                Kind::Bytes => Cells::Bytes(cells(rows, index)?),
                Kind::Int => Cells::Int(cells(rows, index)?),
                Kind::Flag => Cells::Flag(cells(rows, index)?),
            })
        };
        columns.iter().enumerate().map(read).collect::<sqlx::Result<_>>().map(Self)
    }

    pub(super) fn rows(&self) -> usize {
        self.0.first().map_or(0, Cells::len)
    }

    pub(super) fn bind<'q>(
        &'q self,
        query: Query<'q, Postgres, PgArguments>,
    ) -> Query<'q, Postgres, PgArguments> {
        self.0.iter().fold(query, |query, column| match column {
            Cells::Text(cells) => query.bind(cells),
            Cells::Bytes(cells) => query.bind(cells),
            Cells::Int(cells) => query.bind(cells),
            Cells::Flag(cells) => query.bind(cells),
        })
    }

    /// Every row as bytes that no other row has.
    pub(super) fn encoded(&self) -> impl Iterator<Item = Vec<u8>> {
        (0..self.rows()).map(|row| {
            let mut bytes = Vec::new();
            for column in &self.0 {
                column.encode(row, &mut bytes);
            }
            bytes
        })
    }
}

impl Cells {
    fn len(&self) -> usize {
        match self {
            Self::Text(cells) => cells.len(),
            Self::Bytes(cells) => cells.len(),
            Self::Int(cells) => cells.len(),
            Self::Flag(cells) => cells.len(),
        }
    }

    /// Its length before it; one that no cell has for `NULL`.
    fn encode(&self, row: usize, into: &mut Vec<u8>) {
        let number;
        let cell: Option<&[u8]> = match self {
            Self::Text(cells) => cells.get(row).and_then(Option::as_ref).map(String::as_bytes),
            Self::Bytes(cells) => cells.get(row).and_then(Option::as_deref),
            Self::Int(cells) => {
                number = cells.get(row).copied().flatten().map(i64::to_be_bytes);
                number.as_ref().map(<[u8; 8]>::as_slice)
            }
            Self::Flag(cells) => {
                let flag = cells.get(row).copied().flatten();
                flag.map(|flag| if flag { &[1][..] } else { &[0] })
            }
        };
        into.extend(cell.map_or(u64::MAX, |cell| cell.len() as u64).to_be_bytes());
        into.extend(cell.unwrap_or_default());
    }
}

//! Every table with wrapped keys, for whoever wraps them again: one text, three names.

use std::fmt;

use attache_core::{
    ServiceKeyName, UserId,
    store::{KeyId, KeyKind, KeyOwner, Result, StoreError, WrappedKey, WrappedKeys, Wraps},
};

use super::trail::writer_id;
use crate::db::{Db, Row, Unreadable, Value, values};

struct Table {
    name: &'static str,
    first_page: &'static str,
    next_page: &'static str,
    replace: &'static str,
}

macro_rules! table {
    ($name:literal, $id:literal, $owner:literal) => {
        Table {
            name: $name,
            first_page: concat!(
                "SELECT ",
                $owner,
                ", wrapped_by, wrapped FROM ",
                $name,
                " ORDER BY ",
                $id,
                " LIMIT $1"
            ),
            next_page: concat!(
                "SELECT ",
                $owner,
                ", wrapped_by, wrapped FROM ",
                $name,
                " WHERE ",
                $id,
                " > $2 ORDER BY ",
                $id,
                " LIMIT $1"
            ),
            replace: concat!(
                "UPDATE ",
                $name,
                " SET wrapped_by = $4, wrapped = $5 WHERE ",
                $id,
                " = $1 AND wrapped_by = $2 AND wrapped = $3"
            ),
        }
    };
}

const DATA_KEY: Table = table!("data_key", "user_id", "user_id");
const AUDIT_WRITER: Table = table!("audit_writer", "writer", "writer, started_at");
const SERVICE_KEY: Table = table!("service_key", "name", "name");

const COUNT: &str = "
    SELECT CAST(0 AS BIGINT) AS kind, wrapped_by, count(*) AS keys FROM data_key
    GROUP BY wrapped_by
    UNION ALL
    SELECT CAST(1 AS BIGINT) AS kind, wrapped_by, count(*) AS keys FROM audit_writer
    GROUP BY wrapped_by
    UNION ALL
    SELECT CAST(2 AS BIGINT) AS kind, wrapped_by, count(*) AS keys FROM service_key
    GROUP BY wrapped_by
    ORDER BY kind, wrapped_by LIMIT 1000";

#[async_trait::async_trait]
impl WrappedKeys for Db {
    async fn page(
        &self,
        after: Option<&KeyOwner>,
        limit: u32,
    ) -> Result<Vec<(KeyOwner, WrappedKey)>> {
        let begun = after.map_or(KeyKind::Person, KeyOwner::kind);
        for kind in KeyKind::ALL.into_iter().filter(|kind| *kind >= begun) {
            let table = table(kind);
            let rows = match after.filter(|owner| owner.kind() == kind) {
                None => self.read(table.first_page, values![limit]).await?,
                Some(owner) => self.read(table.next_page, values![limit, id(owner)]).await?,
            };
            if !rows.is_empty() {
                return rows.iter().map(|row| owned_key(kind, row)).collect();
            }
        }
        Ok(Vec::new())
    }

    async fn replace(&self, owner: &KeyOwner, old: &WrappedKey, new: &WrappedKey) -> Result<()> {
        let values = values![id(owner), &old.wrapped_by, &old.bytes, &new.wrapped_by, &new.bytes];
        self.execute(table(owner.kind()).replace, values).await.and_then(one_row)
    }

    async fn count(&self) -> Result<Vec<Wraps>> {
        let rows = self.read(COUNT, values![]).await?;
        let read =
            |row| counted(row).map_err(|unreadable: Unreadable| unreadable.of("wrapped keys", "?"));
        rows.iter().map(read).collect()
    }
}

pub(super) fn one_row(touched: u64) -> Result<()> {
    if touched == 1 { Ok(()) } else { Err(StoreError::Conflict) }
}

pub(super) fn wrapped_key(
    table: &'static str,
    owner: impl fmt::Display,
    row: &Row,
) -> Result<WrappedKey> {
    let read = || {
        Ok::<_, Unreadable>(WrappedKey {
            wrapped_by: KeyId(row.text("wrapped_by")?.into()),
            bytes: row.bytes("wrapped")?,
        })
    };
    read().map_err(|unreadable| unreadable.of(table, owner))
}

fn table(kind: KeyKind) -> Table {
    match kind {
        KeyKind::Person => DATA_KEY,
        KeyKind::AuditWriter => AUDIT_WRITER,
        KeyKind::Service => SERVICE_KEY,
    }
}

fn id(owner: &KeyOwner) -> Value<'_> {
    match owner {
        KeyOwner::Person(user) => user.into(),
        KeyOwner::AuditWriter { id, .. } => id.into(),
        KeyOwner::Service(name) => name.into(),
    }
}

fn owned_key(kind: KeyKind, row: &Row) -> Result<(KeyOwner, WrappedKey)> {
    let table = table(kind).name;
    let owner = owner(kind, row).map_err(|unreadable| unreadable.of(table, "?"))?;
    let key = wrapped_key(table, &owner, row)?;
    Ok((owner, key))
}

fn owner(kind: KeyKind, row: &Row) -> Result<KeyOwner, Unreadable> {
    Ok(match kind {
        KeyKind::Person => KeyOwner::Person(UserId::new(row.text("user_id")?)),
        KeyKind::AuditWriter => {
            KeyOwner::AuditWriter { id: writer_id(row)?, started_at: row.time("started_at")? }
        }
        KeyKind::Service => KeyOwner::Service(ServiceKeyName::new(row.text("name")?)),
    })
}

fn counted(row: &Row) -> Result<Wraps, Unreadable> {
    let kind = usize::try_from(row.int("kind")?).ok();
    let kind = kind.and_then(|kind| KeyKind::ALL.get(kind)).ok_or(Unreadable("kind"))?;
    let count = u64::try_from(row.int("keys")?).map_err(|_| Unreadable("keys"))?;
    Ok(Wraps { by: KeyId(row.text("wrapped_by")?.into()), kind: *kind, count })
}

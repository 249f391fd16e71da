//! Keys in a table of their own: people's data keys, and the deployment's.

use attache_core::{
    ServiceKeyName, Timestamp, UserId,
    store::{DataKeyStore, Result, ServiceKeyStore, StoreError, WrappedKey},
};

use super::wrapped_key::{one_row, wrapped_key};
use crate::db::{Db, values};

struct Table {
    name: &'static str,
    find: &'static str,
    insert: &'static str,
    remove: &'static str,
}

macro_rules! table {
    ($name:literal, $id:literal) => {
        Table {
            name: $name,
            find: concat!("SELECT wrapped_by, wrapped FROM ", $name, " WHERE ", $id, " = $1"),
            // The update changes nothing: it makes the row that was there come back.
            insert: concat!(
                "INSERT INTO ",
                $name,
                " (",
                $id,
                ", wrapped_by, wrapped, created_at) ",
                "VALUES ($1, $2, $3, $4) ",
                "ON CONFLICT (",
                $id,
                ") DO UPDATE SET ",
                $id,
                " = excluded.",
                $id,
                " RETURNING wrapped_by, wrapped"
            ),
            remove: concat!(
                "DELETE FROM ",
                $name,
                " WHERE ",
                $id,
                " = $1 AND wrapped_by = $2 AND wrapped = $3"
            ),
        }
    };
}

const DATA_KEY: Table = table!("data_key", "user_id");
const SERVICE_KEY: Table = table!("service_key", "name");

#[async_trait::async_trait]
impl DataKeyStore for Db {
    async fn find(&self, user: &UserId) -> Result<Option<WrappedKey>> {
        self.find_key(DATA_KEY, user.as_str()).await
    }

    async fn insert(
        &self,
        user: &UserId,
        fresh: &WrappedKey,
        now: Timestamp,
    ) -> Result<WrappedKey> {
        self.insert_key(DATA_KEY, user.as_str(), fresh, now).await
    }

    async fn remove(&self, user: &UserId, old: &WrappedKey) -> Result<()> {
        self.remove_key(DATA_KEY, user.as_str(), old).await
    }
}

#[async_trait::async_trait]
impl ServiceKeyStore for Db {
    async fn find(&self, name: &ServiceKeyName) -> Result<Option<WrappedKey>> {
        self.find_key(SERVICE_KEY, name.as_str()).await
    }

    async fn insert(
        &self,
        name: &ServiceKeyName,
        fresh: &WrappedKey,
        now: Timestamp,
    ) -> Result<WrappedKey> {
        self.insert_key(SERVICE_KEY, name.as_str(), fresh, now).await
    }

    async fn remove(&self, name: &ServiceKeyName, old: &WrappedKey) -> Result<()> {
        self.remove_key(SERVICE_KEY, name.as_str(), old).await
    }
}

impl Db {
    async fn find_key(&self, table: Table, id: &str) -> Result<Option<WrappedKey>> {
        let row = self.read_one(table.find, values![id]).await?;
        row.as_ref().map(|row| wrapped_key(table.name, id, row)).transpose()
    }

    async fn insert_key(
        &self,
        table: Table,
        id: &str,
        fresh: &WrappedKey,
        now: Timestamp,
    ) -> Result<WrappedKey> {
        let WrappedKey { wrapped_by, bytes } = fresh;
        let rows = self.write(table.insert, values![id, wrapped_by, bytes, now]).await?;
        rows.first().ok_or(StoreError::Conflict).and_then(|row| wrapped_key(table.name, id, row))
    }

    async fn remove_key(&self, table: Table, id: &str, old: &WrappedKey) -> Result<()> {
        self.execute(table.remove, values![id, &old.wrapped_by, &old.bytes]).await.and_then(one_row)
    }
}

use attache_core::{
    Timestamp,
    store::{Decision, Device, DeviceStore, Result},
};

use super::{SWEPT_PER_INSERT, prefix};
use crate::db::{Db, Row, Unreadable, values};

const DELETE_EXPIRED: &str = "
    DELETE FROM device_authorization WHERE device_code IN
        (SELECT device_code FROM device_authorization WHERE expires_at <= $1
        ORDER BY expires_at LIMIT $2)";

const INSERT: &str = "
    INSERT INTO device_authorization (device_code, user_code, client_id, resource, address,
        created_at, expires_at)
    SELECT $1, $2, $3, $4, $5, $6, $7
    WHERE (SELECT count(*) FROM device_authorization) < $8";

const FIND: &str = "
    SELECT device_code, user_code, client_id, resource, address, decision, created_at, expires_at
    FROM device_authorization WHERE device_code = $1";

const FIND_BY_USER_CODE: &str = "
    SELECT device_code, user_code, client_id, resource, address, decision, created_at, expires_at
    FROM device_authorization WHERE user_code = $1 AND expires_at > $2 AND decision IS NULL";

const DECIDE: &str = "
    UPDATE device_authorization SET decision = $2
    WHERE device_code = $1 AND decision IS NULL AND expires_at > $3";

#[async_trait::async_trait]
impl DeviceStore for Db {
    async fn insert(&self, device: &Device, bound: u32, now: Timestamp) -> Result<bool> {
        self.execute(DELETE_EXPIRED, values![now, SWEPT_PER_INSERT]).await?;
        let insert = values![
            &device.device_code,
            &device.user_code,
            &device.client_id,
            &device.resource,
            device.address.as_deref(),
            device.created_at,
            device.expires_at,
            bound,
        ];
        Ok(self.execute(INSERT, insert).await? == 1)
    }

    async fn find(&self, device_code: [u8; 32]) -> Result<Option<Device>> {
        let row = self.read_one(FIND, values![&device_code]).await?;
        row.as_ref().map(device).transpose()
    }

    async fn find_by_user_code(
        &self,
        user_code: [u8; 32],
        now: Timestamp,
    ) -> Result<Option<Device>> {
        let row = self.read_one(FIND_BY_USER_CODE, values![&user_code, now]).await?;
        row.as_ref().map(device).transpose()
    }

    async fn decide(
        &self,
        device_code: [u8; 32],
        decision: Decision,
        now: Timestamp,
    ) -> Result<bool> {
        Ok(self.execute(DECIDE, values![&device_code, word(decision), now]).await? == 1)
    }
}

fn word(decision: Decision) -> &'static str {
    match decision {
        Decision::Approved => "approved",
        Decision::Refused => "refused",
    }
}

fn decision(written: &str) -> Option<Decision> {
    [Decision::Approved, Decision::Refused].into_iter().find(|one| word(*one) == written)
}

fn device(row: &Row) -> Result<Device> {
    let device_code = row
        .digest("device_code")
        .map_err(|unreadable| unreadable.of("device_authorization", "?"))?;
    let read = || {
        Ok::<_, Unreadable>(Device {
            device_code,
            user_code: row.digest("user_code")?,
            client_id: row.text("client_id")?,
            resource: row.text("resource")?,
            address: row.maybe_text("address")?,
            decision: row.maybe_word("decision", decision)?,
            created_at: row.time("created_at")?,
            expires_at: row.time("expires_at")?,
        })
    };
    read().map_err(|unreadable| unreadable.of("device_authorization", prefix(&device_code)))
}

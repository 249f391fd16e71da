//! Devices that wait for somebody with a browser to let them in (RFC 8628).

use super::Result;
use crate::Timestamp;

/// A device authorization. Approved, it is a [`Grant`](super::Grant) whose code is the device code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// SHA-256 of the device code.
    pub device_code: [u8; 32],
    /// SHA-256 of what a person types.
    pub user_code: [u8; 32],
    pub client_id: String,
    /// What its tokens will be for (RFC 8707).
    pub resource: String,
    /// The address it was asked from, where that is known.
    pub address: Option<String>,
    pub decision: Option<Decision>,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    Approved,
    Refused,
}

#[async_trait::async_trait]
pub trait DeviceStore: std::fmt::Debug + Send + Sync {
    /// Keeps at most `bound` in all: `false` when there is no room. Nobody gives way, so that
    /// whoever begins a thousand ends nobody's. Deletes expired ones.
    async fn insert(&self, device: &Device, bound: u32, now: Timestamp) -> Result<bool>;

    /// Also one that has expired, until it is deleted: its device is told so.
    async fn find(&self, device_code: [u8; 32]) -> Result<Option<Device>>;

    /// One that waits for a decision.
    async fn find_by_user_code(
        &self,
        user_code: [u8; 32],
        now: Timestamp,
    ) -> Result<Option<Device>>;

    /// Of two decisions, the first counts and gets `true`; none does that comes too late.
    async fn decide(
        &self,
        device_code: [u8; 32],
        decision: Decision,
        now: Timestamp,
    ) -> Result<bool>;
}

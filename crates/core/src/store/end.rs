//! When connections are over that their people made for a while.

use super::Result;
use crate::{CredentialKey, Timestamp};

/// Beside each such credential and gone with it, so that what is over is found without a key. What
/// is sealed in the credential decides.
#[async_trait::async_trait]
pub trait EndStore: std::fmt::Debug + Send + Sync {
    /// `None`: it has no end of its own. Says nothing of a credential that is not there.
    async fn set(&self, key: &CredentialKey, ends_at: Option<Timestamp>) -> Result<()>;

    /// What is over at `now`, the longest first; at most `limit`.
    async fn over(&self, now: Timestamp, limit: u32) -> Result<Vec<CredentialKey>>;
}

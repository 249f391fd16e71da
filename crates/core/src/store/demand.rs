//! What upstreams want beyond the scopes that people gave (OC-14).

use super::{Result, Version};
use crate::{CredentialKey, Slot, Timestamp, UserId};

/// One scope that an upstream said a credential lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DemandedScope {
    pub scope: String,
    /// How many approvals asked for it.
    pub consents: u32,
    /// The credential that the last of them brought: what is said of an older one is old.
    pub approved: Option<Version>,
    /// Since when it waits for the person; `None` once they approved.
    pub open_since: Option<Timestamp>,
}

#[async_trait::async_trait]
pub trait DemandStore: std::fmt::Debug + Send + Sync {
    /// Of one credential, by scope.
    async fn find(&self, key: &CredentialKey) -> Result<Vec<DemandedScope>>;

    /// Of all of a person's, by slot and scope; at most 1,000.
    async fn list(&self, user: &UserId) -> Result<Vec<(Slot, DemandedScope)>>;

    /// Takes the place of what was there. All of it goes when the credential does.
    ///
    /// # Errors
    /// [`StoreError::Conflict`](super::StoreError::Conflict) when there is no such credential.
    async fn replace(&self, key: &CredentialKey, demanded: &[DemandedScope]) -> Result<()>;
}

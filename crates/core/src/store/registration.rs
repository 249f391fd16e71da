//! Us, as the authorization servers of upstreams registered us (RFC 7591).

use super::{Result, Sealed, Version};
use crate::{Timestamp, UpstreamName};

/// Who we are at one upstream's authorization server; sealed, because that may include a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedRegistration {
    pub version: Version,
    pub sealed: Sealed,
}

/// The right to register for one upstream. Not `Clone`.
#[derive(Debug)]
#[must_use = "a turn that is dropped keeps others waiting until it runs out"]
pub struct Turn {
    pub upstream: UpstreamName,
    /// What the new registration replaces.
    pub over: Option<Version>,
    pub holder: [u8; 16],
}

#[async_trait::async_trait]
pub trait RegistrationStore: std::fmt::Debug + Send + Sync {
    async fn find(&self, upstream: &UpstreamName) -> Result<Option<SealedRegistration>>;

    /// Claims registering in the place of `over` for `holder`. `None` when somebody else is at it at
    /// `now`, or has done it.
    async fn claim(
        &self,
        upstream: &UpstreamName,
        over: Option<Version>,
        holder: [u8; 16],
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<Turn>>;

    /// Writes the outcome of a turn and ends it.
    ///
    /// # Errors
    /// [`StoreError::Conflict`](super::StoreError::Conflict) when the turn was lost.
    async fn put(&self, turn: &Turn, fresh: &SealedRegistration) -> Result<()>;

    /// Ends a turn with nothing changed.
    async fn release(&self, turn: &Turn) -> Result<()>;
}

//! The seam to the keys that all replicas share.

use std::{error::Error, fmt, sync::Arc};

use attache_core::authenticator::AuthnError;
use attache_crypto::{
    jose::{KeySet, SigningKey},
    seal::DataKey,
};
use serde_json::Value;

#[derive(Debug, thiserror::Error)]
#[error("the keys of the authorization server cannot be had right now")]
pub struct KeysUnavailable(#[source] pub Box<dyn Error + Send + Sync>);

/// Keys that rotate. Each is published before it signs, and until nothing it signed is good.
#[async_trait::async_trait]
pub trait TokenKeys: fmt::Debug + Send + Sync {
    /// Signs access tokens now.
    async fn current(&self) -> Result<Arc<SigningKey>, KeysUnavailable>;

    /// The public halves, as a key set (RFC 7517 section 5).
    async fn published(&self) -> Result<Value, KeysUnavailable>;

    /// The same, to verify with: waits where others would be told to come again.
    async fn verifying(&self) -> Result<Value, KeysUnavailable>;

    /// Derives what follows a refresh token, so that whoever asks twice is answered the same.
    async fn succession(&self) -> Result<Arc<DataKey>, KeysUnavailable>;
}

pub(super) async fn verifiers(keys: &dyn TokenKeys) -> Result<KeySet, AuthnError> {
    let published =
        keys.verifying().await.map_err(|error| AuthnError::Unavailable(error.into()))?;
    let set = KeySet::parse(published.to_string().as_bytes());
    set.map_err(|error| AuthnError::Unavailable(error.into()))
}

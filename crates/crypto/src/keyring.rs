//! Key-encryption keys: who wraps people's data keys, and the gateway's own.

use std::{error::Error, fmt::Debug, sync::Arc};

use attache_core::store::{KeyId, KeyOwner, WrappedKey};

use crate::seal::DataKey;

#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The operator's move: a key that still wraps something was removed from the ring.
    #[error("the key {} is not in the key ring", .0.0)]
    Unknown(KeyId),
    #[error("the wrapped key does not belong here or was changed")]
    Tampered,
    /// The operator's move, at the key service; the words are ours.
    #[error("the key service refuses: {0}")]
    Refused(&'static str),
    /// Nobody's move: the same call may succeed later.
    #[error("the key service is unavailable: {0}")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
}

/// A key-encryption key: a local one, or one that never leaves its service.
#[async_trait::async_trait]
pub trait KeyWrapper: Debug + Send + Sync {
    fn id(&self) -> &KeyId;

    async fn wrap(&self, key: &DataKey, owner: &KeyOwner) -> Result<WrappedKey, KeyError>;

    /// # Errors
    /// [`KeyError::Tampered`] unless these very bytes were wrapped by this key for `owner`.
    async fn unwrap(&self, wrapped: &WrappedKey, owner: &KeyOwner) -> Result<DataKey, KeyError>;

    /// Whether wrapping again would change nothing but the nonce. A service may keep several
    /// versions of what is one key here, and wrap with the newest.
    async fn is_current(&self, _wrapped: &WrappedKey) -> Result<bool, KeyError> {
        Ok(true)
    }
}

/// The key that wraps from now on, and those that still unwrap.
#[derive(Clone, Debug)]
pub struct KeyRing {
    pub active: Arc<dyn KeyWrapper>,
    pub retired: Vec<Arc<dyn KeyWrapper>>,
}

impl KeyRing {
    pub async fn wrap(&self, key: &DataKey, owner: &KeyOwner) -> Result<WrappedKey, KeyError> {
        self.active.wrap(key, owner).await
    }

    pub async fn unwrap(
        &self,
        wrapped: &WrappedKey,
        owner: &KeyOwner,
    ) -> Result<DataKey, KeyError> {
        let member = std::iter::once(&self.active)
            .chain(&self.retired)
            .find(|member| *member.id() == wrapped.wrapped_by)
            .ok_or_else(|| KeyError::Unknown(wrapped.wrapped_by.clone()))?;
        member.unwrap(wrapped, owner).await
    }

    /// The same key as the active key wraps it today; `None` when it is so already.
    pub async fn rewrap(
        &self,
        wrapped: &WrappedKey,
        owner: &KeyOwner,
    ) -> Result<Option<WrappedKey>, KeyError> {
        if wrapped.wrapped_by == *self.active.id() && self.active.is_current(wrapped).await? {
            return Ok(None);
        }
        let key = self.unwrap(wrapped, owner).await?;
        self.wrap(&key, owner).await.map(Some)
    }
}

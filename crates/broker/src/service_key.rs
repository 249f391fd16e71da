//! A key of the deployment: made by the first replica that needs it, shared by all, and the same
//! after a restart. It is stored as people's data keys are, wrapped by the key ring.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use attache_core::{
    Clock, ServiceKeyName,
    audit::Reason,
    store::{KeyOwner, ServiceKeyStore},
};
use attache_crypto::{keyring::KeyRing, random::Random, seal::DataKey};

use crate::{broker::ObtainError, flight::Flights, tasks::Tasks, vault::VaultError};

/// What the key is for, and what it takes to have it.
#[derive(Clone, Debug)]
pub struct ServiceKeyParts {
    pub name: ServiceKeyName,
    pub ring: KeyRing,
    pub store: Arc<dyn ServiceKeyStore>,
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
    pub tasks: Tasks,
}

/// Opened when it is first needed, and then kept for the life of the process.
pub struct ServiceKey {
    parts: ServiceKeyParts,
    open: OnceLock<Arc<DataKey>>,
    flights: Flights<(), Result<Arc<DataKey>, ObtainError>>,
}

impl ServiceKey {
    pub fn new(parts: ServiceKeyParts) -> Self {
        let flights = Flights::new(parts.tasks.clone());
        Self { parts, open: OnceLock::new(), flights }
    }

    /// However many wait, the store and the key service are asked once.
    ///
    /// # Errors
    /// [`ObtainError`], whose cause is in the log by then: unavailable, or the operator's move.
    /// Never [`ObtainError::NotConnected`].
    pub async fn obtain(&self) -> Result<Arc<DataKey>, ObtainError> {
        if let Some(open) = self.open.get() {
            return Ok(Arc::clone(open));
        }
        let parts = self.parts.clone();
        let landed = self.flights.join((), || parts.find_or_make()).await;
        let key = landed.unwrap_or_else(|abandoned| {
            tracing::error!(%abandoned, "the task for a key panicked");
            Err(ObtainError::Unavailable { reason: Reason::Other, retry_after: None })
        })?;
        Ok(Arc::clone(self.open.get_or_init(|| key)))
    }
}

impl fmt::Debug for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ServiceKey").field(&self.parts.name).finish()
    }
}

impl ServiceKeyParts {
    async fn find_or_make(self) -> Result<Arc<DataKey>, ObtainError> {
        self.try_find_or_make().await.map(Arc::new).map_err(|error| {
            match &error {
                VaultError::Unreadable(cause) => {
                    tracing::error!(name = %self.name, %cause, "a key of all replicas does not open");
                }
                _ => {
                    tracing::warn!(name = %self.name, %error, "a key of all replicas cannot be had");
                }
            }
            ObtainError::from(error)
        })
    }

    async fn try_find_or_make(&self) -> Result<DataKey, VaultError> {
        let owner = KeyOwner::Service(self.name.clone());
        if let Some(wrapped) = self.store.find(&self.name).await? {
            return Ok(self.ring.unwrap(&wrapped, &owner).await?);
        }
        let fresh = DataKey::generate(&*self.random);
        let wrapped = self.ring.wrap(&fresh, &owner).await?;
        let counts = self.store.insert(&self.name, &wrapped, self.clock.now()).await?;
        // Of two replicas that make it at once, one counts.
        Ok(if counts == wrapped { fresh } else { self.ring.unwrap(&counts, &owner).await? })
    }
}

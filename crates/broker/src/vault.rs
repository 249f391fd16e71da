//! Seals and opens a person's credentials under that person's data key.
//!
//! Data keys are wrapped by the key ring and stored beside the credentials; deleting one destroys
//! everything it sealed, except in copies of the store that still hold the key.

use std::{sync::Arc, time::Duration};

use attache_core::{
    Clock, Credential, CredentialKey, Timestamp, UserId,
    audit::Reason,
    store::{DataKeyStore, KeyId, Record, Sealed, StoreError, Version, WrappedKey},
};
use attache_crypto::{
    keyring::{KeyError, KeyRing},
    random::Random,
    seal::{self, Binding, DataKey, OpenError},
};
use quick_cache::sync::Cache;

use crate::{metrics::Metrics, plaintext};

/// How long an unwrapped data key stays in memory: one call to a key service per person and
/// period.
const OPEN_KEY_LIFE: Duration = Duration::from_mins(10);

/// People whose data key is open at once; about 300 bytes each. As many as are served at once: what
/// they use is compared with the store twice a minute, and would take a call to a key service each.
const OPEN_KEYS: usize = 100_000;

/// Records whose highest version is remembered; about 150 bytes each.
const REMEMBERED_VERSIONS: usize = 100_000;

#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The record does not open. Never mistaken for "there is none" (OC-31).
    #[error("the stored record cannot be opened: {0}")]
    Unreadable(#[from] Unreadable),
    #[error("the key that wraps this person's data key cannot be used right now")]
    KeysUnavailable(#[source] KeyError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    #[error("it was cut, changed, or moved from another row")]
    Record(#[from] OpenError),
    #[error("it is older than a version this process has seen")]
    RolledBack,
    #[error("its content is not what this version writes")]
    Content,
    #[error("there is no data key for this person")]
    NoDataKey,
    #[error("its key was changed or moved from another row")]
    Key,
    #[error("its key is wrapped by {}, which is not configured", .0.0)]
    UnknownKey(KeyId),
}

impl Unreadable {
    pub fn reason(&self) -> Reason {
        match self {
            // A new credential would be sealed under a key that does not open either.
            Self::UnknownKey(_) | Self::Key => Reason::KeyMissing,
            Self::Record(_) | Self::RolledBack | Self::Content | Self::NoDataKey => {
                Reason::Unreadable
            }
        }
    }
}

#[derive(Debug)]
pub struct Vault {
    ring: KeyRing,
    data_keys: Arc<dyn DataKeyStore>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    metrics: Metrics,
    open_keys: Cache<UserId, Arc<OpenKey>>,
    /// The highest version seen of each record: a row put back from an old copy is refused. Only
    /// as long as some process remembers; a restored database is indistinguishable from a restore.
    seen: Cache<CredentialKey, Version>,
}

#[derive(Debug)]
struct OpenKey {
    key: DataKey,
    /// As it was stored.
    wrapped: WrappedKey,
    until: Timestamp,
}

impl Vault {
    pub fn new(
        ring: KeyRing,
        data_keys: Arc<dyn DataKeyStore>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        metrics: Metrics,
    ) -> Self {
        let (open_keys, seen) = (Cache::new(OPEN_KEYS), Cache::new(REMEMBERED_VERSIONS));
        Self { ring, data_keys, clock, random, metrics, open_keys, seen }
    }

    /// The highest version seen of a record. Taken before the store is read, given to
    /// [`Vault::open`] after: a read that was overtaken by a write is no rollback.
    pub fn seen(&self, key: &CredentialKey) -> Option<Version> {
        self.seen.get(key)
    }

    /// This version is in the store: from now on an older one is a copy from the past.
    pub(crate) fn saw(&self, key: &CredentialKey, version: Version) {
        if self.seen(key).is_none_or(|highest| highest < version) {
            self.seen.insert(key.clone(), version);
        }
    }

    /// The person's data key was destroyed.
    pub(crate) fn forget(&self, user: &UserId) {
        self.open_keys.remove(user);
    }

    /// The person's data key is looked up where it was not read together with the record.
    ///
    /// # Errors
    /// [`VaultError`], which is in the log by then.
    pub async fn open(
        &self,
        key: &CredentialKey,
        record: &Record,
        seen: Option<Version>,
        data_key: Option<WrappedKey>,
    ) -> Result<Credential, VaultError> {
        self.try_open(key, record, seen, data_key).await.map_err(|error| self.tell(key, error))
    }

    /// # Errors
    /// [`VaultError`], which is in the log by then.
    pub async fn seal(
        &self,
        key: &CredentialKey,
        version: Version,
        credential: &Credential,
    ) -> Result<Sealed, VaultError> {
        self.try_seal(key, version, credential).await.map_err(|error| self.tell(key, error))
    }

    /// Whether a credential for this person could be sealed: before they are asked to approve one.
    ///
    /// # Errors
    /// [`VaultError`], which is in the log by then.
    pub(crate) async fn can_seal_for(&self, key: &CredentialKey) -> Result<(), VaultError> {
        match self.existing_key(&key.user, None).await {
            Ok(_) | Err(VaultError::Unreadable(Unreadable::NoDataKey)) => Ok(()),
            Err(error) => Err(self.tell(key, error)),
        }
    }

    async fn try_open(
        &self,
        key: &CredentialKey,
        record: &Record,
        seen: Option<Version>,
        data_key: Option<WrappedKey>,
    ) -> Result<Credential, VaultError> {
        if seen.is_some_and(|highest| record.version < highest) {
            return Err(Unreadable::RolledBack.into());
        }
        let data_key = self.existing_key(&key.user, data_key).await?;
        let binding = Binding { user: &key.user, slot: &key.slot, version: record.version };
        let plaintext =
            seal::open(&data_key.key, &binding, &record.sealed).map_err(Unreadable::Record)?;
        let credential = plaintext::read(&plaintext).ok_or(Unreadable::Content)?;
        self.saw(key, record.version);
        Ok(credential)
    }

    async fn try_seal(
        &self,
        key: &CredentialKey,
        version: Version,
        credential: &Credential,
    ) -> Result<Sealed, VaultError> {
        let data_key = match self.stored_key(&key.user).await {
            Err(VaultError::Unreadable(Unreadable::NoDataKey)) => self.fresh_key(&key.user).await?,
            found => found?,
        };
        Ok(seal_under(&data_key, key, version, credential))
    }

    /// Seals what takes the place of a record, under the key that the person has now: one that was
    /// destroyed meanwhile is not made again.
    ///
    /// # Errors
    /// [`VaultError`], [`Unreadable::NoDataKey`] among them; in the log by then.
    pub(crate) async fn seal_again(
        &self,
        key: &CredentialKey,
        version: Version,
        credential: &Credential,
    ) -> Result<Sealed, VaultError> {
        let data_key = self.stored_key(&key.user).await.map_err(|error| self.tell(key, error))?;
        Ok(seal_under(&data_key, key, version, credential))
    }

    /// As the store has it at this moment.
    async fn stored_key(&self, user: &UserId) -> Result<Arc<OpenKey>, VaultError> {
        let wrapped = self.data_keys.find(user).await?.ok_or(Unreadable::NoDataKey)?;
        self.existing_key(user, Some(wrapped)).await
    }

    /// The version for a record that replaces `old`: above everything seen under this key. No
    /// clock of this machine has a part in it: another, whose clock is behind, has to count on.
    pub fn next_version(&self, key: &CredentialKey, old: Version) -> Version {
        self.seen(key).map_or(old, |seen| seen.max(old)).next()
    }

    async fn existing_key(
        &self,
        user: &UserId,
        wrapped: Option<WrappedKey>,
    ) -> Result<Arc<OpenKey>, VaultError> {
        let now = self.clock.now();
        let same = |open: &OpenKey| wrapped.as_ref().is_none_or(|wrapped| *wrapped == open.wrapped);
        if let Some(open) = self.open_keys.get(user).filter(|open| now < open.until && same(open)) {
            return Ok(open);
        }
        let wrapped = match wrapped {
            Some(wrapped) => wrapped,
            None => self.data_keys.find(user).await?.ok_or(Unreadable::NoDataKey)?,
        };
        let key = self.ring.unwrap(&wrapped, &user.clone().into()).await?;
        Ok(self.remember(user, key, wrapped))
    }

    async fn fresh_key(&self, user: &UserId) -> Result<Arc<OpenKey>, VaultError> {
        let (fresh, owner) = (DataKey::generate(&*self.random), user.clone().into());
        let wrapped = self.ring.wrap(&fresh, &owner).await?;
        let counts = self.data_keys.insert(user, &wrapped, self.clock.now()).await?;
        let key = if counts == wrapped { fresh } else { self.ring.unwrap(&counts, &owner).await? };
        Ok(self.remember(user, key, counts))
    }

    fn remember(&self, user: &UserId, key: DataKey, wrapped: WrappedKey) -> Arc<OpenKey> {
        let until = self.clock.now().plus(OPEN_KEY_LIFE);
        let open = Arc::new(OpenKey { key, wrapped, until });
        self.open_keys.insert(user.clone(), Arc::clone(&open));
        open
    }

    /// Tells the log and the metrics of a credential that cannot be had: whose, for what, and why.
    fn tell(&self, key: &CredentialKey, error: VaultError) -> VaultError {
        let (user, slot) = (&key.user, &key.slot);
        match &error {
            VaultError::Unreadable(cause) => {
                self.metrics.unreadable(cause.reason());
                tracing::error!(%user, %slot, %cause, "a stored credential cannot be opened");
            }
            VaultError::KeysUnavailable(cause @ KeyError::Refused(_)) => {
                tracing::error!(%user, %slot, %cause, "a key-encryption key cannot be used");
            }
            VaultError::KeysUnavailable(cause) => {
                tracing::warn!(%user, %slot, %cause, "a key-encryption key cannot be used just now");
            }
            VaultError::Store(_) => {}
        }
        error
    }
}

fn seal_under(
    data_key: &OpenKey,
    key: &CredentialKey,
    version: Version,
    credential: &Credential,
) -> Sealed {
    let binding = Binding { user: &key.user, slot: &key.slot, version };
    seal::seal(&data_key.key, &binding, &plaintext::write(credential))
}

impl From<KeyError> for VaultError {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::Unknown(id) => Unreadable::UnknownKey(id).into(),
            KeyError::Tampered => Unreadable::Key.into(),
            error @ (KeyError::Refused(_) | KeyError::Unavailable(_)) => {
                Self::KeysUnavailable(error)
            }
        }
    }
}

//! Keys that are stored wrapped: whose they are, and by which key-encryption key they open.

use std::{fmt, sync::Arc};

use super::Result;
use crate::{ServiceKeyName, Timestamp, UserId, audit::trail::WriterId};

/// A key-encryption key's name: `local:9f86d081884c7d65`. It says what the key is, not where it is
/// configured.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeyId(pub Arc<str>);

/// A key under a key-encryption key.
#[derive(Clone, PartialEq, Eq)]
pub struct WrappedKey {
    pub wrapped_by: KeyId,
    pub bytes: Vec<u8>,
}

impl fmt::Debug for WrappedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WrappedKey(by {})", self.wrapped_by.0)
    }
}

/// Whose a wrapped key is. Its text is bound into the wrapping, so a key that is moved to another
/// row does not open there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyOwner {
    /// It seals the credentials of one person: a data key.
    Person(UserId),
    /// It seals what one writer enters in the audit log.
    AuditWriter { id: WriterId, started_at: Timestamp },
    /// All replicas use it.
    Service(ServiceKeyName),
}

/// A person's id as it is. It holds no colon, and so is nobody else's.
impl fmt::Display for KeyOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Person(user) => write!(f, "{user}"),
            Self::AuditWriter { id, started_at } => write!(f, "audit:{id}:{}", started_at.0),
            Self::Service(name) => write!(f, "service:{name}"),
        }
    }
}

impl From<UserId> for KeyOwner {
    fn from(user: UserId) -> Self {
        Self::Person(user)
    }
}

/// The kinds of [`KeyOwner`], in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyKind {
    Person,
    AuditWriter,
    Service,
}

impl KeyKind {
    pub const ALL: [Self; 3] = [Self::Person, Self::AuditWriter, Self::Service];
}

impl KeyOwner {
    pub fn kind(&self) -> KeyKind {
        match self {
            Self::Person(_) => KeyKind::Person,
            Self::AuditWriter { .. } => KeyKind::AuditWriter,
            Self::Service(_) => KeyKind::Service,
        }
    }
}

/// How many keys of a kind a key-encryption key wraps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wraps {
    pub by: KeyId,
    pub kind: KeyKind,
    pub count: u64,
}

/// Everything that is stored wrapped, as whoever wraps it again sees it.
#[async_trait::async_trait]
pub trait WrappedKeys: fmt::Debug + Send + Sync {
    /// What comes after `after`: kind by kind, in the order of the store's rows. At most `limit`,
    /// of one kind; nothing when there is no more of any.
    async fn page(
        &self,
        after: Option<&KeyOwner>,
        limit: u32,
    ) -> Result<Vec<(KeyOwner, WrappedKey)>>;

    /// Puts `new` where exactly `old` is: the same key, wrapped again.
    ///
    /// # Errors
    /// [`StoreError::Conflict`](super::StoreError::Conflict) when the row is gone or holds anything
    /// else.
    async fn replace(&self, owner: &KeyOwner, old: &WrappedKey, new: &WrappedKey) -> Result<()>;

    /// By kind, and then by the wrapping key's name; at most 1,000.
    async fn count(&self) -> Result<Vec<Wraps>>;
}

#[async_trait::async_trait]
pub trait DataKeyStore: fmt::Debug + Send + Sync {
    async fn find(&self, user: &UserId) -> Result<Option<WrappedKey>>;

    /// Stores `fresh` unless the person has a key; returns the one that counts.
    async fn insert(&self, user: &UserId, fresh: &WrappedKey, now: Timestamp)
    -> Result<WrappedKey>;

    /// Destroys exactly `old`, and with it everything it sealed.
    ///
    /// # Errors
    /// [`StoreError::Conflict`](super::StoreError::Conflict) when the row is gone or holds anything
    /// else.
    async fn remove(&self, user: &UserId, old: &WrappedKey) -> Result<()>;
}

/// Keys of the deployment: made by the first replica that needs one, and used by all.
#[async_trait::async_trait]
pub trait ServiceKeyStore: fmt::Debug + Send + Sync {
    async fn find(&self, name: &ServiceKeyName) -> Result<Option<WrappedKey>>;

    /// Stores `fresh` unless there is a key of this name; returns the one that counts.
    async fn insert(
        &self,
        name: &ServiceKeyName,
        fresh: &WrappedKey,
        now: Timestamp,
    ) -> Result<WrappedKey>;

    /// Destroys exactly `old`; the next replica that needs one makes another.
    ///
    /// # Errors
    /// As [`DataKeyStore::remove`].
    async fn remove(&self, name: &ServiceKeyName, old: &WrappedKey) -> Result<()>;
}

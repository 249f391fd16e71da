//! What there is to tell people of their connections, and who tells it: one of many replicas.

use super::{Result, Version};
use crate::{CredentialKey, Timestamp, audit::Reason};

/// What a person has to hear of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// It will end then, unless they connect again before.
    Ending { at: Timestamp },
    /// It ended then, and they have to connect again.
    Ended { at: Timestamp, reason: Reason },
}

/// News, and when it is time for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planned {
    pub news: News,
    pub due_at: Timestamp,
}

/// News to be told by whoever holds this, until `until`. Not `Clone`.
#[derive(Debug)]
#[must_use = "what is claimed and not settled is told again"]
pub struct Claim {
    pub key: CredentialKey,
    /// Of the credential that they are about.
    pub version: Version,
    pub news: News,
    /// How often it was claimed, this time included.
    pub tries: u32,
    pub until: Timestamp,
}

/// A connection has one thing to be told at a time, which goes with its credential.
#[async_trait::async_trait]
pub trait NoticeStore: std::fmt::Debug + Send + Sync {
    /// What there is to tell from `version` on, `None` nothing; ignored when a later version said
    /// so already. News that are known stay as they are: told, or to be told when they were to be.
    async fn plan(
        &self,
        key: &CredentialKey,
        version: Version,
        planned: Option<Planned>,
    ) -> Result<()>;

    /// What is due longest at `due`, for the caller alone until `until`; that, and `now`, by the hour
    /// of [`CredentialStore::now`](super::CredentialStore::now).
    async fn claim(
        &self,
        due: Timestamp,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<Claim>>;

    /// It was told, or there is nobody to tell; unless there are other news by now.
    async fn settle(&self, claim: &Claim) -> Result<()>;

    /// It is due again then; unless there are other news by now.
    async fn postpone(&self, claim: &Claim, due_at: Timestamp) -> Result<()>;
}

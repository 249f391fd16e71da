//! People as their identity provider provisions them (SCIM, RFC 7643).

use super::{Person, Result};
use crate::{IssuerId, Timestamp, UserId};

/// What the provider calls a person, for itself to find them by, and what it did with them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Provisioned {
    /// `None`: it deleted them.
    pub user_name: Option<String>,
    pub external_id: Option<String>,
    /// They are switched off because it said so. What somebody else switched off, it does not
    /// switch on.
    pub switched_off: bool,
}

/// A person, provisioned or known by a sign-in alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    pub person: Person,
    pub provisioned: Provisioned,
    /// `None`: the provider never spoke of them.
    pub updated_at: Option<Timestamp>,
}

/// By what a provider finds people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handle<'a> {
    /// In any case.
    UserName(&'a str),
    ExternalId(&'a str),
}

/// People of one issuer. Who is switched off and was not provisioned, or was deleted, is not among
/// those that are found.
#[async_trait::async_trait]
pub trait ProvisioningStore: std::fmt::Debug + Send + Sync {
    /// The person `(issuer, subject)`, made with `fresh` as their id when first seen. What is known
    /// of them stays. In what state they are.
    async fn enroll(
        &self,
        issuer: &IssuerId,
        subject: &str,
        fresh: UserId,
        at: Timestamp,
    ) -> Result<Resource>;

    async fn find(&self, issuer: &IssuerId, id: &UserId) -> Result<Option<Resource>>;

    /// Who is provisioned under this handle, or has this subject; at most 100.
    async fn find_by(
        &self,
        issuer: &IssuerId,
        handle: Handle<'_>,
        subject: Option<&str>,
    ) -> Result<Vec<Resource>>;

    /// In the order of their ids, those after the first `skipped`; at most `limit`. And how many
    /// there are.
    async fn page(
        &self,
        issuer: &IssuerId,
        skipped: u32,
        limit: u32,
    ) -> Result<(Vec<Resource>, u64)>;

    /// In the place of what was written down of this person.
    ///
    /// # Errors
    /// [`StoreError::Conflict`](super::StoreError::Conflict) when the person is gone, or somebody
    /// else has this `userName`.
    async fn put(&self, person: &Person, provisioned: &Provisioned, now: Timestamp) -> Result<()>;
}

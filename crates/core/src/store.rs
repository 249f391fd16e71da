//! What must survive a restart, as traits; the SQL behind them is in `store`.
//!
//! To add a kind of record: write its row type and trait here, add it to [`Stores`], write the SQL
//! in a file of its own under `store/src/sql/`, a numbered migration, and its cases in the store's
//! conformance suite. The habits:
//!
//! - not found is `None`; a conflict is [`StoreError::Conflict`]; nothing is signalled by text;
//! - time is an argument, so that an expired row is expired for the fake clock too;
//! - secrets arrive [`Sealed`] or as a digest: no method takes a plaintext;
//! - every list has a bound, given by the caller or written at the method.

mod demand;
mod device;
mod end;
mod grant;
mod notice;
mod personal_token;
mod provisioned;
mod registration;
mod survey;
mod wrapped;

use std::{error::Error, sync::Arc};

use crate::{
    ConnectionName, CredentialKey, IssuerId, ObtainedVia, Slot, Timestamp, UserId,
    audit::{AuditEvent, Reason},
    principal::SessionDigest,
};

pub use self::{
    demand::{DemandStore, DemandedScope},
    device::{Decision, Device, DeviceStore},
    end::EndStore,
    grant::{ActiveGrant, ClientStore, Code, Family, Grant, GrantStore, Issued, RegisteredClient},
    notice::{Claim, News, NoticeStore, Planned},
    personal_token::{PersonalToken, PersonalTokenStore},
    provisioned::{Handle, Provisioned, ProvisioningStore, Resource},
    registration::{RegistrationStore, SealedRegistration, Turn},
    survey::{Headcount, Held, SurveyStore, Tally},
    wrapped::{
        DataKeyStore, KeyId, KeyKind, KeyOwner, ServiceKeyStore, WrappedKey, WrappedKeys, Wraps,
    },
};

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The record is not the one the caller decided on any more.
    #[error("the record changed underneath us")]
    Conflict,
    /// Nothing was written; the same call may succeed later.
    #[error("the store is unavailable")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
    #[error("row {row} of {table} is not what this version writes: {detail}")]
    Inconsistent { table: &'static str, row: String, detail: &'static str },
}

pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Every store, as one value to hand around.
#[derive(Clone, Debug)]
pub struct Stores {
    pub people: Arc<dyn PersonStore>,
    pub roster: Arc<dyn Roster>,
    pub provisioning: Arc<dyn ProvisioningStore>,
    pub sessions: Arc<dyn SessionStore>,
    pub personal_tokens: Arc<dyn PersonalTokenStore>,
    pub logins: Arc<dyn SpentLoginStore>,
    pub credentials: Arc<dyn CredentialStore>,
    pub ends: Arc<dyn EndStore>,
    pub connects: Arc<dyn ConnectFlowStore>,
    pub demands: Arc<dyn DemandStore>,
    pub data_keys: Arc<dyn DataKeyStore>,
    pub service_keys: Arc<dyn ServiceKeyStore>,
    pub registrations: Arc<dyn RegistrationStore>,
    pub notices: Arc<dyn NoticeStore>,
    pub wrapped_keys: Arc<dyn WrappedKeys>,
    pub grants: Arc<dyn GrantStore>,
    pub clients: Arc<dyn ClientStore>,
    pub devices: Arc<dyn DeviceStore>,
    pub audit: Arc<dyn AuditStore>,
    pub survey: Arc<dyn SurveyStore>,
}

// --- people -------------------------------------------------------------------------------------

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    pub id: UserId,
    pub issuer: IssuerId,
    pub subject: String,
    pub profile: Profile,
    pub disabled: bool,
    pub created_at: Timestamp,
    /// `None` of people whom a version made that did not write it down.
    pub last_signed_in_at: Option<Timestamp>,
}

impl Person {
    /// When their issuer vouched for them last, to an hour: at a sign-in, or by an access token.
    pub fn vouched_for_at(&self) -> Timestamp {
        self.last_signed_in_at.unwrap_or(self.created_at)
    }
}

/// What the issuer said about a person last; shown, never looked up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// Verified by the issuer, or absent.
    pub email: Option<String>,
    pub name: Option<String>,
    pub groups: Vec<String>,
}

#[async_trait::async_trait]
pub trait PersonStore: std::fmt::Debug + Send + Sync {
    /// The person `(issuer, subject)`, made with `fresh` as their id when first seen, their profile
    /// replaced by what their issuer said `at` that hour. Two callers that make the same person at
    /// once get the same row.
    async fn upsert(
        &self,
        issuer: &IssuerId,
        subject: &str,
        profile: &Profile,
        fresh: UserId,
        at: Timestamp,
    ) -> Result<Person>;

    async fn find(&self, id: &UserId) -> Result<Option<Person>>;

    async fn find_by_subject(&self, issuer: &IssuerId, subject: &str) -> Result<Option<Person>>;

    /// Erases a person and everything of theirs but the audit, their data key included: a sealed
    /// record that survives somewhere opens only beside a copy of that key. Whether there was such
    /// a person.
    async fn remove(&self, id: &UserId) -> Result<bool>;
}

/// People, as whoever runs the gateway handles them.
#[async_trait::async_trait]
pub trait Roster: std::fmt::Debug + Send + Sync {
    /// In the order of their ids, from the one after `after`; at most `limit`.
    async fn page(&self, after: Option<&UserId>, limit: u32) -> Result<Vec<Person>>;

    /// As [`Roster::page`], of those whose address or name has this text in it, whatever its case, or
    /// whose subject or id it is.
    async fn search(&self, text: &str, after: Option<&UserId>, limit: u32) -> Result<Vec<Person>>;

    /// Whom their issuer gave this address, whatever its case. At most two: who is not the only one
    /// is not found by it.
    async fn find_by_email(&self, email: &str) -> Result<Vec<Person>>;

    /// Switches a person off, or on again; whether there was such a person. Off ends what lets them in
    /// without their issuer, for good: sessions, personal tokens, grants. What they connected stays.
    async fn switch(&self, id: &UserId, disabled: bool) -> Result<bool>;

    /// Erases as [`PersonStore::remove`] does, and keeps who they were to their issuer, under the
    /// id `fresh` and switched off: while that issuer still vouches for them, they are not let in
    /// as somebody new.
    async fn bar(&self, person: &Person, fresh: UserId) -> Result<()>;
}

// --- sessions and sign-in -----------------------------------------------------------------------

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    pub digest: SessionDigest,
    pub user: UserId,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
}

/// The sign-in at their issuer that a session came of, in the issuer's words (OIDC Core section 2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignIn {
    /// `sub`, whatever else the person is known by here.
    pub subject: String,
    /// `sid`, of an issuer that tells its sign-ins apart.
    pub session: Option<String>,
}

/// Whose sign-in an issuer says is over, in its words (OIDC Back-Channel Logout section 2.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignedOut {
    /// This person's, in all browsers.
    Everywhere { subject: String },
    /// This one alone.
    Here { session: String, subject: Option<String> },
}

#[async_trait::async_trait]
pub trait SessionStore: std::fmt::Debug + Send + Sync {
    /// Also deletes expired sessions, a bounded number at a time.
    async fn insert(&self, session: &Session, sign_in: &SignIn) -> Result<()>;

    /// The unexpired session and its person, in one read.
    async fn find(
        &self,
        digest: SessionDigest,
        now: Timestamp,
    ) -> Result<Option<(Session, Person)>>;

    async fn remove(&self, digest: SessionDigest) -> Result<()>;

    /// One person's that have not run out, the newest first; at most 100.
    async fn list(&self, user: &UserId, now: Timestamp) -> Result<Vec<Session>>;

    /// Whether it was this person's.
    async fn remove_of(&self, user: &UserId, digest: SessionDigest) -> Result<bool>;

    /// All that came of sign-ins at this issuer that it says are over, and any of that person's of
    /// which nobody knows from which it came. Whose they were, each once.
    async fn remove_signed_out(
        &self,
        issuer: &IssuerId,
        signed_out: &SignedOut,
    ) -> Result<Vec<UserId>>;
}

/// Sign-ins that came back from the identity provider, and what else it proves that is good once. One
/// under way is nowhere but in its browser: whoever begins a million fills nothing.
#[async_trait::async_trait]
pub trait SpentLoginStore: std::fmt::Debug + Send + Sync {
    /// Whether this is the first time that `state`, the SHA-256 of a sign-in's `state`, comes back;
    /// to be asked before it is acted on. Remembered until `expires_at`, when it is worth nothing
    /// anyway. Keeps at most `bound` in all, dropping the oldest.
    async fn spend(
        &self,
        state: [u8; 32],
        expires_at: Timestamp,
        bound: u32,
        now: Timestamp,
    ) -> Result<bool>;
}

// --- connect flows ------------------------------------------------------------------------------

/// A consent on its way through an upstream's authorization server (OC-12). It holds no secret:
/// the PKCE verifier is derived from the session cookie of the browser that began, and from
/// `state`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectFlow {
    /// SHA-256 of `state`.
    pub state: [u8; 32],
    pub user: UserId,
    pub session: SessionDigest,
    pub connection: ConnectionName,
    /// The authorization server this was sent to, when it is known by name.
    pub issuer: Option<IssuerId>,
    pub redirect_uri: String,
    pub scopes: Vec<String>,
    pub resource: Option<String>,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
}

#[async_trait::async_trait]
pub trait ConnectFlowStore: std::fmt::Debug + Send + Sync {
    /// Keeps at most `bound` unexpired flows of one person, dropping the oldest; deletes expired
    /// ones.
    async fn insert(&self, flow: &ConnectFlow, bound: u32, now: Timestamp) -> Result<()>;

    /// Reads without taking: who may finish is decided before a state is spent.
    async fn find(&self, state: [u8; 32]) -> Result<Option<ConnectFlow>>;

    /// Deletes and returns, atomically: of two callers, one gets the flow.
    async fn take(&self, state: [u8; 32]) -> Result<Option<ConnectFlow>>;

    /// Drops this person's pending flows for one of their accounts (a disconnect ends them).
    async fn clear(&self, user: &UserId, connection: &ConnectionName) -> Result<()>;
}

// --- credentials --------------------------------------------------------------------------------

/// Counts the writes of one record. A first write takes the store's time in milliseconds, so that a
/// record made again after a deletion never repeats a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub i64);

impl Version {
    pub fn first(now: Timestamp) -> Self {
        Self(now.0)
    }

    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// Ciphertext under a person's data key: format, nonce, bytes and tag in one string that only
/// `crypto` reads. Bound to person, slot, kind and version, so it opens nowhere else.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(pub Vec<u8>);

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sealed({} bytes)", self.0.len())
    }
}

/// A credential as stored. What is outside `sealed` is what must be known without a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub version: Version,
    pub sealed: Sealed,
    pub health: Health,
    pub obtained_via: ObtainedVia,
    pub expires_at: Option<Timestamp>,
    pub updated_at: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    Good,
    /// The provider ended the grant; its tokens are gone from the record.
    NeedsReconnect(Reason),
}

/// A record with what the store adds to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    pub record: Record,
    /// When a refresh began whose end nobody knows: its refresh token may be spent (OC-27).
    pub interrupted: Option<Timestamp>,
}

/// The right to refresh one record, until `until`. Not `Clone`.
#[derive(Debug)]
#[must_use = "a lease that is dropped keeps others waiting until it runs out"]
pub struct Lease {
    pub key: CredentialKey,
    /// The version the refresh is based on.
    pub fence: Version,
    pub holder: [u8; 16],
    pub until: Timestamp,
}

#[derive(Debug)]
pub enum Leased {
    Granted(Lease, Stored),
    /// Somebody refreshed first: use this.
    Superseded(Stored),
    Held {
        until: Timestamp,
    },
    /// The record is gone: disconnecting beats refreshing.
    Gone,
}

#[async_trait::async_trait]
pub trait CredentialStore: std::fmt::Debug + Send + Sync {
    /// The hour by which all who share this store agree when a lease runs out, and what came after
    /// what: a database server's, whose callers' clocks may be minutes apart. `here` is the caller's,
    /// and the answer where all callers have the same.
    async fn now(&self, here: Timestamp) -> Result<Timestamp>;

    async fn find(&self, key: &CredentialKey) -> Result<Option<Stored>>;

    /// As [`CredentialStore::find`], with the person's data key, in one read: all it takes to open
    /// the record.
    async fn find_with_key(
        &self,
        key: &CredentialKey,
    ) -> Result<Option<(Stored, Option<WrappedKey>)>>;

    /// Writes what a person just granted, over version `replaces` or, with `None`, where nothing
    /// is. A lease on the old version is void.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the row is not at `replaces`.
    async fn put(
        &self,
        key: &CredentialKey,
        record: &Record,
        replaces: Option<Version>,
    ) -> Result<()>;

    /// Deletes and returns.
    async fn remove(&self, key: &CredentialKey) -> Result<Option<Stored>>;

    /// Everything of one person, by slot; at most 1,000.
    async fn list(&self, user: &UserId) -> Result<Vec<(Slot, Stored)>>;

    /// Claims the refresh of version `seen` for `holder`, if nobody holds it at `now`: the hour of
    /// [`CredentialStore::now`], and `until` with it.
    async fn lease(
        &self,
        key: &CredentialKey,
        seen: Version,
        holder: [u8; 16],
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Leased>;

    /// Writes the outcome of a refresh and ends the lease. Repeating a commit that already
    /// succeeded succeeds.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the record is gone, was replaced, or the lease was lost.
    async fn commit(&self, lease: &Lease, record: &Record) -> Result<()>;

    /// Ends the lease with nothing changed: the refresh did not happen.
    async fn release(&self, lease: &Lease) -> Result<()>;

    /// Ends the lease of a refresh whose answer was lost: whether it happened, nobody knows.
    async fn interrupt(&self, lease: &Lease) -> Result<()>;
}

// --- audit --------------------------------------------------------------------------------------

#[async_trait::async_trait]
pub trait AuditStore: std::fmt::Debug + Send + Sync {
    /// All of the batch or nothing.
    async fn append(&self, batch: &[AuditEvent]) -> Result<()>;

    /// The newest first; of one person when `user` is given; at most `limit`.
    async fn list(&self, user: Option<&UserId>, limit: u32) -> Result<Vec<AuditEvent>>;
}

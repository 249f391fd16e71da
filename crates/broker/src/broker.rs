//! The data plane's door: a credential that is ready, or the way to one.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use attache_core::{
    AccountName, Clock, ConnectionName, CredentialKey, Principal, RequestId, Timestamp, UserId,
    audit::{Action, AuditEvent, Method, Outcome, Reason},
    changes::{Change, Memory},
    outage::Outage,
    store::{CredentialStore, DemandStore, EndStore, Health, StoreError, Version},
};
use attache_crypto::random::Random;
use quick_cache::sync::Cache;
use tokio::sync::futures::OwnedNotified;

use crate::{
    audit::Audit,
    breaker::Breakers,
    due::Jitter,
    exchange::Exchanges,
    flight::Flights,
    injection::Injection,
    metrics::Metrics,
    notices::Agenda,
    ready::{Belief, Ready},
    refresh::{Errand, Purpose},
    step_up::Told,
    subject::SubjectTokens,
    tasks::Tasks,
    upstream::{Brokered, Mode},
    vault::{Vault, VaultError},
};

/// Credentials whose upstream or provider misbehaved a moment ago; about 200 bytes each.
const TROUBLED: usize = 50_000;

/// Why there is no credential, sorted by whose move it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ObtainError {
    /// The person's: connect, or connect again.
    #[error("not connected: {}", .reason.as_str())]
    NotConnected { reason: Reason },
    /// The person's, but not by connecting: what they call with does not do.
    #[error("refused: {}", .reason.as_str())]
    Refused { reason: Reason },
    /// Nobody's: the same request may succeed later.
    #[error("unavailable: {}", .reason.as_str())]
    Unavailable { reason: Reason, retry_after: Option<Duration> },
    /// The operator's.
    #[error("misconfigured: {}", .reason.as_str())]
    Operator { reason: Reason },
}

impl ObtainError {
    pub fn reason(self) -> Reason {
        match self {
            Self::NotConnected { reason }
            | Self::Refused { reason }
            | Self::Unavailable { reason, .. }
            | Self::Operator { reason } => reason,
        }
    }
}

impl From<StoreError> for ObtainError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Inconsistent { .. } => {
                tracing::error!(%error, "a stored row is not what this version writes");
                Self::Operator { reason: Reason::Unreadable }
            }
            StoreError::Conflict | StoreError::Unavailable(_) => {
                tracing::warn!(%error, "the store did not answer");
                Self::Unavailable { reason: Reason::StoreUnavailable, retry_after: None }
            }
        }
    }
}

impl From<VaultError> for ObtainError {
    fn from(error: VaultError) -> Self {
        match error {
            VaultError::Unreadable(cause) => Self::Operator { reason: cause.reason() },
            VaultError::KeysUnavailable(_) => {
                Self::Unavailable { reason: Reason::KeysUnavailable, retry_after: None }
            }
            VaultError::Store(error) => error.into(),
        }
    }
}

/// What a broker is made of.
#[derive(Clone, Debug)]
pub struct Parts {
    pub store: Arc<dyn CredentialStore>,
    pub demands: Arc<dyn DemandStore>,
    pub ends: Arc<dyn EndStore>,
    pub vault: Arc<Vault>,
    pub audit: Arc<Audit>,
    pub tasks: Tasks,
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
    pub metrics: Metrics,
    /// Of `store`.
    pub outage: Arc<Outage>,
    pub agenda: Agenda,
    /// `None`: browser sign-in leaves nothing here.
    pub subject_tokens: Option<Arc<SubjectTokens>>,
}

#[derive(Debug)]
pub struct Broker {
    pub(crate) parts: Parts,
    pub(crate) ready: Ready,
    flights: Flights<CredentialKey, Result<Arc<Injection>, ObtainError>>,
    rejections: Cache<CredentialKey, Rejection>,
    resting: Cache<CredentialKey, Rest>,
    pub(crate) told: Cache<CredentialKey, Told>,
    pub(crate) breakers: Breakers,
    pub(crate) exchanges: Exchanges,
    pub(crate) jitter: Jitter,
    /// Refreshed, and still being written because the store was away.
    unwritten: Mutex<HashMap<CredentialKey, Unwritten>>,
}

/// The upstream said 401 to a version that was not expired.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rejection {
    pub version: Version,
    /// When a refresh was last forced by a rejection.
    pub refreshed_at: Option<Timestamp>,
}

/// The authorization server failed; it is left alone until then.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rest {
    pub until: Timestamp,
    pub error: ObtainError,
}

/// What came of refreshing version `old`, which is still what the store has.
#[derive(Clone, Debug)]
pub(crate) struct Unwritten {
    pub old: Version,
    pub injection: Arc<Injection>,
}

impl Broker {
    pub fn new(parts: Parts) -> Arc<Self> {
        Arc::new(Self {
            flights: Flights::new(parts.tasks.clone()),
            ready: Ready::new(),
            rejections: Cache::new(TROUBLED),
            resting: Cache::new(TROUBLED),
            told: Cache::new(TROUBLED),
            exchanges: Exchanges::new(parts.tasks.clone()),
            breakers: Breakers::new(parts.metrics.clone()),
            jitter: Jitter::new(&*parts.random),
            unwritten: Mutex::default(),
            parts,
        })
    }

    /// The hot path: memory only. What is due to be renewed, or to be compared with the store, is so
    /// in the background while it serves on. `None` sends the caller to [`Broker::obtain`].
    ///
    /// While the store is away, what is in memory serves until it expires.
    pub fn ready(
        self: &Arc<Self>,
        who: &Principal,
        upstream: &Arc<Brokered>,
        account: Option<&AccountName>,
        now: Timestamp,
    ) -> Option<Arc<Injection>> {
        if let Mode::TokenExchange(exchange) = &upstream.mode {
            let subject = self.subject_id(who, exchange, now)?;
            return self.exchanges.recall(who, upstream, subject, now);
        }
        let key = upstream.key(who, account);
        let (injection, belief) = self.ready.recall(&key, now)?;
        let purpose = match belief {
            Belief::Doubtful if !self.parts.outage.is_on(now) => return None,
            _ if injection.wants_refresh(now) => Purpose::Renew,
            Belief::Due | Belief::Doubtful => Purpose::Use,
            Belief::Sure => return Some(injection),
        };
        if self.parts.outage.may_ask(now) {
            self.flights.start(key.clone(), || self.errand(key, upstream, purpose));
        }
        Some(injection)
    }

    /// Reads, refreshes or refuses. However many callers wait, one task works for them, and it
    /// goes on when they leave.
    pub async fn obtain(
        self: &Arc<Self>,
        who: &Principal,
        upstream: &Arc<Brokered>,
        account: Option<&AccountName>,
    ) -> Result<Arc<Injection>, ObtainError> {
        if let Mode::TokenExchange(exchange) = &upstream.mode {
            return self.exchange(who, upstream, exchange).await;
        }
        self.obtain_at(upstream.key(who, account), upstream).await
    }

    pub(crate) async fn obtain_at(
        self: &Arc<Self>,
        key: CredentialKey,
        upstream: &Arc<Brokered>,
    ) -> Result<Arc<Injection>, ObtainError> {
        let work = || self.errand(key.clone(), upstream, Purpose::Use);
        let landed = self.flights.join(key.clone(), work).await;
        let obtained = landed.unwrap_or_else(|abandoned| {
            tracing::error!(%abandoned, "a credential task panicked");
            Err(ObtainError::Unavailable { reason: Reason::Other, retry_after: None })
        });
        let now = self.parts.clock.now();
        let due = obtained.as_ref().is_ok_and(|injection| injection.wants_refresh(now));
        if due && self.parts.outage.may_ask(now) {
            self.flights.start(key.clone(), || self.errand(key, upstream, Purpose::Renew));
        }
        obtained
    }

    /// The upstream answered 401 to this version: it is not served again, and the next
    /// [`Broker::obtain`] refreshes it. A late answer about an older one changes nothing.
    pub fn rejected(
        &self,
        who: &Principal,
        upstream: &Brokered,
        account: Option<&AccountName>,
        version: Version,
    ) {
        if let Mode::TokenExchange(exchange) = &upstream.mode {
            let now = self.parts.clock.now();
            let Some(subject) = self.subject_id(who, exchange, now) else { return };
            return self.exchanges.rejected(who, upstream, subject, version, now);
        }
        if self.distrust(upstream.key(who, account), version)
            && let Some(connect) = upstream.connect()
        {
            connect.look_again();
        }
    }

    /// Whether it is news.
    pub(crate) fn distrust(&self, key: CredentialKey, version: Version) -> bool {
        let earlier = self.rejections.get(&key);
        if earlier.is_some_and(|earlier| version < earlier.version) {
            return false;
        }
        let refreshed_at = earlier.and_then(|earlier| earlier.refreshed_at);
        self.ready.forget(&key);
        self.rejections.insert(key, Rejection { version, refreshed_at });
        true
    }

    /// The rejection of this version was somebody's, and not everybody's.
    pub(crate) fn trust(&self, key: &CredentialKey, version: Version) {
        if self.rejection(key, version).is_some() {
            self.rejections.remove(key);
        }
    }

    /// For what is still open when something of a person changes: ends when that may have happened,
    /// counted from this call. What memory had of it is void by then.
    pub fn news(&self, user: &UserId) -> OwnedNotified {
        self.ready.bells.next(user)
    }

    /// Whether the connection still exists, by the store and without touching the credential: a
    /// token that expired ends nothing.
    pub async fn is_connected(
        &self,
        who: &Principal,
        upstream: &Brokered,
        account: Option<&AccountName>,
    ) -> Result<bool, StoreError> {
        if let Mode::TokenExchange(exchange) = &upstream.mode {
            return self.is_there(who, exchange).await;
        }
        let found = self.parts.store.find(&upstream.key(who, account)).await?;
        Ok(found.is_some_and(|stored| stored.record.health == Health::Good))
    }

    /// Notes in the audit that the credential left on a request.
    pub fn injected(
        &self,
        who: &Principal,
        upstream: &Brokered,
        account: Option<&AccountName>,
        request: &RequestId,
    ) {
        self.used(Action::Inject, who, upstream.connection(account), upstream.method(), request);
    }

    /// Notes in the audit that the credential was given to a proxy.
    pub fn vended(
        &self,
        who: &Principal,
        upstream: &Brokered,
        account: Option<&AccountName>,
        request: &RequestId,
    ) {
        self.used(Action::Vend, who, upstream.connection(account), upstream.method(), request);
    }

    /// Notes in the audit that a rule closed the way, before any credential was looked up for it.
    pub fn denied(
        &self,
        who: &Principal,
        server: &ConnectionName,
        method: Option<Method>,
        request: &RequestId,
    ) {
        self.parts.audit.note(AuditEvent {
            server: Some(server.clone()),
            method,
            outcome: Outcome::Failure(Reason::PolicyDenied),
            ..self.event(Action::Deny, who, request)
        });
    }

    fn used(
        &self,
        action: Action,
        who: &Principal,
        server: ConnectionName,
        method: Method,
        request: &RequestId,
    ) {
        self.parts.audit.note(AuditEvent {
            server: Some(server),
            method: Some(method),
            ..self.event(action, who, request)
        });
    }

    fn event(&self, action: Action, who: &Principal, request: &RequestId) -> AuditEvent {
        AuditEvent {
            at: self.parts.clock.now(),
            user: Some(who.user.clone()),
            server: None,
            method: None,
            action,
            outcome: Outcome::Success,
            request_id: Some(request.clone()),
            count: None,
        }
    }

    fn errand(
        self: &Arc<Self>,
        key: CredentialKey,
        upstream: &Arc<Brokered>,
        purpose: Purpose,
    ) -> impl Future<Output = Result<Arc<Injection>, ObtainError>> + Send + use<> {
        Errand { broker: Arc::clone(self), upstream: Arc::clone(upstream), key }.run(purpose)
    }
}

impl Memory for Broker {
    fn heed(&self, change: &Change) {
        if let Change::DataKey(user) = change {
            self.parts.vault.forget(user);
        }
        self.ready.heed(change);
    }
}

/// The caches, as the rest of the crate uses them.
impl Broker {
    /// A person just connected: yesterday's troubles are over.
    pub(crate) fn forgive(&self, key: &CredentialKey) {
        self.rejections.remove(key);
        self.resting.remove(key);
    }

    pub(crate) fn rejection(&self, key: &CredentialKey, version: Version) -> Option<Rejection> {
        self.rejections.get(key).filter(|rejection| rejection.version == version)
    }

    pub(crate) fn rejection_answered(&self, key: &CredentialKey, version: Version, now: Timestamp) {
        self.rejections.insert(key.clone(), Rejection { version, refreshed_at: Some(now) });
    }

    pub(crate) fn rest(&self, key: &CredentialKey, rest: Rest) {
        self.resting.insert(key.clone(), rest);
    }

    pub(crate) fn resting(&self, key: &CredentialKey, now: Timestamp) -> Option<Rest> {
        self.resting.get(key).filter(|rest| now < rest.until)
    }

    pub(crate) fn unwritten(&self) -> MutexGuard<'_, HashMap<CredentialKey, Unwritten>> {
        self.unwritten.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

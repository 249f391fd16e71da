//! One errand: from what the store has to a credential that may be used, or to the reason why
//! there is none. It runs once per person and upstream at a time, and belongs to no request.

use std::{sync::Arc, time::Duration};

use attache_core::{
    Credential, CredentialKey, ObtainedVia, Timestamp,
    audit::{Action, AuditEvent, Outcome, Reason},
    store::{Health, Lease, Leased, Record, StoreError, Stored, Version},
};

use crate::{
    breaker::Permit,
    broker::{Broker, ObtainError, Parts, Rest, Unwritten},
    connect::{OauthConnect, ProviderError},
    disconnect::revoke,
    injection::Injection,
    notices::Written,
    ready::Reading,
    upstream::Brokered,
    vault::{Unreadable, VaultError},
};

/// How long a refresh may be held: the token endpoint's timeout (10 s) with room to write.
const LEASE: Duration = Duration::from_mins(1);
/// How often a process that does not hold the lease looks for the winner's token.
const LEASE_POLL: Duration = Duration::from_millis(100);
/// How long the provider is left alone after a failure, at least.
const REST: Duration = Duration::from_secs(5);
/// After a refresh that an upstream's 401 caused, the next such 401 causes none for this long:
/// an upstream that refuses everything must not drive its authorization server.
pub(crate) const REJECTION_REST: Duration = Duration::from_secs(30);
/// A refreshed credential that the store did not take is offered again at this pace, and for this
/// long.
const WRITE_PAUSE: Duration = Duration::from_millis(500);
const WRITE_PATIENCE: Duration = Duration::from_hours(1);

pub(crate) struct Errand {
    pub broker: Arc<Broker>,
    pub upstream: Arc<Brokered>,
    pub key: CredentialKey,
}

/// What an errand is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Something to use: what is remembered does, when the store has the same.
    Use,
    /// What is due to be renewed.
    Renew,
}

/// A stored credential that is to be renewed.
struct Due {
    credential: Credential,
    version: Version,
    /// Though it is due: it serves until the provider answers.
    usable: bool,
    reading: Reading,
}

type Obtained = Result<Arc<Injection>, ObtainError>;

/// What one look at the store came to.
enum Look {
    Done(Arc<Injection>),
    /// Somebody else is refreshing, or just did.
    Again,
    /// It was disconnected or replaced meanwhile.
    Overtaken,
}

impl Errand {
    pub(crate) async fn run(self, purpose: Purpose) -> Obtained {
        loop {
            match self.look(purpose).await {
                Ok(Look::Done(injection)) => return Ok(injection),
                Ok(Look::Again) => tokio::time::sleep(LEASE_POLL).await,
                Ok(Look::Overtaken) => {}
                Err(error) => {
                    if !matches!(error, ObtainError::Unavailable { .. }) {
                        self.broker.ready.remove(&self.key);
                    }
                    return Err(error);
                }
            }
        }
    }

    async fn look(&self, purpose: Purpose) -> Result<Look, ObtainError> {
        let (ready, outage) = (&self.broker.ready, &self.parts().outage);
        let reading = ready.begin(self.parts().clock.now());
        let seen = self.parts().vault.seen(&self.key);
        let found = self.parts().store.find_with_key(&self.key).await;
        let now = self.parts().clock.now();
        let remembered = || ready.recall(&self.key, now).map(|(injection, _)| injection);
        if let Err(StoreError::Unavailable(_)) = found {
            outage.noticed(now);
            if let Some(injection) = remembered() {
                return Ok(Look::Done(injection));
            }
        } else {
            outage.over();
        }
        if let Err(StoreError::Inconsistent { .. }) = found {
            self.parts().metrics.unreadable(Reason::Unreadable);
        }
        let Some((stored, data_key)) = found? else {
            return Err(ObtainError::NotConnected { reason: Reason::NotConnected });
        };
        if let Health::NeedsReconnect(reason) = stored.record.health {
            return Err(ObtainError::NotConnected { reason });
        }
        if stored.record.obtained_via != self.upstream.obtained_via() {
            return Err(ObtainError::NotConnected { reason: Reason::NotConnected });
        }
        let version = stored.record.version;
        match (self.unwritten(), remembered()) {
            _ if data_key.is_none() => self.parts().vault.forget(&self.key.user),
            (Some(Unwritten { old, injection }), _) if old == version => {
                return self.serve_unwritten(injection, now, reading);
            }
            (None, Some(injection)) if injection.version == version => {
                if purpose == Purpose::Use {
                    return Ok(self.publish(injection, reading));
                }
            }
            _ => ready.remove(&self.key),
        }
        let record = &stored.record;
        let credential = self.parts().vault.open(&self.key, record, seen, data_key).await?;
        if !self.upstream.is_home_of(&credential) {
            return Err(ObtainError::NotConnected { reason: Reason::UpstreamMoved });
        }
        if credential.is_over(now) {
            return Err(ObtainError::NotConnected { reason: Reason::TermEnded });
        }

        let rejection = self.broker.rejection(&self.key, version);
        let usable = rejection.is_none()
            && credential.access_token.is_some()
            && credential.expires_at.is_none_or(|end| now < end);
        let refresh_at = self.refresh_time(&credential, version);

        if usable && (credential.refresh_token.is_none() || refresh_at.is_none_or(|at| now < at)) {
            let refresh_at = refresh_at.filter(|_| credential.refresh_token.is_some());
            return self.serve(&credential, version, refresh_at, reading);
        }
        let due = Due { credential, version, usable, reading };
        if let Some(rest) = self.broker.resting(&self.key, now) {
            return self.wait(rest, &due);
        }
        let Some(connect) = self.upstream.connect() else { return Err(self.ended(version)) };
        if due.credential.refresh_token.is_none() {
            return Err(self.ended(version));
        }
        let lately = |at: Timestamp| now.since(at) < rejection_rest(&due.credential);
        if rejection.and_then(|rejection| rejection.refreshed_at).is_some_and(lately) {
            return Err(ObtainError::NotConnected { reason: Reason::UpstreamRejected });
        }
        self.renew(connect, due, now).await
    }

    /// As far as the provider may be asked, and nobody else is asking it.
    async fn renew(
        &self,
        connect: &OauthConnect,
        due: Due,
        now: Timestamp,
    ) -> Result<Look, ObtainError> {
        let permit = match self.broker.breakers.admit(&self.upstream.name, &self.key, now) {
            Ok(permit) => permit,
            Err(rest) => return self.wait(rest, &due),
        };
        let terms = match connect.terms().await {
            Ok(terms) if terms.is_issuer_of(&due.credential) => terms,
            Ok(_) => return Err(self.ended(due.version)),
            Err(error) => return self.rest(error, permit, &due),
        };
        match self.lease(due.version, now).await {
            Ok(Leased::Granted(lease, stored)) => {
                let refreshed = connect.refresh(&terms, &due.credential).await;
                self.refreshed(refreshed, permit, lease, &stored, due).await
            }
            Ok(Leased::Held { .. }) if due.usable => self.serve_until(now.plus(LEASE_POLL), &due),
            Ok(Leased::Held { .. } | Leased::Superseded(_)) => Ok(Look::Again),
            Err(StoreError::Unavailable(_)) if due.usable => {
                self.parts().outage.noticed(now);
                self.serve_until(now.plus(REST), &due)
            }
            Err(error) => Err(error.into()),
            Ok(Leased::Gone) => Err(ObtainError::NotConnected { reason: Reason::NotConnected }),
        }
    }

    /// By the store's hour: whoever looks at the lease may be on another machine.
    async fn lease(&self, seen: Version, here: Timestamp) -> Result<Leased, StoreError> {
        let mut holder = [0; 16];
        self.parts().random.fill(&mut holder);
        let store = &self.parts().store;
        let now = store.now(here).await?;
        store.lease(&self.key, seen, holder, now, now.plus(LEASE)).await
    }

    /// Holding the lease: keeps what came of it, and only then writes it down: until it is kept, a
    /// refresh token exists nowhere else.
    async fn refreshed(
        &self,
        refreshed: Result<Credential, ProviderError>,
        permit: Permit<'_>,
        lease: Lease,
        stored: &Stored,
        due: Due,
    ) -> Result<Look, ObtainError> {
        let outcome = match &refreshed {
            Ok(_) => Outcome::Success,
            Err(error) => Outcome::Failure(error.reason()),
        };
        self.parts().metrics.refreshed(&self.upstream.name, outcome);
        let look = self.settle(refreshed, permit, lease, stored, due).await;
        self.audit(Action::Refresh, outcome);
        look
    }

    async fn settle(
        &self,
        refreshed: Result<Credential, ProviderError>,
        permit: Permit<'_>,
        lease: Lease,
        stored: &Stored,
        due: Due,
    ) -> Result<Look, ObtainError> {
        let now = self.parts().clock.now();
        let error = match refreshed {
            Ok(new) => {
                permit.answered();
                if self.broker.rejection(&self.key, lease.fence).is_some() {
                    self.broker.rejection_answered(&self.key, lease.fence, now);
                }
                return self.keep(lease, new, due.reading).await;
            }
            Err(ProviderError::GrantEnded) => {
                permit.answered();
                let interrupted = stored.interrupted.is_some();
                return self.end_grant(&lease, &due.credential, interrupted).await;
            }
            Err(error) => error,
        };
        let store = &self.parts().store;
        let ended = if error.leaves_doubt() {
            store.interrupt(&lease).await
        } else {
            store.release(&lease).await
        };
        if let Err(error) = ended {
            tracing::warn!(%error, "a refresh lease was not released; it will run out");
        }
        self.rest(error, permit, &due)
    }

    /// The provider is left alone for a while, by all if it is about all.
    fn rest(
        &self,
        error: ProviderError,
        permit: Permit<'_>,
        due: &Due,
    ) -> Result<Look, ObtainError> {
        let now = self.parts().clock.now();
        let rest = rest_after(error, now);
        self.broker.rest(&self.key, rest);
        if permit.failed(error, now) {
            tracing::warn!(
                upstream = %self.upstream.name, %error, still_valid = due.usable,
                "a credential could not be refreshed"
            );
        }
        self.wait(rest, due)
    }

    /// What is usable serves on.
    fn wait(&self, rest: Rest, due: &Due) -> Result<Look, ObtainError> {
        if due.usable { self.serve_until(rest.until, due) } else { Err(rest.error) }
    }

    fn serve_until(&self, refresh_at: Timestamp, due: &Due) -> Result<Look, ObtainError> {
        self.serve(&due.credential, due.version, Some(refresh_at), due.reading)
    }

    /// There is nothing to renew it with.
    fn ended(&self, version: Version) -> ObtainError {
        let rejected = self.broker.rejection(&self.key, version).is_some();
        let reason = if rejected { self.upstream.rejection() } else { Reason::NeedsReconnect };
        ObtainError::NotConnected { reason }
    }

    /// Stores a refreshed credential. The old refresh token is spent, so nothing may lose the new
    /// one: when the store is away, callers are served from memory and the writing goes on.
    async fn keep(
        &self,
        lease: Lease,
        new: Credential,
        reading: Reading,
    ) -> Result<Look, ObtainError> {
        let version = self.parts().vault.next_version(&self.key, lease.fence);
        let error = match self.write(&lease, version, &new, Health::Good).await {
            Ok(()) => return self.serve(&new, version, self.refresh_time(&new, version), reading),
            Err(NotWritten::Superseded) => {
                self.superseded(&new).await;
                return Ok(Look::Again);
            }
            Err(NotWritten::Later(error)) => error,
        };
        tracing::error!(
            upstream = %self.upstream.name, %error,
            "a refreshed credential could not be stored; trying on"
        );
        let refresh_at = self.refresh_time(&new, version);
        let injection = self.render(&new, version, refresh_at);
        if let Ok(injection) = &injection {
            let unwritten = Unwritten { old: lease.fence, injection: Arc::clone(injection) };
            self.broker.unwritten().insert(self.key.clone(), unwritten);
        }
        let writer = Self {
            broker: Arc::clone(&self.broker),
            upstream: Arc::clone(&self.upstream),
            key: self.key.clone(),
        };
        self.parts().tasks.spawn(writer.keep_writing(lease, version, new));
        Ok(self.publish(injection?, reading))
    }

    async fn keep_writing(self, lease: Lease, version: Version, new: Credential) {
        let deadline = self.parts().clock.now().plus(WRITE_PATIENCE);
        loop {
            tokio::time::sleep(WRITE_PAUSE).await;
            match self.write(&lease, version, &new, Health::Good).await {
                Ok(()) => {
                    tracing::info!(upstream = %self.upstream.name, "the refreshed credential is stored");
                    break;
                }
                Err(NotWritten::Superseded) => {
                    self.broker.ready.forget(&self.key);
                    self.superseded(&new).await;
                    break;
                }
                Err(NotWritten::Later(error)) if self.parts().clock.now() > deadline => {
                    tracing::error!(%error, "gave up storing a refreshed credential");
                    break;
                }
                Err(NotWritten::Later(_)) => {}
            }
        }
        self.broker.unwritten().remove(&self.key);
    }

    async fn write(
        &self,
        lease: &Lease,
        version: Version,
        credential: &Credential,
        health: Health,
    ) -> Result<(), NotWritten> {
        let sealed = self.parts().vault.seal_again(&self.key, version, credential).await?;
        let record = Record {
            version,
            sealed,
            health,
            obtained_via: ObtainedVia::ConnectFlow,
            expires_at: credential.expires_at,
            updated_at: self.parts().clock.now(),
        };
        self.parts().store.commit(lease, &record).await?;
        self.parts().vault.saw(&self.key, version);
        let written = Written {
            key: &self.key,
            version,
            credential,
            health,
            upstream: &self.upstream,
            at: record.updated_at,
        };
        self.parts().agenda.plan(&self.parts().tasks, &written);
        Ok(())
    }

    /// The record went away or was replaced while we refreshed, or the key that seals it was
    /// destroyed. What we were given for a record that is gone must not live on at the provider.
    async fn superseded(&self, new: &Credential) {
        let found = self.parts().store.find_with_key(&self.key).await;
        let is_nobodys = match found {
            Ok(Some((stored, Some(_)))) => stored.record.health != Health::Good,
            Ok(None | Some((_, None))) => true,
            Err(_) => false,
        };
        if is_nobodys {
            revoke(&self.upstream, ObtainedVia::ConnectFlow, new).await;
        }
    }

    /// The provider said `invalid_grant`. If the record is still the one we asked with, its tokens
    /// are dropped; otherwise a loser's verdict must not touch the winner's tokens (OC-25).
    async fn end_grant(
        &self,
        lease: &Lease,
        old: &Credential,
        interrupted: bool,
    ) -> Result<Look, ObtainError> {
        let reason = if interrupted { Reason::RefreshInterrupted } else { Reason::InvalidGrant };
        let version = self.parts().vault.next_version(&self.key, lease.fence);
        let ended =
            Credential { access_token: None, refresh_token: None, id_token: None, ..old.clone() };
        match self.write(lease, version, &ended, Health::NeedsReconnect(reason)).await {
            Ok(()) => {
                self.broker.ready.forget(&self.key);
                Err(ObtainError::NotConnected { reason })
            }
            Err(NotWritten::Superseded) => Ok(Look::Again),
            Err(NotWritten::Later(error)) => {
                // Nothing is lost: the next refresh hears the same.
                tracing::warn!(%error, "the end of a grant could not be stored");
                Err(ObtainError::NotConnected { reason })
            }
        }
    }

    fn serve(
        &self,
        credential: &Credential,
        version: Version,
        refresh_at: Option<Timestamp>,
        reading: Reading,
    ) -> Result<Look, ObtainError> {
        Ok(self.publish(self.render(credential, version, refresh_at)?, reading))
    }

    fn render(
        &self,
        credential: &Credential,
        version: Version,
        refresh_at: Option<Timestamp>,
    ) -> Obtained {
        Injection::new(&self.upstream, credential, version, refresh_at)
            .map(Arc::new)
            .ok_or(ObtainError::Operator { reason: Reason::Unreadable })
    }

    fn publish(&self, injection: Arc<Injection>, reading: Reading) -> Look {
        if self.broker.ready.publish(&self.key, &injection, reading) {
            Look::Done(injection)
        } else {
            Look::Overtaken
        }
    }

    fn unwritten(&self) -> Option<Unwritten> {
        self.broker.unwritten().get(&self.key).cloned()
    }

    /// What the store has is spent; what was got for it serves as long as it may. A successor has
    /// to wait for the store.
    fn serve_unwritten(
        &self,
        injection: Arc<Injection>,
        now: Timestamp,
        reading: Reading,
    ) -> Result<Look, ObtainError> {
        let rejected = self.broker.rejection(&self.key, injection.version).is_some();
        if rejected || !injection.is_live(now) {
            let reason = Reason::StoreUnavailable;
            return Err(ObtainError::Unavailable { reason, retry_after: None });
        }
        Ok(self.publish(injection, reading))
    }

    /// Nobody waits for that to be written but shutdown.
    fn audit(&self, action: Action, outcome: Outcome) {
        let event = AuditEvent {
            at: self.parts().clock.now(),
            user: Some(self.key.user.clone()),
            server: self.key.connection().cloned(),
            method: Some(self.upstream.method()),
            action,
            outcome,
            request_id: None,
            count: None,
        };
        let audit = Arc::clone(&self.parts().audit);
        self.parts().tasks.spawn(async move {
            if let Err(error) = audit.record(event).await {
                tracing::warn!(%error, "a refresh was not written to the audit");
            }
        });
    }

    fn refresh_time(&self, credential: &Credential, version: Version) -> Option<Timestamp> {
        self.broker.jitter.refresh_time(&self.key, version, credential)
    }

    fn parts(&self) -> &Parts {
        &self.broker.parts
    }
}

/// Why a record was not written.
enum NotWritten {
    /// It is gone, or somebody else's turn came.
    Superseded,
    Later(ObtainError),
}

impl From<StoreError> for NotWritten {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict => Self::Superseded,
            other => Self::Later(other.into()),
        }
    }
}

impl From<VaultError> for NotWritten {
    fn from(error: VaultError) -> Self {
        match error {
            VaultError::Unreadable(Unreadable::NoDataKey) => Self::Superseded,
            other => Self::Later(other.into()),
        }
    }
}

/// How long the provider is left alone after `error`, and what is said meanwhile.
pub(crate) fn rest_after(error: ProviderError, now: Timestamp) -> Rest {
    let reason = error.reason();
    match error {
        ProviderError::Unavailable { retry_after } => {
            let wait = retry_after.unwrap_or_default().max(REST);
            let error = ObtainError::Unavailable { reason, retry_after: Some(wait) };
            Rest { until: now.plus(wait), error }
        }
        ProviderError::NotAsked(error) => Rest { until: now.plus(REST), error },
        ProviderError::Lost | ProviderError::Malformed(_) => {
            let error = ObtainError::Unavailable { reason, retry_after: Some(REST) };
            Rest { until: now.plus(REST), error }
        }
        ProviderError::Refused(_) | ProviderError::GrantEnded => {
            Rest { until: now.plus(REST), error: ObtainError::Operator { reason } }
        }
    }
}

/// [`REJECTION_REST`], but no longer than a token lives.
fn rejection_rest(credential: &Credential) -> Duration {
    let life = credential.expires_at.map(|end| end.since(credential.obtained_at));
    life.unwrap_or(REJECTION_REST).min(REJECTION_REST)
}

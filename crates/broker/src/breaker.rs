//! How each upstream's authorization server fares: one verdict for all its people.
//!
//! A server that is away, or that does not accept us, is left alone for a while, then asked by one
//! caller at a time, until it answers. The end of one person's grant is an answer.
//!
//! A server may fail for one person alone, always. Nobody's failures by themselves make it away for
//! the others, and who asks in vain lets the others ask before they ask again.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use attache_core::{CredentialKey, Timestamp, UpstreamName, UserId, audit::Reason};

use crate::{
    broker::{ObtainError, Rest},
    connect::ProviderError,
    metrics::{Metrics, ProviderState},
};

/// Failures in a row, of more than one person, after which a server is away for everybody.
const FAILURES: u32 = 5;
/// How long a server is left alone then; twice as long after each further failure, up to the
/// longest. Its own `Retry-After` may ask for more.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// When to come again while one caller is asking for all.
const PROBE_PAUSE: Duration = Duration::from_secs(1);

/// What is the matter with a server, for all its people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// Nobody's move.
    Away(Reason),
    /// The operator's.
    Misconfigured(Reason),
}

impl Fault {
    /// `None` for what says nothing about the server but that it answers, if it was asked.
    fn of(error: ProviderError) -> Option<Self> {
        let reason = error.reason();
        match error {
            ProviderError::Unavailable { .. }
            | ProviderError::Lost
            | ProviderError::Malformed(_) => Some(Self::Away(reason)),
            ProviderError::Refused(Reason::InvalidClient | Reason::Misconfigured) => {
                Some(Self::Misconfigured(reason))
            }
            ProviderError::Refused(_) | ProviderError::GrantEnded | ProviderError::NotAsked(_) => {
                None
            }
        }
    }

    fn is_like(self, other: Self) -> bool {
        matches!(self, Self::Away(_)) == matches!(other, Self::Away(_))
    }
}

/// One per upstream that ever failed, so no more than are configured.
#[derive(Debug)]
pub(crate) struct Breakers {
    states: Mutex<HashMap<UpstreamName, State>>,
    metrics: Metrics,
}

#[derive(Debug, Default)]
struct State {
    /// In a row, while it is closed.
    failures: u32,
    /// Who failed first of these.
    first: Option<UserId>,
    /// Somebody else did, too.
    several: bool,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    fault: Fault,
    until: Timestamp,
    pause: Duration,
    /// Who failed last, and when they may ask again: later than the others, if they failed twice.
    last: UserId,
    again: Timestamp,
    /// Somebody is asking whether it is over.
    probing: bool,
}

impl Breakers {
    pub(crate) fn new(metrics: Metrics) -> Self {
        Self { states: Mutex::default(), metrics }
    }

    /// Whether the server of `upstream` may be asked now for `key`; if not, until when, and what to
    /// say.
    pub(crate) fn admit<'a>(
        &'a self,
        upstream: &'a UpstreamName,
        key: &'a CredentialKey,
        now: Timestamp,
    ) -> Result<Permit<'a>, Rest> {
        let mut states = self.states();
        let probe = match states.get_mut(upstream).and_then(|state| state.open.as_mut()) {
            None => false,
            Some(open) if open.is_shut(&key.user, now) => return Err(open.rest(&key.user, now)),
            Some(open) => {
                open.probing = true;
                true
            }
        };
        Ok(Permit { breakers: self, upstream, user: &key.user, probe })
    }

    /// What keeps `key` from the server of `upstream` now.
    pub(crate) fn shut(
        &self,
        upstream: &UpstreamName,
        key: &CredentialKey,
        now: Timestamp,
    ) -> Option<Rest> {
        let states = self.states();
        let open = states.get(upstream)?.open.as_ref()?;
        open.is_shut(&key.user, now).then(|| open.rest(&key.user, now))
    }

    /// The server answered somebody who was sent there by a person and not by us.
    pub(crate) fn answered(&self, upstream: &UpstreamName) {
        if self.states().remove(upstream).is_some_and(|state| state.open.is_some()) {
            tracing::info!(%upstream, "an authorization server answers again");
        }
        self.metrics.provider(upstream, ProviderState::Available);
    }

    fn states(&self) -> MutexGuard<'_, HashMap<UpstreamName, State>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Leave to ask a server once. Dropped without an outcome, it was not used.
#[derive(Debug)]
pub(crate) struct Permit<'a> {
    breakers: &'a Breakers,
    upstream: &'a UpstreamName,
    user: &'a UserId,
    probe: bool,
}

impl Permit<'_> {
    pub(crate) fn answered(self) {
        self.breakers.answered(self.upstream);
    }

    /// Whether it is worth a line in the log: what everybody hears is said once a pause.
    pub(crate) fn failed(mut self, error: ProviderError, now: Timestamp) -> bool {
        if let ProviderError::NotAsked(_) = error {
            return true;
        }
        let Some(fault) = Fault::of(error) else {
            self.breakers.answered(self.upstream);
            return true;
        };
        let asked = match error {
            ProviderError::Unavailable { retry_after } => retry_after.unwrap_or_default(),
            _ => Duration::ZERO,
        };
        let probe = std::mem::take(&mut self.probe);
        let mut states = self.breakers.states();
        let state = states.entry(self.upstream.clone()).or_default();
        let news = state.failed(fault, asked, (self.user, probe), now);
        if let Some(open) = &state.open {
            self.breakers.metrics.provider(self.upstream, open.fault.into());
        }
        news
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if !self.probe {
            return;
        }
        let mut states = self.breakers.states();
        if let Some(open) = states.get_mut(self.upstream).and_then(|state| state.open.as_mut()) {
            open.probing = false;
        }
    }
}

impl State {
    fn failed(
        &mut self,
        fault: Fault,
        asked: Duration,
        (user, probe): (&UserId, bool),
        now: Timestamp,
    ) -> bool {
        let away = matches!(fault, Fault::Away(_));
        let mut twice = false;
        let pause = match &mut self.open {
            // Sent before it opened.
            Some(open) if !probe => {
                open.until = open.until.max(now.plus(asked));
                return false;
            }
            Some(open) if open.fault.is_like(fault) => {
                twice = away && open.last == *user;
                (open.pause * 2).min(LONGEST_PAUSE)
            }
            _ => {
                self.open = None;
                self.failures = self.failures.saturating_add(1);
                self.several |= self.first.get_or_insert_with(|| user.clone()) != user;
                if away && asked.is_zero() && !(self.several && self.failures >= FAILURES) {
                    return true;
                }
                FIRST_PAUSE
            }
        };
        let pause_now = pause.max(asked);
        let until = now.plus(pause_now);
        let again = if twice { until.plus(pause_now) } else { until };
        let open = Open { fault, until, pause, last: user.clone(), again, probing: false };
        *self = Self { open: Some(open), ..Self::default() };
        true
    }
}

impl Open {
    fn is_shut(&self, user: &UserId, now: Timestamp) -> bool {
        now < self.until_for(user) || self.probing
    }

    fn rest(&self, user: &UserId, now: Timestamp) -> Rest {
        let wait = self.until_for(user).since(now).max(PROBE_PAUSE);
        let error = match self.fault {
            Fault::Away(reason) => ObtainError::Unavailable { reason, retry_after: Some(wait) },
            Fault::Misconfigured(reason) => ObtainError::Operator { reason },
        };
        Rest { until: now.plus(wait), error }
    }

    fn until_for(&self, user: &UserId) -> Timestamp {
        if self.last == *user { self.again.max(self.until) } else { self.until }
    }
}

impl From<Fault> for ProviderState {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Away(_) => Self::Unavailable,
            Fault::Misconfigured(_) => Self::Misconfigured,
        }
    }
}

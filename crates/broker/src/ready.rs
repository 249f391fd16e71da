//! What is ready to be written on a request, and how far it may be believed.
//!
//! Nothing here waits. What was read from the store is believed for a while, and less when a change
//! was heard, or may have been missed.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use attache_core::{
    CredentialKey, Timestamp,
    changes::{Change, Heard, Mark, Since, Standing},
};
use quick_cache::{Weighter, sync::Cache};

use crate::{bells::Bells, injection::Injection};

/// Bytes of rendered credentials kept in memory; beyond it the least used are opened again from
/// the store.
const READY_BYTES: u64 = 64 * 1024 * 1024;
/// What an entry costs beside its token, as measured (`cargo xtask bench memory`).
const READY_OVERHEAD: u64 = 384;
/// When what is in use is compared with the store, behind the back of who is served.
const RECHECK_AFTER: Duration = Duration::from_secs(30);
/// Nothing that was not compared for this long is served: what a change that nobody told of costs.
/// As long as a caller is remembered.
const CHECK_BOUND: Duration = Duration::from_mins(1);
/// Places among which keys are distributed: a publisher that shares its place with a key that is
/// forgotten meanwhile reads again.
const PLACES: u64 = 1024;

#[derive(Debug)]
pub(crate) struct Ready {
    entries: Cache<CredentialKey, Entry, TokenBytes>,
    heard: Heard,
    pub(crate) bells: Bells,
    /// When a key of each place was forgotten last. Held over every insertion, so that nothing
    /// comes back that was forgotten.
    forgotten: Mutex<Vec<Mark>>,
}

#[derive(Clone, Debug)]
struct Entry {
    injection: Arc<Injection>,
    checked_at: Timestamp,
    since: Since,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Belief {
    /// Compared a moment ago.
    Sure,
    /// To be compared soon.
    Due,
    /// To be compared first.
    Doubtful,
}

/// A look at the store. Begun before it is read: what changes meanwhile counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    mark: Mark,
    at: Timestamp,
}

impl Ready {
    pub(crate) fn new() -> Self {
        let items = usize::try_from(READY_BYTES / 1024).unwrap_or(usize::MAX);
        Self {
            entries: Cache::with_weighter(items, READY_BYTES, TokenBytes),
            heard: Heard::default(),
            bells: Bells::default(),
            forgotten: Mutex::new((0..PLACES).map(|_| Mark::default()).collect()),
        }
    }

    /// The hot path. Nothing that expired, or whose person or data key changed.
    pub(crate) fn recall(
        &self,
        key: &CredentialKey,
        now: Timestamp,
    ) -> Option<(Arc<Injection>, Belief)> {
        let Entry { injection, checked_at, since } = self.entries.get(key)?;
        if !injection.is_live(now) {
            return None;
        }
        let age = now.since(checked_at);
        let belief = match self.heard.standing(since) {
            Standing::Changed => return None,
            Standing::Good if age < RECHECK_AFTER => Belief::Sure,
            Standing::Good if age < CHECK_BOUND => Belief::Due,
            Standing::Good | Standing::Unsure => Belief::Doubtful,
        };
        Some((injection, belief))
    }

    pub(crate) fn begin(&self, now: Timestamp) -> Reading {
        Reading { mark: self.heard.mark(), at: now }
    }

    /// Makes an injection the ready one, unless its key was forgotten since the reading began: then
    /// it may be what was disconnected meanwhile. Whether it was published.
    #[must_use]
    pub(crate) fn publish(
        &self,
        key: &CredentialKey,
        injection: &Arc<Injection>,
        reading: Reading,
    ) -> bool {
        let forgotten = self.forgotten.lock().unwrap_or_else(PoisonError::into_inner);
        if forgotten.get(place(key)).is_none_or(|mark| *mark > reading.mark) {
            return false;
        }
        let entry = Entry {
            injection: Arc::clone(injection),
            checked_at: reading.at,
            since: reading.mark.of(&key.user),
        };
        self.entries.insert(key.clone(), entry);
        true
    }

    /// The store has something else, or nothing.
    pub(crate) fn remove(&self, key: &CredentialKey) {
        self.entries.remove(key);
    }

    /// The stored record changed: what memory has of it is void, and what is being read may be.
    pub(crate) fn forget(&self, key: &CredentialKey) {
        self.heed(&Change::Credential(key.clone()));
    }

    pub(crate) fn heed(&self, change: &Change) {
        let mut forgotten = self.forgotten.lock().unwrap_or_else(PoisonError::into_inner);
        let mark = self.heard.note(change);
        if let Change::Credential(key) = change {
            if let Some(last) = forgotten.get_mut(place(key)) {
                *last = mark;
            }
            self.entries.remove(key);
        }
        drop(forgotten);
        self.bells.ring(change);
    }
}

fn place(key: &CredentialKey) -> usize {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    usize::try_from(hasher.finish() % PLACES).unwrap_or_default()
}

#[derive(Clone, Debug)]
struct TokenBytes;

impl Weighter<CredentialKey, Entry> for TokenBytes {
    fn weight(&self, _: &CredentialKey, entry: &Entry) -> u64 {
        READY_OVERHEAD + entry.injection.value.len() as u64
    }
}

//! Brings every wrapped key under the active key-encryption key, while gateways use them: people's
//! data keys, those of the audit's writers, and the deployment's own.
//!
//! Keys are read in pages. Each is unwrapped, wrapped by the active key, and put back only where
//! exactly the old one still is: neither a gateway nor another rotation is overwritten. Stopping
//! anywhere loses nothing; the next run finds less to do.

use std::sync::Arc;

use attache_core::store::{
    DataKeyStore, KeyId, KeyKind, KeyOwner, ServiceKeyStore, StoreError, Stores, WrappedKey,
    WrappedKeys, Wraps,
};
use attache_crypto::keyring::{KeyError, KeyRing};
use tokio::task::JoinSet;

use crate::vault::{Unreadable, VaultError};

/// Keys read at once.
const PAGE: u32 = 200;

/// Keys under way at once: a key service is far away.
const AT_ONCE: usize = 8;

/// How often it is all read again because something was written meanwhile, as a replica does that
/// has not been given the new configuration yet.
const PASSES: u32 = 5;

/// How many that no key opens are named; all are counted.
const NAMED: usize = 1_000;

/// Nothing that was done is lost: run it again.
#[derive(Debug, thiserror::Error)]
pub enum RewrapError {
    #[error(transparent)]
    Keys(KeyError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How far it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Keys there were when this pass began.
    pub all: u64,
    /// Keys looked at in this pass.
    pub seen: u64,
    /// Keys wrapped again, in all passes.
    pub rewrapped: u64,
}

/// How the store stands to the key ring.
#[derive(Debug, Default)]
pub struct Survey {
    /// What each key wraps, counted by the store when everything was done.
    pub wrapped: Vec<Wraps>,
    pub rewrapped: u64,
    /// Keys that no key of the ring opened and that were given up ([`Lost::Discard`]).
    pub discarded: u64,
    /// Keys that no key of the ring opens, and the first 1,000 of them with the reason.
    pub unreadable: u64,
    pub named: Vec<(KeyOwner, Unreadable)>,
}

impl Survey {
    /// How many keys of a kind are wrapped by `key`.
    pub fn under(&self, key: &KeyId, kind: KeyKind) -> u64 {
        let found = self.wrapped.iter().find(|wraps| wraps.by == *key && wraps.kind == kind);
        found.map_or(0, |wraps| wraps.count)
    }

    /// How many keys others than `active` wrap.
    pub fn beside(&self, active: &KeyId) -> u64 {
        let others = self.wrapped.iter().filter(|wraps| wraps.by != *active);
        others.map(|wraps| wraps.count).sum()
    }
}

/// What becomes of a key that no key of the ring opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// It may open again: a key came back, or a configuration is mended.
    Keep,
    /// It never will. A person can connect again, and replicas make a new key of the deployment.
    /// A writer's key stays: entries that cannot be proved are evidence.
    Discard,
}

/// Told after every few keys.
pub type Tell<'a> = &'a mut (dyn FnMut(Progress) + Send);

#[derive(Clone, Debug)]
pub struct Rewrap {
    ring: KeyRing,
    keys: Arc<dyn WrappedKeys>,
    data_keys: Arc<dyn DataKeyStore>,
    service_keys: Arc<dyn ServiceKeyStore>,
}

/// What is done to each key.
#[derive(Clone, Copy)]
enum Work {
    Open,
    Rewrap(Lost),
}

enum Done {
    Kept,
    Rewrapped,
    Discarded,
    /// Somebody else wrote it, or the person is gone.
    Overtaken,
    Unreadable(Unreadable),
}

impl Rewrap {
    pub fn new(ring: KeyRing, stores: &Stores) -> Self {
        Self {
            ring,
            keys: Arc::clone(&stores.wrapped_keys),
            data_keys: Arc::clone(&stores.data_keys),
            service_keys: Arc::clone(&stores.service_keys),
        }
    }

    /// Opens every key and changes nothing.
    pub async fn survey(&self, tell: Tell<'_>) -> Result<Survey, RewrapError> {
        let mut survey = Survey::default();
        self.pass(Work::Open, &mut survey, tell).await?;
        survey.wrapped = self.keys.count().await?;
        Ok(survey)
    }

    /// Wraps everything again that is not as the active key wraps it today, until a whole pass
    /// finds nothing to do, or five passes were made.
    pub async fn rotate(&self, lost: Lost, tell: Tell<'_>) -> Result<Survey, RewrapError> {
        let mut survey = Survey::default();
        for _ in 0..PASSES {
            (survey.unreadable, survey.named) = (0, Vec::new());
            if self.pass(Work::Rewrap(lost), &mut survey, tell).await? == 0 {
                break;
            }
        }
        survey.wrapped = self.keys.count().await?;
        Ok(survey)
    }

    /// How many keys changed, by whomever.
    async fn pass(
        &self,
        work: Work,
        survey: &mut Survey,
        tell: Tell<'_>,
    ) -> Result<u64, RewrapError> {
        let all = self.keys.count().await?.iter().map(|wraps| wraps.count).sum();
        let (mut changed, mut seen) = (0, 0);
        let mut after = None;
        loop {
            let page = self.keys.page(after.as_ref(), PAGE).await?;
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            for few in page.chunks(AT_ONCE) {
                let mut working = JoinSet::new();
                for (owner, wrapped) in few {
                    working.spawn(self.clone().one(work, owner.clone(), wrapped.clone()));
                }
                let mut worked = working.join_all().await;
                worked.sort_by(|(one, _), (other, _)| one.cmp(other));
                for (owner, done) in worked {
                    seen += 1;
                    match done? {
                        Done::Kept => {}
                        Done::Rewrapped => {
                            changed += 1;
                            survey.rewrapped += 1;
                        }
                        Done::Discarded => {
                            changed += 1;
                            survey.discarded += 1;
                        }
                        Done::Overtaken => changed += 1,
                        Done::Unreadable(why) => survey.note(owner, why),
                    }
                }
                tell(Progress { all, seen, rewrapped: survey.rewrapped });
            }
        }
        Ok(changed)
    }

    async fn one(
        self,
        work: Work,
        owner: KeyOwner,
        wrapped: WrappedKey,
    ) -> (KeyOwner, Result<Done, RewrapError>) {
        let done = self.work(work, &owner, &wrapped).await;
        (owner, done)
    }

    async fn work(
        &self,
        work: Work,
        owner: &KeyOwner,
        wrapped: &WrappedKey,
    ) -> Result<Done, RewrapError> {
        let done = match work {
            Work::Open => self.ring.unwrap(wrapped, owner).await.map(|_| None),
            Work::Rewrap(_) => self.ring.rewrap(wrapped, owner).await,
        };
        let unreadable = match done {
            Ok(None) => return Ok(Done::Kept),
            Ok(Some(new)) => {
                let written = self.keys.replace(owner, wrapped, &new).await;
                return overtaken(written, Done::Rewrapped);
            }
            Err(error) => match VaultError::from(error) {
                VaultError::Unreadable(why) => why,
                VaultError::KeysUnavailable(error) => return Err(RewrapError::Keys(error)),
                VaultError::Store(error) => return Err(error.into()),
            },
        };
        let removed = match (work, owner) {
            (Work::Rewrap(Lost::Discard), KeyOwner::Person(user)) => {
                self.data_keys.remove(user, wrapped).await
            }
            (Work::Rewrap(Lost::Discard), KeyOwner::Service(name)) => {
                self.service_keys.remove(name, wrapped).await
            }
            (_, KeyOwner::AuditWriter { .. }) | (Work::Open | Work::Rewrap(Lost::Keep), _) => {
                return Ok(Done::Unreadable(unreadable));
            }
        };
        overtaken(removed, Done::Discarded)
    }
}

fn overtaken(written: Result<(), StoreError>, done: Done) -> Result<Done, RewrapError> {
    match written {
        Ok(()) => Ok(done),
        Err(StoreError::Conflict) => Ok(Done::Overtaken),
        Err(error) => Err(error.into()),
    }
}

impl Survey {
    fn note(&mut self, owner: KeyOwner, why: Unreadable) {
        self.unreadable += 1;
        if self.named.len() < NAMED {
            self.named.push((owner, why));
        }
    }
}

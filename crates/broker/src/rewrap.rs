//! Brings every data key under the active key-encryption key, while gateways use them.
//!
//! Keys are read in pages, in the order of people's ids. Each is unwrapped, wrapped by the active
//! key, and put back only where exactly the old one still is: neither a gateway nor another
//! rotation is overwritten. Stopping anywhere loses nothing; the next run finds less to do.

use std::sync::Arc;

use attache_core::{
    UserId,
    store::{DataKeyStore, KeyId, StoreError, WrappedKey},
};
use attache_crypto::keyring::{KeyError, KeyRing};
use tokio::task::JoinSet;

use crate::vault::{Unreadable, VaultError};

/// Data keys read at once.
const PAGE: u32 = 200;

/// Data keys under way at once: a key service is far away.
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
    /// Data keys there were when this pass began.
    pub all: u64,
    /// Data keys looked at in this pass.
    pub seen: u64,
    /// Data keys wrapped again, in all passes.
    pub rewrapped: u64,
}

/// How the store stands to the key ring.
#[derive(Debug, Default)]
pub struct Survey {
    /// How many data keys each key wraps, counted by the store when everything was done.
    pub wrapped: Vec<(KeyId, u64)>,
    pub rewrapped: u64,
    /// Data keys that no key opened and that were given up ([`Lost::Discard`]).
    pub discarded: u64,
    /// Data keys that no key of the ring opens, and the first 1,000 of them with the reason.
    pub unreadable: u64,
    pub named: Vec<(UserId, Unreadable)>,
}

impl Survey {
    /// How many data keys are wrapped by `key`.
    pub fn under(&self, key: &KeyId) -> u64 {
        self.wrapped.iter().find(|(one, _)| one == key).map_or(0, |(_, count)| *count)
    }

    /// Whether no key but `active` wraps anything.
    pub fn is_all_under(&self, active: &KeyId) -> bool {
        self.wrapped.iter().all(|(key, _)| key == active)
    }
}

/// What becomes of a data key that no key of the ring opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// It may open again: a key came back, or a configuration is mended.
    Keep,
    /// The key is gone for good. What the data key sealed is given up, and the person can connect
    /// again.
    Discard,
}

/// Told after every few data keys.
pub type Tell<'a> = &'a mut (dyn FnMut(Progress) + Send);

#[derive(Clone, Debug)]
pub struct Rewrap {
    ring: KeyRing,
    data_keys: Arc<dyn DataKeyStore>,
}

/// What is done to each data key.
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
    pub fn new(ring: KeyRing, data_keys: Arc<dyn DataKeyStore>) -> Self {
        Self { ring, data_keys }
    }

    /// Opens every data key and changes nothing.
    pub async fn survey(&self, tell: Tell<'_>) -> Result<Survey, RewrapError> {
        let mut survey = Survey::default();
        self.pass(Work::Open, &mut survey, tell).await?;
        survey.wrapped = self.data_keys.count().await?;
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
        survey.wrapped = self.data_keys.count().await?;
        Ok(survey)
    }

    /// How many data keys changed, by whomever.
    async fn pass(
        &self,
        work: Work,
        survey: &mut Survey,
        tell: Tell<'_>,
    ) -> Result<u64, RewrapError> {
        let all = self.data_keys.count().await?.iter().map(|(_, count)| count).sum();
        let (mut changed, mut seen) = (0, 0);
        let mut after = None;
        loop {
            let page = self.data_keys.page(after.as_ref(), PAGE).await?;
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            for few in page.chunks(AT_ONCE) {
                let mut working = JoinSet::new();
                for (user, wrapped) in few {
                    working.spawn(self.clone().one(work, user.clone(), wrapped.clone()));
                }
                let mut worked = working.join_all().await;
                worked.sort_by(|(one, _), (other, _)| one.cmp(other));
                for (user, done) in worked {
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
                        Done::Unreadable(why) => survey.note(user, why),
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
        user: UserId,
        wrapped: WrappedKey,
    ) -> (UserId, Result<Done, RewrapError>) {
        let done = self.work(work, &user, &wrapped).await;
        (user, done)
    }

    async fn work(
        &self,
        work: Work,
        user: &UserId,
        wrapped: &WrappedKey,
    ) -> Result<Done, RewrapError> {
        let done = match work {
            Work::Open => self.ring.unwrap(wrapped, user).await.map(|_| None),
            Work::Rewrap(_) => self.ring.rewrap(wrapped, user).await,
        };
        let unreadable = match done {
            Ok(None) => return Ok(Done::Kept),
            Ok(Some(new)) => {
                let written = self.data_keys.replace(user, wrapped, &new).await;
                return overtaken(written, Done::Rewrapped);
            }
            Err(error) => match VaultError::from(error) {
                VaultError::Unreadable(why) => why,
                VaultError::KeysUnavailable(error) => return Err(RewrapError::Keys(error)),
                VaultError::Store(error) => return Err(error.into()),
            },
        };
        match work {
            Work::Rewrap(Lost::Discard) => {
                overtaken(self.data_keys.remove(user, wrapped).await, Done::Discarded)
            }
            Work::Open | Work::Rewrap(Lost::Keep) => Ok(Done::Unreadable(unreadable)),
        }
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
    fn note(&mut self, user: UserId, why: Unreadable) {
        self.unreadable += 1;
        if self.named.len() < NAMED {
            self.named.push((user, why));
        }
    }
}

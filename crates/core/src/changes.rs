//! What others wrote to the store, and what memory makes of it.
//!
//! A gateway remembers what it read: credentials that are ready, callers that were checked. A
//! [`ChangeFeed`] says what is not true any more, at once; whoever remembers is a [`Memory`]. A
//! feed may lose something, so nothing is believed for longer than a bound that its keeper states.

use std::{
    fmt,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::atomic::{AtomicU64, Ordering::SeqCst},
};

use crate::{CredentialKey, UserId};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It was replaced, ended or deleted.
    Credential(CredentialKey),
    /// They were switched off or on, or erased.
    Person(UserId),
    /// Destroyed, and with it everything it sealed.
    DataKey(UserId),
    /// Nobody knows what: everything remembered has to be checked before it is used again.
    Missed,
}

/// What others changed, in the order of their commits.
#[async_trait::async_trait]
pub trait ChangeFeed: fmt::Debug + Send {
    /// Waits for the next change. The first is [`Change::Missed`], as is the first after every
    /// interruption: what came before it was not heard.
    async fn next(&mut self) -> Change;
}

/// Whoever remembers something of the store.
pub trait Memory: fmt::Debug + Send + Sync {
    /// When this returns, nothing is served that the change made untrue.
    fn heed(&self, change: &Change);
}

/// Places among which people are distributed. A change to one person makes those who share their
/// place be checked again, which costs a read each; eight bytes a place.
const PLACES: u64 = 4096;

/// What was heard of people, so that anything remembered of one can be held against it without a
/// search: two loads, whatever is remembered.
#[derive(Debug)]
pub struct Heard {
    count: AtomicU64,
    missed: AtomicU64,
    people: Box<[AtomicU64]>,
}

/// A point in what was heard. To be taken before the store is read: what changes meanwhile counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark(u64);

/// Of whom something is remembered, and what had been heard when it was read.
#[derive(Clone, Copy, Debug)]
pub struct Since {
    mark: Mark,
    place: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing was heard against it.
    Good,
    /// Something may have been missed.
    Unsure,
    /// Something of this person changed.
    Changed,
}

impl Default for Heard {
    fn default() -> Self {
        let people = (0..PLACES).map(|_| AtomicU64::new(0)).collect();
        Self { count: AtomicU64::new(0), missed: AtomicU64::new(0), people }
    }
}

impl Heard {
    pub fn mark(&self) -> Mark {
        Mark(self.count.load(SeqCst))
    }

    /// From here on what was read before is not [`Standing::Good`], as far as it is concerned. The
    /// mark of the change: what was read before it has a lower one.
    pub fn note(&self, change: &Change) -> Mark {
        let mark = self.count.fetch_add(1, SeqCst) + 1;
        match change {
            Change::Credential(_) => {}
            Change::Person(user) | Change::DataKey(user) => {
                if let Some(changed) = self.people.get(place(user)) {
                    changed.fetch_max(mark, SeqCst);
                }
            }
            Change::Missed => {
                self.missed.fetch_max(mark, SeqCst);
            }
        }
        Mark(mark)
    }

    pub fn standing(&self, since: Since) -> Standing {
        let Since { mark: Mark(mark), place } = since;
        if self.people.get(place).is_none_or(|changed| changed.load(SeqCst) > mark) {
            Standing::Changed
        } else if self.missed.load(SeqCst) > mark {
            Standing::Unsure
        } else {
            Standing::Good
        }
    }
}

impl Mark {
    pub fn of(self, user: &UserId) -> Since {
        Since { mark: self, place: place(user) }
    }
}

fn place(user: &UserId) -> usize {
    let mut hasher = DefaultHasher::new();
    user.hash(&mut hasher);
    usize::try_from(hasher.finish() % PLACES).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::UpstreamName;

    #[test]
    fn what_was_read_before_a_change_does_not_stand() {
        let heard = Heard::default();
        let [ada, grace] = ["ada", "grace"].map(UserId::new);
        let key = CredentialKey::upstream(ada.clone(), UpstreamName::parse("notes").unwrap());
        for (change, of_ada, of_grace) in [
            (Change::Credential(key), Standing::Good, Standing::Good),
            (Change::Person(ada.clone()), Standing::Changed, Standing::Good),
            (Change::DataKey(ada.clone()), Standing::Changed, Standing::Good),
            (Change::Missed, Standing::Unsure, Standing::Unsure),
        ] {
            let before = heard.mark();
            assert!(before < heard.note(&change));
            assert_eq!(heard.standing(before.of(&ada)), of_ada, "{change:?}");
            assert_eq!(heard.standing(before.of(&grace)), of_grace, "{change:?}");
            assert_eq!(heard.standing(heard.mark().of(&ada)), Standing::Good, "{change:?}");
        }
    }
}

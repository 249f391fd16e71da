//! Who waits to hear that something of a person may have changed: streams that are open.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::Arc,
};

use attache_core::{UserId, changes::Change};
use tokio::sync::{Notify, futures::OwnedNotified};

/// Places among which people are distributed; who shares one is woken in vain.
const PLACES: usize = 4096;

#[derive(Debug)]
pub(crate) struct Bells(Box<[Arc<Notify>]>);

impl Default for Bells {
    fn default() -> Self {
        Self((0..PLACES).map(|_| Arc::default()).collect())
    }
}

impl Bells {
    /// Ends with the next change of this person's, counted from this call.
    pub(crate) fn next(&self, user: &UserId) -> OwnedNotified {
        let bell = self.0.get(place(user)).map(Arc::clone);
        bell.unwrap_or_default().notified_owned()
    }

    /// [`Change::Missed`] wakes nobody: everybody at once would crowd the store, and who waits
    /// looks from time to time anyway.
    pub(crate) fn ring(&self, change: &Change) {
        let user = match change {
            Change::Credential(key) => &key.user,
            Change::Person(user) | Change::DataKey(user) => user,
            Change::Missed => return,
        };
        if let Some(bell) = self.0.get(place(user)) {
            bell.notify_waiters();
        }
    }
}

fn place(user: &UserId) -> usize {
    let mut hasher = DefaultHasher::new();
    user.hash(&mut hasher);
    usize::try_from(hasher.finish()).unwrap_or_default() % PLACES
}

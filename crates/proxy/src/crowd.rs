//! How many requests are under way to an upstream, of each person and of all (PX-19).

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
};

use attache_core::{UserId, traffic::Limits};
use prometheus_client::metrics::gauge::Gauge;

/// Locks among which people are distributed, so that workers seldom meet at one.
const SHARDS: usize = 64;

/// Holds nobody who has nothing under way.
#[derive(Debug)]
pub(crate) struct Crowd {
    limits: Limits,
    total: AtomicU32,
    people: Box<[Mutex<HashMap<UserId, u32>>]>,
    shown: Gauge,
}

/// One request's place; free again when it is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    crowd: Arc<Crowd>,
    user: UserId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    /// With requests of this very person.
    Person,
    Upstream,
}

impl Crowd {
    pub(crate) fn new(limits: Limits, shown: Gauge) -> Arc<Self> {
        let people = (0..SHARDS).map(|_| Mutex::default()).collect();
        Arc::new(Self { limits, total: AtomicU32::new(0), people, shown })
    }

    pub(crate) fn enter(self: &Arc<Self>, user: &UserId) -> Result<Seat, Full> {
        let most = self.limits.person.get();
        match self.shard(user).entry(user.clone()) {
            Entry::Occupied(entry) if *entry.get() >= most => return Err(Full::Person),
            Entry::Occupied(mut entry) => *entry.get_mut() += 1,
            Entry::Vacant(entry) => {
                entry.insert(1);
            }
        }
        // From here on it is counted, and `drop` counts it out again.
        let seat = Seat { crowd: Arc::clone(self), user: user.clone() };
        self.shown.inc();
        if self.total.fetch_add(1, Relaxed) >= self.limits.total.get() {
            return Err(Full::Upstream);
        }
        Ok(seat)
    }

    fn shard(&self, user: &UserId) -> MutexGuard<'_, HashMap<UserId, u32>> {
        let mut hasher = DefaultHasher::new();
        user.hash(&mut hasher);
        let place = usize::try_from(hasher.finish()).unwrap_or_default() % SHARDS;
        #[expect(clippy::indexing_slicing, reason = "there are as many as SHARDS")]
        let shard = &self.people[place];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.crowd.total.fetch_sub(1, Relaxed);
        self.crowd.shown.dec();
        let mut people = self.crowd.shard(&self.user);
        if let Some(count) = people.get_mut(&self.user) {
            *count -= 1;
            if *count == 0 {
                people.remove(&self.user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_a_share_and_all_together_have_one() {
        let number = |number| std::num::NonZeroU32::new(number).unwrap();
        let crowd = Crowd::new(Limits { person: number(2), total: number(3) }, Gauge::default());
        let [ada, grace] = ["ada", "grace"].map(UserId::new);
        let hers = [crowd.enter(&ada).unwrap(), crowd.enter(&ada).unwrap()];
        assert_eq!(crowd.enter(&ada).unwrap_err(), Full::Person);
        let third = crowd.enter(&grace).unwrap();
        assert_eq!(crowd.enter(&grace).unwrap_err(), Full::Upstream);
        drop(hers);
        assert!(crowd.enter(&grace).is_ok(), "a refusal takes no place");
        drop(third);
        assert_eq!(crowd.total.load(Relaxed), 0);
        assert!(crowd.people.iter().all(|shard| shard.lock().unwrap().is_empty()));
    }
}

//! How often strangers may have something done: a bucket each, and one for all.

use std::{
    hash::Hash,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use attache_core::Timestamp;
use quick_cache::sync::Cache;

/// Buckets remembered at once; about 100 bytes each. One that is forgotten is full again, which the
/// bucket for all makes good.
const REMEMBERED: usize = 10_000;

/// So many at once, and then one an interval.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    pub(crate) burst: u32,
    pub(crate) interval: Duration,
}

#[derive(Debug)]
pub(crate) struct Throttle<K> {
    each: Pace,
    all: Pace,
    /// When each bucket is full again.
    full_at: Cache<K, Timestamp>,
    all_full_at: Mutex<Timestamp>,
}

impl<K: Clone + Eq + Hash> Throttle<K> {
    pub(crate) fn new(each: Pace, all: Pace) -> Self {
        let all_full_at = Mutex::new(Timestamp(i64::MIN));
        Self { each, all, full_at: Cache::new(REMEMBERED), all_full_at }
    }

    /// Whether `who` still may; nothing is taken.
    pub(crate) fn has_room(&self, who: &K, now: Timestamp) -> bool {
        let all = *self.all_full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let own = self.full_at.get(who).unwrap_or(Timestamp(i64::MIN));
        self.each.take(own, now).is_some() && self.all.take(all, now).is_some()
    }

    /// Whether `who` may now; if so, it is taken as done.
    pub(crate) fn permits(&self, who: &K, now: Timestamp) -> bool {
        let mut all = self.all_full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let own = self.full_at.get(who).unwrap_or(Timestamp(i64::MIN));
        let (Some(own), Some(shared)) = (self.each.take(own, now), self.all.take(*all, now)) else {
            return false;
        };
        self.full_at.insert(who.clone(), own);
        *all = shared;
        true
    }
}

impl Pace {
    /// The generic cell rate algorithm: when the bucket is full again after this, if there is
    /// something in it.
    fn take(self, full_at: Timestamp, now: Timestamp) -> Option<Timestamp> {
        let full_at = full_at.max(now).plus(self.interval);
        (full_at.since(now) <= self.interval * self.burst).then_some(full_at)
    }
}

/// Whoever has one IPv6 address has all of their site's (RFC 6177).
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 80 << 80).into()),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_a_pace_and_so_have_all() {
        let second = Duration::from_secs(1);
        let throttle = Throttle::new(
            Pace { burst: 2, interval: 10 * second },
            Pace { burst: 3, interval: second },
        );
        let at = Timestamp::from_seconds;
        for (who, when, permitted) in [
            ("a", 0, true),
            ("a", 0, true),
            ("a", 0, false),
            ("b", 0, true),
            ("c", 0, false),
            ("c", 1, true),
            ("a", 9, false),
            ("a", 10, true),
            ("a", 10, false),
        ] {
            assert_eq!(throttle.has_room(&who, at(when)), permitted, "{who} {when}");
            assert_eq!(throttle.permits(&who, at(when)), permitted, "{who} {when}");
        }
    }
}

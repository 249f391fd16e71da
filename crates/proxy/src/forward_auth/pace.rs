//! How often one person is answered through one proxy (the generic cell rate algorithm).

use std::{
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    time::Duration,
};

use attache_core::{Timestamp, UserId};
use quick_cache::sync::Cache;

/// People a proxy whose pace is remembered; who is forgotten begins afresh. About 150 bytes each.
const REMEMBERED: usize = 50_000;

/// What was saved up while somebody did not ask: a second's worth. In microseconds.
const BURST: i64 = 1_000_000;

#[derive(Debug)]
pub(super) struct Pace {
    /// Between two answers, in microseconds.
    interval: i64,
    /// Up to when each person has used up what they are given, in microseconds of the clock.
    used_until: Cache<UserId, Arc<AtomicI64>>,
}

impl Pace {
    pub(super) fn new(rate: NonZeroU32) -> Self {
        let interval = 1_000_000 / i64::from(rate.get());
        Self { interval, used_until: Cache::new(REMEMBERED) }
    }

    /// # Errors
    /// With how long to wait.
    pub(super) fn take(&self, user: &UserId, now: Timestamp) -> Result<(), Duration> {
        let now = now.0.saturating_mul(1_000);
        let spent = self.used_until.get(user).unwrap_or_else(|| {
            let fresh = Arc::new(AtomicI64::new(now));
            self.used_until.insert(user.clone(), Arc::clone(&fresh));
            fresh
        });
        let taken = spent.fetch_update(Relaxed, Relaxed, |until| {
            // Beyond a burst only when the clock was set back.
            let from = if (now..=now + BURST).contains(&until) { until } else { now };
            let until = from + self.interval;
            (until - now <= BURST).then_some(until)
        });
        taken.map(drop).map_err(|until| {
            let wait = until + self.interval - now - BURST;
            Duration::from_micros(u64::try_from(wait).unwrap_or_default())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_has_a_rate_of_their_own() {
        let pace = Pace::new(NonZeroU32::new(10).unwrap());
        let (ada, grace) = (UserId::new("ada"), UserId::new("grace"));
        let answered =
            |user, at| (0..50).filter(|_| pace.take(user, Timestamp(at)).is_ok()).count();
        assert_eq!(answered(&ada, 5_000), 10, "a second's worth at once");
        assert_eq!(pace.take(&ada, Timestamp(5_000)), Err(Duration::from_millis(100)));
        assert_eq!(answered(&grace, 5_000), 10, "whatever others do");
        assert_eq!(answered(&ada, 5_200), 2);
        assert_eq!(answered(&ada, 900_000), 10, "and no more after a pause");
        assert_eq!(answered(&ada, 5_000), 10, "a clock that is set back locks nobody out");
    }

    #[test]
    fn a_rate_beyond_the_clock_still_counts() {
        let pace = Pace::new(NonZeroU32::new(4_000).unwrap());
        let user = UserId::new("ada");
        assert_eq!((0..9_000).filter(|_| pace.take(&user, Timestamp(0)).is_ok()).count(), 4_000);
    }
}

//! An upstream to which no connection comes about is left alone for a while: who waits for it gets
//! an answer at once.
//!
//! Only connections count. No caller can make one fail, so no caller can take an upstream away from
//! the others.

use std::{
    sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use tokio::time::Instant;

/// Failures in a row, over all workers.
const TRIES: u32 = 5;
/// Between two requests that find out whether it is back.
const PAUSE: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(crate) struct Breaker {
    began: Instant,
    failures: AtomicU32,
    /// Milliseconds after `began` when the next may try.
    next: AtomicU64,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { began: Instant::now(), failures: AtomicU32::new(0), next: AtomicU64::new(0) }
    }
}

impl Breaker {
    /// # Errors
    /// How long to wait. Of those who come after a pause, one is let through.
    pub(crate) fn ask(&self) -> Result<(), Duration> {
        if self.failures.load(Relaxed) < TRIES {
            return Ok(());
        }
        let (now, next) = (self.now(), self.next.load(Relaxed));
        if now < next {
            return Err(Duration::from_millis(next - now));
        }
        let claimed = self.next.compare_exchange(next, now + PAUSE_MILLIS, Relaxed, Relaxed);
        claimed.map(drop).map_err(|_| PAUSE)
    }

    pub(crate) fn connected(&self) {
        // Read first: a line that nobody writes is in every core's cache.
        if self.failures.load(Relaxed) != 0 {
            self.failures.store(0, Relaxed);
        }
    }

    /// Whether this was the failure that opened it.
    pub(crate) fn failed(&self) -> bool {
        let failures = self.failures.fetch_add(1, Relaxed).saturating_add(1);
        if failures >= TRIES {
            self.next.store(self.now() + PAUSE_MILLIS, Relaxed);
        }
        failures == TRIES
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

const PAUSE_MILLIS: u64 = PAUSE.as_secs() * 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_finds_out_and_the_others_are_told() {
        let breaker = Breaker::default();
        for _ in 1..TRIES {
            assert!(!breaker.failed());
            assert_eq!(breaker.ask(), Ok(()));
        }
        assert!(breaker.failed());
        assert_eq!(breaker.ask(), Err(PAUSE));
        tokio::time::advance(PAUSE).await;
        assert_eq!(breaker.ask(), Ok(()));
        assert_eq!(breaker.ask(), Err(PAUSE), "one is enough to find out");
        breaker.connected();
        assert_eq!(breaker.ask(), Ok(()));
    }
}

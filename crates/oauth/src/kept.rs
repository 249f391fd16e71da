//! One document of somebody else's, kept.
//!
//! One caller at a time fetches it; the others wait for that, or go on with what there is. What is
//! old is better than nothing while its owner does not answer; and nobody can make us ask more
//! often than once in a while.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use attache_core::{Clock, Timestamp};
use tokio::sync::{Mutex, MutexGuard};

/// Looked at again after this; how long a withdrawn key goes on being believed.
const MAX_AGE: Duration = Duration::from_hours(1);
/// Not believed any more after this, even when its owner is down.
const MAX_STALE: Duration = Duration::from_hours(24);
/// Between two attempts, when the last one failed: callers wait behind each.
const RETRY_PAUSE: Duration = Duration::from_secs(10);
/// Between two attempts that strangers can provoke, with a `kid` that does not exist (RS-10).
const COOLDOWN: Duration = Duration::from_mins(1);

pub(crate) struct Kept<T, E> {
    clock: Arc<dyn Clock>,
    state: RwLock<State<T, E>>,
    flight: Mutex<()>,
}

struct State<T, E> {
    good: Option<(Timestamp, Arc<T>)>,
    last: Option<(Timestamp, Result<Arc<T>, E>)>,
}

impl<T, E: Clone> Kept<T, E> {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        let state = RwLock::new(State { good: None, last: None });
        Self { clock, state, flight: Mutex::new(()) }
    }

    /// The document, fetched if there is none or it is old.
    pub(crate) async fn get(&self, fetch: impl AsyncFnOnce() -> Result<T, E>) -> Result<Arc<T>, E> {
        if let Some(fresh) = self.good_within(MAX_AGE) {
            return Ok(fresh);
        }
        let flight = match (self.good_within(MAX_STALE), self.flight.try_lock()) {
            (_, Ok(flight)) => flight,
            (Some(stale), Err(_)) => return Ok(stale),
            (None, Err(_)) => self.flight.lock().await,
        };
        self.attempt(flight, RETRY_PAUSE, fetch).await
    }

    /// Another document than `seen`, in which something was missing; or `seen` again, when it was
    /// asked for too recently.
    pub(crate) async fn newer_than(
        &self,
        seen: &Arc<T>,
        fetch: impl AsyncFnOnce() -> Result<T, E>,
    ) -> Result<Arc<T>, E> {
        let flight = self.flight.lock().await;
        match self.good_within(MAX_AGE) {
            Some(newer) if !Arc::ptr_eq(&newer, seen) => Ok(newer),
            _ => self.attempt(flight, COOLDOWN, fetch).await,
        }
    }

    /// Fetches, unless that was done less than `pause` ago; a failure is covered by what was good.
    async fn attempt(
        &self,
        _flight: MutexGuard<'_, ()>,
        pause: Duration,
        fetch: impl AsyncFnOnce() -> Result<T, E>,
    ) -> Result<Arc<T>, E> {
        let outcome = match self.attempted_within(pause) {
            Some(outcome) => outcome,
            None => self.remember(fetch().await),
        };
        outcome.or_else(|error| self.good_within(MAX_STALE).ok_or(error))
    }

    fn remember(&self, outcome: Result<T, E>) -> Result<Arc<T>, E> {
        let (now, outcome) = (self.clock.now(), outcome.map(Arc::new));
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.last = Some((now, outcome.clone()));
        if let Ok(document) = &outcome {
            state.good = Some((now, Arc::clone(document)));
        }
        outcome
    }

    fn good_within(&self, age: Duration) -> Option<Arc<T>> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let (at, document) = state.good.as_ref()?;
        (self.clock.now().since(*at) < age).then(|| Arc::clone(document))
    }

    fn attempted_within(&self, pause: Duration) -> Option<Result<Arc<T>, E>> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let (at, outcome) = state.last.as_ref()?;
        (self.clock.now().since(*at) < pause).then(|| outcome.clone())
    }
}

impl<T, E> fmt::Debug for Kept<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, AtomicU32, Ordering::Relaxed};

    use super::*;

    /// Stands still until it is told to go on.
    #[derive(Debug, Default)]
    struct FakeClock(AtomicI64);

    impl FakeClock {
        fn advance(&self, span: Duration) {
            self.0.store(self.now().plus(span).0, Relaxed);
        }
    }

    impl Clock for FakeClock {
        fn now(&self) -> Timestamp {
            Timestamp(self.0.load(Relaxed))
        }
    }

    struct Fixture {
        clock: Arc<FakeClock>,
        kept: Kept<u32, &'static str>,
        fetches: AtomicU32,
    }

    impl Fixture {
        fn new() -> Self {
            let clock = Arc::new(FakeClock::default());
            let kept = Kept::new(Arc::clone(&clock) as Arc<dyn Clock>);
            Self { clock, kept, fetches: AtomicU32::new(0) }
        }

        async fn fetch(&self, up: bool) -> Result<u32, &'static str> {
            tokio::task::yield_now().await;
            let number = self.fetches.fetch_add(1, Relaxed) + 1;
            if up { Ok(number) } else { Err("down") }
        }

        async fn get(&self, up: bool) -> Result<u32, &'static str> {
            self.kept.get(async || self.fetch(up).await).await.map(|document| *document)
        }
    }

    #[tokio::test]
    async fn one_fetch_serves_everyone_who_waits() {
        let fixture = Fixture::new();
        let (one, two, three) =
            tokio::join!(fixture.get(true), fixture.get(true), fixture.get(true));
        assert_eq!((one, two, three), (Ok(1), Ok(1), Ok(1)));
        let down = Fixture::new();
        let (one, two) = tokio::join!(down.get(false), down.get(false));
        assert_eq!((one, two), (Err("down"), Err("down")));
        assert_eq!(down.fetches.load(Relaxed), 1, "the second does not wait for its own failure");
    }

    #[tokio::test]
    async fn what_is_old_serves_while_its_owner_is_down() {
        let fixture = Fixture::new();
        assert_eq!(fixture.get(true).await, Ok(1));
        fixture.clock.advance(MAX_AGE);
        assert_eq!(fixture.get(false).await, Ok(1), "stale");
        assert_eq!(fixture.get(true).await, Ok(1), "not asked again at once");
        fixture.clock.advance(RETRY_PAUSE);
        assert_eq!(fixture.get(true).await, Ok(3));
        fixture.clock.advance(MAX_STALE);
        assert_eq!(fixture.get(false).await, Err("down"), "too old");
    }

    #[tokio::test]
    async fn strangers_cannot_make_us_ask_at_will() {
        let fixture = Fixture::new();
        let newer = async |seen: &Arc<u32>| {
            fixture.kept.newer_than(seen, async || fixture.fetch(true).await).await.unwrap()
        };
        let first = fixture.kept.get(async || fixture.fetch(true).await).await.unwrap();
        assert_eq!(*newer(&first).await, 1, "asked a moment ago");
        fixture.clock.advance(COOLDOWN);
        assert_eq!(*newer(&first).await, 2);
        assert_eq!(*newer(&first).await, 2, "somebody else already asked");
        assert_eq!(fixture.fetches.load(Relaxed), 2);
    }
}

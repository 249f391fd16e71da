//! What all callers of a server know together: whether it is away.
//!
//! The first who finds out waited for it; nobody else does. Once in a while one caller tries again,
//! and with that the server is back for everybody.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Between two tries of a server that is away.
const PAUSE: Duration = Duration::from_secs(1);

/// A try that nobody reported the end of is given up after this: its caller left.
const TRY_LIMIT: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub(crate) struct Circuit(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// How often it went away so far.
    outages: u64,
    last: Option<Outage>,
}

#[derive(Clone, Copy, Debug)]
struct Outage {
    began: Instant,
    /// `None`: it is over.
    next_try: Option<Instant>,
}

/// The right to use the server, and when it was given: a failure that began before the last outage
/// says nothing about what is now.
#[derive(Debug)]
pub(crate) struct Pass {
    outages: u64,
    pub(crate) is_try: bool,
}

impl Circuit {
    /// `None` while the server is away.
    pub(crate) fn enter(&self) -> Option<Pass> {
        let mut state = self.state();
        let outages = state.outages;
        let Some(Outage { next_try: Some(next_try), .. }) = &mut state.last else {
            return Some(Pass { outages, is_try: false });
        };
        let now = Instant::now();
        if now < *next_try {
            return None;
        }
        *next_try = now + TRY_LIMIT;
        Some(Pass { outages, is_try: true })
    }

    /// The server did not do its part. True when that is news.
    pub(crate) fn failed(&self, pass: &Pass) -> bool {
        let mut state = self.state();
        if pass.outages != state.outages {
            return false;
        }
        let now = Instant::now();
        let next_try = Some(now + PAUSE);
        if let Some(outage @ Outage { next_try: Some(_), .. }) = &mut state.last {
            outage.next_try = next_try;
            return false;
        }
        state.outages += 1;
        state.last = Some(Outage { began: now, next_try });
        true
    }

    /// A try found the server well: how long it was away.
    pub(crate) fn returned(&self, pass: &Pass) -> Option<Duration> {
        let mut state = self.state();
        if pass.outages != state.outages {
            return None;
        }
        let outage = state.last.as_mut()?;
        outage.next_try.take().map(|_| outage.began.elapsed())
    }

    /// Whether a connection of this age is from before the last outage: it may lead nowhere, or to
    /// a server that is not the primary any more.
    pub(crate) fn outdates(&self, age: Duration) -> bool {
        self.state().last.is_some_and(|outage| outage.began.elapsed() < age)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_finds_out_and_one_tries_for_all() {
        let circuit = Circuit::default();
        let passes = [circuit.enter().unwrap(), circuit.enter().unwrap()];
        advance(Duration::from_mins(1)).await;
        assert!(circuit.failed(&passes[0]), "news");
        assert!(!circuit.failed(&passes[1]), "the same outage");
        assert!(circuit.outdates(Duration::from_mins(1)), "a connection of before");
        assert!(circuit.enter().is_none());

        advance(PAUSE).await;
        let first = circuit.enter().unwrap();
        assert!(first.is_try && circuit.enter().is_none(), "one at a time");
        assert!(!circuit.failed(&first));
        assert!(circuit.enter().is_none());

        advance(PAUSE).await;
        assert!(circuit.enter().is_some());
        advance(TRY_LIMIT).await;
        let last = circuit.enter().expect("the caller who tried left");
        assert_eq!(circuit.returned(&last), Some(2 * PAUSE + TRY_LIMIT));
        assert!(circuit.enter().is_some_and(|pass| !pass.is_try));
        assert!(!circuit.outdates(PAUSE), "a connection that was made since");

        assert!(!circuit.failed(&passes[1]), "what began before says nothing of now");
        assert!(circuit.enter().is_some());
        assert!(circuit.failed(&last), "what is used since does");
    }
}

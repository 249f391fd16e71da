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
    is_on: bool,
    /// Never, while somebody is at it.
    next_try: Option<Instant>,
}

/// The right to use the server, and when it was given: a failure that began before the last outage
/// says nothing about what is now.
#[derive(Debug)]
pub(crate) struct Pass<'c> {
    circuit: &'c Circuit,
    outages: u64,
    pub(crate) is_try: bool,
}

impl Circuit {
    /// `None` while the server is away.
    pub(crate) fn enter(&self) -> Option<Pass<'_>> {
        let mut state = self.state();
        let outages = state.outages;
        let Some(outage) = state.last.as_mut().filter(|outage| outage.is_on) else {
            return Some(Pass { circuit: self, outages, is_try: false });
        };
        outage.next_try.take_if(|next_try| *next_try <= Instant::now())?;
        Some(Pass { circuit: self, outages, is_try: true })
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

impl Pass<'_> {
    /// The server did not do its part. True when that is news.
    pub(crate) fn failed(&self) -> bool {
        let mut state = self.circuit.state();
        let known = state.last.is_some_and(|outage| outage.is_on);
        if known || self.outages != state.outages {
            return false;
        }
        let now = Instant::now();
        state.outages += 1;
        state.last = Some(Outage { began: now, is_on: true, next_try: Some(now + PAUSE) });
        true
    }

    /// The server is well: how long it was away, when this is news.
    pub(crate) fn succeeded(&self) -> Option<Duration> {
        let mut state = self.circuit.state();
        let outage = state.last.as_mut().filter(|outage| self.is_try && outage.is_on)?;
        outage.is_on = false;
        Some(outage.began.elapsed())
    }
}

/// Also when the caller left: the next may try.
impl Drop for Pass<'_> {
    fn drop(&mut self) {
        let mut state = self.circuit.state();
        let is_try = self.is_try && self.outages == state.outages;
        if let Some(outage) = state.last.as_mut().filter(|outage| is_try && outage.is_on) {
            outage.next_try = Some(Instant::now() + PAUSE);
        }
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
        assert!(passes[0].failed(), "news");
        assert!(!passes[1].failed(), "the same outage");
        assert!(circuit.outdates(Duration::from_mins(1)), "a connection of before");
        assert!(circuit.enter().is_none());

        advance(PAUSE).await;
        let first = circuit.enter().unwrap();
        advance(PAUSE).await;
        assert!(first.is_try && circuit.enter().is_none(), "one at a time");
        assert!(!first.failed());
        drop(first);
        assert!(circuit.enter().is_none());

        advance(PAUSE).await;
        let last = circuit.enter().expect("the one before is over");
        assert_eq!(last.succeeded(), Some(3 * PAUSE));
        assert!(circuit.enter().is_some_and(|pass| !pass.is_try));
        advance(PAUSE).await;
        assert!(!circuit.outdates(PAUSE / 2), "a connection that was made since");

        assert!(!passes[1].failed(), "what began before says nothing of now");
        assert!(circuit.enter().is_some());
        assert!(last.failed(), "what is used since does");
    }
}

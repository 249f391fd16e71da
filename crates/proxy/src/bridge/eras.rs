//! Which eras of MCP an upstream speaks, as far as that was seen (PX-2).
//!
//! Nobody is asked in advance: what an upstream does with the requests that come anyway says it.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use tokio::time::Instant;

/// How long what was seen holds: after that a request finds out again.
const HOLDS: Duration = Duration::from_mins(10);

/// Of an upstream. One that speaks both is passed everything as it is.
#[derive(Debug, Default)]
pub(crate) struct Eras {
    /// 2026-07-28 and later: each request for itself.
    pub(crate) modern: Spoken,
    /// Up to 2025-11-25: in sessions that begin with `initialize`.
    pub(crate) legacy: Spoken,
}

impl Eras {
    /// What was believed turned out to be wrong.
    pub(crate) fn forget(&self) {
        self.modern.0.store(0, Relaxed);
        self.legacy.0.store(0, Relaxed);
    }

    pub(crate) fn note(&self, modern: bool, legacy: bool) {
        self.modern.note(modern);
        self.legacy.note(legacy);
    }
}

/// Twice the milliseconds until which it holds, and one if it is spoken; 0 for what is not known.
#[derive(Debug, Default)]
pub(crate) struct Spoken(AtomicU64);

impl Spoken {
    pub(crate) fn known(&self) -> Option<bool> {
        match self.0.load(Relaxed) {
            0 => None,
            word => (now() < word >> 1).then_some(word & 1 == 1),
        }
    }

    pub(crate) fn note(&self, spoken: bool) {
        let until = now().saturating_add(millis(HOLDS));
        self.0.store((until << 1) | u64::from(spoken), Relaxed);
    }
}

/// Milliseconds since something of this process began.
fn now() -> u64 {
    static BEGAN: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    millis(BEGAN.get_or_init(Instant::now).elapsed())
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX >> 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_was_seen_holds_for_a_while() {
        let eras = Eras::default();
        assert_eq!(eras.modern.known(), None);
        eras.note(false, true);
        assert_eq!((eras.modern.known(), eras.legacy.known()), (Some(false), Some(true)));
        tokio::time::advance(HOLDS).await;
        assert_eq!((eras.modern.known(), eras.legacy.known()), (None, None));
        eras.note(true, false);
        eras.forget();
        assert_eq!(eras.modern.known(), None);
    }
}

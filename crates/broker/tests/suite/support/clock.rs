use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use attache_core::{Clock, Timestamp};

/// Stands still until a test moves it.
#[derive(Debug)]
pub(crate) struct FakeClock(AtomicI64);

impl FakeClock {
    pub(crate) fn at(start: Timestamp) -> Self {
        Self(AtomicI64::new(start.0))
    }

    pub(crate) fn advance(&self, span: Duration) {
        self.0.store(self.now().plus(span).0, Ordering::SeqCst);
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

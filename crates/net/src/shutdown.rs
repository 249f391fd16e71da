//! How everything that listens comes to its end.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// One shutdown for all listeners; clones are the same one.
#[derive(Clone, Debug)]
pub struct Shutdown {
    drain: CancellationToken,
    grace: Duration,
}

impl Shutdown {
    /// Connections that have not come to their end `grace` after [`begin`](Self::begin) are cut.
    pub fn new(grace: Duration) -> Self {
        Self { drain: CancellationToken::new(), grace }
    }

    /// From now on nothing is accepted, idle connections close, and streams are asked to end.
    pub fn begin(&self) {
        self.drain.cancel();
    }

    /// Waits for [`begin`](Self::begin).
    pub async fn begun(&self) {
        self.drain.cancelled().await;
    }

    pub(crate) fn grace(&self) -> Duration {
        self.grace
    }

    /// A token below this shutdown's: those who wait on it do not crowd the one of all threads.
    pub(crate) fn drain(&self) -> CancellationToken {
        self.drain.child_token()
    }
}

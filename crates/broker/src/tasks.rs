//! Work that belongs to the process and not to a request.

use std::future::Future;

use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

/// Spawns on one runtime, whichever thread asks, and remembers what runs, so that shutdown can
/// wait for it.
#[derive(Clone, Debug)]
pub struct Tasks {
    runtime: Handle,
    tracker: TaskTracker,
}

impl Tasks {
    pub fn new(runtime: Handle) -> Self {
        Self { runtime, tracker: TaskTracker::new() }
    }

    pub fn spawn<F>(&self, work: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        drop(self.tracker.spawn_on(work, &self.runtime));
    }

    /// Resolves when everything spawned has ended; nothing new should be spawned by then.
    pub async fn drained(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }
}

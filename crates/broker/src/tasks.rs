//! Work that belongs to the process and not to a request.

use std::future::Future;

use tokio::{runtime::Handle, task::JoinError};
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

    /// Spawns, and waits for what comes of it. Whoever stops waiting does not stop the work.
    ///
    /// # Errors
    /// [`JoinError`] when the work panicked.
    pub async fn finish<F>(&self, work: F) -> Result<F::Output, JoinError>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.tracker.spawn_on(work, &self.runtime).await
    }

    /// Resolves when everything spawned has ended; nothing new should be spawned by then.
    pub async fn drained(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }
}

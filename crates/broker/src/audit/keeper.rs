//! What the audit does by itself, while the gateway runs.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use super::{ledger::Ledger, retention::Retained};
use crate::tasks::Tasks;

/// Between two looks at the other writers: what one wrote later can be cut unseen if it dies. The
/// log also says by this that it was kept, when nothing else happened.
const CHECKPOINT: Duration = Duration::from_hours(1);

/// Between two runs of retention while there is more to remove: requests come first.
const BREATH: Duration = Duration::from_secs(1);

impl Ledger {
    /// Begins the chain of this process; every hour, checks on the others and removes what is
    /// older than `retention`. Ends after `stop`.
    pub fn keep(self: &Arc<Self>, retention: Duration, tasks: &Tasks, stop: CancellationToken) {
        let ledger = Arc::clone(self);
        tasks.spawn(async move {
            let mut pause = CHECKPOINT;
            loop {
                if pause == CHECKPOINT {
                    ledger.look_around().await;
                }
                pause = ledger.forget_old(retention).await;
                tokio::select! {
                    () = stop.cancelled() => break,
                    () = tokio::time::sleep(pause) => {}
                }
            }
        });
    }

    async fn look_around(&self) {
        if let Err(error) = self.checkpoint().await {
            tracing::warn!(%error, "the audit has no checkpoint for this hour");
        }
    }

    /// Says how long to wait before the next time.
    async fn forget_old(&self, retention: Duration) -> Duration {
        match self.expire(self.clock.now().minus(retention)).await {
            Ok(Retained::Everything) => CHECKPOINT,
            Ok(Retained::More) => BREATH,
            Err(error) => {
                tracing::warn!(%error, "old audit entries could not be removed");
                CHECKPOINT
            }
        }
    }
}

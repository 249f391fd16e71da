//! What others write to the store, told to everybody here who remembers some of it.

use std::sync::Arc;

use attache_core::{
    changes::{Change, ChangeFeed, Memory},
    outage::Outage,
};
use tokio_util::sync::CancellationToken;

pub(crate) async fn heed(
    mut feed: Box<dyn ChangeFeed>,
    memories: Vec<Arc<dyn Memory>>,
    outage: Arc<Outage>,
    stop: CancellationToken,
) {
    while let Some(change) = stop.run_until_cancelled(feed.next()).await {
        if change == Change::Missed {
            outage.over(); // whoever tells us is there
        }
        for memory in &memories {
            memory.heed(&change);
        }
    }
}

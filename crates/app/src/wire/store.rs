//! The store, also one that is there later than the gateway.

use std::time::Duration;

use attache_config::model::StoreUrl;
use attache_store::{Location, OpenError, Store};
use tokio::time::{Instant, sleep};

/// How long a start waits for a database that is away. Then whatever runs the process starts it
/// again, and may tell somebody.
const PATIENCE: Duration = Duration::from_mins(2);
/// Between two tries: doubled up to the second.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Opens the store. One that is away may come within [`PATIENCE`]; what waiting cannot mend is
/// told at once.
pub(super) async fn open(location: &Location) -> Result<Store, OpenError> {
    let deadline = Instant::now() + PATIENCE;
    let mut pause = FIRST_PAUSE;
    loop {
        match Store::open(location).await {
            Err(error) if error.is_passing() && Instant::now() + pause < deadline => {
                let left = deadline.saturating_duration_since(Instant::now());
                tracing::warn!(%error, left = %format_args!("{} s", left.as_secs()), "waiting for the store");
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            opened => return opened,
        }
    }
}

pub(crate) fn location(url: &StoreUrl) -> Location {
    match url {
        StoreUrl::Sqlite(file) => Location::Sqlite(file.clone()),
        StoreUrl::Postgres { url, max_connections } => {
            Location::Postgres { url: url.clone(), max_connections: *max_connections }
        }
    }
}

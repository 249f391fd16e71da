//! How much memory a gateway takes for the people it serves, and where that ends: one person after
//! another calls for the first time, and nobody leaves.
//!
//! `cargo xtask bench memory` builds and runs it. Measured is this process, which holds what a
//! gateway's process holds of people, over SQLite; its memory is what the kernel says is resident.

use std::fs;

use anyhow::{Context as _, Result};
use attache_benches::{
    folder::Folder,
    gateway::{Gateway, key_ring},
    people::{self, Home, Someone},
    report::say,
};
use attache_store::{Location, Store};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SERVED: [usize; 9] = [0, 100, 1_000, 5_000, 20_000, 50_000, 100_000, 150_000, 200_000];

#[tokio::main]
async fn main() -> Result<()> {
    attache_crypto::install_provider();
    let folder = Folder::make("memory")?;
    let location = Location::Sqlite(folder.file("attache.db"));
    let ring = key_ring()?;
    Store::open(&location).await?.close().await;
    let everybody = 0..SERVED.into_iter().max().unwrap_or_default();
    people::store(&location, &ring, everybody, Home::default()).await?;

    let store = Store::open(&location).await?;
    let gateway = Gateway::start(&store, &ring)?;
    say("people served   resident MiB   bytes for each since the row above   for each in all");
    let idle = resident()?;
    let (mut last, mut served) = (idle, 0);
    for people in SERVED {
        for number in served..people {
            gateway.resolve(&gateway.request(Someone(number))?).await?;
        }
        let now = resident()?;
        say(&format!(
            "{people:>13} {:>14.1} {:>36.0} {:>17.0}",
            now / 1024.0 / 1024.0,
            each(now - last, people - served),
            each(now - idle, people),
        ));
        (last, served) = (now, people);
    }
    store.close().await;
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "a count of people")]
fn each(bytes: f64, people: usize) -> f64 {
    bytes / people.max(1) as f64
}

/// Bytes.
fn resident() -> Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: f64 =
        line.and_then(|line| line.trim().strip_suffix(" kB")).context("VmRSS")?.parse()?;
    Ok(kib * 1024.0)
}

//! What it costs to know whose credential a request takes: from memory, and from the store; each
//! beside its floor, in turns, with 100,000 people stored. Fails when a ratio is above its bar.
//!
//! `cargo xtask bench resolve` builds and runs it.

mod bare;
mod cold;
#[expect(dead_code, reason = "tests crash their server")]
#[path = "../../../../crates/store/tests/support/postgres.rs"]
mod postgres;
mod warm;

use anyhow::{Result, ensure};
use attache_benches::{
    folder::Folder,
    gateway::key_ring,
    people::{self, Home, STORED},
    report::{Comparison, say},
};
use attache_crypto::keyring::KeyRing;
use attache_store::{Location, Store};
use postgres::Cluster;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> Result<()> {
    attache_crypto::install_provider();
    let (folder, cluster) = (Folder::make("resolve")?, Cluster::start());
    let ring = key_ring()?;
    let sqlite = Location::Sqlite(folder.file("attache.db"));
    let postgres = Location::postgres(cluster.url());
    for location in [&sqlite, &postgres] {
        fill(location, &ring).await?;
    }

    say(Comparison::HEADER);
    let mut missed = 0;
    let mut judge = |comparison: Comparison| {
        say(&comparison.line());
        missed += usize::from(!comparison.holds());
    };
    judge(warm::compare(&sqlite, &ring).await?);
    // With several callers, what a get costs depends on which threads happen to be awake.
    for (name, callers, bar, location) in [
        ("cold, SQLite", 1, Some(1.5), &sqlite),
        ("cold, SQLite, 8 callers", 8, None, &sqlite),
        ("cold, PostgreSQL", 1, Some(1.5), &postgres),
        ("cold, PostgreSQL, 8", 8, None, &postgres),
    ] {
        judge(cold::compare(name, callers, bar, location, &ring).await?);
    }
    ensure!(missed == 0, "{missed} above the bar");
    Ok(())
}

/// Makes the tables and stores everybody.
async fn fill(location: &Location, ring: &KeyRing) -> Result<()> {
    Store::open(location).await?.close().await;
    people::store(location, ring, 0..STORED, Home::default()).await
}

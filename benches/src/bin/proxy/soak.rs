//! Ten minutes of as many calls as there is time for: memory has to stay what it is once everybody was
//! there.

use anyhow::{Result, ensure};
use attache_benches::{processor::resident, report::say};

use crate::{
    CONNECTIONS,
    cast::Cast,
    load::{self, Tokens},
};

const MINUTES: u32 = 10;
/// Until everybody has called, and what grows once has grown.
const WARM: u32 = 2;
/// What an allocator may keep besides: MiB.
const SLACK: f64 = 16.0;

pub(crate) async fn run() -> Result<()> {
    let cast = Cast::start().await?;
    let gateway = cast.gateway()?;
    say("minute     calls/s   p99 (µs)   resident MiB");
    let (mut warm, mut last) = (0.0, 0.0);
    for minute in 1..=MINUTES {
        let seen = load::run(&cast.people, &gateway.url, Tokens::Callers, CONNECTIONS, 60)?;
        ensure!(seen.failed == 0.0, "{} calls failed", seen.failed);
        last = resident(gateway.id())? / 1024.0 / 1024.0;
        if minute == WARM {
            warm = last;
        }
        say(&format!("{minute:>6} {:>11.0} {:>10.0} {last:>14.1}", seen.rate, seen.p99));
    }
    ensure!(last <= warm + SLACK, "it grew from {warm:.1} MiB to {last:.1}");
    Ok(())
}

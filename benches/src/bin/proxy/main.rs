//! What a call costs on its way through the gateway, beside nginx's `proxy_pass` with one static
//! `Authorization` header for everybody, in one run.
//!
//! `cargo xtask bench proxy` builds and runs it. The upstream is nginx too, answering from memory; wrk
//! makes the calls; processor time is what the kernel counted for each proxy's processes. Rounds
//! take turns, and only ratios are worth quoting: machines are noisy, and none is yours.

mod cast;
mod load;
mod nginx;

use anyhow::{Result, ensure};
use attache_benches::{
    processor::Meter,
    report::{median, say},
};

use crate::{cast::Cast, load::Load, nginx::Nginx};

const ROUNDS: usize = 5;

#[tokio::main]
async fn main() -> Result<()> {
    attache_crypto::install_provider();
    let nginx = Nginx::start()?;
    let cast = Cast::start(nginx.upstream()).await?;
    let through_nginx = Load { url: nginx.proxy().to_owned(), bearer: cast.bearer() };
    let through_attache = Load { url: cast.endpoint(), bearer: cast.bearer() };

    // Warm both: connections, caches, page faults.
    through_nginx.run()?;
    through_attache.run()?;

    say("proxy     calls/s   cpu µs/call   p50 ms   p99 ms");
    let mut ratios = Vec::new();
    for _ in 0..ROUNDS {
        let nginx_cost = measure("nginx", &through_nginx, &nginx.meter())?;
        let attache_cost = measure("attache", &through_attache, &cast.meter())?;
        ratios.push(attache_cost / nginx_cost);
    }
    ratios.sort_by(f64::total_cmp);
    let [least, .., most] = ratios.as_slice() else { return Ok(()) };
    say(&format!(
        "processor time a call, attache / nginx: median {:.2} (min {least:.2}, max {most:.2})",
        median(&ratios),
    ));
    Ok(())
}

/// One round; gives microseconds of processor time a call.
fn measure(name: &str, load: &Load, meter: &Meter) -> Result<f64> {
    let before = meter.spent()?;
    let seen = load.run()?;
    let spent = meter.spent()?.saturating_sub(before);
    ensure!(seen.failed == 0, "{name}: {} calls failed", seen.failed);
    ensure!(seen.calls > 0.0, "{name}: no call was made");
    let cost = spent.as_secs_f64() * 1e6 / seen.calls;
    let (rate, p50, p99) = (seen.rate, seen.p50_ms, seen.p99_ms);
    say(&format!("{name:<9} {rate:>7.0} {cost:>13.1} {p50:>8.2} {p99:>8.2}"));
    Ok(cost)
}

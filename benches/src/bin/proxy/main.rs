//! What a tool call costs on its way through the gateway, in one run with the upstream itself, with
//! nginx looking tokens up in a table, and with the least that a gateway in Rust can do.
//!
//! `cargo xtask bench proxy` builds and runs it. A thousand people call, each with a token of their
//! own; the upstream answers 401 to anybody else's, so a call that fails is a wrong token, and the
//! run fails with it. Rounds take turns; processor time is what the kernel counted for each
//! process. Only ratios are worth quoting: machines are noisy, and none is yours.
//!
//! `cargo xtask bench soak` and `cargo xtask bench idle` ask the same cast other questions ([`soak`],
//! [`idle`]).

mod cast;
mod idle;
mod issuer;
mod load;
mod nginx;
mod server;
mod soak;

use anyhow::{Result, ensure};
use attache_benches::report::{median, say};

use crate::{
    cast::Cast,
    load::{Seen, Tokens},
    server::Server,
};

const ROUNDS: usize = 3;
const CONNECTIONS: u32 = 64;
/// Of one server's turn with [`CONNECTIONS`], and alone.
const SECONDS: [u32; 2] = [4, 2];

/// What one server did in one round, the upstream itself beside it.
struct Turn {
    direct: Seen,
    direct_alone: Seen,
    seen: Seen,
    alone: Seen,
    /// Microseconds of processor time a call.
    spent: f64,
}

#[tokio::main]
async fn main() -> Result<()> {
    attache_crypto::install_provider();
    match std::env::args().nth(1).as_deref() {
        Some("soak") => soak::run().await,
        Some("idle") => idle::run().await,
        _ => compare().await,
    }
}

async fn compare() -> Result<()> {
    let cast = Cast::start().await?;
    for server in &cast.proxies {
        // Connections, caches, page faults; and everybody's first call.
        load::run(&cast.people, &server.url, Tokens::Callers, CONNECTIONS, 1)?;
    }
    let mut turns: Vec<Vec<Turn>> = cast.proxies.iter().map(|_| Vec::new()).collect();
    for _ in 0..ROUNDS {
        for (server, turns) in cast.proxies.iter().zip(&mut turns) {
            turns.push(turn(&cast, server)?);
        }
    }
    say("             µs/call   calls/s      p50      p99   added µs alone   calls/s and p99");
    say("                                      (µs)     (µs)               of the upstream's");
    let mut costs = Vec::new();
    for (server, turns) in cast.proxies.iter().zip(&turns) {
        let of = |what: fn(&Turn) -> f64| median(&turns.iter().map(what).collect::<Vec<_>>());
        let spent = of(|turn| turn.spent);
        say(&format!(
            "{:<10} {spent:>9.1} {:>9.0} {:>8.0} {:>8.0} {:>16.0} {:>9.2} {:>7.2}",
            server.name,
            of(|turn| turn.seen.rate),
            of(|turn| turn.seen.p50),
            of(|turn| turn.seen.p99),
            of(|turn| turn.alone.p50 - turn.direct_alone.p50),
            of(|turn| turn.seen.rate / turn.direct.rate),
            of(|turn| turn.seen.p99 / turn.direct.p99),
        ));
        costs.push(spent);
    }
    if let [nginx, reference, attache] = costs[..] {
        say(&format!(
            "processor time a call: attache / reference {:.2}, attache / nginx {:.2}",
            attache / reference,
            attache / nginx
        ));
    }
    Ok(())
}

fn turn(cast: &Cast, server: &Server) -> Result<Turn> {
    let [long, short] = SECONDS;
    let run = |url: &str, tokens, connections, seconds| {
        let seen = load::run(&cast.people, url, tokens, connections, seconds)?;
        ensure!(seen.failed == 0.0 && seen.calls > 0.0, "{url}: {} calls failed", seen.failed);
        Ok(seen)
    };
    let direct = run(&cast.upstream.url, Tokens::Direct, CONNECTIONS, long)?;
    let direct_alone = run(&cast.upstream.url, Tokens::Direct, 1, short)?;
    let alone = run(&server.url, Tokens::Callers, 1, short)?;
    let meter = server.meter();
    let before = meter.spent()?;
    let seen = run(&server.url, Tokens::Callers, CONNECTIONS, long)?;
    let spent = meter.spent()?.saturating_sub(before);
    let spent = spent.as_secs_f64() * 1e6 / seen.calls;
    Ok(Turn { direct, direct_alone, seen, alone, spent })
}

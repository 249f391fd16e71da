//! `attache serve`: the gateway, until it is told to stop.

use std::sync::Arc;

use attache_core::SystemClock;
use attache_crypto::random::SystemRandom;
use attache_net::resolve::SystemResolver;
use tokio::signal::unix::{SignalKind, signal};

use super::configuration;
use crate::{
    Failure,
    cli::{Global, Serve},
    gateway::Gateway,
    telemetry,
    terminal::Terminal,
    wire::World,
};

/// Sent to whoever makes a file larger than `ulimit -f`; it ends a process that does not expect it.
/// The same number on Linux and on the BSDs.
const SIGXFSZ: i32 = 25;

pub(crate) async fn run(serve: &Serve, global: &Global, terminal: Terminal) -> Result<(), Failure> {
    telemetry::install(global, terminal, false);
    let (file, config) = configuration(serve.config.as_deref(), terminal)?;
    let world = World {
        clock: Arc::new(SystemClock),
        random: Arc::new(SystemRandom),
        resolver: Arc::new(SystemResolver),
    };
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::failed)?;
    // Heard and ignored: to the store it is an error like any other.
    let _too_large = signal(SignalKind::from_raw(SIGXFSZ)).map_err(Failure::failed)?;

    let gateway = tokio::select! {
        started = Gateway::start(&config, world) => started.map_err(|error| {
            if error.is_passing() { Failure::failed(error) } else { Failure::usage(error) }
        })?,
        _ = interrupt.recv() => return Ok(()),
        _ = terminate.recv() => return Ok(()),
    };
    tracing::info!(
        config = %file.display(),
        listen = %gateway.address(),
        public_url = %config.public_url,
        upstreams = config.upstreams.len(),
        "attache is serving"
    );
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    tracing::info!("shutting down");
    gateway.stop().await;
    Ok(())
}

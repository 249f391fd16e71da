//! `attache keys`: key-encryption keys.

mod generate;
mod rotate;
mod status;

use std::path::Path;

use attache_broker::rewrap::{Progress, Rewrap};
use attache_crypto::keyring::KeyRing;
use attache_net::tls::Trust;
use attache_store::Store;

use super::{configuration, progress::Bar};
use crate::{
    Failure,
    cli::{Global, Keys},
    telemetry,
    terminal::Terminal,
    wire::{self, location},
};

pub(crate) async fn run(
    command: &Keys,
    global: &Global,
    terminal: Terminal,
) -> Result<(), Failure> {
    telemetry::install(global, terminal, true);
    match command {
        Keys::Generate { file } => generate::run(file.as_deref(), terminal),
        Keys::Status { config } => {
            status::run(&Opened::new(config.as_deref(), terminal).await?, terminal).await
        }
        Keys::Rotate { config, discard_unreadable } => {
            let opened = Opened::new(config.as_deref(), terminal).await?;
            rotate::run(&opened, *discard_unreadable, terminal).await
        }
    }
}

fn show(bar: &mut Bar, progress: Progress) {
    let Progress { all, seen, rewrapped } = progress;
    bar.show(seen, all, format_args!("{seen} of {all} keys, {rewrapped} wrapped again"));
}

/// What `serve` would use, without serving.
struct Opened {
    ring: KeyRing,
    rewrap: Rewrap,
}

impl Opened {
    async fn new(config: Option<&Path>, terminal: Terminal) -> Result<Self, Failure> {
        let (_, config) = configuration(config, terminal)?;
        let trust = Trust::load(None).map_err(Failure::failed)?;
        let ring = wire::keys::wire(&config, &trust).await.map_err(Failure::usage)?.ring;
        let store = Store::open_as_is(&location(&config.store)).await.map_err(Failure::usage)?;
        let rewrap = Rewrap::new(ring.clone(), &store.stores());
        Ok(Self { ring, rewrap })
    }
}

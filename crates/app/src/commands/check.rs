//! `attache check`: every problem at once.

use std::sync::Arc;

use attache_config::{Config, Source, environment, load};
use attache_core::{Clock, SystemClock, outbound::Outbound};
use attache_net::{address::EgressRules, outbound::ControlClient, tls::Trust};

use super::find;
use crate::{
    Failure,
    cli::Check,
    terminal::Terminal,
    wire::{keys, upstreams},
};

pub(crate) fn run(check: &Check, terminal: Terminal) -> Result<(), Failure> {
    let file = find(check.config.as_deref())?;
    let source = Source::read(&file).map_err(Failure::usage)?;
    let loaded = load(&source, &environment);
    if terminal.is_machine() {
        terminal.data(&loaded.diagnostics, Vec::new);
    } else if !loaded.diagnostics.is_empty() {
        terminal.message(loaded.diagnostics.render(terminal.colour()));
    }
    if loaded.diagnostics.has_errors() {
        return Err(Failure::Shown);
    }
    if let Some(config) = &loaded.config {
        refused(config, terminal)?;
    }
    if let (true, Some(effective)) = (check.print, &loaded.effective) {
        terminal.line(effective.to_toml().map_err(Failure::failed)?.trim_end());
    } else if !terminal.is_machine() {
        terminal.message(format_args!("{} is fine", file.display()));
    }
    Ok(())
}

/// What is well-formed and yet would keep `attache serve` from starting; nothing is asked of the
/// network for it.
fn refused(config: &Config, terminal: Terminal) -> Result<(), Failure> {
    let rules = Arc::new(EgressRules::default());
    let trust = Trust::load(None).map_err(Failure::usage)?;
    let outbound: Arc<dyn Outbound> = Arc::new(ControlClient::new(rules, &trust));
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let problems = upstreams::problems(config, &outbound, &clock);
    let keys = keys::problem(config);
    for problem in &problems {
        terminal.error(problem);
    }
    if let Some(problem) = &keys {
        terminal.error(problem);
    }
    if problems.is_empty() && keys.is_none() { Ok(()) } else { Err(Failure::Shown) }
}

//! Logs: one line an event, to stderr, as text or JSON. The level says who must act: `error` the
//! operator now, `warn` the operator some day, `info` nobody.

use std::io;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::{
    Layer as _, filter::Targets, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

use crate::{
    cli::{Global, LogFormat},
    terminal::Terminal,
};

/// Installs the log, once a process; a second call changes nothing.
pub(crate) fn install(global: &Global, terminal: Terminal, quiet: bool) {
    let ours = match (quiet, global.verbose) {
        (true, 0) => LevelFilter::ERROR,
        (false, 0) | (true, 1) => LevelFilter::INFO,
        (false, 1) => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    let others = if global.verbose > 1 { LevelFilter::DEBUG } else { LevelFilter::WARN };
    let filter = Targets::new().with_default(others).with_target("attache", ours);
    let registry = tracing_subscriber::registry();
    let installed = match global.log_format {
        LogFormat::Text => registry
            .with(
                fmt::layer()
                    .with_ansi(terminal.colour())
                    .with_writer(io::stderr)
                    .with_filter(filter),
            )
            .try_init(),
        LogFormat::Json => registry
            .with(fmt::layer().json().with_writer(io::stderr).with_filter(filter))
            .try_init(),
    };
    drop(installed); // only a second call fails
}

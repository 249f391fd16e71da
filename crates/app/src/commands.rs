//! One command, one file.

pub(crate) mod audit;
pub(crate) mod backup;
pub(crate) mod check;
pub(crate) mod credential;
pub(crate) mod demo;
pub(crate) mod doctor;
mod gateway;
pub(crate) mod health;
pub(crate) mod import;
pub(crate) mod keys;
pub(crate) mod login;
mod progress;
mod remote;
pub(crate) mod schema;
pub(crate) mod serve;
mod sign_in;
pub(crate) mod store;
pub(crate) mod token;
pub(crate) mod user;

use std::path::{Path, PathBuf};

use attache_config::{Config, Diagnostics, Source, environment};

use crate::{Failure, terminal::Terminal};

/// The configuration, its warnings shown; or its errors shown.
fn configuration(named: Option<&Path>, terminal: Terminal) -> Result<(PathBuf, Config), Failure> {
    let (file, config, warnings) = accepted(named, terminal)?;
    if !warnings.is_empty() {
        terminal.message(warnings.render(terminal.colour()));
    }
    Ok((file, config))
}

/// The configuration and its warnings; or its errors shown.
fn accepted(
    named: Option<&Path>,
    terminal: Terminal,
) -> Result<(PathBuf, Config, Diagnostics), Failure> {
    let file = find(named)?;
    let source = Source::read(&file).map_err(Failure::usage)?;
    match attache_config::load(&source, &environment).accept() {
        Ok((config, warnings)) => Ok((file, config, warnings)),
        Err(diagnostics) => {
            terminal.message(diagnostics.render(terminal.colour()));
            Err(Failure::Shown)
        }
    }
}

fn find(named: Option<&Path>) -> Result<PathBuf, Failure> {
    attache_config::find(named, &environment, &|place| place.exists()).map_err(Failure::usage)
}

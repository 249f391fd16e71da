//! The composition root: the only place that knows every part, and the commands that use them.
//!
//! [`wire`] makes a gateway of a configuration, [`gateway`] runs it, and each command has a file
//! under [`commands`].

mod admin;
pub mod cli;
mod commands;
pub mod gateway;
mod metrics;
mod telemetry;
mod terminal;
pub mod wire;

use std::process::ExitCode;

use tokio::runtime;

use crate::{
    cli::{Cli, Command},
    terminal::Terminal,
};

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// It was asked wrongly, or the configuration is wrong (exit code 2).
    #[error("{0}")]
    Usage(String),
    /// It failed (exit code 1).
    #[error("{0}")]
    Failed(String),
    /// As [`Failure::Usage`]; what is wrong was already shown.
    #[error("the configuration has errors")]
    Shown,
}

impl Failure {
    pub(crate) fn failed(error: impl std::error::Error) -> Self {
        Self::Failed(with_causes(&error))
    }

    pub(crate) fn usage(error: impl std::error::Error) -> Self {
        Self::Usage(with_causes(&error))
    }
}

/// Runs a command to its exit code: 0 done, 1 it failed, 2 usage or configuration.
pub fn run(cli: Cli) -> ExitCode {
    let terminal = Terminal::new(&cli.global);
    match dispatch(cli, terminal) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let code = match &failure {
                Failure::Failed(_) => 1,
                Failure::Usage(_) | Failure::Shown => 2,
            };
            if !matches!(failure, Failure::Shown) {
                terminal.error(&failure);
            }
            ExitCode::from(code)
        }
    }
}

fn dispatch(cli: Cli, terminal: Terminal) -> Result<(), Failure> {
    // The control plane: pages, refreshes, the store. The data plane has threads of its own.
    let runtime =
        runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::failed)?;
    let global = cli.global;
    runtime.block_on(async {
        match cli.command {
            Command::Demo(demo) => commands::demo::run(&demo, &global, terminal).await,
            Command::Serve(serve) => commands::serve::run(&serve, &global, terminal).await,
            Command::Health(health) => commands::health::run(&health, terminal).await,
            Command::Check(check) => commands::check::run(&check, terminal),
            Command::Doctor(doctor) => commands::doctor::run(&doctor, &global, terminal).await,
            Command::Credential { command } => {
                commands::credential::run(&command, &global, terminal).await
            }
            Command::Login(login) => commands::login::run(&login, &global, terminal).await,
            Command::Logout => commands::login::out(&global, terminal).await,
            Command::Token { command } => commands::token::run(&command, &global, terminal).await,
            Command::Keys { command } => commands::keys::run(&command, &global, terminal).await,
            Command::User { command } => commands::user::run(&command, &global, terminal).await,
            Command::Audit { command } => commands::audit::run(&command, terminal).await,
            Command::Import(import) => commands::import::run(&import, terminal),
            Command::Store { command } => commands::store::run(&command, terminal).await,
            Command::Backup(backup) => commands::backup::run(&backup, terminal).await,
            Command::Schema { document } => {
                commands::schema::run(document, terminal);
                Ok(())
            }
        }
    })
}

/// An error with its sources on one line.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

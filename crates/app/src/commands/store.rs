//! `attache store`: the store as a whole, without a key.

mod check;
mod copy;

use crate::{Failure, cli::Store, terminal::Terminal};

pub(crate) async fn run(command: &Store, terminal: Terminal) -> Result<(), Failure> {
    match command {
        Store::Check { file, config } => {
            check::run(file.as_deref(), config.as_deref(), terminal).await
        }
        Store::Copy { from, to } => copy::run(from, to, terminal).await,
    }
}

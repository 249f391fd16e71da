//! `attache`, the program.

use std::process::ExitCode;

use attache::cli::Cli;
use clap::Parser as _;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    attache_crypto::install_provider();
    attache::run(Cli::parse())
}

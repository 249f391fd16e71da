//! `attache import`: from mcpproxy's configuration to ours.

use std::fs;

use crate::{Failure, cli::Import, terminal::Terminal};

pub(crate) fn run(import: &Import, terminal: Terminal) -> Result<(), Failure> {
    let file = import.file.display();
    let text = fs::read_to_string(&import.file)
        .map_err(|error| Failure::Usage(format!("{file} cannot be read: {error}")))?;
    let imported = attache_config::mcpproxy::import(&text)
        .map_err(|error| Failure::Usage(format!("{file}: {error}")))?;
    terminal.line(imported.trim_end());
    Ok(())
}

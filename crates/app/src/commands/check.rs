//! `attache check`: every problem at once.

use attache_config::{Source, environment, load};

use super::find;
use crate::{Failure, cli::Check, terminal::Terminal};

/// To stdout goes what was asked for, the problems or with `--print` the configuration; what a
/// program did not ask for is a message.
pub(crate) fn run(check: &Check, terminal: Terminal) -> Result<(), Failure> {
    let file = find(check.config.as_deref())?;
    let source = Source::read(&file).map_err(Failure::usage)?;
    let loaded = load(&source, &environment);
    if terminal.is_machine() && !check.print {
        terminal.data(&loaded.diagnostics, Vec::new);
    } else if !loaded.diagnostics.is_empty() {
        terminal.message(loaded.diagnostics.render(terminal.colour()));
    }
    if loaded.diagnostics.has_errors() {
        return Err(Failure::Shown);
    }
    match &loaded.effective {
        Some(effective) if check.print && terminal.is_machine() => {
            terminal.data(effective, Vec::new);
        }
        Some(effective) if check.print => {
            terminal.line(effective.to_toml().map_err(Failure::failed)?.trim_end());
        }
        _ if !terminal.is_machine() => terminal.message(format_args!("{} is fine", file.display())),
        _ => {}
    }
    Ok(())
}

//! The linters that come as wheels.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::terminal::say;
use crate::venv;

pub(super) struct Tools {
    programs: PathBuf,
}

impl Tools {
    /// Installs what is pinned; does nothing when that is installed already.
    pub(super) fn install(home: &Path, requirements: &Path) -> Result<Self> {
        let environment = home.join("venv");
        let pinned = fs::read_to_string(requirements)?;
        let stamp = environment.join("installed");
        if fs::read_to_string(&stamp).ok().as_ref() != Some(&pinned) {
            say("installing the linters");
            venv::make(&environment, requirements)?;
            fs::write(stamp, pinned)?;
        }
        Ok(Self { programs: environment.join("bin") })
    }

    /// One of the programs that came with them.
    pub(super) fn program(&self, name: &str) -> Command {
        Command::new(self.programs.join(name))
    }
}

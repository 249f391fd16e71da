//! Python's virtual environments.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::run;

/// Makes one anew in `folder`, with what the file `requirements` pins.
pub(crate) fn make(folder: &Path, requirements: &Path) -> Result<()> {
    if !run::works(Command::new("python3").args(["-c", "import venv, ensurepip"]))? {
        bail!("Python 3 with venv is needed: install python3 and python3-venv");
    }
    run::quietly(Command::new("python3").args(["-m", "venv", "--clear"]).arg(folder))?;
    run::quietly(
        Command::new(folder.join("bin").join("python"))
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"])
            .arg(requirements),
    )?;
    Ok(())
}

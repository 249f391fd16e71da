//! The configurations that ship, read by the program.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::run;

/// Where every package has the gateway listen inside, for the ports that the packages open.
const INSIDE: [&str; 2] = [r#""listen": "0.0.0.0:8080""#, r#""admin_listen": "0.0.0.0:9090""#];

/// What the examples name, made as their pages say.
pub(super) fn make_secrets(attache: &Path, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    run::quietly(Command::new(attache).args(["keys", "generate"]).arg(folder.join("attache.key")))?;
    fs::write(folder.join("database-url"), "postgres://attache:hunter2@db.example.com/attache\n")?;
    fs::write(folder.join("idp-secret"), "hunter2\n")?;
    Ok(())
}

/// Writes `text` to `file`, which the program must accept. One that is for a container listens where
/// the container's ports are.
pub(super) fn read(attache: &Path, file: &Path, text: &str) -> Result<()> {
    fs::write(file, text)?;
    let check = ["check", "--print", "--output", "json", "--config"];
    let printed = run::quietly(Command::new(attache).args(check).arg(file))?;
    let inside = text.contains("0.0.0.0");
    if inside && !INSIDE.iter().all(|line| printed.contains(line)) {
        bail!("{} does not listen where the packages' ports are", file.display());
    }
    Ok(())
}

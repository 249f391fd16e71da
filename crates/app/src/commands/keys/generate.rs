//! `attache keys generate`

use std::{fs::OpenOptions, io::Write as _, os::unix::fs::OpenOptionsExt as _, path::Path};

use attache_core::Secret;
use attache_crypto::{random::SystemRandom, wrap::local::LocalKey};

use crate::{Failure, terminal::Terminal};

pub(super) fn run(file: Option<&Path>, terminal: Terminal) -> Result<(), Failure> {
    let key = LocalKey::generate(&SystemRandom);
    match file {
        // The one thing this command is for; whoever pipes it somewhere asked for it.
        None => terminal.line(key.expose()),
        Some(file) => {
            write_new(file, &key).map_err(|error| {
                Failure::Failed(format!("{} was not written: {error}", file.display()))
            })?;
            terminal.message(format_args!(
                "{} holds a new key. Keep a copy elsewhere: without it nothing in the store opens.\n\
                 Use it with `[keys]` `active = \"file:{}\"`.",
                file.display(),
                file.display(),
            ));
        }
    }
    Ok(())
}

/// Never over an existing file: that would be the end of everything it opens.
fn write_new(file: &Path, key: &Secret) -> std::io::Result<()> {
    let mut opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    writeln!(opened, "{}", key.expose())?;
    opened.sync_all()
}

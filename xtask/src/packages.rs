//! What tests need of the system, beyond Rust, a C compiler and Python: PostgreSQL's server, a library
//! that moves the clock of one process, two proxies to ask for credentials, a browser, and what knows
//! whether a package, a unit and an alert are in order.

use std::{path::Path, process::Command};

use anyhow::{Result, bail};

use crate::{run, terminal::say};

/// Debian's package, and a file or folder that is there once it is installed.
const NEEDED: [(&str, &str); 9] = [
    ("postgresql", "/usr/lib/postgresql"),
    ("libfaketime", "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"),
    ("nginx-light", "/usr/sbin/nginx"),
    ("caddy", "/usr/bin/caddy"),
    ("chromium", "/usr/bin/chromium"),
    ("dpkg-dev", "/usr/bin/dpkg-shlibdeps"),
    ("lintian", "/usr/bin/lintian"),
    ("prometheus", "/usr/bin/promtool"),
    ("systemd", "/usr/bin/systemd-analyze"),
];

/// Installs what is missing on a CI machine; says how, anywhere else.
pub(crate) fn provide() -> Result<()> {
    let missing: Vec<&str> = NEEDED
        .iter()
        .filter(|(_, place)| !Path::new(place).exists())
        .map(|(package, _)| *package)
        .collect();
    if missing.is_empty() {
        say("all there");
        return Ok(());
    }
    let install = format!("apt-get install -y --no-install-recommends {}", missing.join(" "));
    if std::env::var_os("CI").is_none() {
        bail!("missing {}: {install}", missing.join(" "));
    }
    run::quietly(Command::new("apt-get").arg("update"))?;
    run::quietly(Command::new("apt-get").args(install.split(' ').skip(1)))?;
    Ok(())
}

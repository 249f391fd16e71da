//! A process that listens, and is gone with the value.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use attache_benches::processor::Meter;

pub(crate) struct Server {
    pub(crate) name: &'static str,
    pub(crate) at: SocketAddr,
    pub(crate) url: String,
    process: Child,
}

impl Server {
    /// Waits until it listens. What it says is read by nobody: a log costs what it costs.
    pub(crate) fn start(
        name: &'static str,
        mut command: Command,
        at: SocketAddr,
        path: &str,
    ) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.spawn().with_context(|| format!("{name} does not start"))?;
        let server = Self { name, at, url: format!("http://{at}{path}"), process };
        for _ in 0..400 {
            if TcpStream::connect(at).is_ok() {
                return Ok(server);
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        bail!("{name} does not listen on {at}")
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn meter(&self) -> Meter {
        Meter { processes: vec![self.id()] }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// A program that is built beside this one.
pub(crate) fn beside(name: &str) -> Result<Command> {
    let binary = std::env::current_exe()?.with_file_name(name);
    ensure!(binary.exists(), "{name} is not built: `cargo xtask bench proxy` builds it");
    Ok(Command::new(binary))
}

pub(crate) fn free() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

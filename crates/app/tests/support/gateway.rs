//! The `attache` binary as an operator runs it: a folder, a configuration, a process.

use std::{
    fs::{self, OpenOptions, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{self, Child, Command, Output, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use super::{http::http, peers::free_port};

/// How long requests may go on after SIGTERM; the same as the gateway's own.
pub(crate) const GRACE: Duration = Duration::from_secs(15);
/// For a start on a machine that is busy with everything else.
const START_LIMIT: Duration = Duration::from_secs(30);
const LOG: &str = "log";
const CONFIGURATION: &str = "attache.toml";
const KEY: &str = "attache.key";

#[derive(Debug)]
pub(crate) struct Gateway {
    folder: PathBuf,
    admin_port: u16,
    environment: Vec<(&'static str, String)>,
    child: Child,
}

impl Gateway {
    /// Makes a key, writes the configuration and starts. `configuration` lacks only the ports.
    pub(crate) fn start(
        port: u16,
        configuration: &str,
        environment: Vec<(&'static str, String)>,
    ) -> Self {
        let folder = folder();
        let made = attache(&folder).args(["keys", "generate", KEY]).output();
        assert!(made.expect("attache runs").status.success());
        let public_url = format!("http://127.0.0.1:{port}");
        Self::serve(folder, &public_url, port, configuration, environment)
    }

    /// One of several behind `public_url`, with the key that all of them have.
    pub(crate) fn replica(
        public_url: &str,
        port: u16,
        key: &[u8],
        configuration: &str,
        environment: Vec<(&'static str, String)>,
    ) -> Self {
        let folder = folder();
        fs::write(folder.join(KEY), key).expect("it is written");
        fs::set_permissions(folder.join(KEY), Permissions::from_mode(0o600)).expect("it is ours");
        Self::serve(folder, public_url, port, configuration, environment)
    }

    /// A key for replicas to share.
    pub(crate) fn key() -> Vec<u8> {
        let folder = folder();
        let made = attache(&folder).args(["keys", "generate", KEY]).output();
        assert!(made.expect("attache runs").status.success());
        let key = fs::read(folder.join(KEY)).expect("it was made");
        fs::remove_dir_all(folder).expect("it is ours");
        key
    }

    fn serve(
        folder: PathBuf,
        public_url: &str,
        port: u16,
        configuration: &str,
        environment: Vec<(&'static str, String)>,
    ) -> Self {
        let admin_port = free_port();
        let listen = format!(
            "public_url = \"{public_url}\"\n\
             listen = \"127.0.0.1:{port}\"\n\
             admin_listen = \"127.0.0.1:{admin_port}\"\n"
        );
        fs::write(folder.join(CONFIGURATION), listen + configuration).expect("it is written");
        let child = serve(&folder, &environment);
        let mut gateway = Self { folder, admin_port, environment, child };
        gateway.wait_until_ready();
        gateway
    }

    /// SIGKILL: no destructor runs, nothing is flushed.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it was ours");
    }

    /// What the process is told from its next start on.
    pub(crate) fn tell(&mut self, name: &'static str, value: &str) {
        self.environment.retain(|(told, _)| *told != name);
        self.environment.push((name, value.to_owned()));
    }

    /// Once more, after [`Self::kill`], on the same ports and the same folder.
    pub(crate) fn start_again(&mut self) {
        self.begin_again();
        self.wait_until_ready();
    }

    /// The same, and does not wait for it.
    pub(crate) fn begin_again(&mut self) {
        self.child = serve(&self.folder, &self.environment);
    }

    /// The status of `/healthz` or `/readyz`; `None` when nothing listens.
    pub(crate) fn probe(&self, path: &str) -> Option<u16> {
        let answer = http().get(format!("http://127.0.0.1:{}{path}", self.admin_port)).send();
        answer.ok().map(|answer| answer.status().as_u16())
    }

    /// SIGTERM: it may finish what it does.
    pub(crate) fn terminate(&self) {
        let kill = format!("kill -TERM {}", self.child.id());
        let sent = Command::new("sh").args(["-c", &kill]).status().expect("there is a shell");
        assert!(sent.success(), "SIGTERM was not sent");
    }

    /// Waits for the clean end that [`Self::terminate`] asks for.
    pub(crate) fn wait_for_end(&mut self) {
        let ended = self.child.wait().expect("it was ours");
        assert!(ended.success(), "the gateway ended with {ended}; its log: {}", self.log());
    }

    /// Ends it cleanly, if that was not done yet.
    pub(crate) fn stop(&mut self) {
        if self.child.try_wait().expect("it was ours").is_none() {
            self.terminate();
        }
        self.wait_for_end();
    }

    /// A command of the same binary.
    pub(crate) fn command(&self, arguments: &[&str]) -> Output {
        let mut command = attache(&self.folder);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.args(arguments).output().expect("attache runs")
    }

    /// The most memory it ever had, in bytes (`VmHWM` of proc(5)).
    pub(crate) fn peak_memory(&self) -> u64 {
        let status = format!("/proc/{}/status", self.child.id());
        let status = fs::read_to_string(status).expect("it runs, on Linux");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
        kibibytes.and_then(|text| text.parse::<u64>().ok()).expect("a number of kB") * 1024
    }

    /// Each file with what the gateway wrote: its log and its store.
    pub(crate) fn written(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let files = fs::read_dir(&self.folder).expect("its folder");
        files
            .map(|file| file.expect("a file").path())
            .filter(|path| !path.ends_with(CONFIGURATION) && !path.ends_with(KEY))
            .map(|path| (path.clone(), fs::read(path).expect("it can be read")))
            .collect()
    }

    /// Nobody wants to look into the folder of a test that passed.
    pub(crate) fn forget(self) {
        fs::remove_dir_all(&self.folder).expect("it is ours");
    }

    pub(crate) fn wait_until_ready(&mut self) {
        let start = Instant::now();
        loop {
            if self.probe("/readyz") == Some(200) {
                return;
            }
            let gone = self.child.try_wait().expect("it was ours");
            let alive = gone.is_none() && start.elapsed() < START_LIMIT;
            assert!(alive, "the gateway is not ready ({gone:?}): {}", self.log());
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join(LOG)).unwrap_or_default()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // Either may fail only because it has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn folder() -> PathBuf {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = format!("journey-{}-{number}", process::id());
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir(&folder).expect("a folder of its own");
    folder
}

/// As talkative as it can be: what it does not log now it never logs.
fn serve(folder: &Path, environment: &[(&str, String)]) -> Child {
    let log = OpenOptions::new().create(true).append(true).open(folder.join(LOG)).expect("a log");
    attache(folder)
        .args(["-vv", "--log-format", "json", "serve"])
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("the same file"))
        .stderr(log)
        .spawn()
        .expect("attache runs")
}

/// What the surroundings configure is not part of the test.
fn attache(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_attache"));
    for name in ["ATTACHE_CONFIG", "ATTACHE_KEY", "ATTACHE_OUTPUT", "MCPPROXY_CRED_KEY"] {
        command.env_remove(name);
    }
    command.current_dir(folder);
    command
}

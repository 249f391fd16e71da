//! The independent programs of `tests/peers`, started for one test and ended with it.
//!
//! Everything here blocks: the gateway under test has to run in a process or thread of its own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{self, Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU32, Ordering},
};

use serde_json::{Value, json};

/// A peer that runs until it is dropped, or until this process dies: it watches its stdin.
#[derive(Debug)]
pub(crate) struct Peer {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    ready: Value,
}

impl Peer {
    /// Starts a script with its options and waits for its ready line.
    pub(crate) fn start(script: &str, options: &Value) -> Self {
        let mut child = command(script, options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a peer starts: run `cargo xtask peers` first");
        let stdin = child.stdin.take().expect("stdin is piped");
        let stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let mut peer = Self { child, stdin, stdout, ready: Value::Null };
        peer.ready = peer.hear();
        peer
    }

    /// A member of the ready line: `url`, `client_id`, `client_secret`, `resource`.
    pub(crate) fn says(&self, member: &str) -> &str {
        self.ready.get(member).and_then(Value::as_str).expect("the ready line has this member")
    }

    /// All that it said when it was ready.
    pub(crate) fn said(&self) -> &Value {
        &self.ready
    }

    /// Lets one go on that waits for a line: what it says next.
    pub(crate) fn goes_on(&mut self) -> Value {
        writeln!(self.stdin).expect("it reads");
        self.hear()
    }

    /// A private JSON page of the peer: `/stats`, `/recorded`.
    pub(crate) fn page(&self, path: &str) -> Value {
        let authority = self.says("url").trim_start_matches("http://");
        let mut stream = TcpStream::connect(authority).expect("the peer listens");
        write!(stream, "GET {path} HTTP/1.0\r\nHost: {authority}\r\n\r\n").expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        let (_, body) = answer.split_once("\r\n\r\n").expect("an HTTP answer");
        serde_json::from_str(body).expect("a JSON page")
    }

    fn hear(&mut self) -> Value {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("a peer speaks UTF-8");
        serde_json::from_str(&line).expect("a peer says one line of JSON; see its stderr")
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // Either may fail only because the peer has gone already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// One person's browser, with its own cookies.
#[derive(Debug)]
pub(crate) struct Browser {
    /// Of all people that one process plays.
    process: Arc<Mutex<Peer>>,
    of: String,
}

impl Browser {
    pub(crate) fn start() -> Self {
        Self::start_where(&json!({}))
    }

    /// In a web where some `origins` are found elsewhere.
    pub(crate) fn start_where(origins: &Value) -> Self {
        let browser = Peer::start("browser.mjs", &json!({ "origins": origins }));
        Self { process: Arc::new(Mutex::new(browser)), of: String::new() }
    }

    /// Another person's, played by the same process.
    pub(crate) fn of(&self, name: &str) -> Self {
        Self { process: Arc::clone(&self.process), of: name.to_owned() }
    }

    /// Opens `url`, follows redirects and fills in forms: `answers` has the names of fields and
    /// buttons, or labels of buttons without a name. The page it ended on: `url`, `status`, `html`.
    pub(crate) fn open(&mut self, url: &str, answers: &Value) -> Value {
        self.tell(&json!({ "of": self.of, "open": url, "answers": answers }))
    }

    /// The same, but stops before a URL that starts with `until`, and answers that one.
    pub(crate) fn open_until(&mut self, url: &str, answers: &Value, until: &str) -> String {
        let stopped =
            self.tell(&json!({ "of": self.of, "open": url, "answers": answers, "until": until }));
        stopped["url"].as_str().expect("the browser came there").to_owned()
    }

    /// As [`Self::open`]; only an `error` when the server went away meanwhile.
    pub(crate) fn try_open(&mut self, url: &str, answers: &Value) -> Value {
        self.say(&json!({ "of": self.of, "open": url, "answers": answers }))
    }

    fn tell(&mut self, line: &Value) -> Value {
        let page = self.say(line);
        assert!(page.get("error").is_none(), "the browser gave up: {page}");
        page
    }

    fn say(&mut self, line: &Value) -> Value {
        let mut process = self.process.lock().expect("nobody panicked");
        writeln!(process.stdin, "{line}").expect("it reads");
        process.hear()
    }
}

/// Runs a script to its end and answers the line it said: the clients, and `sign-in.mjs`.
pub(crate) fn run(script: &str, options: &Value) -> Value {
    let output = command(script, options)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .expect("a peer starts: run `cargo xtask peers` first");
    serde_json::from_slice(&output.stdout).expect("a peer says one line of JSON; see its stderr")
}

/// A port of loopback that nobody has: peers must know each other's URLs before they start. Below
/// those that the kernel gives to outgoing connections: who restarts finds its port free.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = process::id() % 6_000 * 101 + NEXT.fetch_add(1, Ordering::Relaxed);
        let port = u16::try_from(10_000 + number % 6_000).expect("less than 16,000");
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

/// MCP's conformance suite.
pub(crate) fn conformance(arguments: &[&str]) -> Command {
    let home = root().join("target/peers");
    let suite = home.join("node_modules/@modelcontextprotocol/conformance/dist/index.js");
    let mut command = Command::new(home.join("node"));
    command.arg(suite).args(arguments);
    command
}

/// What a Python package brought.
pub(crate) fn program(name: &str) -> PathBuf {
    root().join("target/peers/venv/bin").join(name)
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn command(script: &str, options: &Value) -> Command {
    let root = root();
    let home = root.join("target/peers");
    let python = Path::new(script).extension().is_some_and(|extension| extension == "py");
    let program: PathBuf = home.join(if python { "venv/bin/python" } else { "node" });
    let mut command = Command::new(program);
    command.arg(root.join("tests/peers").join(script)).arg(options.to_string());
    command
}

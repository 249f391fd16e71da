//! `@modelcontextprotocol/conformance client`, and what it leaves behind.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::{self, Command, Output},
    sync::Mutex,
    thread,
};

use serde_json::Value;

/// For one scenario, in milliseconds, on a machine that is busy with all of them.
const TIMEOUT: &str = "100000";
/// Scenarios that are played one by one, at once.
const AT_ONCE: usize = 3;

/// How a scenario ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// By the driver.
    pub(crate) story: Vec<String>,
    /// By the suite: the checks that are well.
    pub(crate) passing: BTreeSet<String>,
    /// And those that are not: the suite takes a warning for a failure, and so do we.
    pub(crate) failing: Vec<String>,
    /// What the driver had to say besides.
    #[expect(dead_code, reason = "for whoever reads the failure")]
    complaint: String,
}

/// The authorization scenarios that there are, and for which revisions.
pub(crate) fn list() -> BTreeMap<String, Vec<String>> {
    let output = conformance(&["list", "--client"]);
    let listed = String::from_utf8(output.stdout).expect("it speaks UTF-8");
    let lines = listed.lines().filter_map(|line| line.trim().strip_prefix("- "));
    let scenarios = lines.filter(|line| line.starts_with("auth/")).map(|line| {
        let (scenario, revisions) = line.trim_end_matches(']').split_once(" [").expect("revisions");
        (scenario.to_owned(), revisions.split(',').map(ToOwned::to_owned).collect())
    });
    scenarios.collect()
}

/// Plays a collection of the suite as a whole, then each of `scenarios` that is not in it.
pub(crate) fn play(
    collection: &str,
    scenarios: &[&str],
    revision: &str,
) -> BTreeMap<String, Ended> {
    let folder = format!("conformance-{}-{revision}", process::id());
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(folder);
    client(&["--suite", collection], revision, &folder);
    let mut ended = ended(&folder);
    let missing = scenarios.iter().filter(|scenario| !ended.contains_key(**scenario));
    let missing = Mutex::new(missing);
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                let next = || missing.lock().expect("nobody panics with it").next();
                while let Some(scenario) = next() {
                    client(&["--scenario", scenario], revision, &folder);
                }
            });
        }
    });
    ended.append(&mut self::ended(&folder));
    fs::remove_dir_all(&folder).expect("it is ours");
    ended
}

/// Plays each of `scenarios`, which are of no revision, as of `revision`.
pub(crate) fn play_extensions(scenarios: &[&str], revision: &str) -> BTreeMap<String, Ended> {
    let folder = format!("conformance-{}-extensions", process::id());
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(folder);
    for scenario in scenarios {
        client(&["--scenario", scenario, "--force"], revision, &folder);
    }
    let ended = ended(&folder);
    fs::remove_dir_all(&folder).expect("it is ours");
    ended
}

fn client(which: &[&str], revision: &str, folder: &Path) {
    let driver = format!("{} {}", peers().join("node").display(), driver().display());
    let folder = folder.to_str().expect("the workspace is in a folder of a plain name");
    let how = ["--command", &driver, "--spec-version", revision, "--timeout", TIMEOUT];
    conformance(&[&["client"], which, &how, &["--output-dir", folder]].concat());
}

/// Whatever its exit code: it counts what is expected to fail, too.
fn conformance(arguments: &[&str]) -> Output {
    let suite = peers().join("node_modules/@modelcontextprotocol/conformance/dist/index.js");
    Command::new(peers().join("node"))
        .arg(suite)
        .args(arguments)
        .env("ATTACHE", env!("CARGO_BIN_EXE_attache"))
        .output()
        .expect("the suite starts: run `cargo xtask peers` first")
}

/// The suite writes a folder for each scenario: its name, and when it was played.
fn ended(folder: &Path) -> BTreeMap<String, Ended> {
    let folders = fs::read_dir(folder.join("auth")).expect("the suite wrote what it found");
    let folders = folders.map(|entry| entry.expect("a folder").path());
    folders.map(|folder| (scenario(&folder), Ended::read(&folder))).collect()
}

fn scenario(folder: &Path) -> String {
    let name = folder.file_name().and_then(|name| name.to_str()).expect("a plain name");
    let (scenario, _time) = name.split_at(name.len() - "-2026-07-28T00-00-00-000Z".len());
    format!("auth/{scenario}")
}

impl Ended {
    fn read(folder: &Path) -> Self {
        let read = |name| fs::read_to_string(folder.join(name)).unwrap_or_default();
        let checks: Vec<Value> = serde_json::from_str(&read("checks.json")).unwrap_or_default();
        let (mut passing, mut failing) = (BTreeSet::new(), Vec::new());
        for check in &checks {
            let says = |member: &str| check[member].as_str().unwrap_or_default().to_owned();
            match &*says("status") {
                "SUCCESS" => drop(passing.insert(says("id"))),
                "FAILURE" | "WARNING" => {
                    failing.push(format!("{}: {}", says("id"), says("description")));
                }
                _ => {}
            }
        }
        let told: Value = serde_json::from_str(&read("stdout.txt")).unwrap_or_default();
        let words = told["story"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let story = words.map(ToOwned::to_owned).collect();
        Self { story, passing, failing, complaint: read("stderr.txt") }
    }
}

fn peers() -> PathBuf {
    root().join("target/peers")
}

fn driver() -> PathBuf {
    root().join("tests/peers/conformance-driver.mjs")
}

fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().expect("the workspace is there")
}

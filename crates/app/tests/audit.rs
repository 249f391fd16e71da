//! `attache audit` as an operator runs it, on a log that somebody may have touched.

#![cfg(test)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use attache_broker::audit::Ledger;
use attache_core::{
    Secret, SystemClock, Timestamp, UserId,
    audit::{Action, AuditEvent, Outcome, Reason},
    store::AuditStore as _,
};
use attache_crypto::{keyring::KeyRing, random::SystemRandom, wrap::local::LocalKey};
use attache_store::{Location, Store};
use serde_json::Value;
use sqlx::{Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};

const KEY: &str = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";
/// Long ago: before any `--since` that is asked for here.
const THEN: Timestamp = Timestamp(1_500_000_000_000);

#[tokio::test]
async fn what_was_written_is_listed_exported_and_proved() {
    let log = Log::written("whole").await;

    let (fine, listed, _) = log.attache(&["list", "-o", "json"]);
    let actions = |text: &str| {
        let events: Value = serde_json::from_str(text).unwrap();
        let actions = events["events"].as_array().unwrap().iter();
        actions.map(|event| event["action"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert!(fine, "{listed}");
    let listed = actions(&listed);
    assert_eq!(listed.first().map(String::as_str), Some("log_end"), "the newest first");
    assert_eq!(listed.len(), 5, "and the beginning of the log: {listed:?}");
    let (_, adas, _) = log.attache(&["list", "--user", "ada", "-o", "json"]);
    assert_eq!(actions(&adas), ["connect", "disconnect"]);
    let (_, lately, _) = log.attache(&["list", "--user", "ada", "--since", "1h", "-o", "json"]);
    assert_eq!(actions(&lately), ["connect"]);
    let (_, table, _) = log.attache(&["list", "--user", "grace"]);
    let row: Vec<&str> = table.lines().nth(1).unwrap().split_whitespace().skip(1).collect();
    assert_eq!(row, ["grace", "-", "connect", "failure", "access_denied", "-"], "{table}");

    let (fine, lines, _) = log.attache(&["export"]);
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let sequences: Vec<_> = lines.iter().map(|line| line["sequence"].as_u64().unwrap()).collect();
    assert!(fine && sequences.is_sorted() && lines[0]["sequence"] == 1, "the oldest first");

    let (fine, report, _) = log.attache(&["verify", "-o", "json"]);
    let report: Value = serde_json::from_str(&report).unwrap();
    assert!(fine && report["intact"] == true && report["proven"] == report["rows"], "{report}");
    assert_eq!(report["writers"][0]["ended"], true);
}

#[tokio::test]
async fn what_was_touched_is_found_and_said_in_words() {
    for (name, sql, words) in [
        ("edited", "UPDATE audit_event SET user_id = 'grace' WHERE user_id = 'ada'", "was changed"),
        ("removed", "DELETE FROM audit_event WHERE user_id = 'grace'", "entries were removed"),
        (
            "invented",
            "INSERT INTO audit_event (at, action, outcome) VALUES (1, 'connect', 'success')",
            "was not written by a gateway",
        ),
    ] {
        let log = Log::written(name).await;
        log.run(sql).await;
        let (fine, _, told) = log.attache(&["verify"]);
        assert!(!fine && told.contains(words), "{name}: {told}");
        assert!(told.contains("this is not the log that was written"), "{name}: {told}");
    }
}

#[test]
fn a_log_that_is_not_there_proves_nothing() {
    let log = Log::nowhere("absent");
    for command in ["list", "export", "verify"] {
        let (fine, _, told) = log.attache(&[command]);
        assert!(!fine && told.contains("there is no"), "{command}: {told}");
    }
    assert!(!log.folder.join("attache.db").exists(), "and none is made by looking");
}

/// A folder with a configuration and a store.
struct Log {
    folder: PathBuf,
}

impl Log {
    fn nowhere(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("audit-{name}"));
        drop(fs::remove_dir_all(&folder)); // of a run before this one
        fs::create_dir(&folder).unwrap();
        let file = folder.join("attache.db");
        let text = format!(
            "public_url = 'http://127.0.0.1:8080'\nstore.url = 'sqlite:{}'\n",
            file.display()
        );
        fs::write(folder.join("attache.toml"), text).unwrap();
        Self { folder }
    }

    async fn written(name: &str) -> Self {
        let log = Self::nowhere(name);
        let store = Store::open(&Location::Sqlite(log.folder.join("attache.db"))).await.unwrap();
        let active = Arc::new(LocalKey::from_base64(&Secret::new(KEY)).unwrap());
        let ring = KeyRing { active, retired: Vec::new() };
        let ledger =
            Ledger::new(store.trail(), ring, Arc::new(SystemClock), Arc::new(SystemRandom));
        let now = attache_core::Clock::now(&SystemClock);
        let denied = Outcome::Failure(Reason::AccessDenied);
        for (at, user, action, outcome) in [
            (THEN, "ada", Action::Disconnect, Outcome::Success),
            (THEN, "grace", Action::Connect, denied),
            (now, "ada", Action::Connect, Outcome::Success),
        ] {
            let event = AuditEvent {
                at,
                user: Some(UserId::new(user)),
                server: None,
                method: None,
                action,
                outcome,
                request_id: None,
                count: None,
            };
            ledger.append(&[event]).await.unwrap();
        }
        ledger.end().await.unwrap();
        store.close().await;
        log
    }

    /// As somebody with the database open.
    async fn run(&self, sql: &'static str) {
        let options = SqliteConnectOptions::new().filename(self.folder.join("attache.db"));
        let mut database = SqliteConnection::connect_with(&options).await.unwrap();
        let done = sqlx::query(sql).execute(&mut database).await.unwrap();
        assert!(done.rows_affected() > 0, "{sql}");
        database.close().await.unwrap();
    }

    /// Whether it succeeded, and what it wrote to stdout and stderr.
    fn attache(&self, arguments: &[&str]) -> (bool, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_attache"));
        command.arg("audit").args(arguments).current_dir(&self.folder).env("ATTACHE_KEY", KEY);
        let output = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.success(), text(output.stdout), text(output.stderr))
    }
}

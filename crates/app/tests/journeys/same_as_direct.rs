//! The official clients do all that they can with a server, and with the same server through the gateway:
//! the same must come of it (PX-3, PX-18).

use serde_json::{Value, json};

use super::server_suite::{EVERYTHING, upstream_token};
use crate::support::{peers::run, people::Person, rust_trace::trace, stage::journey};

#[test]
fn for_the_typescript_sdk_1() {
    comes_of("mcp-trace-ts.mjs", &["legacy"]);
}

#[test]
fn for_the_typescript_sdk_2() {
    comes_of("mcp-trace-2.mjs", &["auto", "legacy"]);
}

#[test]
fn for_the_python_sdk() {
    comes_of("mcp_trace.py", &["auto", "legacy"]);
}

#[test]
fn for_the_rust_sdk() {
    comes_to_the_same(&["auto", "legacy"], |url, token, mode| trace(url, token, mode == "auto"));
}

fn comes_of(script: &str, modes: &[&str]) {
    comes_to_the_same(modes, |url, token, mode| {
        run(script, &json!({ "url": url, "token": token, "mode": mode }))
    });
}

/// In a stateless revision, where the client speaks one, and in sessions.
fn comes_to_the_same(modes: &[&str], play: impl Fn(&str, &str, &str) -> Value) {
    journey(EVERYTHING, |stage| {
        let mut ada = Person::new(stage, "ada");
        ada.connect("notes");
        let token = upstream_token(stage, "ada");
        let notes = stage.notes();
        let ways = [(stage.server.says("resource"), &token), (&notes, &ada.bearer)];
        for mode in modes {
            let [direct, through] = ways.map(|(url, token)| play(url, token, mode));
            assert_eq!(direct["cancelled"], true, "{mode}: {direct}");
            for (what, came) in direct.as_object().expect("all that was done") {
                assert_eq!(&through[what], came, "{what}, {mode}: {}", through["error"]);
            }
        }
    });
}

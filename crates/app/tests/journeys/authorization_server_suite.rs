//! MCP's own conformance suite against the gateway as an authorization server (AS-1, AS-3).

use std::{
    io::{BufRead as _, BufReader, Read as _},
    process::Stdio,
};

use serde_json::json;

use crate::support::{
    peers::{self, Browser, free_port},
    stage::{Setting, journey},
};

/// All of its scenarios, and no other.
const FOUND: [&str; 3] = [
    "✓ authorization-server-metadata-endpoint: 2 passed, 0 failed\n",
    "✓ authorization-code-grant: 1 passed, 0 failed\n",
    "Total: 3 passed, 0 failed\n",
];

#[test]
fn mcps_conformance_suite_passes_the_authorization_server() {
    journey(Setting::CALM, |stage| {
        // What this client may have.
        let (api, port) = (format!("{}/api/v1", stage.url), free_port().to_string());
        let suite = ["--url", &stage.url, "--client-id", "attache-cli"];
        let code = ["--resource", &api, "--port", &port];
        let mut suite = peers::conformance(&[&["authorization"], &suite[..], &code].concat())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the suite starts: run `cargo xtask peers` first");
        let mut says = BufReader::new(suite.stdout.take().expect("it is piped"));
        let (mut said, mut line) = (String::new(), String::new());
        while !line.contains("/oauth/authorize?") {
            line.clear();
            assert!(says.read_line(&mut line).expect("text") > 0, "it asks nobody: {said}");
            said.push_str(&line);
        }
        let answers = json!({ "login": "ada", "decision": "allow" });
        Browser::start().open(line.trim(), &answers);
        says.read_to_string(&mut said).expect("text");
        assert!(suite.wait().expect("it was ours").success(), "{said}");
        // A suite that grew is looked at first: `docs/conformance.md` says what it finds.
        for line in FOUND {
            assert!(said.contains(line), "{line:?} is not in {said}");
        }
    });
}

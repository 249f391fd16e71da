//! A person ends a connection: gone here, and revoked at the provider (RFC 7009).

use std::process::Output;

use serde_json::Value;

use crate::support::{
    clients::Client,
    people::Person,
    stage::{Setting, Stage, journey},
};

#[test]
fn with_the_page() {
    journey(Setting::CALM, |stage| {
        let mut ada = Person::new(stage, "ada");
        ada.connect("notes");
        assert_eq!(Client::Rust.whoami(&stage.notes(), &ada.bearer).result.text, "ada");

        let page = ada.open(&format!("{}/ui/connections", stage.url), Some("Disconnect notes"));
        let end = page["url"].as_str().expect("an address");
        assert!(end.ends_with("?credential_server=notes&credential_disconnected=1"), "{page}");
        assert_gone(stage, &ada.bearer);
    });
}

#[test]
fn with_the_command() {
    journey(Setting::CALM, |stage| {
        let mut ada = Person::new(stage, "ada");
        ada.connect("notes");
        let credential = |arguments: &[&str]| {
            let who = ["--url", &stage.url, "--token", &ada.bearer, "-o", "json"];
            let said = stage.gateway.command(&[&["credential"], arguments, &who].concat());
            assert!(said.status.success(), "{said:?}");
            said
        };
        let statuses = |said: &Output| {
            let listed: Value = serde_json::from_slice(&said.stdout).expect("JSON");
            let all = listed["credentials"].as_array().expect("a list").clone();
            all.iter().map(|one| (one["server"].clone(), one["status"].clone())).collect::<Vec<_>>()
        };
        let before = credential(&["list"]);
        assert!(statuses(&before).contains(&("notes".into(), "connected".into())), "{before:?}");
        assert!(statuses(&before).contains(&("api".into(), "not_connected".into())), "{before:?}");

        let removed = credential(&["rm", "notes"]);
        let receipt: Value = serde_json::from_slice(&removed.stdout).expect("JSON");
        assert_eq!(receipt["revoked"], true, "{receipt}");
        let after = credential(&["list"]);
        assert!(statuses(&after).contains(&("notes".into(), "not_connected".into())), "{after:?}");
        for said in [before, removed, after] {
            stage.assert_no_secret_in("the command's output", &said.stdout);
            stage.assert_no_secret_in("the command's output", &said.stderr);
        }
        assert_gone(stage, &ada.bearer);
    });
}

fn assert_gone(stage: &Stage, bearer: &str) {
    assert!(stage.count("/revocations") > 0);
    assert_eq!(stage.status(bearer, "notes"), "not_connected");
    let heard = Client::Rust.whoami(&stage.notes(), bearer);
    assert_eq!(heard.tools, ["connect_notes"]);
    assert!(heard.result.is_error);
}

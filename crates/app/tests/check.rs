//! `attache check` as a person and as a program run it.

#![cfg(test)]

use std::{fs, path::Path, process::Command};

use serde_json::Value;

const KEY: &str = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";

const FILE: &str = "public_url = 'http://127.0.0.1:8080'
identity.oidc = { issuer = 'https://idp.example.com', client_id = 'c', client_secret = 'hunter2' }
upstream = [{ name = 'a', url = 'https://a.example.com/mcp', protocol = 'streamable-http' }]
authorization_server.enabled = false
";

/// Whether it succeeded, and what it wrote to stdout and stderr.
fn check(name: &str, text: &str, arguments: &[&str]) -> (bool, String, String) {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&file, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_attache"));
    command.arg("check").arg("--config").arg(&file).args(arguments).env("ATTACHE_KEY", KEY);
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

#[test]
fn a_program_gets_one_document_and_what_it_asked_for() {
    let (fine, stdout, stderr) = check("one.toml", FILE, &["-o", "json"]);
    let problems: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(problems[0]["key"], "identity.jwt");
    assert!(fine && stderr.is_empty(), "{stderr}");

    let (fine, stdout, stderr) = check("one.toml", FILE, &["--print", "-o", "json"]);
    let effective: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(effective["upstream"][0]["name"], "a");
    assert!(fine && stderr.contains("no program can call"), "{stderr}");
    assert!(!stdout.contains("hunter2") && !stderr.contains("hunter2"), "{stdout}{stderr}");
}

#[test]
fn what_is_wrong_has_a_place_for_programs_too() {
    let text = FILE.replace("streamable-http", "carrier-pigeon");
    let (fine, stdout, _) = check("two.toml", &text, &["-o", "json"]);
    let problems: Value = serde_json::from_str(&stdout).unwrap();
    let error = problems.as_array().unwrap().iter().find(|one| one["severity"] == "error").unwrap();
    assert_eq!((&error["key"], &error["line"]), (&"upstream[0].protocol".into(), &3.into()));
    assert!(!fine);
}

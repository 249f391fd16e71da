//! The arrows between our crates, the crates that may hold what is heavy, and the licences.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::terminal::say;
use crate::{licence, run, workspace};

/// Which of our crates each may use. Arrows point down; siblings never see each other.
const ARROWS: [(&str, &[&str]); 15] = [
    ("attache-core", &[]),
    ("attache-crypto", &["attache-core"]),
    ("attache-net", &["attache-core"]),
    ("attache-config", &["attache-core"]),
    ("attache-store", &["attache-core"]),
    ("attache-oauth", &["attache-core", "attache-crypto"]),
    ("attache-broker", &["attache-core", "attache-crypto", "attache-oauth"]),
    ("attache-identity", &["attache-core", "attache-crypto", "attache-oauth"]),
    ("attache-proxy", &["attache-core", "attache-crypto", "attache-broker", "attache-net"]),
    ("attache-web", &["attache-core", "attache-crypto", "attache-broker", "attache-identity"]),
    ("attache-sandbox", &["attache-core", "attache-crypto"]),
    (
        "attache",
        &[
            "attache-broker",
            "attache-config",
            "attache-core",
            "attache-crypto",
            "attache-identity",
            "attache-net",
            "attache-oauth",
            "attache-proxy",
            "attache-sandbox",
            "attache-store",
            "attache-web",
        ],
    ),
    (
        "attache-benches",
        &[
            "attache-broker",
            "attache-core",
            "attache-crypto",
            "attache-identity",
            "attache-net",
            "attache-oauth",
            "attache-store",
        ],
    ),
    ("attache-fuzz", &["attache-config", "attache-core", "attache-crypto", "attache-oauth"]),
    ("xtask", &[]),
];

/// What is heavy, or should have one owner, and who that is.
const OWNED: [(&str, &[&str]); 20] = [
    ("annotate-snippets", &["attache-config"]),
    ("anyhow", &["attache-benches", "xtask"]),
    ("askama", &["attache-web", "attache"]),
    ("aws-lc-rs", &["attache-crypto"]),
    ("axum", &["attache-web", "attache-sandbox", "attache", "attache-benches"]),
    ("clap", &["attache"]),
    ("comfy-table", &["attache"]),
    ("hyper-rustls", &["attache-net"]),
    ("hyper-util", &["attache-net", "attache-sandbox", "attache-benches"]),
    ("jsonwebtoken", &["attache-crypto"]),
    ("mimalloc", &["attache", "attache-benches"]),
    ("prost", &["attache-proxy"]),
    ("rustls", &["attache-net", "attache-store"]),
    ("schemars", &["attache-config"]),
    ("sqlx", &["attache-store", "attache-benches"]),
    ("tokio-rustls", &["attache-net"]),
    ("toml", &["attache-config"]),
    ("tonic", &["attache-proxy"]),
    ("tower-http", &["attache-web"]),
    ("tracing-subscriber", &["attache"]),
];

/// Checks it all and names every offence. Dev-dependencies are free: tests may see anything.
pub(crate) fn check() -> Result<()> {
    let metadata = metadata()?;
    let packages = array(&metadata, "packages")?;
    let (ours, theirs): (Vec<&Value>, Vec<&Value>) =
        packages.iter().partition(|package| package["source"].is_null());
    let mut offences = Vec::new();
    for package in &ours {
        let name = text(package, "name")?;
        for dependency in array(package, "dependencies")? {
            if dependency["kind"] != "dev" {
                offences.extend(offence(name, text(dependency, "name")?));
            }
        }
    }
    for package in &theirs {
        let (name, terms) = (text(package, "name")?, package["license"].as_str().unwrap_or("none"));
        if !licence::acceptable(terms) {
            offences.push(format!("{name}: licence {terms} is not on the list (xtask licence.rs)"));
        }
    }
    if !offences.is_empty() {
        bail!("{}", offences.join("\n"));
    }
    say(&format!("{} crates of ours, {} of others: in order", ours.len(), theirs.len()));
    Ok(())
}

/// What is wrong with `from` using `to`, if anything.
fn offence(from: &str, to: &str) -> Option<String> {
    let Some((_, downward)) = ARROWS.iter().find(|(name, _)| *name == from) else {
        return Some(format!("{from} has no place in the table of arrows (xtask deps.rs)"));
    };
    let ours = ARROWS.iter().any(|(name, _)| *name == to);
    if ours && !downward.contains(&to) {
        return Some(format!("{from} -> {to}: this arrow does not point down"));
    }
    match OWNED.iter().find(|(name, _)| *name == to) {
        Some((_, owners)) if !owners.contains(&from) => {
            Some(format!("{from} -> {to}: only {} may", owners.join(" and ")))
        }
        _ => None,
    }
}

/// Where cargo puts what it builds.
pub(crate) fn target_directory() -> Result<PathBuf> {
    Ok(PathBuf::from(text(&metadata()?, "target_directory")?))
}

fn metadata() -> Result<Value> {
    let mut cargo = Command::new("cargo");
    cargo.args(["metadata", "--format-version", "1", "--locked"]).current_dir(workspace::root());
    Ok(serde_json::from_str(&run::quietly(&mut cargo)?)?)
}

fn array<'a>(value: &'a Value, key: &'static str) -> Result<&'a Vec<Value>> {
    value[key].as_array().context(key)
}

fn text<'a>(value: &'a Value, key: &'static str) -> Result<&'a str> {
    value[key].as_str().context(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arrow_points_down_or_is_named() {
        for (from, to, offends) in [
            ("attache-broker", "attache-oauth", false),
            ("attache-oauth", "attache-broker", true),
            ("attache-proxy", "attache-web", true),
            ("attache-broker", "sqlx", true),
            ("attache-store", "sqlx", false),
            ("attache-broker", "bytes", false),
            ("attache-surprise", "bytes", true),
        ] {
            assert_eq!(offence(from, to).is_some(), offends, "{from} -> {to}");
        }
    }
}

//! MCP's own conformance suite against a server, and against the same server through the gateway: it
//! must find the same, check by check.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::Path,
    process,
};

use serde_json::{Value, json};

use crate::support::{
    peers::{self, Peer, run},
    people::Person,
    stage::{Setting, Stage, journey},
};

/// The server that has everything the suite asks for.
pub(crate) const EVERYTHING: Setting =
    Setting { server: "mcp-server-everything.mjs", ..Setting::CALM };

#[test]
fn of_2025_11_25() {
    finds_the_same("2025-11-25");
}

#[test]
fn of_2026_07_28() {
    finds_the_same("2026-07-28");
}

fn finds_the_same(revision: &str) {
    journey(EVERYTHING, |stage| {
        let mut ada = Person::new(stage, "ada");
        ada.connect("notes");
        let (server, token) = (stage.server.says("url"), upstream_token(stage, "ada"));
        let direct = Found::by_suite(server, "/mcp", &token, revision);
        let through = Found::by_suite(&stage.url, "/mcp/notes", &ada.bearer, revision);
        let differences = direct.differences(&through);
        assert!(differences.is_empty(), "at {revision}: {differences}");
        let counted = direct.row(revision);
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/conformance.md");
        let page = fs::read_to_string(page).expect("the page is there");
        assert!(page.contains(&counted), "docs/conformance.md should say:\n{counted}");
    });
}

/// This person's token for the server itself, as the gateway gets one.
pub(crate) fn upstream_token(stage: &Stage, person: &str) -> String {
    let client = &stage.authorization_server;
    let tokens = run(
        "sign-in.mjs",
        &json!({
            "issuer": client.says("url"),
            "client_id": client.says("client_id"),
            "client_secret": client.says("client_secret"),
            "redirect_uri": format!("{}/api/v1/user/credentials/notes/callback", stage.url),
            "resource": stage.server.says("resource"),
            "person": person,
        }),
    );
    tokens["access_token"].as_str().expect("a token").to_owned()
}

/// The checks of each scenario, in their order.
struct Found(BTreeMap<String, Vec<Check>>);

/// Two of them are the same when their names and outcomes are.
struct Check {
    id: String,
    status: String,
    /// The suite's words for it, for whoever reads the failure.
    says: Value,
}

impl Found {
    /// The suite has no way to send a token: the shim adds it.
    fn by_suite(origin: &str, path: &str, token: &str, revision: &str) -> Self {
        let shim = Peer::start("token-shim.mjs", &json!({ "to": origin, "token": token }));
        let folder = format!("server-suite-{}-{revision}{}", process::id(), path.replace('/', "-"));
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(folder);
        let out = folder.to_str().expect("the workspace is in a folder of a plain name");
        let url = format!("{}{path}", shim.says("url"));
        let which = ["--requirements", revision, "--output-dir", out];
        // Whatever its exit code: it counts what no server of the SDK's can do, too.
        let suite = peers::conformance(&[&["server", "--url", &url], &which[..]].concat()).output();
        suite.expect("the suite starts: run `cargo xtask peers` first");
        let scenarios = fs::read_dir(&folder).expect("the suite wrote what it found");
        let scenarios = scenarios.map(|entry| entry.expect("a folder").path());
        let found =
            scenarios.filter(|entry| entry.is_dir()).map(|entry| scenario(&entry)).collect();
        fs::remove_dir_all(&folder).expect("it is ours");
        Self(found)
    }

    fn differences(&self, other: &Self) -> String {
        let scenarios: BTreeSet<_> = self.0.keys().chain(other.0.keys()).collect();
        let mut differences = String::new();
        for scenario in scenarios {
            let [here, there] = [self, other].map(|found| found.0.get(scenario));
            let brief = |checks: Option<&Vec<Check>>| {
                checks.map(|checks| {
                    checks
                        .iter()
                        .map(|one| (one.id.clone(), one.status.clone()))
                        .collect::<Vec<_>>()
                })
            };
            if brief(here) != brief(there) {
                write!(differences, "\n{scenario}\n  direct: ").expect("memory");
                tell(&mut differences, here);
                differences.push_str("\n  through the gateway: ");
                tell(&mut differences, there);
            }
        }
        differences
    }

    /// As `docs/conformance.md` has it.
    fn row(&self, revision: &str) -> String {
        let count = |wanted: &[&str]| {
            let checks = self.0.values().flatten();
            checks.filter(|check| wanted.contains(&check.status.as_str())).count()
        };
        let (passed, failed) = (count(&["SUCCESS"]), count(&["FAILURE", "WARNING"]));
        format!(
            "| {revision} | {} | {passed} | {failed} | {} |",
            self.0.len(),
            count(&["SKIPPED", "INFO"])
        )
    }
}

fn tell(text: &mut String, checks: Option<&Vec<Check>>) {
    for check in checks.into_iter().flatten() {
        write!(text, "\n    {} {}: {}", check.status, check.id, check.says).expect("memory");
    }
}

/// `server-NAME-TIME`, and what was checked.
fn scenario(folder: &Path) -> (String, Vec<Check>) {
    let name = folder.file_name().and_then(|name| name.to_str()).expect("a plain name");
    let (name, _time) = name.split_at(name.len() - "-2026-07-28T00-00-00-000Z".len());
    let checks = fs::read(folder.join("checks.json")).expect("it wrote what it checked");
    let checks: Vec<Value> = serde_json::from_slice(&checks).expect("JSON");
    let says = |check: &Value, member: &str| check[member].as_str().unwrap_or_default().to_owned();
    let check = |check: &Value| Check {
        id: says(check, "id"),
        status: says(check, "status"),
        says: json!([check["errorMessage"], check["details"]]),
    };
    (name.to_owned(), checks.iter().map(check).collect())
}

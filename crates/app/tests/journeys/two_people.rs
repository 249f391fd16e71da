//! Two people use one upstream, each with their own token (PX-16).

use serde_json::Value;

use crate::support::{
    clients::Client,
    people::Person,
    stage::{Setting, Stage, http, journey},
};

#[test]
fn each_calls_as_themselves_at_a_server_of_2025_11_25() {
    play("mcp-server-ts.mjs");
}

#[test]
fn each_calls_as_themselves_at_a_server_of_2026_07_28() {
    play("mcp-server-2.mjs");
}

fn play(server: &'static str) {
    journey(Setting { server, ..Setting::CALM }, |stage| {
        let people = ["ada", "grace"].map(|name| {
            let mut person = Person::new(stage, name);
            person.connect("notes");
            (name, person)
        });
        for client in Client::ALL {
            for (name, person) in &people {
                let heard = client.whoami(&stage.notes(), &person.bearer);
                assert_eq!(heard.result.text, *name, "{client:?} called as somebody else");
                assert_eq!(heard.tools, ["whoami", "echo"], "{client:?}");
            }
        }
        let [(_, ada), (_, grace)] = &people;
        claim_much(stage, &ada.bearer);
        assert_clean(stage, &[&ada.bearer, &grace.bearer]);
    });
}

/// A request with all that a caller might want an upstream to believe.
fn claim_much(stage: &Stage, bearer: &str) {
    let listing = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    let answer = http()
        .post(stage.notes())
        .bearer_auth(bearer)
        .header("accept", "application/json, text/event-stream")
        .header("content-type", "application/json")
        .header("cookie", "upstream_session=ada")
        .header("forwarded", "for=192.0.2.1;proto=https")
        .header("x-forwarded-for", "192.0.2.1")
        .header("x-forwarded-user", "grace")
        .header("connection", "x-marked")
        .header("x-marked", "hop by hop")
        .header("x-end-to-end", "arrives")
        .body(listing)
        .send()
        .expect("the gateway answers");
    assert!(answer.status().is_success(), "{answer:?}");
}

/// What arrived had one credential, the gateway's; nothing of the callers but what is for the
/// upstream.
fn assert_clean(stage: &Stage, bearers: &[&str]) {
    let recorded = stage.server.page("/recorded");
    let requests = recorded.as_array().expect("a list");
    let with =
        |name: &str| requests.iter().filter(|one| one["headers"].get(name).is_some()).count();
    assert_eq!(with("authorization"), requests.len());
    assert_eq!(with("x-end-to-end"), 1, "the last request did not arrive");
    for name in ["cookie", "forwarded", "x-forwarded-for", "x-forwarded-user", "x-marked", "origin"]
    {
        assert_eq!(with(name), 0, "{name} arrived");
    }
    for request in requests {
        let credentials = request["headers"]["authorization"].as_array().expect("a list");
        assert_eq!(credentials.len(), 1);
        let host = &request["headers"]["host"][0];
        assert!(stage.server.says("url").ends_with(host.as_str().expect("text")), "{host}");
        let text = Value::to_string(request);
        assert!(bearers.iter().all(|bearer| !text.contains(bearer)), "a caller's own token");
    }
}

//! A tool needs more than its person gave when they connected (OC-14).

use serde_json::{Value, json};

use crate::support::{
    clients::{Client, RustClient},
    http::{http, json},
    people::Person,
    stage::{Setting, Stage, journey},
};

#[test]
fn a_tool_that_needs_more_is_approved_once_for_every_client() {
    journey(Setting::CALM, |stage| {
        let (mut ada, mut grace) = (Person::new(stage, "ada"), Person::new(stage, "grace"));
        ada.connect("notes");
        grace.connect("notes");
        let connect = format!("{}/connect/notes", stage.url);
        let session = RustClient::connect(&stage.notes(), &ada.bearer);
        for client in Client::ALL {
            let heard = client.echo(&stage.notes(), &ada.bearer, "hello");
            assert_eq!(heard.tools, ["whoami", "echo"], "{client:?}: everything else works");
            assert!(heard.result.is_error, "{client:?}: {heard:?}");
            assert!(heard.result.text.contains(&connect), "{client:?}: {heard:?}");
        }
        assert_eq!(session.whoami().text, "ada");
        assert_eq!(wanted(stage, &ada), json!(["mcp:write"]));
        assert_eq!(wanted(stage, &grace), json!([]), "nobody else is asked");

        let page = ada.open(&connect, None);
        let html = page["html"].as_str().expect("a page");
        assert!(html.contains("<li class=\"new\">mcp:write"), "{html}");
        ada.connect("notes");
        assert_eq!(wanted(stage, &ada), json!([]));
        for client in Client::ALL {
            let heard = client.echo(&stage.notes(), &ada.bearer, "hello");
            assert_eq!(heard.result.text, "hello", "{client:?}: {heard:?}");
        }
        assert_eq!(session.call("echo", &json!({ "text": "again" })).text, "again");
        assert_eq!(session.whoami().text, "ada", "and what worked before");
    });
}

fn wanted(stage: &Stage, person: &Person) -> Value {
    let list = http().get(format!("{}/api/v1/user/credentials", stage.url));
    let listed = json(list.bearer_auth(&person.bearer).send().expect("the gateway answers"));
    let all = listed["credentials"].as_array().expect("a list");
    let one = all.iter().find(|one| one["server"] == "notes").expect("it is listed");
    one["wanted_scopes"].clone()
}

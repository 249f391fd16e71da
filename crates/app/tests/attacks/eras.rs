//! Between the eras of MCP nobody gets into another's session, and nothing gets past a rule.

use std::time::Duration;

use attache_sandbox::{
    Page,
    people::{ADA, GRACE},
};
use bytes::Bytes;
use http::{Method, header};
use serde_json::{Value, json};

use crate::{
    offboarding::disconnect,
    program::Program,
    tokens::{holder, token},
    world::{Surroundings, World},
};

/// Servers of which each speaks one era; `ruled` is one of them with rules about its tools.
const MORE: &str = r#"
[[upstream]]
name = "later"
url = "{bare}modern"
[upstream.auth_broker]
{broker}
[[upstream]]
name = "ruled"
url = "{bare}modern"
tools = [{ allow = ["read_*"] }]

[[upstream]]
name = "sessions"
url = "{bare}sessions"
[upstream.auth_broker]
{broker}
[[upstream]]
name = "old"
url = "{bare}sse"
protocol = "sse"
tools = [{ allow = ["read_*"] }]
[upstream.auth_broker]
{broker}
[[upstream]]
name = "foreign"
url = "{bare}foreign"
protocol = "sse"
[upstream.auth_broker]
{broker}
[[upstream]]
name = "closed"
url = "{bare}modern"
allow.groups = ["engineering"]
"#;

async fn world() -> World {
    let surroundings = Surroundings { more: MORE.to_owned(), ..Surroundings::default() };
    World::among("sqlite:attache.db", surroundings).await
}

/// As a client of sessions does.
async fn says(of: &Program, to: &str, method: &str, params: &Value, session: &str) -> Page {
    let message = json!({ "jsonrpc": "2.0", "id": "c-1", "method": method, "params": params });
    let mut request = of
        .request(Method::POST, &format!("/mcp/{to}"))
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::ACCEPT, "application/json, text/event-stream");
    if !session.is_empty() {
        request = request.header("mcp-session-id", session);
    }
    of.send(request.body(message.to_string().into()).expect("a request")).await
}

async fn begins(of: &Program, to: &str) -> (Page, String) {
    let params = json!({ "protocolVersion": "2025-06-18", "capabilities": {},
        "clientInfo": { "name": "old-client", "version": "1" } });
    let begun = says(of, to, "initialize", &params, "").await;
    let session = begun.headers.get("mcp-session-id").map(|id| id.to_str().expect("text"));
    let session = session.unwrap_or_default().to_owned();
    (begun, session)
}

/// As a client of 2026-07-28 does.
async fn asks(of: &Program, to: &str, method: &str, name: &str, capabilities: &Value) -> Page {
    let (head, body) = asking(of, to, method, name, capabilities);
    of.send(head.body(body).expect("a request")).await
}

fn asking(
    of: &Program,
    to: &str,
    method: &str,
    name: &str,
    capabilities: &Value,
) -> (http::request::Builder, Bytes) {
    let mut params = json!({ "_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": { "name": "new-client", "version": "1" },
        "io.modelcontextprotocol/clientCapabilities": capabilities,
    } });
    let mut request = of
        .request(Method::POST, &format!("/mcp/{to}"))
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::ACCEPT, "application/json, text/event-stream")
        .header("mcp-protocol-version", "2026-07-28")
        .header("mcp-method", method);
    if !name.is_empty() {
        if let Some(params) = params.as_object_mut() {
            params.insert("name".to_owned(), json!(name));
        }
        request = request.header("mcp-name", name);
    }
    let message = json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params });
    (request, message.to_string().into())
}

fn error(page: &Page) -> (u16, i64) {
    let answer = page.json().unwrap_or_default();
    let code = answer.pointer("/error/code").and_then(Value::as_i64);
    (page.status.as_u16(), code.unwrap_or_default())
}

#[tokio::test]
async fn a_session_that_only_the_gateway_has_is_one_persons() {
    let world = world().await;
    let (ada, grace) = (world.program(ADA), world.program(GRACE));
    // Before it is connected, its client is told where to.
    let (told, _) = begins(&ada, "later").await;
    assert!(told.body.contains("/connect/later"), "{}", told.body);
    assert_eq!(world.bare.arrived().len(), 0);
    world.ada().await.connect("later").await;
    world.grace().await.connect("later").await;

    let (begun, hers) = begins(&ada, "later").await;
    assert_eq!(begun.status, 200, "{}", begun.body);
    let result = begun.json().expect("JSON")["result"].clone();
    assert_eq!(result["protocolVersion"], "2025-06-18");
    // What has no way over is not offered.
    assert_eq!(result["capabilities"], json!({ "tools": {}, "resources": {} }));
    let read = json!({ "name": "read_a", "_meta": { "progressToken": 3 } });
    let called = says(&ada, "later", "tools/call", &read, &hers).await;
    assert_eq!(called.json().expect("JSON")["result"]["content"][0]["text"], "done");
    let arrived = world.bare.arrived().pop().expect("the call");
    assert!(arrived.body.contains("old-client") && arrived.body.contains("progressToken"));
    for method in ["resources/subscribe", "logging/setLevel", "tasks/list"] {
        let answer = says(&ada, "later", method, &json!({}), &hers).await;
        assert_eq!(error(&answer), (200, -32601), "{method}");
    }
    let asked = says(&ada, "later", "tools/call", &json!({ "name": "asks" }), &hers).await;
    assert_eq!(error(&asked), (200, -32603));
    assert_eq!(error(&says(&ada, "later", "x/unknown", &json!({}), &hers).await), (200, -32601));

    let before = world.bare.arrived().len();
    let cut = format!("b.{}", &hers[3..]);
    for (of, to, session) in [
        (&grace, "later", hers.as_str()),
        (&ada, "ruled", &hers),
        (&ada, "sessions", &hers),
        (&ada, "later", &cut),
        (&ada, "later", "b."),
        (&ada, "later", "of-nobody"),
    ] {
        for method in ["tools/call", "ping", "initialize"] {
            let refused = says(of, to, method, &read, session).await;
            assert_eq!(refused.status, 404, "{to} {method} {}", refused.body);
        }
    }
    assert_eq!(world.bare.arrived().len(), before);
    world.end().await;
}

#[tokio::test]
async fn no_era_leads_past_a_rule() {
    let world = world().await;
    let (ada, grace) = (world.program(ADA), world.program(GRACE));
    let (_, session) = begins(&grace, "ruled").await;
    let list = says(&grace, "ruled", "tools/list", &json!({}), &session).await;
    let tools = list.json().expect("JSON")["result"]["tools"].clone();
    let names: Vec<&str> =
        tools.as_array().expect("a list").iter().filter_map(|one| one["name"].as_str()).collect();
    assert_eq!(names, ["read_a", "read_secret"]);
    for tool in ["delete_all", "DELETE_ALL", "write"] {
        let refused = says(&grace, "ruled", "tools/call", &json!({ "name": tool }), &session).await;
        assert_eq!(error(&refused), (200, -32602), "{tool}");
    }
    let twice = r#"{"id":1,"method":"tools/call","params":{"name":"read_a","name":"write"}}"#;
    let request = grace
        .request(Method::POST, "/mcp/ruled")
        .header(header::CONTENT_TYPE, "application/json")
        .header("mcp-session-id", &session);
    assert_eq!(grace.send(request.body(twice.into()).expect("a request")).await.status, 400);
    assert!(!world.bare.arrived().iter().any(|one| one.body.contains("write")));
    // What is not theirs is not there, whatever would be answered without asking it.
    let (refused, _) = begins(&grace, "closed").await;
    assert_eq!(refused.status, 404);
    assert_eq!(begins(&ada, "closed").await.0.status, 200);
    assert_eq!(says(&grace, "closed", "ping", &json!({}), "").await.status, 404);
    assert_eq!(asks(&grace, "closed", "server/discover", "", &json!({})).await.status, 404);

    let mut visitor = world.ada().await;
    visitor.connect("sessions").await;
    let looks = "name=b&reach=servers&server=sessions&access=look&days=1";
    let reader = holder(&world, &token(&mut visitor, looks).await);
    assert_eq!(asks(&reader, "sessions", "tools/list", "", &json!({})).await.status, 200);
    assert_eq!(asks(&reader, "sessions", "tools/call", "read_a", &json!({})).await.status, 403);
    world.end().await;
}

#[tokio::test]
async fn a_session_that_the_gateway_keeps_is_one_persons() {
    let world = world().await;
    let (ada, grace) = (world.program(ADA), world.program(GRACE));
    let mut visitor = world.ada().await;
    visitor.connect("sessions").await;
    world.grace().await.connect("sessions").await;
    let none = json!({});
    let session = async |of: &Program| {
        let called = asks(of, "sessions", "tools/call", "read_a", &none).await;
        let answer = called.json().expect("JSON");
        assert_eq!((&answer["id"], called.status.as_u16()), (&json!(7), 200), "{}", called.body);
        assert_eq!(answer["result"]["resultType"], "complete");
        answer["result"]["content"][0]["text"].as_str().expect("text").to_owned()
    };
    let discovered = asks(&ada, "sessions", "server/discover", "", &none).await;
    let result = discovered.json().expect("JSON")["result"].clone();
    assert_eq!(result["capabilities"], json!({ "tools": {} }));
    assert!(discovered.headers.get("mcp-session-id").is_none());
    let (hers, theirs) = (session(&ada).await, session(&grace).await);
    assert_ne!(hers, theirs);
    assert_eq!(session(&ada).await, hers, "it is kept");
    for one in world.bare.arrived() {
        let of = |id: &str| one.all("mcp-session-id").contains(&id);
        assert!(!(of(&hers) && of(&theirs)));
    }
    // One that the upstream forgot is begun again, and one of another account of hers is another.
    world.bare.forget_sessions();
    let second = session(&ada).await;
    assert_ne!(second, hers);
    disconnect(&ada, "sessions").await;
    let told = asks(&ada, "sessions", "tools/call", "read_a", &none).await;
    assert!(told.body.contains("/connect/sessions"), "{}", told.body);
    visitor.connect("sessions").await;
    assert_ne!(session(&ada).await, second, "no session outlives its credential");

    // What has no way over.
    for (method, name, capabilities, expected) in [
        ("subscriptions/listen", "", &none, (404, -32601)),
        ("initialize", "", &none, (404, -32601)),
        ("tools/call", "read_a", &json!({ "elicitation": {} }), (400, -32022)),
        ("server/discover", "", &json!({ "roots": {} }), (400, -32022)),
    ] {
        let answer = asks(&ada, "sessions", method, name, capabilities).await;
        assert_eq!(error(&answer), expected, "{method} {}", answer.body);
    }
    let asked = asks(&ada, "sessions", "tools/call", "asks", &none).await;
    assert!(asked.body.contains("-32021") && asked.body.contains("\"id\":7"), "{}", asked.body);
    assert!(!asked.body.contains("createMessage"), "{}", asked.body);
    world.end().await;
}

/// Written after a body by hand, and part of it.
const LINE_END: &str = "\r\n";

/// PX-8: in a session, hanging up would not.
#[tokio::test]
async fn whoever_hangs_up_cancels() {
    let world = world().await;
    let ada = world.program(ADA);
    world.ada().await.connect("sessions").await;
    assert_eq!(asks(&ada, "sessions", "tools/call", "read_a", &json!({})).await.status, 200);
    let (_, body) = asking(&ada, "sessions", "tools/call", "hangs", &json!({}));
    let body = String::from_utf8(body.to_vec()).expect("text");
    let headers = format!(
        "Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n\
         MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: hangs\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len() + LINE_END.len(),
    );
    let stream = ada.open("POST /mcp/sessions", &headers).await;
    assert_eq!(world.bare.open(), 1);
    drop(stream);
    let own = world.bare.arrived().iter().rev().find_map(|one| {
        let message: Value = serde_json::from_str(&one.body).ok()?;
        (message["params"]["name"] == "hangs").then(|| message["id"].clone())
    });
    let own = own.expect("it arrived");
    for _ in 0..100 {
        let told = world.bare.arrived().iter().any(|one| {
            let message: Value = serde_json::from_str(&one.body).unwrap_or_default();
            message["method"] == "notifications/cancelled" && message["params"]["requestId"] == own
        });
        if told {
            return world.end().await;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    unreachable!("the upstream was not told");
}

fn heard(page: &Page) -> Vec<Value> {
    let data = page.body.lines().filter_map(|line| line.strip_prefix("data: "));
    data.map(|data| serde_json::from_str(data).expect("JSON")).collect()
}

#[tokio::test]
async fn a_stream_that_is_held_for_somebody_is_theirs() {
    let world = world().await;
    let (ada, grace) = (world.program(ADA), world.program(GRACE));
    world.ada().await.connect("old").await;
    world.grace().await.connect("old").await;
    let (begun, hers) = begins(&ada, "old").await;
    assert_eq!(begun.status, 200, "{}", begun.body);
    let (_, theirs) = begins(&grace, "old").await;
    let read = json!({ "name": "read_a" });
    let whose = |page: &Page| heard(page).pop().expect("an answer")["result"]["content"][0].clone();
    let (one, other) = (
        whose(&says(&ada, "old", "tools/call", &read, &hers).await),
        whose(&says(&grace, "old", "tools/call", &read, &theirs).await),
    );
    assert_ne!(one["text"], other["text"]);
    // What the server asks comes before the answer, to whoever waits there.
    let list = says(&ada, "old", "tools/list", &json!({}), &hers).await;
    let [asked, listed] = &heard(&list)[..] else { unreachable!("{}", list.body) };
    assert_eq!(asked["method"], "roots/list");
    let tools = listed["result"]["tools"].as_array().expect("tools").len();
    assert_eq!(tools, 2, "the rules are those of any MCP server");
    let refused = says(&ada, "old", "tools/call", &json!({ "name": "write" }), &hers).await;
    assert_eq!(error(&refused), (200, -32602));

    for (of, to, session) in [(&grace, "old", &hers), (&ada, "foreign", &hers)] {
        let refused = says(of, to, "tools/call", &read, session).await;
        assert_eq!(refused.status, 404, "{to} {}", refused.body);
    }
    // A client of another era, by both bridges.
    let asked = asks(&ada, "old", "tools/call", "read_a", &json!({})).await;
    assert!(asked.body.contains("-32021") || asked.body.contains("complete"), "{}", asked.body);

    let end = ada.request(Method::DELETE, "/mcp/old").header("mcp-session-id", &hers);
    assert_eq!(ada.send(end.body(Bytes::new()).expect("a request")).await.status, 204);
    assert_eq!(says(&ada, "old", "tools/call", &read, &hers).await.status, 404);
    assert_eq!(says(&grace, "old", "tools/call", &read, &theirs).await.status, 200);
    world.end().await;
}

#[tokio::test]
async fn an_upstream_sends_nobodys_credential_elsewhere() {
    let world = world().await;
    let ada = world.program(ADA);
    world.ada().await.connect("foreign").await;
    let (refused, session) = begins(&ada, "foreign").await;
    assert_eq!((refused.status.as_u16(), session.as_str()), (502, ""), "{}", refused.body);
    let arrived = world.bare.arrived();
    assert!(arrived.iter().all(|one| one.target == "/foreign"), "{arrived:?}");
    for _ in 0..10 {
        assert_eq!(begins(&ada, "foreign").await.0.status, 502, "they are not held");
    }
    world.end().await;
}

/// What one person says wrongly changes nothing for others.
#[tokio::test]
async fn nobodys_mistake_decides_how_others_are_spoken_to() {
    let world = world().await;
    let (ada, grace) = (world.program(ADA), world.program(GRACE));
    for person in [&ada, &grace] {
        // A method that is nowhere, and a session that is begun without a word of it.
        let refused = asks(person, "ruled", "x/nowhere", "", &json!({})).await;
        assert_eq!(error(&refused), (404, -32601), "{}", refused.body);
        let broken = says(person, "ruled", "initialize", &json!({ "a": 1 }), "").await;
        assert_eq!(error(&broken).0, 400, "{}", broken.body);
    }
    let discovered = asks(&ada, "ruled", "server/discover", "", &json!({ "roots": {} })).await;
    assert_eq!(error(&discovered), (200, 0), "{}", discovered.body);
    world.end().await;
}

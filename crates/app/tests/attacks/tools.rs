//! Tools that are open to some people only.

use attache_sandbox::{
    Page,
    people::{ADA, GRACE},
};
use bytes::Bytes;
use http::{Method, header};
use serde_json::{Value, json};

use crate::{
    program::{Program, status},
    streams::WEBSOCKET,
    world::World,
};

const PATH: &str = "/mcp/guarded";

async fn post(program: &Program, headers: &[(&'static str, &str)], body: impl Into<Bytes>) -> Page {
    let mut request = program.request(Method::POST, PATH);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    program.send(request.body(body.into()).expect("a request")).await
}

async fn post_json(program: &Program, body: impl Into<Bytes>) -> Page {
    post(program, &[("content-type", "application/json")], body).await
}

/// Whether the upstream got to see the call.
async fn calls(world: &World, program: &Program, tool: &str) -> bool {
    let before = world.bare.arrived().len();
    let answer = program.mcp("guarded", "tools/call", &json!({ "name": tool })).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let refused = answer.json().expect("JSON").pointer("/error/code") == Some(&json!(-32602));
    let arrived = world.bare.arrived().len() > before;
    assert_ne!(refused, arrived, "{tool}: {}", answer.body);
    arrived
}

#[tokio::test]
async fn a_tool_is_called_by_whom_it_is_open_to() {
    let world = World::new().await;
    for (person, open, shut) in [
        (ADA, &["read_file", "delete_draft", "delete_all"][..], &["write", "delete_secret"][..]),
        (
            GRACE,
            &["read_file", "delete_draft"],
            &[
                "delete_all",
                "read_secret",
                "read_SECRET",
                "Read_file",
                "read_secret ",
                "read_ſecret",
                "read_secret\u{200b}",
                "read_a\t",
                "",
            ],
        ),
    ] {
        let program = world.program(person);
        for tool in open {
            assert!(calls(&world, &program, tool).await, "{tool} for {}", person.id);
        }
        for tool in shut {
            assert!(!calls(&world, &program, tool).await, "{tool} for {}", person.id);
        }
    }
    world.end().await;
}

/// A message that the gateway reads as one thing and the upstream as another.
#[tokio::test]
async fn a_message_with_two_meanings_reaches_nobody() {
    let world = World::new().await;
    let grace = world.program(GRACE);
    let allowed = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read_a"}}"#;
    let denied = allowed.replace("read_a", "delete_all");
    for (body, expected) in [
        // Batches, and more than one message.
        (format!("[{allowed},{denied}]"), 400),
        (format!("[{denied}]"), 400),
        (format!("{allowed}{denied}"), 400),
        // Keys twice, in another case, with other letters, or escaped.
        (allowed.replace(r#""name""#, r#""name":"delete_all","name""#), 400),
        (allowed.replace(r#""name""#, r#""NAME":"delete_all","name""#), 400),
        (allowed.replace(r#"a"}"#, r#"a","name\u0000":"delete_all"}"#), 400),
        (allowed.replace(r#""id":1"#, r#""params":{"name":"delete_all"}"#), 400),
        (allowed.replace(r#""id":1"#, r#""paramſ":{"name":"delete_all"}"#), 400),
        (
            denied.replace("tools/call", "ping").replace(r#""id":1"#, r#""Method":"tools/call""#),
            400,
        ),
        (denied.replace("tools/call", "Tools/Call"), 400),
        (denied.replace("tools/call", "toolſ/call"), 400),
        (denied.replace(r#""method""#, r#""m\u0065thod""#).replace("delete", "d\\u0065lete"), 200),
        // What another parser would forgive.
        (format!("\u{feff}{denied}"), 400),
        (denied.replace(r#""params""#, r#"/**/"params""#), 400),
        (denied.replace(r#"{"name":"delete_all"}"#, r#"["delete_all"]"#), 400),
        // A call that nobody waits for.
        (denied.replace(r#""id":1,"#, ""), 400),
    ] {
        let answer = post_json(&grace, body.clone()).await;
        assert_eq!(answer.status, expected, "{body}");
    }
    let gzip = ("content-encoding", "gzip");
    for headers in [
        &[("content-type", "application/json"), gzip][..],
        &[("content-type", "application/json; charset=utf-16le")],
        &[("content-type", "text/plain")],
        &[],
        &[("content-type", "application/json"), ("mcp-name", "delete_all")],
        &[("content-type", "application/json"), ("mcp-method", "tools/list")],
    ] {
        let answer = post(&grace, headers, allowed).await;
        assert_eq!(answer.status, 400, "{headers:?}");
    }
    // More than is looked into.
    let large = "Content-Type: application/json\r\nContent-Length: 4194305\r\n";
    assert_eq!(status(&grace.raw_request("POST", PATH, large).await), Some(413));
    // Nor does another method of HTTP carry one.
    for method in [Method::PUT, Method::PATCH, Method::GET, Method::DELETE] {
        let request = grace.request(method.clone(), PATH);
        let request = request.header(header::CONTENT_TYPE, "application/json");
        let answer = grace.send(request.body(denied.clone().into()).unwrap()).await;
        assert!([400, 405].contains(&answer.status.as_u16()), "{method} {}", answer.status);
    }
    assert_eq!(world.bare.arrived().len(), 0);
    assert_eq!(post_json(&grace, allowed).await.status, 200, "an honest one passes");
    world.end().await;
}

/// A socket would be a way past every rule: for MCP none is opened.
#[tokio::test]
async fn no_socket_leads_past_the_rules() {
    let world = World::new().await;
    let grace = world.program(GRACE);
    let said = grace.raw_get(PATH, WEBSOCKET).await;
    assert_ne!(status(&said), Some(101), "{said}");
    let arrived = world.bare.arrived();
    assert!(arrived.iter().all(|one| one.all("upgrade").is_empty()), "it was asked for");
    world.end().await;
}

/// As JSON, as events, and when a stream is taken up again.
#[tokio::test]
async fn a_list_names_what_is_open() {
    let world = World::new().await;
    let (ada, grace) = (world.program(ADA), world.program(GRACE));
    let tools = ["read_a", "read_secret", "delete_all", "write", "read_ſecret", "read_ secret"];
    let tools = tools.map(|name| json!({ "name": name, "inputSchema": { "type": "object" } }));
    let list = json!({ "jsonrpc": "2.0", "id": 1, "result": { "tools": tools } }).to_string();
    let named = |answer: &Page| {
        assert_eq!(answer.status, 200, "{}", answer.body);
        let data = answer.body.lines().filter_map(|line| line.strip_prefix("data: ")).next_back();
        let list: Value = serde_json::from_str(data.unwrap_or(&answer.body)).unwrap();
        let tools = list.pointer("/result/tools").and_then(Value::as_array).unwrap().clone();
        tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let events = format!("event: message\r\nid: 7\r\ndata: {list}\r\n\r\n");
    for (program, open) in [(&ada, &["read_a", "delete_all"][..]), (&grace, &["read_a"])] {
        world.bare.answer_next("application/json", list.clone());
        assert_eq!(named(&program.mcp("guarded", "tools/list", &json!({})).await), open);
        world.bare.answer_next("text/event-stream", format!(": here\n\n{events}"));
        assert_eq!(named(&program.mcp("guarded", "tools/list", &json!({})).await), open);
        world.bare.answer_next("text/event-stream", events.clone());
        assert_eq!(named(&program.get_with(PATH, &[("last-event-id", "6")]).await), open);
    }
    // What cannot be looked through does not pass.
    for (kind, body) in [
        ("application/json", "not JSON".to_owned()),
        ("application/json", list.replace("write", &"x".repeat(5 * 1024 * 1024))),
    ] {
        world.bare.answer_next(kind, body);
        assert_eq!(grace.mcp("guarded", "tools/list", &json!({})).await.status, 502);
    }
    let plain = world.bare.arrived();
    assert!(
        plain
            .iter()
            .filter(|one| one.body.contains("tools/list"))
            .all(|one| { one.all("accept-encoding") == ["identity"] })
    );
    world.end().await;
}

//! Rules that close what people may otherwise use: the same at every way in, also for what is open
//! when the hour comes.

use std::time::Duration;

use attache_sandbox::{
    Page, Person,
    people::{ADA, GRACE},
};
use http::{Method, header};
use serde_json::{Value, json};

use crate::{
    offboarding::{AT_ONCE, disconnect},
    program::{Program, Stream, status},
    streams::WEBSOCKET,
    tokens::{EVERYTHING, holder, token},
    world::{Surroundings, World},
};

pub(crate) const EDGE: &str = "edge-secret-0123456789abcdefghij";
const HOUR: Duration = Duration::from_hours(1);
/// The clock begins on a Monday at noon in UTC, which is one in the afternoon in Berlin.
const OPENS_AT: &str = "2026-11-24T07:00:00Z";

const RULES: &str = r#"
[[policy]]
name = "night"
effect = "deny"
upstreams = ["api", "notes", "keyed", "rooms"]
outside = ["Mon-Fri 08:00-19:00"]
timezone = "Europe/Berlin"

[[policy]]
name = "no-scripts"
effect = "deny"
upstreams = ["notes"]
callers = ["personal_token"]
tools = ["add_*"]

[[policy]]
name = "no-deletes"
effect = "deny"
upstreams = ["guarded"]
except_groups = ["engineering"]
tools = ["delete_*"]
"#;

pub(crate) async fn world() -> World {
    let edge = format!(
        "[[forward_auth]]\nname = \"edge\"\nsecret = \"{EDGE}\"\nupstreams = [\"api\", \"keyed\"]\n"
    );
    let more = format!("{RULES}{edge}");
    let surroundings = Surroundings { more, ..Surroundings::default() };
    let world = World::among("sqlite:attache.db", surroundings).await;
    world.program(ADA).witness.keep_proof(EDGE);
    for upstream in ["notes", "api", "keyed", "rooms"] {
        world.ada().await.connect(upstream).await;
    }
    world
}

/// With a token that outlives the day.
pub(crate) fn program(world: &World, person: Person) -> Program {
    let audience = world.origin.origin().ascii_serialization();
    let token = world.idp.access_token(person.id, &audience, 24 * HOUR);
    world.program_with(&token.expect("everybody is known"))
}

async fn together(program: &Program, method: &str, params: &Value) -> Value {
    let message = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let request = program
        .request(Method::POST, "/mcp")
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::ACCEPT, "application/json, text/event-stream")
        .body(message.to_string().into());
    let page = program.send(request.expect("a request")).await;
    assert_eq!(page.status, 200, "{}", page.body);
    said(&page)
}

fn said(page: &Page) -> Value {
    let data = page.body.lines().filter_map(|line| line.strip_prefix("data: ")).next_back();
    serde_json::from_str(data.unwrap_or(&page.body)).expect("JSON")
}

fn text(answer: &Value) -> &str {
    answer.pointer("/result/content/0/text").and_then(Value::as_str).expect("words")
}

async fn listed(program: &Program) -> Vec<String> {
    let list = together(program, "tools/list", &json!({})).await;
    let tools = list.pointer("/result/tools").and_then(Value::as_array).expect("tools").clone();
    tools.iter().map(|tool| tool["name"].as_str().expect("a name").to_owned()).collect()
}

async fn vended(program: &Program, name: &str) -> Page {
    let request = program
        .request(Method::GET, &format!("/forward-auth/{name}"))
        .header("attache-proxy-secret", EDGE)
        .body(bytes::Bytes::new());
    attache_sandbox::Browser::new().send(request.expect("a request")).await.expect("an answer")
}

fn arrived(world: &World) -> u64 {
    let bare = u64::try_from(world.bare.arrived().len()).expect("a few");
    bare + world.mcp.recorder().arrived() + world.api.recorder().arrived()
}

#[tokio::test]
async fn a_rule_closes_every_way_in_at_its_hour_and_says_until_when() {
    let world = world().await;
    let ada = program(&world, ADA);
    assert_eq!(ada.whoami("notes").await, "You are ada at Sandbox Notes");
    assert_eq!(ada.get("/http/api/me").await.status, 200);
    assert_eq!(vended(&ada, "api").await.status, 200);
    world.later(Duration::from_secs(6 * 3600 - 30));
    // A list that is remembered for a minute.
    assert!(listed(&ada).await.iter().any(|tool| tool == "notes__whoami"));
    assert_eq!(ada.get("/http/keyed/x").await.status, 200);

    world.later(Duration::from_secs(30));
    let before = arrived(&world);
    for words in [
        ada.whoami("notes").await,
        text(&together(&ada, "tools/call", &json!({ "name": "notes__whoami" })).await).to_owned(),
        text(&together(&ada, "tools/call", &json!({ "name": "connect_notes" })).await).to_owned(),
    ] {
        assert!(words.contains("\"night\"") && words.contains(OPENS_AT), "{words}");
    }
    for method in ["initialize", "tools/list", "resources/list", "ping"] {
        let answer = said(&ada.mcp("notes", method, &json!({})).await);
        let words = answer.pointer("/error/message").and_then(Value::as_str);
        assert!(words.is_some_and(|words| words.contains("night")), "{method}: {answer}");
    }
    let left = listed(&ada).await;
    assert!(!left.iter().any(|tool| tool.contains("notes") || tool.contains("rooms")), "{left:?}");

    let refused = ada.get("/http/api/me").await;
    assert_eq!(refused.status, 403);
    let problem = refused.json().expect("JSON");
    assert!(refused.body.contains("/problems/closed-by-rule"), "{}", refused.body);
    assert_eq!((&problem["rule"], &problem["opens_at"]), (&json!("night"), &json!(OPENS_AT)));
    for name in ["api", "keyed"] {
        let verdict = vended(&ada, name).await;
        assert_eq!(verdict.status, 403, "{}", verdict.body);
        assert!(verdict.header("authorization").or(verdict.header("x-api-token")).is_none());
        world.program(ADA).witness.hear(&verdict);
    }
    #[cfg(feature = "ext-authz")]
    assert_eq!(crate::ext_authz::status_of(&world, EDGE, "api", &ada).await, 403);
    let socket = ada.raw_get("/http/keyed/socket", WEBSOCKET).await;
    assert_eq!(status(&socket), Some(403), "{socket}");
    assert_eq!(arrived(&world), before, "nothing of it reached an upstream");

    let counted = world.counted("attache_policy_denials_total").await;
    let api = "attache_policy_denials_total{upstream=\"api\",rule=\"night\"} ";
    assert!(counted.iter().any(|line| line.starts_with(api)), "{counted:?}");
    let denied =
        "audit_event WHERE action = 'deny' AND reason = 'policy_denied' AND server = 'api'";
    for _ in 0..100 {
        if world.count(denied).await > 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(world.count(denied).await > 1);

    world.later(13 * HOUR);
    assert_eq!(ada.whoami("notes").await, "You are ada at Sandbox Notes");
    world.end().await;
}

/// What was opened in time does not stay open: not a stream, and not a socket, of which the gateway
/// sees nothing any more.
#[tokio::test]
async fn what_is_open_ends_when_its_hour_comes() {
    let world = world().await;
    world.ada().await.connect("mail").await;
    let ada = program(&world, ADA);
    let listen = "Accept: text/event-stream\r\nX-Play: silent\r\n";
    let mut open = [
        ada.open("GET /mcp/rooms", listen).await,
        ada.open("GET /http/keyed/socket", WEBSOCKET).await,
    ];
    assert_eq!(open.each_ref().map(|stream: &Stream| status(&stream.head)), [Some(200), Some(101)]);
    world.later(6 * HOUR);
    // Whatever is news of their person makes the gateway look, as it does every 45 seconds.
    disconnect(&ada, "mail").await;
    for stream in &mut open {
        assert!(stream.ends_within(AT_ONCE * 4).await, "it is open at night");
    }
    world.end().await;
}

#[tokio::test]
async fn a_tool_is_closed_to_whom_a_rule_describes_and_is_not_listed() {
    let world = world().await;
    let mut visitor = world.ada().await;
    let script = holder(&world, &token(&mut visitor, EVERYTHING).await);
    let call = json!({ "name": "add_note", "arguments": { "text": "x" } });
    let before = arrived(&world);
    for call in [&call, &json!({ "name": "Add_Note" }), &json!({ "name": "add_note " })] {
        let answer = said(&script.mcp("notes", "tools/call", call).await);
        assert!(text(&answer).contains("\"no-scripts\""), "{answer}");
        assert_eq!(answer.pointer("/result/isError"), Some(&json!(true)));
    }
    let answer = together(&script, "tools/call", &json!({ "name": "notes__add_note" })).await;
    assert!(text(&answer).contains("\"no-scripts\""), "{answer}");
    assert_eq!(arrived(&world), before + 2, "but for a session, which it began for /mcp");
    assert!(!listed(&script).await.contains(&"notes__add_note".to_owned()));
    // The same person by another way, the moment after.
    assert!(listed(&program(&world, ADA)).await.contains(&"notes__add_note".to_owned()));
    let answer = said(&program(&world, ADA).mcp("notes", "tools/call", &call).await);
    assert!(!text(&answer).contains("no-scripts"), "{answer}");

    let delete = json!({ "name": "delete_draft" });
    let grace = said(&world.program(GRACE).mcp("guarded", "tools/call", &delete).await);
    assert!(text(&grace).contains("\"no-deletes\""), "{grace}");
    let ada = said(&world.program(ADA).mcp("guarded", "tools/call", &delete).await);
    assert!(!ada.to_string().contains("no-deletes"), "{ada}");
    world.end().await;
}

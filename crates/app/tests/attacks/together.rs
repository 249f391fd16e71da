//! One endpoint for all of a person's MCP servers: nobody finds more there than at each.

use std::time::Duration;

use attache_sandbox::{
    Page, Person,
    people::{ADA, GRACE},
};
use bytes::Bytes;
use http::{Method, StatusCode, header};
use serde_json::{Value, json};

use crate::{
    bare::SESSION_ID,
    program::Program,
    tokens::{holder, token},
    visitor::Visitor,
    world::{Surroundings, World},
};

/// One that nobody answers at, one whose name would divide its tools' wrongly, and one for engineers.
const MORE: &str = r#"
[[upstream]]
name = "secret"
url = "{bare}secret"
allow.groups = ["engineering"]

[[upstream]]
name = "dead"
url = "http://127.0.0.1:1/mcp"

[[upstream]]
name = "not__told"
url = "{mcp}"
"#;

async fn world() -> World {
    let surroundings = Surroundings { more: MORE.to_owned(), ..Surroundings::default() };
    World::among("sqlite:attache.db", surroundings).await
}

async fn ask(program: &Program, method: &str, params: &Value, more: &[(&str, &str)]) -> Page {
    let message = json!({ "jsonrpc": "2.0", "id": "a-1", "method": method, "params": params });
    let mut request = program
        .request(Method::POST, "/mcp")
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::ACCEPT, "application/json, text/event-stream");
    for (name, value) in more {
        request = request.header(*name, *value);
    }
    program.send(request.body(message.to_string().into()).expect("a request")).await
}

fn result(page: &Page) -> Value {
    assert_eq!(page.status, 200, "{}", page.body);
    let data = page.body.lines().filter_map(|line| line.strip_prefix("data: ")).next_back();
    let answer: Value = serde_json::from_str(data.unwrap_or(&page.body)).expect("JSON");
    assert_eq!(answer.get("id"), Some(&json!("a-1")), "{}", page.body);
    answer
}

async fn tools(program: &Program) -> Vec<String> {
    let list = result(&ask(program, "tools/list", &json!({}), &[]).await);
    let tools = list.pointer("/result/tools").and_then(Value::as_array).expect("tools");
    tools.iter().map(|tool| tool["name"].as_str().expect("a name").to_owned()).collect()
}

/// What a call of a tool says, or the code of its error.
async fn call(program: &Program, tool: &str) -> String {
    let answer = result(&ask(program, "tools/call", &json!({ "name": tool }), &[]).await);
    let text = answer.pointer("/result/content/0/text").and_then(Value::as_str);
    let code = || answer.pointer("/error/code").map(Value::to_string);
    text.map(str::to_owned).or_else(code).unwrap_or_default()
}

/// Of one upstream's tools.
fn of<'a>(tools: &'a [String], upstream: &str) -> Vec<&'a str> {
    let prefix = format!("{upstream}__");
    tools.iter().filter_map(|tool| tool.strip_prefix(&prefix)).collect()
}

async fn connect(world: &World, person: Person, upstream: &str) -> Visitor {
    let mut visitor = world.visitor(person).await;
    visitor.connect(upstream).await;
    visitor
}

#[tokio::test]
async fn each_person_finds_what_is_theirs_and_calls_as_themselves() {
    let world = world().await;
    let (ada, grace) = (world.program(ADA), world.program(GRACE));
    let hers = tools(&ada).await;
    for tool in ["connect_notes", "connect_vip", "connect_rooms", "connect_mail"] {
        assert!(hers.iter().any(|one| one == tool), "{hers:?}");
    }
    assert!(of(&hers, "dead").is_empty() && !hers.iter().any(|tool| tool.contains("not__told")));
    let theirs = tools(&grace).await;
    assert!(!theirs.iter().any(|tool| tool.contains("vip")), "{theirs:?}");

    let _ada = connect(&world, ADA, "notes").await;
    let hers = tools(&ada).await;
    assert_eq!(of(&hers, "notes"), ["whoami", "add_note", "list_notes", "slow_count"]);
    assert!(!hers.iter().any(|tool| tool == "connect_notes"), "{hers:?}");
    // Ada's list is Ada's, and so is what she connected.
    assert_eq!(tools(&grace).await, theirs);
    assert!(call(&grace, "notes__whoami").await.contains("/connect/notes"));
    assert!(call(&ada, "notes__whoami").await.contains(ADA.id));
    let _grace = connect(&world, GRACE, "notes").await;
    assert!(call(&grace, "notes__whoami").await.contains(GRACE.id));
    assert!(call(&ada, "notes__whoami").await.contains(ADA.id));
    assert!(call(&ada, "dead__anything").await.starts_with("dead: "));
    assert!(call(&ada, "connect_notes").await.contains("It is connected"));
    world.end().await;
}

#[tokio::test]
async fn what_is_not_ones_own_is_not_there() {
    let world = world().await;
    let grace = world.program(GRACE);
    let unknown = call(&grace, "nobody__whoami").await;
    assert_eq!(unknown, "-32602");
    for tool in [
        "vip__whoami", // for engineers
        "connect_vip",
        "vip-api__whoami", // no MCP server
        "api__whoami",
        "connect_api",
        "not__told__whoami",
        "notes@work__whoami",
        "NOTES__whoami",
        "../notes__whoami",
        "__whoami",
        "whoami",
        "",
    ] {
        assert_eq!(call(&grace, tool).await, unknown, "{tool}");
    }
    // Whom a header or two keys would take elsewhere.
    let params = json!({ "name": "guarded__read_a" });
    for header in [("mcp-name", "guarded__delete_all"), ("mcp-method", "tools/list")] {
        assert_eq!(ask(&grace, "tools/call", &params, &[header]).await.status, 400);
    }
    assert_eq!(
        ask(&grace, "tools/call", &params, &[("attache-account", "work")]).await.status,
        400
    );
    assert_eq!(world.bare.arrived().len(), 0);
    world.end().await;
}

/// The rules about tools, and about tokens that only read, are those of the upstream's own route.
#[tokio::test]
async fn what_is_closed_at_an_upstream_is_closed_here() {
    let world = world().await;
    let (ada, grace) = (world.program(ADA), world.program(GRACE));
    assert_eq!(of(&tools(&ada).await, "guarded"), ["read_a", "delete_all"]);
    assert_eq!(of(&tools(&grace).await, "guarded"), ["read_a"]);
    for (tool, is_open) in [
        ("read_a", true),
        ("delete_all", false),
        ("read_secret", false),
        ("READ_SECRET", false),
        ("read_secret ", false),
    ] {
        let said = call(&grace, &format!("guarded__{tool}")).await;
        let arrived = world.bare.arrived();
        let has_arrived = arrived.iter().any(|one| one.body.contains(&format!("\"{tool}\"")));
        assert_eq!((has_arrived, said == "-32602"), (is_open, !is_open), "{tool}: {said}");
    }

    let mut visitor = world.ada().await;
    visitor.connect("notes").await;
    let looks = "name=b&reach=servers&server=notes&access=look&days=1";
    let reader = holder(&world, &token(&mut visitor, looks).await);
    assert_eq!(tools(&reader).await.len(), 4, "its one server's tools");
    let before = world.mcp.recorder().arrived();
    let refused = ask(&reader, "tools/call", &json!({ "name": "notes__add_note" }), &[]).await;
    assert_eq!(refused.status, 403, "{}", refused.body);
    let arrived = world.mcp.recorder().arrived() - before;
    assert!(arrived <= 3, "nothing but a session begun and ended");
    world.end().await;
}

#[tokio::test]
async fn a_token_for_all_opens_nothing_beside_and_one_for_one_opens_no_other() {
    let world = world().await;
    let _ada = connect(&world, ADA, "notes").await;
    let of = |path: &str| {
        let audience = format!("{}{path}", world.origin.origin().ascii_serialization());
        let token = world.idp.access_token(ADA.id, &audience, Duration::from_hours(1));
        world.program_with(&token.expect("the identity provider knows her"))
    };
    let (all, notes, mail) = (of("/mcp"), of("/mcp/notes"), of("/mcp/mail"));
    assert!(call(&all, "notes__whoami").await.contains(ADA.id));
    for path in ["/api/v1/user/credentials", "/http/api/", "/mcp/notes", "/mcp/mail"] {
        let refused = all.get(path).await;
        assert_eq!(refused.status, 401, "{path}: {}", refused.body);
    }
    assert!(call(&notes, "notes__whoami").await.contains(ADA.id));
    assert_eq!(call(&notes, "mail__whoami").await, "-32602");
    assert_eq!(call(&mail, "notes__whoami").await, "-32602");
    assert_eq!(tools(&mail).await, ["connect_mail"]);
    // Where to sign in for it, and nothing more, is said to strangers.
    let stranger = world.program_with("of-nobody-that-is-known");
    let refused = ask(&stranger, "tools/list", &json!({}), &[]).await;
    assert_eq!(refused.status, 401);
    let challenge = refused.headers["www-authenticate"].to_str().expect("text");
    assert!(challenge.contains("/.well-known/oauth-protected-resource/mcp\""), "{challenge}");
    let metadata = stranger.get("/.well-known/oauth-protected-resource/mcp").await;
    let resource = metadata.json().expect("JSON")["resource"].clone();
    assert_eq!(resource, format!("{}/mcp", world.origin.origin().ascii_serialization()));
    world.end().await;
}

#[tokio::test]
async fn a_session_is_one_persons() {
    let world = world().await;
    let (ada, grace) = (world.program(ADA), world.program(GRACE));
    let _ada = connect(&world, ADA, "notes").await;
    let begun = ask(&ada, "initialize", &json!({ "protocolVersion": "2025-06-18" }), &[]).await;
    assert_eq!(result(&begun)["result"]["protocolVersion"], "2025-06-18");
    let id = begun.headers["mcp-session-id"].to_str().expect("text").to_owned();
    let given = [("mcp-session-id", id.as_str())];
    let whoami = json!({ "name": "notes__whoami" });
    assert_eq!(ask(&ada, "tools/call", &whoami, &given).await.status, 200);
    assert_eq!(ask(&grace, "tools/call", &whoami, &given).await.status, 404);
    let cut = [("mcp-session-id", &id[1..])];
    assert_eq!(ask(&ada, "tools/call", &whoami, &cut).await.status, 404);
    // Nor is it a session of an upstream's own route, or one of theirs a session here.
    let request = ada.request(Method::POST, "/mcp/rooms").header("mcp-session-id", &id);
    let _rooms = connect(&world, ADA, "rooms").await;
    assert_eq!(ada.send(request.body("{}".into()).unwrap()).await.status, 404);
    world.end().await;
}

/// What a session keeps at an upstream is there at the next call, and gone when it is ended; an
/// upstream that forgot it costs nobody their client.
#[tokio::test]
async fn an_upstreams_session_is_as_long_as_the_callers() {
    let world = world().await;
    let ada = world.program(ADA);
    let begun = ask(&ada, "initialize", &json!({ "protocolVersion": "2025-11-25" }), &[]).await;
    let id = begun.headers["mcp-session-id"].to_str().expect("text").to_owned();
    assert!(!id.contains(SESSION_ID));
    let given = [("mcp-session-id", id.as_str())];
    let read = json!({ "name": "guarded__read_a" });
    let said = || -> Vec<String> {
        let arrived = world.bare.arrived();
        let of_it = arrived.iter().filter(|one| one.target == "/guarded");
        let said = of_it.map(|one| {
            assert_eq!(
                one.all("mcp-session-id").len(),
                usize::from(!one.body.contains("initialize\""))
            );
            let message: Value = serde_json::from_str(&one.body).unwrap_or_default();
            message["method"].as_str().unwrap_or("DELETE").to_owned()
        });
        said.collect()
    };
    let first = ["initialize", "notifications/initialized"];
    assert_eq!(said(), first);
    for _ in 0..2 {
        assert_eq!(ask(&ada, "tools/call", &read, &given).await.status, 200);
    }
    assert_eq!(said()[2..], ["tools/call"; 2]);
    let message = json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": {} });
    let cancel = ada
        .request(Method::POST, "/mcp")
        .header(header::CONTENT_TYPE, "application/json")
        .header("mcp-session-id", &id);
    let cancelled = ada.send(cancel.body(message.to_string().into()).expect("a request")).await;
    assert_eq!(cancelled.status, 202);
    assert_eq!(said()[4..], ["notifications/cancelled"]);

    for status in [StatusCode::NOT_FOUND, StatusCode::INTERNAL_SERVER_ERROR] {
        world.bare.challenge(status, "forgotten");
        let answer = ask(&ada, "tools/call", &read, &given).await;
        let ended = [StatusCode::NOT_FOUND, StatusCode::UNAUTHORIZED].contains(&answer.status);
        assert!(!ended, "the caller's own session goes on: {}", answer.status);
    }
    world.bare.relent();
    // 400 is said of a session that is over, and of a call that was begun: none is begun twice.
    for (refusals, status, methods) in [
        (1, 400, &["tools/call", "ping"][..]),
        (2, 200, &["tools/call", "ping", "initialize", "notifications/initialized", "tools/call"]),
    ] {
        let before = said().len();
        world.bare.refuse_next_with(StatusCode::BAD_REQUEST, refusals);
        assert_eq!(ask(&ada, "tools/call", &read, &given).await.status, status);
        assert_eq!(said()[before..][..methods.len()], *methods);
    }
    until(|| said().last().is_some_and(|last| last == "DELETE")).await;
    let before = said().len();
    // Without a session of theirs it is one for the call.
    assert_eq!(ask(&ada, "tools/call", &read, &[]).await.status, 200);
    let end = ada.request(Method::DELETE, "/mcp").header("mcp-session-id", &id);
    assert_eq!(ada.send(end.body(Bytes::new()).expect("a request")).await.status, 204);
    until(|| said().len() >= before + 5).await;
    let all = [&first[..], &["tools/call", "DELETE", "DELETE"]].concat();
    assert_eq!(said()[before..], all);
    world.end().await;
}

/// Waits a moment for what comes by itself.
async fn until(has_come: impl Fn() -> bool) {
    for _ in 0..50 {
        if has_come() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// All lists together are as large as a body that is held: few at once, of one person fewer still.
#[tokio::test]
async fn who_takes_no_lists_keeps_none_in_memory() {
    const AT_ONCE: Duration = Duration::from_secs(3);
    let large =
        |number| format!("\n[[upstream]]\nname = \"large{number}\"\nurl = \"{{bare}}large\"\n");
    let more = (0..4).map(large).collect();
    let world =
        World::among("sqlite:attache.db", Surroundings { more, ..Surroundings::default() }).await;
    let (ada, grace) = (world.program(ADA), world.program(GRACE));
    let list = json!({ "jsonrpc": "2.0", "id": "a-1", "method": "tools/list" }).to_string();
    // What is sent with a request is not held while it waits for answers.
    let words = json!({ "words": "x".repeat(100 * 1024) });
    for method in ["tools/list", "initialize", "resources/list"] {
        assert_eq!(ask(&ada, method, &words, &[]).await.status, 413, "{method}");
    }
    assert_eq!(world.bare.arrived().len(), 0);

    // From here on the gateway knows the lists.
    let request = |program: &Program| {
        let (host, token, size) = (program.origin.authority(), &program.token, list.len());
        format!(
            "POST /mcp HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nContent-Length: {size}\r\nConnection: close\r\n\r\n\
             {list}"
        )
    };
    for program in [&ada, &grace] {
        let answer = program.raw(&request(program)).await;
        assert!(answer.len() > 4_000_000, "{}", answer.len());
    }
    let mut taken = Vec::new();
    for _ in 0..9 {
        taken.push(ada.raw_and_take_nothing(&request(&ada)).await);
    }
    let asked = async |program: &Program| {
        let request = request(program);
        tokio::time::timeout(AT_ONCE, program.raw(&request)).await.is_ok()
    };
    assert!(asked(&grace).await, "nobody else waits");
    assert!(!asked(&ada).await, "hers are not taken");
    taken.clear();
    assert!(asked(&ada).await, "and now they are");
    world.end().await;
}

/// 2026-07-28, by upstreams of the revisions before.
#[tokio::test]
async fn a_caller_of_a_later_revision_is_answered_in_it() {
    let world = world().await;
    let _ada = connect(&world, ADA, "notes").await;
    let ada = world.program(ADA);
    let meta =
        json!({ "io.modelcontextprotocol/protocolVersion": "2026-07-28", "progressToken": 7 });
    let says = async |method: &str, name: &str, more: &Value| {
        let mut params = more.clone();
        params["_meta"] = meta.clone();
        let mut headers = vec![("mcp-protocol-version", "2026-07-28"), ("mcp-method", method)];
        if !name.is_empty() {
            params["name"] = json!(name);
            headers.push(("mcp-name", name));
        }
        ask(&ada, method, &params, &headers).await
    };
    let none = json!({});
    let discovered = says("server/discover", "", &none).await;
    assert!(discovered.headers.get("mcp-session-id").is_none());
    assert_eq!(result(&discovered)["result"]["supportedVersions"], json!(["2026-07-28"]));
    let list = result(&says("tools/list", "", &none).await)["result"].clone();
    assert_eq!((&list["ttlMs"], &list["cacheScope"]), (&json!(0), &json!("private")));
    for (name, arguments) in [
        ("notes__whoami", json!({})),
        ("notes__slow_count", json!({ "arguments": { "to": 3, "pause_ms": 1 } })),
        ("connect_mail", json!({})),
        ("mail__anything", json!({})),
    ] {
        let answer = says("tools/call", name, &arguments).await;
        assert_eq!(result(&answer)["result"]["resultType"], "complete", "{}", answer.body);
        let progress = answer.body.matches("\"progressToken\":7").count();
        assert_eq!(progress, if name.ends_with("count") { 3 } else { 0 });
    }
    for method in ["initialize", "ping", "logging/setLevel"] {
        let answer = says(method, "", &none).await;
        assert_eq!(answer.status, 404);
        assert!(answer.body.contains("-32601"), "{}", answer.body);
    }
    assert!(ask(&ada, "tools/list", &json!({ "_meta": meta }), &[]).await.body.contains("-32020"));
    world.end().await;
}

/// Prompts and resources are as far apart as tools.
#[tokio::test]
async fn what_is_read_is_ones_own_too() {
    let world = world().await;
    let (ada, grace) = (world.program(ADA), world.program(GRACE));
    let lists = async |of: &Program, method: &str, pointer: &str, key: &str| {
        let list = result(&ask(of, method, &json!({}), &[]).await);
        let listed = list.pointer(pointer).and_then(Value::as_array).expect("a list").clone();
        listed.iter().map(|one| one[key].as_str().expect("a name").to_owned()).collect::<Vec<_>>()
    };
    for (program, servers) in [(&ada, &["guarded", "secret"][..]), (&grace, &["guarded"])] {
        let prompts = lists(program, "prompts/list", "/result/prompts", "name").await;
        let expected: Vec<String> = servers.iter().map(|name| format!("{name}__greet")).collect();
        assert_eq!(prompts, expected);
        let resources = lists(program, "resources/list", "/result/resources", "uri").await;
        let uri = |name: &&str| format!("attache://{name}/file:///a");
        assert_eq!(resources, servers.iter().map(uri).collect::<Vec<_>>());
    }
    let read = async |of: &Program, method: &str, params: Value| {
        let answer = result(&ask(of, method, &params, &[]).await);
        let code = answer.pointer("/error/code").and_then(Value::as_i64);
        code.map_or_else(|| "answered".to_owned(), |code| code.to_string())
    };
    let completes = |name: &str| json!({ "ref": { "type": "ref/prompt", "name": name } });
    for (method, params, expected) in [
        ("resources/read", json!({ "uri": "attache://guarded/file:///a" }), "answered"),
        ("prompts/get", json!({ "name": "guarded__greet" }), "answered"),
        ("completion/complete", completes("guarded__greet"), "answered"),
        ("resources/read", json!({ "uri": "attache://secret/file:///a" }), "-32602"),
        ("prompts/get", json!({ "name": "secret__greet" }), "-32602"),
        ("completion/complete", completes("secret__greet"), "-32602"),
        ("resources/read", json!({ "uri": "attache://nobody/file:///a" }), "-32602"),
        ("resources/read", json!({ "uri": "file:///a" }), "-32602"),
        ("resources/read", json!({ "uri": "attache://../secret/file:///a" }), "-32602"),
        ("resources/subscribe", json!({ "uri": "attache://guarded/file:///a" }), "-32601"),
        ("logging/setLevel", json!({ "level": "debug" }), "-32601"),
    ] {
        assert_eq!(read(&grace, method, params).await, expected, "{method}");
    }
    let arrived = world.bare.arrived();
    let of_secret = arrived.iter().filter(|one| one.target == "/secret");
    assert!(of_secret.count() > 0, "Ada's lists came from there");
    let asked: Vec<_> =
        arrived.iter().filter(|one| one.body.contains("\"resources/read\"")).collect();
    assert_eq!(asked.len(), 1);
    assert!(asked[0].body.contains("\"file:///a\"") && asked[0].target == "/guarded");
    let told = ask(&grace, "prompts/get", &json!({ "name": "mail__x" }), &[]).await;
    assert!(told.body.contains("/connect/mail"), "{}", told.body);
    world.end().await;
}

/// Another account than the first is named with its upstream, and is nobody else's.
#[tokio::test]
async fn an_account_is_chosen_with_its_upstream() {
    let world = world().await;
    let mut visitor = world.ada().await;
    visitor.connect("rooms").await;
    visitor.connect("rooms@work").await;
    world.grace().await.connect("rooms").await;
    let (ada, grace) = (world.program(ADA), world.program(GRACE));
    let read = json!({ "name": "rooms__read_a" });
    let mut sent = Vec::new();
    let work = ("attache-account", "rooms@work");
    for headers in [&[][..], &[work], &[]] {
        assert_eq!(ask(&ada, "tools/call", &read, headers).await.status, 200);
        let called = world.bare.arrived().into_iter().rfind(|one| one.body.contains("read_a"));
        let called = called.expect("it arrived");
        sent.push(called.all("authorization").join(" "));
        assert!(called.all("attache-account").is_empty());
    }
    assert!(sent[0] == sent[2] && sent[0] != sent[1], "{}", sent.len());
    let told = ask(&grace, "tools/call", &read, &[work]).await;
    assert!(told.body.contains("/connect/rooms@work"), "{}", told.body);
    for given in ["work", "rooms", "rooms@work,rooms@home", "rooms@work, ", "../x@y"] {
        let refused = ask(&ada, "tools/call", &read, &[("attache-account", given)]).await;
        assert_eq!(refused.status, 400, "{given}");
    }
    world.end().await;
}

/// One that says nothing costs a moment, and not each time.
#[tokio::test]
async fn a_silent_upstream_is_not_waited_for() {
    const SILENT: &str = "\n[[upstream]]\nname = \"silent\"\nurl = \"{bare}silent\"\n";
    let surroundings = Surroundings { more: SILENT.to_owned(), ..Surroundings::default() };
    let world = World::among("sqlite:attache.db", surroundings).await;
    let ada = world.program(ADA);
    for patience in [Duration::from_secs(10), Duration::from_secs(2)] {
        let listed = tokio::time::timeout(patience, tools(&ada)).await;
        assert!(!of(&listed.expect("the others are listed"), "guarded").is_empty());
    }
    world.end().await;
}

//! Keys that people bring themselves: whose they are, where they go, and what of them is seen.

use attache_sandbox::{
    Page,
    people::{ADA, GRACE},
};
use bytes::Bytes;
use http::{Method, Request, header};
use serde_json::json;

use crate::{
    offboarding::disconnect,
    tokens::{EVERYTHING, holder, token},
    visitor::Visitor,
    world::{Surroundings, World},
};

const WEATHER: &str = r#"
[[upstream]]
name = "weather"
url = "{bare}weather"
protocol = "http"
[upstream.auth_broker]
mode = "api_key"
header = "X-Api-Key"
header_format = "{token}"

[[upstream]]
name = "tools"
url = "{bare}tools"
protocol = "streamable-http"
[upstream.auth_broker]
mode = "api_key"
key_kind = "basic"
"#;

async fn world() -> World {
    let surroundings = Surroundings { more: WEATHER.to_owned(), ..Surroundings::default() };
    World::among("sqlite:attache.db", surroundings).await
}

/// As the form of the page sends it.
async fn enter(visitor: &mut Visitor, upstream: &str, body: &'static str) -> Page {
    let action = format!("/connect/{upstream}/key");
    let page = visitor.visit(&format!("/connect/{upstream}")).await;
    assert!(page.forms().iter().any(|form| form.action.path() == action), "{}", page.body);
    let own = visitor.url("/").origin().ascii_serialization();
    let request = Request::builder()
        .method(Method::POST)
        .uri(visitor.url(&action).as_str())
        .header(header::ORIGIN, own)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Bytes::from_static(body.as_bytes()));
    visitor.send(request.expect("a request")).await
}

#[tokio::test]
async fn a_key_serves_its_owner_alone_and_is_seen_nowhere() {
    let world = world().await;
    world.keep_secret("adas-own-key-1");
    world.keep_secret("graces-own-key-2");
    let (mut ada, mut grace) = (world.ada().await, world.grace().await);
    assert_eq!(enter(&mut ada, "weather", "api_key=adas-own-key-1").await.status, 303);
    assert_eq!(enter(&mut grace, "weather", "api_key=graces-own-key-2").await.status, 303);
    for (person, key) in [(ADA, "adas-own-key-1"), (GRACE, "graces-own-key-2")] {
        // A key of the caller's own is not the one that arrives.
        let smuggled = [("x-api-key", "callers-word"), ("x_api_key", "callers-word")];
        let page = world.program(person).get_with("/http/weather/today", &smuggled).await;
        assert_eq!(page.status, 200, "{}", page.body);
        let arrived = world.bare.arrived().pop().unwrap();
        assert_eq!(
            (arrived.target.as_str(), arrived.all("x-api-key")),
            ("/weather/today", vec![key])
        );
        assert_eq!(arrived.all("authorization"), Vec::<&str>::new());
        assert_eq!(arrived.all("x_api_key"), Vec::<&str>::new());
        assert_eq!(world.status(person, "weather").await, "connected");
    }
    world.end().await;
}

/// An upstream that had keys and has consents now: what is ended there are consents.
#[tokio::test]
async fn a_key_is_shown_to_no_authorization_server() {
    const KEY: &str = "adas-own-key-1";
    let mut world = world().await;
    world.keep_secret(KEY);
    let mut ada = world.ada().await;
    assert_eq!(enter(&mut ada, "weather", "api_key=adas-own-key-1").await.status, 303);
    world.surroundings.more = WEATHER.replacen(
        "mode = \"api_key\"\nheader = \"X-Api-Key\"\nheader_format",
        "{broker}header_format",
        1,
    );
    world.restart().await;
    assert_eq!(world.status(ADA, "weather").await, "not_connected");
    disconnect(&world.program(ADA), "weather").await;
    assert_eq!(world.count("credential").await, 0);
    assert!(!world.notes.recorder().mentions(KEY), "it was sent to be revoked");
    world.end().await;
}

/// A pair, for MCP; and an assistant that is told a key has nowhere to put it.
#[tokio::test]
async fn an_assistant_is_sent_to_the_page_and_brings_no_key() {
    let world = world().await;
    world.keep_secret("open+sesame");
    world.keep_secret("QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    let program = world.program(ADA);
    let told = program.whoami("tools").await;
    assert!(told.contains(&format!("{}connect/tools", world.origin)), "{told}");
    let arguments = json!({ "name": "connect_tools",
        "arguments": { "username": "Aladdin", "password": "open sesame" } });
    program.mcp("tools", "tools/call", &arguments).await;
    assert_eq!(world.status(ADA, "tools").await, "not_connected");
    assert_eq!(world.bare.arrived().len(), 0);

    let mut ada = world.ada().await;
    let entered = enter(&mut ada, "tools", "username=Aladdin&password=open+sesame").await;
    assert_eq!(entered.status, 303, "{}", entered.body);
    let tested = world.bare.arrived().pop().unwrap();
    assert!(tested.body.contains("\"ping\""), "{}", tested.body);
    program.mcp("tools", "tools/list", &json!({})).await;
    let arrived = world.bare.arrived().pop().unwrap();
    assert_eq!(arrived.all("authorization"), ["Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="]);
    world.end().await;
}

#[tokio::test]
async fn a_key_that_is_refused_is_not_kept_and_takes_no_others_place() {
    let mut world = world().await;
    for key in ["first-key-of-ada", "wrong-key-of-ada"] {
        world.keep_secret(key);
    }
    let mut ada = world.ada().await;
    world.bare.refuse_next(1);
    let refused = enter(&mut ada, "weather", "api_key=wrong-key-of-ada").await;
    assert_eq!(refused.status, 422);
    assert!(refused.body.contains("does not accept the key"), "{}", refused.body);
    assert_eq!(world.count("credential").await, 0);

    assert_eq!(enter(&mut ada, "weather", "api_key=first-key-of-ada").await.status, 303);
    world.bare.refuse_next(1);
    assert_eq!(enter(&mut ada, "weather", "api_key=wrong-key-of-ada").await.status, 422);
    world.program(ADA).get("/http/weather/today").await;
    let arrived = world.bare.arrived().pop().unwrap();
    assert_eq!(arrived.all("x-api-key"), ["first-key-of-ada"]);

    // The upstream takes it no more: the person is told, and the key is sent no more.
    world.bare.refuse_next(1);
    let told = world.program(ADA).get("/http/weather/today").await;
    assert_eq!(told.status, 403, "{}", told.body);
    assert!(told.body.contains("does not accept the key"), "{}", told.body);
    assert_eq!(world.status(ADA, "weather").await, "needs_reconnect: key_refused");
    let before = world.bare.arrived().len();
    assert_eq!(world.program(ADA).get("/http/weather/today").await.status, 403);
    assert_eq!(world.bare.arrived().len(), before);
    assert_eq!(enter(&mut ada, "weather", "api_key=first-key-of-ada").await.status, 303);
    assert_eq!(world.program(ADA).get("/http/weather/today").await.status, 200);

    world.restart().await;
    assert_eq!(world.program(ADA).get("/http/weather/today").await.status, 200);
    world.end().await;
}

/// Whoever has a token of hers would receive whatever is sent with the key that they plant.
#[tokio::test]
async fn a_token_plants_no_key() {
    let world = world().await;
    world.keep_secret("adas-own-key-1");
    let mut ada = world.ada().await;
    assert_eq!(enter(&mut ada, "weather", "api_key=adas-own-key-1").await.status, 303);
    let script = holder(&world, &token(&mut ada, EVERYTHING).await);
    let path = "/api/v1/user/credentials/weather";
    let planted = Bytes::from_static(br#"{"api_key":"eves-own-key"}"#);
    for program in [&script, &world.program(ADA)] {
        for path in [path, "/connect/weather/key"] {
            let method = if path.starts_with("/api/") { Method::PUT } else { Method::POST };
            let request = program
                .request(method, path)
                .header(header::CONTENT_TYPE, "application/json")
                .body(planted.clone());
            let refused = program.send(request.unwrap()).await;
            assert_eq!(refused.status, 403, "{path} {}", refused.body);
        }
    }
    // Nor does another site, in her own browser.
    for (name, value) in [("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")] {
        let request = Request::put(ada.url(path).as_str())
            .header(name, value)
            .header(header::CONTENT_TYPE, "application/json")
            .body(planted.clone());
        assert_eq!(ada.send(request.unwrap()).await.status, 403, "{name}");
    }
    let request = Request::put(ada.url(path).as_str())
        .header(header::CONTENT_TYPE, "application/json")
        .body(planted);
    assert_eq!(world.stranger(ADA).send(request.unwrap()).await.status, 401);
    world.program(ADA).get("/http/weather/today").await;
    assert_eq!(world.bare.arrived().pop().unwrap().all("x-api-key"), ["adas-own-key-1"]);
    world.end().await;
}

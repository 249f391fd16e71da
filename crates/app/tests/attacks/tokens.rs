//! Personal access tokens, and sign-ins that are ended from afar.

use std::time::Duration;

use attache_sandbox::{
    Page,
    people::{ADA, GRACE},
};
use bytes::Bytes;
use http::{Method, Request, header};
use serde_json::{Value, json};

use crate::{
    offboarding::{AT_ONCE, Replicas},
    postgres::Cluster,
    program::{Program, status},
    streams::WEBSOCKET,
    visitor::Visitor,
    world::World,
};

pub(crate) const EVERYTHING: &str = "name=a+script&reach=everything&access=act&days=30";

pub(crate) async fn post(who: &mut Visitor, path: &str, form: &str) -> Page {
    let url = who.url(path);
    let request = Request::post(url.as_str())
        .header(header::ORIGIN, url.origin().ascii_serialization())
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Bytes::from(form.to_owned()));
    who.send(request.expect("a request")).await
}

/// Makes a token as a person does, and takes it from the page.
pub(crate) async fn token(who: &mut Visitor, form: &str) -> String {
    let page = post(who, "/ui/tokens", form).await;
    assert_eq!(page.status, 200, "{}", page.body);
    assert_eq!(page.header("cache-control"), Some("no-store"));
    let (_, rest) = page.body.split_once("attp_").expect("it is shown");
    let token: String = rest.chars().take_while(char::is_ascii_alphanumeric).collect();
    format!("attp_{token}")
}

pub(crate) fn holder(world: &World, token: &str) -> Program {
    // The page that made it is the one answer that may have it; see `kept_nowhere`.
    Program { token: token.to_owned(), ..world.program(ADA) }
}

pub(crate) async fn ids(program: &Program, kind: &str) -> Vec<String> {
    let listed = program.get(&format!("/api/v1/user/{kind}")).await;
    let listed = listed.json().unwrap_or_else(|| unreachable!("{}", listed.body));
    let one = listed.get(kind).and_then(Value::as_array).expect("a list");
    one.iter().map(|one| one["id"].as_str().expect("an id").to_owned()).collect()
}

#[tokio::test]
async fn a_token_opens_what_it_was_made_for() {
    let world = World::new().await;
    let mut ada = world.ada().await;
    for upstream in ["notes", "api", "rooms"] {
        ada.connect(upstream).await;
    }
    let all = holder(&world, &token(&mut ada, EVERYTHING).await);
    assert_eq!(all.whoami("notes").await, "You are ada at Sandbox Notes");
    assert_eq!(all.get("/http/api/me").await.status, 200);
    assert_eq!(all.get("/api/v1/user/credentials").await.status, 200);

    let some = "name=b&reach=servers&server=notes&server=api&access=look&days=1";
    let some = holder(&world, &token(&mut ada, some).await);
    assert_eq!(some.mcp("notes", "tools/list", &json!({})).await.status, 200);
    assert_eq!(some.get("/http/api/me").await.status, 200);
    // Elsewhere it is no token.
    for path in ["/mcp/rooms", "/mcp/vip", "/mcp/nothing", "/http/keyed", "/api/v1/user/tokens"] {
        let answer = some.get(path).await;
        assert_eq!(answer.status, 401, "{path}");
        assert!(answer.header("www-authenticate").unwrap().contains("invalid_token"), "{path}");
    }
    // And it does not act.
    let before = world.mcp.recorder().arrived() + world.api.recorder().arrived();
    for (method, params) in [
        ("tools/call", json!({ "name": "whoami" })),
        ("tools/new", json!({})),
        ("elicitation/create", json!({})),
    ] {
        let answer = some.mcp("notes", method, &params).await;
        assert_eq!(answer.status, 403, "{method}");
        let challenge = answer.header("www-authenticate").unwrap();
        assert!(challenge.contains("insufficient_scope"), "{challenge}");
    }
    // Nor does it answer what a server asks, such as whether its owner agrees.
    let yes = r#"{"jsonrpc":"2.0","id":7,"result":{"action":"accept","content":{}}}"#;
    let request = some.request(Method::POST, "/mcp/notes");
    let request = request.header(header::CONTENT_TYPE, "application/json");
    assert_eq!(some.send(request.body(yes.into()).unwrap()).await.status, 403);
    for header in ["x-http-method-override", "X_HTTP_Method_Override"] {
        let overridden = some.get_with("/http/api/me", &[(header, "DELETE")]).await;
        assert_eq!(overridden.status, 403, "{header}");
    }
    let socket = some.raw_get("/http/api/socket", WEBSOCKET).await;
    assert_eq!(status(&socket), Some(403), "what is said on it nobody sees: {socket}");
    for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
        let request = some.request(method.clone(), "/http/api/notes").body(Bytes::new());
        assert_eq!(some.send(request.unwrap()).await.status, 403, "{method}");
    }
    assert_eq!(world.mcp.recorder().arrived() + world.api.recorder().arrived(), before);
    let looks = "name=c&reach=everything&access=look&days=1";
    let looks = holder(&world, &token(&mut ada, looks).await);
    let delete = looks.request(Method::DELETE, "/api/v1/user/credentials/notes");
    assert_eq!(looks.send(delete.body(Bytes::new()).unwrap()).await.status, 403);
    assert_eq!(world.status(ADA, "notes").await, "connected");
    kept_nowhere(&world, &[&all.token, &some.token, &looks.token]);
    world.end().await;
}

/// Nor by another site's form, nor with a body that no person fills in.
#[tokio::test]
async fn a_token_makes_no_other() {
    let world = World::new().await;
    let mut ada = world.ada().await;
    let all = holder(&world, &token(&mut ada, EVERYTHING).await);
    for program in [&all, &world.program(ADA)] {
        for path in ["/ui/tokens", "/api/v1/user/tokens"] {
            let request = program
                .request(Method::POST, path)
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(Bytes::from_static(EVERYTHING.as_bytes()));
            let answer = program.send(request.unwrap()).await;
            assert!([401, 403, 405].contains(&answer.status.as_u16()), "{path} {}", answer.status);
        }
    }
    for (name, value) in [("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")] {
        let request = Request::post(ada.url("/ui/tokens").as_str())
            .header(name, value)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Bytes::from_static(EVERYTHING.as_bytes()));
        assert_eq!(ada.send(request.unwrap()).await.status, 403);
    }
    for form in [
        "",
        "name=&reach=everything&days=30",
        "name=a&reach=servers&days=30",
        "name=a&reach=servers&server=../x&days=30",
        "name=a&reach=everything&days=0",
        "name=a&reach=everything&days=366",
        "name=a%0Ab&reach=everything&days=30",
        &format!("name={}&reach=everything&days=30", "a".repeat(65)),
    ] {
        assert_eq!(post(&mut ada, "/ui/tokens", form).await.status, 422, "{form}");
    }
    let markup = "name=%3Cscript%3Ealert(1)%3C/script%3E&days=0";
    assert!(!post(&mut ada, "/ui/tokens", markup).await.body.contains("<script"));
    assert_eq!(world.count("personal_token").await, 1);

    for number in 1..50 {
        let form = format!("name={number}&reach=everything&access=act&days=1");
        assert_eq!(post(&mut ada, "/ui/tokens", &form).await.status, 200, "{number}");
    }
    assert_eq!(post(&mut ada, "/ui/tokens", EVERYTHING).await.status, 422, "there is a bound");
    world.later(Duration::from_hours(25));
    assert_eq!(world.program(ADA).get("/api/v1/user/tokens").await.status, 200);
    world.end().await;
}

#[tokio::test]
async fn a_token_ends_when_its_owner_says_and_in_time() {
    let world = World::new().await;
    let mut ada = world.ada().await;
    let mut grace = world.grace().await;
    ada.connect("notes").await;
    let first = holder(&world, &token(&mut ada, EVERYTHING).await);
    let second = holder(&world, &token(&mut ada, EVERYTHING).await);
    let greeting = "You are ada at Sandbox Notes";
    for program in [&first, &second] {
        assert_eq!(program.whoami("notes").await, greeting);
    }
    let listed = ids(&first, "tokens").await;
    let [_, oldest] = listed.as_slice() else { unreachable!("two: {listed:?}") };

    // Nobody else's hand.
    assert_eq!(post(&mut grace, &format!("/ui/tokens/{oldest}/revoke"), "").await.status, 404);
    let theirs = world.program(GRACE);
    let path = format!("/api/v1/user/tokens/{oldest}");
    let request = theirs.request(Method::DELETE, &path).body(Bytes::new());
    assert_eq!(theirs.send(request.unwrap()).await.status, 404);
    assert_eq!(ids(&theirs, "tokens").await.len(), 0);
    assert_eq!(first.whoami("notes").await, greeting);

    // At once, although it was checked a moment ago.
    assert_eq!(post(&mut ada, &format!("/ui/tokens/{oldest}/revoke"), "").await.status, 303);
    let revoked = [&first, &second];
    let mut refused = 0;
    for program in revoked {
        refused += u32::from(program.get("/api/v1/user/credentials").await.status == 401);
    }
    assert_eq!(refused, 1, "the one that was revoked, and not the other");

    // A word that is none of ours is not looked up, and a good one ends.
    for wrong in ["attp_", "attp_00000000000000000000000000000000000000", "attp_x.y.z"] {
        assert_eq!(holder(&world, wrong).get("/api/v1/user/credentials").await.status, 401);
    }
    world.later(Duration::from_hours(31 * 24));
    for program in revoked {
        assert_eq!(program.get("/api/v1/user/credentials").await.status, 401);
    }
    kept_nowhere(&world, &[&first.token, &second.token]);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_token_is_none_on_every_replica() {
    let cluster = Cluster::start();
    let replicas = Replicas::on(&cluster).await;
    let mut ada = replicas.world.ada().await;
    ada.connect("rooms").await;
    let [revoked, kept] = [token(&mut ada, EVERYTHING).await, token(&mut ada, EVERYTHING).await];
    let holders =
        replicas.programs(ADA).map(|program| Program { token: revoked.clone(), ..program });
    let others = replicas.programs(ADA).map(|program| Program { token: kept.clone(), ..program });
    let mut streams = Vec::new();
    let listen = "Accept: text/event-stream\r\nX-Play: silent\r\n";
    for program in holders.iter().chain(&others) {
        let stream = program.open("GET /mcp/rooms", listen).await;
        assert!(stream.head.starts_with("HTTP/1.1 200"), "{}", stream.head);
        streams.push(stream);
    }

    let [_, first] = <[String; 2]>::try_from(ids(&others[0], "tokens").await).expect("two");
    assert_eq!(post(&mut ada, &format!("/ui/tokens/{first}/revoke"), "").await.status, 303);
    let mut ended = 0;
    for stream in &mut streams {
        ended += u32::from(stream.ends_within(AT_ONCE).await);
    }
    assert_eq!(ended, 2, "on both, and of this token alone");
    let mut open = 0;
    for program in holders.iter().chain(&others) {
        open += u32::from(program.get("/api/v1/user/tokens").await.status == 200);
    }
    assert_eq!(open, 2);
    drop(streams);
    replicas.end().await;
}

/// Whoever finds a browser still signed in elsewhere ends it, and only their own.
#[tokio::test]
async fn a_sign_in_is_ended_from_afar_by_its_owner() {
    let world = World::new().await;
    let mut here = world.ada().await;
    let mut there = world.ada().await;
    let mut grace = world.grace().await;
    let program = world.program(ADA);
    let sessions = ids(&program, "sessions").await;
    assert_eq!(sessions.len(), 2);
    for session in &sessions {
        assert_eq!(post(&mut grace, &format!("/ui/sessions/{session}/end"), "").await.status, 404);
    }
    assert!(here.is_signed_in().await && there.is_signed_in().await);

    let page = here.visit("/ui/sessions").await;
    let (_, other) = page.body.split_once("action=\"/ui/sessions/").expect("another browser");
    let path = format!("/ui/sessions/{}/end", &other[..64]);
    assert_eq!(post(&mut here, &path, "").await.status, 303);
    assert!(here.is_signed_in().await && !there.is_signed_in().await);
    assert_eq!(post(&mut here, &path, "").await.status, 404);
    world.end().await;
}

/// A token is in the one answer that made it, and nowhere else: not in the log, the store, or at an
/// upstream.
fn kept_nowhere(world: &World, tokens: &[&str]) {
    for token in tokens {
        let recorders = [world.mcp.recorder(), world.api.recorder(), world.notes.recorder()];
        assert!(!recorders.iter().any(|one| one.mentions(token)), "a token was sent on");
        assert!(!crate::witness::log().contains(token), "the log has a token");
        assert!(!world.home.store_bytes().contains(token), "the store has a token");
    }
}

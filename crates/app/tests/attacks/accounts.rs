//! Several accounts of one person at one upstream: each choice gets that account, or nothing.

use std::time::Duration;

use attache_sandbox::people::{ADA, GRACE};
use serde_json::json;

use crate::{
    offboarding::{AT_ONCE, disconnect},
    program::status,
    world::World,
};

/// What leaves for the upstream, if anything does.
fn sent(world: &World) -> Vec<String> {
    let requests = world.api.recorder().requests();
    requests
        .iter()
        .map(|request| request.header("authorization").expect("one").to_owned())
        .collect()
}

/// Never the first account for a named one, never another person's, and nothing where the two ways
/// to say it differ.
#[tokio::test]
async fn a_choice_gets_that_account_or_nothing() {
    let world = World::new().await;
    let mut ada = world.ada().await;
    ada.connect("api").await;
    ada.connect("api@work").await;
    world.grace().await.connect("api").await;
    let (ada, grace) = (world.program(ADA), world.program(GRACE));
    let work = [("attache-account", "work")];

    for (path, headers) in [
        ("/http/api/me", &[][..]),
        ("/http/api@work/me", &[]),
        ("/http/api/me", &work),
        ("/http/api@work/me", &work),
    ] {
        assert_eq!(ada.get_with(path, headers).await.status, 200, "{path} {headers:?}");
    }
    let seen = world.api.recorder().requests();
    assert!(seen.iter().all(|one| one.header("attache-account").is_none() && one.uri == "/me"));
    let [first, by_path, by_header, by_both] = sent(&world).try_into().unwrap();
    assert!(first != by_path && by_path == by_header && by_path == by_both);
    world.api.recorder().clear();

    for (program, path, headers, connect) in [
        (&grace, "/http/api@work/me", &[][..], "api@work"),
        (&grace, "/http/api/me", &work, "api@work"),
        (&ada, "/http/api@home/me", &[], "api@home"),
        (&ada, "/http/api/me", &[("attache-account", "home")], "api@home"),
    ] {
        let answer = program.get_with(path, headers).await;
        assert_eq!(answer.status, 403, "{path}");
        let url = world.origin.join(&format!("/connect/{connect}")).unwrap();
        assert_eq!(answer.json().unwrap()["connect_url"], url.as_str());
    }
    let told = ada.whoami("notes@work").await;
    assert!(told.contains("/connect/notes@work ") && told.starts_with("notes@work: "), "{told}");

    for (path, given) in [
        ("/http/api@work/me", &["home"][..]),
        ("/http/api@work/me", &[""]),
        ("/http/api/me", &["work", "work"]),
        ("/http/api/me", &["work", "home"]),
        ("/http/api/me", &["work,home"]),
        ("/http/api/me", &["Work"]),
        ("/http/api/me", &["../work"]),
        ("/http/api/me", &["api@work"]),
    ] {
        let headers: Vec<_> = given.iter().map(|name| ("attache-account", *name)).collect();
        let answer = ada.get_with(path, &headers).await;
        assert_eq!(answer.status, 400, "{path} {given:?}");
    }
    assert_eq!(world.api.recorder().arrived() + world.mcp.recorder().arrived(), 0);
    world.end().await;
}

#[tokio::test]
async fn a_forged_name_is_no_account() {
    let world = World::new().await;
    let mut ada = world.ada().await;
    ada.connect("api").await;
    ada.connect("api@work").await;
    let program = world.program(ADA);
    let long = format!("@{}", "a".repeat(33));
    for forged in [
        "@",
        "@@work",
        "@work@",
        "@work@home",
        "@../x",
        "@..",
        "@Work",
        "@wo_rk",
        "@w.k",
        "@-work",
        "%40work",
        "@%77ork",
        "@wor%6b",
        "@work%00",
        "@work%2f",
        "@work;a",
        "@\u{e9}",
        &long,
    ] {
        let answer = program.raw_get(&format!("/http/api{forged}/me"), "").await;
        assert!(matches!(status(&answer), Some(400 | 404)), "{forged}: {answer}");
    }
    // Where there is nothing to choose from, and where the upstream is for others.
    assert_eq!(program.get("/http/nothing@work/me").await.status, 404);
    assert_eq!(world.program(GRACE).get("/http/vip-api@work/me").await.status, 404);
    for path in ["/connect/api@", "/connect/api@a@b", "/connect/api@Work", "/connect/vip@../api"] {
        assert_eq!(world.grace().await.visit(path).await.status, 404, "{path}");
    }
    assert_eq!(world.api.recorder().arrived(), 0);
    world.end().await;
}

/// The redirect URI is one an upstream. An answer for one account, brought under another's name or
/// by somebody else, connects neither.
#[tokio::test]
async fn an_answer_for_one_account_connects_no_other() {
    let world = World::new().await;
    let (mut ada, mut grace) = (world.ada().await, world.grace().await);
    let authorization = ada.begin("api@work").await;
    let answer = ada.approve(&authorization).await;
    assert_eq!(answer.path(), "/api/v1/user/credentials/api/callback");

    let mut renamed = answer.clone();
    renamed.set_path("/api/v1/user/credentials/api@home/callback");
    assert_eq!(ada.open(&renamed).await.status, 404);
    assert_eq!(grace.finish(&answer).await.outcome, "wrong_person");
    assert_eq!(world.count("credential").await, 0);

    assert_eq!(ada.finish(&answer).await.outcome, "connected");
    assert_eq!(world.status(ADA, "api@work").await, "connected");
    assert_eq!(world.status(ADA, "api").await, "not_connected");
    assert_eq!(world.program(ADA).get("/http/api/me").await.status, 403);
    world.end().await;
}

/// Sealed for the account: whoever has the database open cannot have the private one used at work.
#[tokio::test]
async fn rows_of_two_accounts_that_change_places_open_for_neither() {
    const SWAP: &str = "UPDATE credential AS mine SET sealed = other.sealed \
        FROM credential AS other WHERE other.slot <> mine.slot";
    const RENAME: &str = "UPDATE credential SET slot = CASE slot WHEN 'upstream:api' \
        THEN 'upstream:api@home' ELSE 'upstream:api@office' END";
    for (swap, names) in [(SWAP, ["api", "api@work"]), (RENAME, ["api@home", "api@office"])] {
        let mut world = World::new().await;
        let mut ada = world.ada().await;
        ada.connect("api").await;
        ada.connect("api@work").await;
        world.tamper(swap).await;
        world.restart().await;
        for name in names {
            assert_eq!(world.status(ADA, name).await, "unavailable: unreadable", "{name}");
            let answer = world.program(ADA).get(&format!("/http/{name}/me")).await;
            assert_eq!(answer.status, 502, "{name}");
        }
        assert_eq!(world.api.recorder().arrived(), 0);
        world.end().await;
    }
}

/// RS-9: the route's URL is the token's audience, byte for byte; it opens that account alone.
#[tokio::test]
async fn a_token_for_one_account_opens_no_other() {
    let world = World::new().await;
    let mut ada = world.ada().await;
    ada.connect("api").await;
    ada.connect("api@work").await;
    let metadata = "/.well-known/oauth-protected-resource/http/api@work";
    let resource = world.program(ADA).get(metadata).await.json().unwrap();
    let resource = resource["resource"].as_str().unwrap().to_owned();
    assert_eq!(resource, world.origin.join("/http/api@work").unwrap().as_str());

    let token = world.idp.access_token(ADA.id, &resource, Duration::from_hours(1));
    let narrow = world.program_with(&token.unwrap());
    assert_eq!(narrow.get("/http/api@work/me").await.status, 200);
    let work = [("attache-account", "work")];
    assert_eq!(narrow.get_with("/http/api/me", &work).await.status, 200);
    world.api.recorder().clear();
    let home = [("attache-account", "home")];
    for (path, headers) in [
        ("/http/api/me", &[][..]),
        ("/http/api@home/me", &[]),
        ("/http/api/me", &home),
        ("/mcp/notes@work", &[]),
    ] {
        let answer = narrow.get_with(path, headers).await;
        assert_eq!(answer.status, 401, "{path}");
    }
    assert_eq!(world.api.recorder().arrived() + world.mcp.recorder().arrived(), 0);
    world.end().await;
}

/// A session that one account began is unknown to the other.
#[tokio::test]
async fn a_session_is_of_one_account() {
    let world = World::new().await;
    let mut ada = world.ada().await;
    ada.connect("rooms").await;
    ada.connect("rooms@work").await;
    let program = world.program(ADA);
    let opened = program.mcp("rooms", "initialize", &json!({})).await;
    let session = opened.header("mcp-session-id").unwrap().to_owned();
    let arrived = world.bare.arrived().len();
    let own = ("mcp-session-id", session.as_str());
    assert_eq!(program.get_with("/mcp/rooms@work", &[own]).await.status, 404);
    let chosen = [own, ("attache-account", "work")];
    assert_eq!(program.get_with("/mcp/rooms", &chosen).await.status, 404);
    assert_eq!(world.bare.arrived().len(), arrived, "the upstream saw none of it");
    assert_eq!(program.get_with("/mcp/rooms", &[own]).await.status, 200);
    world.end().await;
}

/// What is open ends with the account that it was opened with, and with no other.
#[tokio::test]
async fn a_stream_ends_with_its_own_account() {
    let world = World::new().await;
    let mut ada = world.ada().await;
    ada.connect("rooms").await;
    ada.connect("rooms@work").await;
    let program = world.program(ADA);
    let listen = "Accept: text/event-stream\r\nX-Play: silent\r\n";
    let mut first = program.open("GET /mcp/rooms", listen).await;
    let chosen = format!("Attache-Account: work\r\n{listen}");
    let mut work = program.open("GET /mcp/rooms", &chosen).await;
    for stream in [&first, &work] {
        assert!(stream.head.starts_with("HTTP/1.1 200"), "{}", stream.head);
    }
    disconnect(&program, "rooms@work").await;
    assert!(work.ends_within(AT_ONCE).await);
    assert!(!first.ends_within(Duration::from_millis(300)).await);
    drop(first);
    world.end().await;
}

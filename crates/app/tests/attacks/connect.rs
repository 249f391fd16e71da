//! Whose account is connected to whom: COSF, COAT, and everything else that goes through a
//! redirect.

use std::time::Duration;

use attache_sandbox::{
    CallbackAnswer,
    people::{ADA, GRACE},
};
use bytes::Bytes;
use http::{Method, Request};

use crate::world::World;

#[tokio::test]
async fn a_connect_link_connects_whoever_opens_it() {
    let world = World::new().await;
    let said = world.program(ADA).whoami("notes").await;
    let link = said.split(' ').find(|word| word.starts_with("http")).unwrap().to_owned();
    assert_eq!(link, format!("{}connect/notes", world.origin), "nothing in it is Ada's");
    assert_eq!(world.count("connect_flow").await, 0, "being told begins nothing");

    let mut grace = world.grace().await;
    assert_eq!(grace.connect("notes").await.outcome, "connected");

    assert_eq!(world.program(GRACE).whoami("notes").await, "You are grace at Sandbox Notes");
    assert_eq!(world.status(ADA, "notes").await, "not_connected");
    assert!(world.program(ADA).whoami("notes").await.contains(&link));
    assert_eq!(world.mcp.recorder().arrived(), 1, "Grace's call alone");
    world.end().await;
}

/// Cross-user OAuth session fixation: Ada's authorization URL, approved by Grace.
#[tokio::test]
async fn an_approval_by_somebody_else_connects_nobody() {
    let world = World::new().await;
    let mut ada = world.ada().await;
    let trap = ada.begin("notes").await;

    let mut grace = world.grace().await;
    let sprung = grace.approve(&trap).await;
    let landing = grace.finish(&sprung).await;
    assert_eq!(landing.outcome, "wrong_person");
    assert!(landing.page.body.contains("begun by somebody else"), "{}", landing.page.body);
    assert!(landing.page.body.contains("do not use it again"));

    // Nor in a browser in which nobody is signed in at all.
    let mut stranger = world.stranger(GRACE);
    let sprung = stranger.approve(&trap).await;
    assert_eq!(stranger.finish(&sprung).await.outcome, "wrong_browser");

    world.nobody_is_connected().await;
    assert_eq!(world.notes.stats().code_exchanges, 0);

    // None of it spent what Ada began.
    let own = ada.approve(&trap).await;
    assert_eq!(ada.finish(&own).await.outcome, "connected");
    assert_eq!(world.program(ADA).whoami("notes").await, "You are ada at Sandbox Notes");
    assert_eq!(world.status(GRACE, "notes").await, "not_connected");
    world.end().await;
}

#[tokio::test]
async fn a_flow_ends_in_the_browser_it_began_in() {
    let world = World::new().await;
    let mut ada = world.ada().await;
    let authorization = ada.begin("notes").await;
    let callback = ada.approve(&authorization).await;

    let mut other = world.ada().await;
    let landing = other.finish(&callback).await;
    assert_eq!(landing.outcome, "wrong_browser");
    assert!(landing.page.body.contains("begun in another browser"), "{}", landing.page.body);
    world.nobody_is_connected().await;

    assert_eq!(ada.finish(&callback).await.outcome, "connected");
    world.end().await;
}

#[tokio::test]
async fn an_answer_works_once() {
    let world = World::new().await;
    let mut ada = world.ada().await;
    let authorization = ada.begin("notes").await;
    let callback = ada.approve(&authorization).await;
    assert_eq!(ada.finish(&callback).await.outcome, "connected");

    assert_eq!(ada.finish(&callback).await.outcome, "flow_unknown");

    assert_eq!(world.status(ADA, "notes").await, "connected");
    let stats = world.notes.stats();
    assert_eq!((stats.code_exchanges, stats.reuses), (1, 0), "the code was redeemed once");
    world.end().await;
}

#[tokio::test]
async fn an_answer_that_is_late_is_refused() {
    let world = World::new().await;
    let mut ada = world.ada().await;
    let authorization = ada.begin("notes").await;
    world.later(Duration::from_mins(10));
    let callback = ada.approve(&authorization).await;

    let landing = ada.finish(&callback).await;
    assert_eq!(landing.outcome, "flow_expired");
    assert!(landing.page.body.contains("took too long"), "{}", landing.page.body);
    assert_eq!(world.notes.stats().code_exchanges, 0);
    world.nobody_is_connected().await;
    world.end().await;
}

/// Cross-toolkit account takeover: what one authorization server says is brought to another's
/// redirect URI, where it would be redeemed at the wrong token endpoint.
#[tokio::test]
async fn an_answer_for_one_server_finishes_no_other() {
    let world = World::new().await;
    let mut ada = world.ada().await;
    ada.begin("mail").await;
    let authorization = ada.begin("notes").await;
    let callback = ada.approve(&authorization).await;
    let mut elsewhere = callback.clone();
    elsewhere.set_path("/api/v1/user/credentials/mail/callback");

    assert_eq!(ada.finish(&elsewhere).await.outcome, "wrong_upstream");
    assert_eq!(world.mail.recorder().arrived(), 0, "the other company never saw the code");
    world.nobody_is_connected().await;

    assert_eq!(ada.finish(&callback).await.outcome, "connected");
    assert_eq!(world.status(ADA, "mail").await, "not_connected");
    world.end().await;
}

#[tokio::test]
async fn parameters_come_once() {
    let world = World::new().await;
    let mut ada = world.ada().await;
    for doubled in ["code", "state", "iss", "error"] {
        let authorization = ada.begin("notes").await;
        let mut callback = ada.approve(&authorization).await;
        let first = callback.query_pairs().find(|(name, _)| name == doubled);
        let value = first.map_or("access_denied".to_owned(), |(_, value)| value.into_owned());
        callback.query_pairs_mut().append_pair(doubled, &value);
        assert_eq!(ada.finish(&callback).await.outcome, "malformed_callback", "{doubled}");
    }
    world.notes.callbacks().next(CallbackAnswer::CodeTwice);
    assert_eq!(ada.connect("notes").await.outcome, "malformed_callback");
    world.notes.callbacks().next(CallbackAnswer::NoState);
    assert_eq!(ada.connect("notes").await.outcome, "malformed_callback");

    assert_eq!(world.notes.stats().code_exchanges, 0);
    world.nobody_is_connected().await;
    world.end().await;
}

/// RFC 9207: neither the code nor the error of an issuer that was not asked is used.
#[tokio::test]
async fn an_answer_of_another_issuer_is_not_used() {
    let world = World::new().await;
    let mut ada = world.ada().await;
    let answers =
        [CallbackAnswer::WrongIssuer, CallbackAnswer::ErrorOfWrongIssuer("access_denied")];
    for answer in answers {
        world.notes.callbacks().next(answer);
        let landing = ada.connect("notes").await;
        assert_eq!(landing.outcome, "wrong_issuer", "{answer:?}");
        assert!(landing.page.body.contains("a provider that was not asked"));
    }
    assert_eq!(world.notes.stats().code_exchanges, 0);
    world.nobody_is_connected().await;
    world.end().await;
}

/// What the provider writes beside its error is an attacker's text: only our own words are shown.
#[tokio::test]
async fn a_refusal_is_told_in_our_words() {
    let world = World::new().await;
    let mut ada = world.ada().await;
    let cases = [
        ("access_denied", "access_denied", "The request was declined."),
        ("temporarily_unavailable", "temporarily_unavailable", "Try again in a few minutes."),
        ("<script>alert(1)</script>", "other", "refused for a reason that it did not explain"),
        // A label of ours is none of theirs.
        ("wrong_person", "other", "refused for a reason that it did not explain"),
    ];
    for (error, label, words) in cases {
        world.notes.callbacks().next(CallbackAnswer::Error(error));
        let landing = ada.connect("notes").await;
        assert_eq!(landing.outcome, label);
        assert!(landing.page.body.contains(words), "{}", landing.page.body);
        assert!(!landing.page.body.contains("<script"));
    }
    assert_eq!(world.notes.stats().code_exchanges, 0);
    world.nobody_is_connected().await;
    world.end().await;
}

#[tokio::test]
async fn another_site_cannot_begin_or_end_a_connection() {
    let world = World::new().await;
    let mut ada = world.ada().await;
    ada.connect("api").await;
    let forged: [&[(&str, &str)]; 5] = [
        &[("origin", "https://evil.example")],
        &[("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")],
        &[("origin", "null"), ("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
    ];
    let targets = [
        (Method::POST, "/connect/notes"),
        (Method::POST, "/ui/connections/api/disconnect"),
        (Method::DELETE, "/api/v1/user/credentials/api"),
        (Method::POST, "/logout"),
    ];
    for headers in forged {
        for (method, path) in &targets {
            let mut request = Request::builder().method(method).uri(ada.url(path).as_str());
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let answer = ada.send(request.body(Bytes::new()).unwrap()).await;
            assert_eq!(answer.status, 403, "{method} {path} {headers:?}");
            assert!(answer.body.contains("Another site asked your browser"), "{}", answer.body);
        }
    }
    assert_eq!(world.count("connect_flow").await, 0);
    assert_eq!(world.status(ADA, "api").await, "connected");
    assert_eq!(world.notes.stats().revocations, 0);
    assert!(ada.is_signed_in().await);
    world.end().await;
}

/// A link can be followed by accident, by a preview or by a program that looks ahead.
#[tokio::test]
async fn opening_pages_begins_nothing() {
    let world = World::new().await;
    let mut ada = world.ada().await;
    for path in ["/connect/notes", "/api/v1/user/credentials/notes/connect", "/connect/notes?e=x"] {
        assert_eq!(ada.visit(path).await.status, 200, "{path}");
        let head = Request::head(ada.url(path).as_str()).body(Bytes::new()).unwrap();
        ada.send(head).await;
    }
    assert_eq!(world.count("connect_flow").await, 0);
    assert_eq!(world.notes.recorder().arrived(), 0);
    world.end().await;
}

/// The pages that ask and tell cannot be framed, and run nothing.
#[tokio::test]
async fn pages_cannot_be_framed_or_scripted() {
    let world = World::new().await;
    let mut ada = world.ada().await;
    for path in ["/connect/notes", "/ui/connections", "/problems/not-connected"] {
        let page = ada.visit(path).await;
        let policy = page.header("content-security-policy").unwrap();
        for part in ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"] {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert!(!policy.contains("script-src") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(page.header("cache-control"), Some("no-store"), "{path}");
    }
    world.end().await;
}

//! What crosses the gateway, in both directions, and what never does.

use attache_config::{Source, load};
use attache_sandbox::{
    api::NASTY_HEADERS,
    people::{ADA, GRACE},
};
use bytes::Bytes;
use http::{Method, header};
use serde_json::json;

use crate::{bare::SESSION_ID, configuration, program::status, world::World};

/// What callers prove themselves with, and what an upstream might believe about where they are.
const CALLERS_OWN: [(&str, &str); 14] = [
    ("cookie", "session=callers-own"),
    ("proxy-authorization", "Basic callers-own"),
    ("dpop", "callers-own"),
    ("x-forwarded-for", "callers-own"),
    ("x-forwarded-host", "callers-own"),
    ("x-forwarded-proto", "callers-own"),
    ("x-forwarded-user", "callers-own"),
    ("x-forwarded-access-token", "callers-own"),
    ("x-real-ip", "callers-own"),
    ("forwarded", "for=callers-own"),
    ("te", "callers-own"),
    ("keep-alive", "callers-own"),
    ("proxy-connection", "callers-own"),
    ("mcp-session-id", "callers-own"),
];

#[tokio::test]
async fn nothing_of_the_caller_reaches_the_upstream() {
    let world = World::new().await;
    world.ada().await.connect("api").await;
    let program = world.program(ADA);
    let answer = program.get_with("/http/api/echo?q=1", &CALLERS_OWN).await;
    assert_eq!(answer.status, 200, "{}", answer.body);

    let [seen] = world.api.recorder().requests().try_into().unwrap();
    for (name, _) in CALLERS_OWN {
        assert_eq!(seen.header(name), None, "{name}");
    }
    assert!(!seen.mentions("callers-own"));
    assert_eq!(seen.headers.get_all("authorization").iter().count(), 1);
    assert_eq!(seen.header("host"), Some(world.api.url().authority()));
    assert_eq!(seen.uri, "/echo?q=1");
    world.end().await;
}

/// RFC 9110 section 7.6.1: what `Connection` names is for us, but it can name nothing away that
/// we add.
#[tokio::test]
async fn connection_smuggles_nothing_in_or_out() {
    let world = World::new().await;
    world.ada().await.connect("keyed").await;
    world.ada().await.connect("api").await;
    let program = world.program(ADA);
    let named = [
        ("x-smuggled", "1"),
        ("connection", "authorization, x-smuggled, x-api-token, x-team, host"),
    ];
    assert_eq!(program.get_with("/http/keyed/x", &named).await.status, 200);
    let [seen] = world.bare.arrived().try_into().unwrap();
    assert_eq!(seen.all("x-smuggled"), [""; 0]);
    assert_eq!(seen.all("x-team"), ["core"]);
    assert_eq!(seen.all("x-api-token").len(), 1);
    assert_eq!(seen.all("host"), [world.bare.url.authority()]);

    assert_eq!(program.get_with("/http/api/me", &named).await.json().unwrap()["account"], "ada");
    world.end().await;
}

#[tokio::test]
async fn a_credential_that_the_caller_sends_is_overwritten() {
    let world = World::new().await;
    world.ada().await.connect("keyed").await;
    let program = world.program(ADA);
    let target = "/http/keyed/x";
    let own = "X-Api-Token: planted\r\nx-api-token: planted\r\nX-API-TOKEN: planted\r\n\
               X-Team: planted\r\n";
    assert_eq!(status(&program.raw_get(target, own).await), Some(200));

    let [seen] = world.bare.arrived().try_into().unwrap();
    let [token] = seen.all("x-api-token").try_into().unwrap();
    let token = token.strip_prefix("token ").unwrap();
    assert!(world.notes.secrets().iter().any(|secret| secret == token), "Ada's own");
    assert_eq!(seen.all("x-team"), ["core"]);
    assert_eq!(seen.all("authorization"), [""; 0], "the caller's is for us");
    assert_eq!(seen.target, "/base/x");
    assert!(!world.bare.mentions("planted"));
    world.end().await;
}

/// A shared credential sent beside a person's own: upstreams differ in which they believe.
#[tokio::test]
async fn a_shared_credential_beside_a_broker_is_refused_by_the_configuration() {
    let world = World::new().await;
    let text = configuration::text(&world);
    for (name, accepted) in [
        ("Authorization", false),
        ("authorization", false),
        ("X-Api-Key", false),
        ("X-API-TOKEN", false),
        ("Cookie", false),
        ("X-Auth-Token", false),
        ("Host", false),
        ("Transfer-Encoding", false),
        ("X-Team", true),
    ] {
        let changed = text.replace("\"X-Team\"", &format!("\"{name}\""));
        let source = Source::new(&world.home.config_file(), changed).unwrap();
        let loaded = load(&source, &|_| None).accept();
        assert_eq!(loaded.is_ok(), accepted, "{name}");
    }
    world.end().await;
}

#[tokio::test]
async fn no_path_leaves_the_base_path() {
    let world = World::new().await;
    world.ada().await.connect("keyed").await;
    let program = world.program(ADA);
    for target in [
        "/http/keyed/..",
        "/http/keyed/../admin",
        "/http/keyed/a/../../admin",
        "/http/keyed/%2e%2e/admin",
        "/http/keyed/%2E%2e%2fadmin",
        "/http/keyed/..%2fadmin",
        "/http/keyed/..%5cadmin",
        "/http/keyed/..\\admin",
        "/http/keyed/.;/..;x=1/admin",
        "/http/keyed/./admin",
    ] {
        let answer = program.raw_get(target, "").await;
        assert_eq!(status(&answer), Some(400), "{target}: {answer}");
    }
    assert!(world.bare.arrived().is_empty());
    // What only looks like it is passed on byte for byte.
    assert_eq!(status(&program.raw_get("/http/keyed/a%2Fb/...?x=/../y", "").await), Some(200));
    assert_eq!(world.bare.arrived()[0].target, "/base/a%2Fb/...?x=/../y");
    world.end().await;
}

#[tokio::test]
async fn an_upstream_says_nothing_to_the_callers_browser_or_client() {
    let world = World::new().await;
    world.ada().await.connect("api").await;
    let program = world.program(ADA);
    world.api.set_nasty(true);
    for path in ["/http/api/me", "/http/api/status/403", "/http/api/redirect"] {
        let answer = program.get(path).await;
        for (name, value) in NASTY_HEADERS {
            let given = answer.headers.get(&name);
            assert!(given.is_none_or(|given| given != value), "{path}: {name}");
        }
    }
    world.end().await;
}

/// A redirect is the caller's to follow: the credential goes to the configured host alone.
#[tokio::test]
async fn a_redirect_of_the_upstream_is_not_followed() {
    let world = World::new().await;
    world.ada().await.connect("api").await;
    let answer = world.program(ADA).get("/http/api/redirect").await;
    assert_eq!((answer.status.as_u16(), answer.header("location")), (307, Some("/me")));
    assert_eq!(world.api.recorder().arrived(), 1);
    world.end().await;
}

#[tokio::test]
async fn an_early_revocation_costs_one_refresh_and_no_error() {
    let world = World::new().await;
    world.ada().await.connect("notes").await;
    world.notes.expire_access_tokens();

    assert_eq!(world.program(ADA).whoami("notes").await, "You are ada at Sandbox Notes");
    assert_eq!(world.notes.stats().refreshes, 1);
    assert_eq!(world.mcp.recorder().arrived(), 2, "refused, then repeated once");
    world.end().await;
}

/// A relayed 401 would make clients throw away a gateway token that is fine; an upstream that
/// refuses everything must not drive its authorization server.
#[tokio::test]
async fn an_upstream_that_refuses_for_ever_is_no_401_and_no_storm() {
    let world = World::new().await;
    let mut ada = world.ada().await;
    ada.connect("notes").await;
    ada.connect("api").await;
    world.mcp.refuse_next(1_000);
    world.api.refuse_next(1_000);
    let program = world.program(ADA);
    for _ in 0..4 {
        let said = program.whoami("notes").await;
        assert!(said.contains("/connect/notes"), "{said}");
        let answer = program.get("/http/api/me").await;
        assert_eq!(answer.status, 403, "{}", answer.body);
        assert_eq!(answer.header("www-authenticate"), None);
        assert!(answer.body.contains("/connect/api"), "{}", answer.body);
    }
    assert_eq!(world.notes.stats().refreshes, 2, "one for each of the two");
    let retries = world.mcp.recorder().arrived();
    assert!(retries <= 2, "{retries} requests with a refused token");
    assert_eq!(world.status(ADA, "notes").await, "needs_reconnect: upstream_rejected");
    world.end().await;
}

#[tokio::test]
async fn a_body_too_large_to_keep_is_not_sent_twice() {
    let world = World::new().await;
    world.ada().await.connect("keyed").await;
    let program = world.program(ADA);
    let large = Bytes::from(vec![b'x'; 512 * 1024]);
    let upload = || program.request(Method::POST, "/http/keyed/up").body(large.clone()).unwrap();
    world.bare.refuse_next(1);

    let answer = program.send(upload()).await;
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert!(answer.json().unwrap()["type"].as_str().unwrap().ends_with("/problems/send-again"));
    assert!(answer.header("retry-after").is_some());
    assert_eq!(world.bare.arrived().len(), 1);

    assert_eq!(program.send(upload()).await.status, 200);
    let [refused, taken] = world.bare.arrived().try_into().unwrap();
    assert_eq!((refused.body.len(), taken.body.len()), (large.len(), large.len()));
    assert_ne!(refused.all("x-api-token"), taken.all("x-api-token"), "renewed in between");
    assert_eq!(world.notes.stats().refreshes, 1);
    world.end().await;
}

#[tokio::test]
async fn a_session_id_is_worth_nothing_to_somebody_else() {
    let world = World::new().await;
    world.ada().await.connect("rooms").await;
    world.grace().await.connect("rooms").await;
    let (ada, grace) = (world.program(ADA), world.program(GRACE));
    let opened = ada.mcp("rooms", "initialize", &json!({})).await;
    let session = opened.header("mcp-session-id").unwrap().to_owned();
    assert!(!session.contains(SESSION_ID));
    let arrived = world.bare.arrived().len();

    let own = [("mcp-session-id", session.as_str())];
    for (upstream, stolen) in [("rooms", session.as_str()), ("rooms", SESSION_ID), ("rooms", "x")] {
        let headers = [("mcp-session-id", stolen)];
        let answer = grace.get_with(&format!("/mcp/{upstream}"), &headers).await;
        assert_eq!(answer.status, 404, "{stolen}");
    }
    assert_eq!(world.bare.arrived().len(), arrived, "the upstream saw none of it");

    assert_eq!(ada.get_with("/mcp/rooms", &own).await.status, 200);
    assert_eq!(world.bare.arrived()[arrived].all("mcp-session-id"), [SESSION_ID]);
    world.end().await;
}

/// Requests of two people go over the same connections; each carries its own person's token.
#[tokio::test]
async fn two_people_at_once_stay_two_people() {
    let world = World::new().await;
    world.ada().await.connect("api").await;
    world.grace().await.connect("api").await;
    let (ada, grace) = (world.program(ADA), world.program(GRACE));
    for _ in 0..20 {
        let (hers, other) = tokio::join!(ada.get("/http/api/me"), grace.get("/http/api/me"));
        assert_eq!(hers.json().unwrap()["account"], "ada");
        assert_eq!(other.json().unwrap()["account"], "grace");
    }
    let smuggled = [(header::AUTHORIZATION.as_str(), "Bearer x")];
    assert_eq!(ada.get_with("/http/api/me", &smuggled).await.status, 400);
    world.end().await;
}

/// TRACE would show a person the credential that is never shown (RFC 9110 section 9.3.8).
#[tokio::test]
async fn an_upstream_is_not_asked_to_echo_a_request() {
    let world = World::new().await;
    world.ada().await.connect("api").await;
    let before = world.api.recorder().arrived();
    let said = world.program(ADA).raw_request("TRACE", "/http/api/me", "").await;
    assert_eq!(status(&said), Some(405), "{said}");
    assert_eq!(world.api.recorder().arrived(), before);
    world.end().await;
}

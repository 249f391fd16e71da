//! What a proxy in front says of people is worth its signature, and nothing else.

use std::time::Duration;

use attache_sandbox::{Browser, Page, people::ADA};
use bytes::Bytes;
use http::{Method, Request};
use serde_json::{Value, json};

use crate::{
    forge::Forge,
    visitor::Visitor,
    world::{Surroundings, World},
};

const HEADER: &str = "x-goog-iap-jwt-assertion";
const ISSUER: &str = "https://cloud.google.com/iap";
const AUDIENCE: &str = "/projects/1/global/backendServices/2";
const EDGE: &str = "edge-secret-0123456789abcdefghij";
const API: &str = "/api/v1/user/credentials";

async fn world() -> World {
    let more = format!(
        "[[identity.assertion]]\nheader = \"X-Goog-Iap-Jwt-Assertion\"\nissuer = \"{ISSUER}\"\n\
         audience = \"{AUDIENCE}\"\njwks_uri = \"{{forge}}/jwks\"\n\n\
         [[forward_auth]]\nname = \"edge\"\nsecret = \"{EDGE}\"\nupstreams = [\"api\"]\n"
    );
    World::among("sqlite:attache.db", Surroundings { more, ..Surroundings::default() }).await
}

/// What the proxy says of Mallory, but for what is changed; `null` leaves a claim out.
fn claims(world: &World, changed: &Value) -> Value {
    let now = world.now();
    let mut claims = json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "accounts.google.com:1", "iat": now,
        "exp": now + 600, "email": "mallory@example.com",
    });
    if let (Some(claims), Some(changed)) = (claims.as_object_mut(), changed.as_object()) {
        claims.extend(changed.clone());
        claims.retain(|_, value| !value.is_null());
    }
    claims
}

fn signed(world: &World, changed: &Value) -> String {
    let assertion = world.forge.sign("JWT", &claims(world, changed));
    // No log, store or upstream has it.
    drop(world.program_with(&assertion));
    assertion
}

/// As the proxy passes it on: without any other proof.
async fn send(world: &World, method: Method, path: &str, headers: &[(&str, &str)]) -> Page {
    let url = world.origin.join(path).expect("a path");
    let mut request = Request::builder().method(method).uri(url.as_str());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Bytes::new()).expect("a request");
    Browser::new().send(request).await.expect("the gateway answers")
}

async fn open(who: &mut Visitor, path: &str, assertion: &str) -> Page {
    let request = Request::get(who.url(path).as_str()).header(HEADER, assertion);
    who.send(request.body(Bytes::new()).expect("a request")).await
}

#[tokio::test]
async fn a_header_that_is_not_signed_for_us_names_nobody() {
    let world = world().await;
    let now = world.now();
    let good = claims(&world, &json!({}));
    let cases = [
        ("a bare address", "ada@example.com".to_owned()),
        ("a bare subject", "accounts.google.com:1".to_owned()),
        ("nothing", String::new()),
        ("for another application", signed(&world, &json!({ "aud": "/projects/1/apps/other" }))),
        ("for another host", signed(&world, &json!({ "aud": "https://other.example.com" }))),
        ("for nobody", signed(&world, &json!({ "aud": null }))),
        ("of another issuer", signed(&world, &json!({ "iss": "https://evil.example" }))),
        ("of an issuer of tokens", signed(&world, &json!({ "iss": world.forge.issuer }))),
        ("expired", signed(&world, &json!({ "exp": now - 120 }))),
        ("without an end", signed(&world, &json!({ "exp": null }))),
        ("without a beginning", signed(&world, &json!({ "iat": null }))),
        ("of tomorrow", signed(&world, &json!({ "iat": now + 86_400 }))),
        ("of nobody", signed(&world, &json!({ "sub": null }))),
        ("another token", world.forge.sign("at+jwt", &good)),
        ("unsigned", Forge::unsigned(&good)),
        ("HS256 with the public key", world.forge.signed_with_the_public_key(&good)),
        ("signed by a stranger", world.forge.signed_by_a_stranger(&good)),
    ];
    for (what, assertion) in &cases {
        for path in ["/mcp/notes", "/http/api/me", API] {
            let page = send(&world, Method::GET, path, &[(HEADER, assertion)]).await;
            assert_eq!(page.status, 401, "{what} at {path}: {}", page.body);
        }
        let login = send(&world, Method::GET, "/login", &[(HEADER, assertion)]).await;
        assert!(login.status.is_client_error() && login.header("set-cookie").is_none(), "{what}");
    }
    let good = signed(&world, &json!({}));
    let twice = send(&world, Method::GET, API, &[(HEADER, &good), (HEADER, &good)]).await;
    assert_eq!(twice.status, 400);
    for other in
        ["cf-access-jwt-assertion", "x-goog-iap_jwt-assertion", "x-goog-authenticated-user-email"]
    {
        assert_eq!(send(&world, Method::GET, API, &[(other, &good)]).await.status, 401, "{other}");
    }
    assert_eq!(world.count("person").await + world.count("session").await, 0);
    assert_eq!(send(&world, Method::GET, API, &[(HEADER, &good)]).await.status, 200);
    assert_eq!(world.count("session").await, 0, "a program needs none");
    world.end().await;
}

/// It stays here, however it is spelled, also beside a token that decides.
#[tokio::test]
async fn an_assertion_reaches_no_upstream_and_no_token_gives_way_to_it() {
    let world = world().await;
    let mut ada = world.ada().await;
    ada.connect("api").await;
    let assertion = signed(&world, &json!({}));
    let program = world.program(ADA);
    let both = [(HEADER, &*assertion), ("x_goog_iap_jwt_assertion", &*assertion)];
    let page = program.get_with("/http/api/me", &both).await;
    assert_eq!(page.status, 200, "{}", page.body);
    assert!(page.body.contains("ada"), "{}", page.body);
    let bare = program.get_with("/http/api/me", &[(HEADER, "ada@example.com")]).await;
    assert_eq!(bare.status, 200, "nobody asked it");
    let stale = world.program_with("a.b.c").get_with("/http/api/me", &both).await;
    assert_eq!(stale.status, 401, "a bad token is one");
    world.end().await;
}

/// There the pages are another host's, and its upstream sees what its proxy passes on.
#[tokio::test]
async fn it_vouches_for_nobody_whom_another_proxy_asks_about() {
    let world = world().await;
    let assertion = signed(&world, &json!({}));
    for name in [HEADER, "x_goog_iap_jwt_assertion"] {
        let headers = [("attache-proxy-secret", EDGE), ("sec-fetch-site", "same-origin")];
        let headers = [headers[0], headers[1], (name, &*assertion)];
        let vended = send(&world, Method::GET, "/forward-auth/api", &headers).await;
        assert_eq!(vended.status, 401, "{}", vended.body);
    }
    let own = [(HEADER, &*assertion), ("sec-fetch-site", "same-origin")];
    let own = send(&world, Method::GET, "/http/api/me", &own).await;
    assert_eq!(own.status, 403, "known, and not connected: {}", own.body);
    world.end().await;
}

/// The proxy signs what comes with its cookie, whoever had the browser send it.
#[tokio::test]
async fn no_page_calls_with_what_the_proxy_adds() {
    let world = world().await;
    let assertion = signed(&world, &json!({}));
    for (site, status) in
        [("cross-site", 401), ("same-site", 401), ("none", 401), ("same-origin", 403)]
    {
        let headers = [(HEADER, &*assertion), ("sec-fetch-site", site)];
        let page = send(&world, Method::GET, "/http/api/me", &headers).await;
        assert_eq!(page.status, status, "{site}: {}", page.body);
    }
    for (name, value) in [("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")] {
        let headers = [(HEADER, &*assertion), (name, value)];
        for (method, path) in [
            (Method::DELETE, "/api/v1/user/credentials/notes"),
            (Method::POST, "/connect/notes"),
            (Method::POST, "/ui/tokens"),
        ] {
            let page = send(&world, method, path, &headers).await;
            assert_eq!(page.status, 403, "{path} {name}");
        }
    }
    world.end().await;
}

/// A session is of whom the proxy names: the next one at the same browser is not the last.
#[tokio::test]
async fn a_session_serves_nobody_but_whom_the_proxy_names() {
    let world = world().await;
    let mallory = signed(&world, &json!({ "email_verified": true, "name": "Mallory M" }));
    let victim = json!({ "sub": "accounts.google.com:2", "name": "Victor V" });
    let victim = signed(&world, &victim);
    let mut browser = world.stranger(ADA);

    let sent = open(&mut browser, "/ui/connections", &mallory).await;
    assert_eq!(sent.status, 303, "there is no session yet");
    let login = sent.location().expect("a way").to_string();
    let login = login.strip_prefix(browser.url("/").as_str()).expect("here").to_owned();
    let begun = open(&mut browser, &format!("/{login}"), &mallory).await;
    assert_eq!(begun.location().expect("back").path(), "/ui/connections");
    let page = open(&mut browser, "/ui/connections", &mallory).await;
    assert!(page.status == 200 && page.body.contains("Mallory M"), "{}", page.body);
    assert_eq!(world.count("audit_event WHERE action = 'sign_in'").await, 1);

    assert_eq!(open(&mut browser, "/ui/connections", &victim).await.status, 303);
    let forged = open(&mut browser, "/ui/connections", "mallory@example.com").await;
    assert_ne!(forged.status, 200, "a header that proves nobody is not passed over");
    assert_eq!(open(&mut browser, "/login?return_to=/ui/tokens", &victim).await.status, 303);
    let page = open(&mut browser, "/ui/connections", &victim).await;
    assert!(page.body.contains("Victor V") && !page.body.contains("Mallory"), "{}", page.body);

    let away = open(&mut browser, "/login?return_to=https://evil.example/", &victim).await;
    assert_eq!(away.location().expect("home").origin(), world.origin.origin());
    world.later(Duration::from_mins(15));
    assert_ne!(open(&mut browser, "/ui/connections", &victim).await.status, 200, "it is over");
    world.end().await;
}

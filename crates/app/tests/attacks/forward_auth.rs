//! Other people's proxies: who may ask for whose credential, and what the answer says to everybody
//! else.

use std::time::Duration;

use attache_sandbox::{
    Browser, Page,
    people::{ADA, GRACE},
};
use bytes::Bytes;
use http::{Method, Request, header};
use serde_json::{Value, json};

use crate::{
    forge::Forge,
    program::{Program, status},
    tokens::{holder, token},
    world::{Surroundings, World},
};

const EDGE: &str = "edge-secret-0123456789abcdefghij";
const OTHER: &str = "other-secret-0123456789abcdefghi";

/// `edge` asks for everything but `mail`, which is `other`'s alone.
async fn world() -> World {
    let more = format!(
        "[[forward_auth]]\nname = \"edge\"\nsecret = \"{EDGE}\"\n\
         upstreams = [\"api\", \"notes\", \"keyed\", \"vip-api\"]\n\n\
         [[forward_auth]]\nname = \"other\"\nsecret = \"{OTHER}\"\nupstreams = [\"mail\", \"api\"]\n\
         rate = 3\n"
    );
    let surroundings = Surroundings { more, ..Surroundings::default() };
    let world = World::among("sqlite:attache.db", surroundings).await;
    let witness = world.program(ADA).witness;
    witness.keep_proof(EDGE);
    witness.keep_proof(OTHER);
    world
}

/// What a proxy that sends `secret` is told about a request of this program. Only a granted credential
/// is for no eyes but the proxy's.
async fn asked_by(secret: &str, caller: &Program, name: &str, more: &[(&str, &str)]) -> Page {
    let mut request = caller
        .request(Method::GET, &format!("/forward-auth/{name}"))
        .header("attache-proxy-secret", secret);
    for (name, value) in more {
        request = request.header(*name, *value);
    }
    heard(caller, request.body(Bytes::new()).expect("a request")).await
}

async fn heard(caller: &Program, request: Request<Bytes>) -> Page {
    let page = Browser::new().send(request).await.expect("the gateway answers");
    assert_eq!(page.header("cache-control"), Some("no-store"));
    if page.status == 200 {
        assert_eq!(page.body, "");
    } else {
        caller.witness.hear(&page);
        assert_eq!(page.header("authorization"), None);
    }
    page
}

/// Whose credential it is, as the API says.
async fn owner(world: &World, credential: &str) -> String {
    let url = world.api.url().join("me").expect("a URL");
    let request = Request::get(url.as_str()).header(header::AUTHORIZATION, credential);
    let answer = Browser::new()
        .send(request.body(Bytes::new()).expect("a request"))
        .await
        .expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.body);
    let answer = answer.json().expect("JSON");
    answer.get("account").and_then(Value::as_str).expect("somebody").to_owned()
}

#[tokio::test]
async fn a_proxy_is_given_the_callers_credential_and_no_other() {
    let world = world().await;
    world.ada().await.connect("api").await;
    world.grace().await.connect("api").await;
    world.ada().await.connect("keyed").await;
    for (person, sub) in [(ADA, "ada"), (GRACE, "grace"), (ADA, "ada")] {
        let program = world.program(person);
        for secret in [EDGE, OTHER] {
            let granted = asked_by(secret, &program, "api", &[]).await;
            assert_eq!(granted.status, 200);
            assert_eq!(owner(&world, granted.header("authorization").unwrap()).await, sub);
        }
    }
    // In the header and the form that the upstream is configured with.
    let keyed = asked_by(EDGE, &world.program(ADA), "keyed", &[]).await;
    assert!(keyed.header("x-api-token").unwrap().starts_with("token "));
    assert_eq!(keyed.header("authorization"), None);

    // A disconnect counts at once.
    let ada = world.program(ADA);
    let ended = ada.request(Method::DELETE, "/api/v1/user/credentials/api");
    assert!(ada.send(ended.body(Bytes::new()).unwrap()).await.status.is_success());
    assert_eq!(asked_by(EDGE, &ada, "api", &[]).await.status, 403);
    assert_eq!(asked_by(EDGE, &world.program(GRACE), "api", &[]).await.status, 200);

    for _ in 0..100 {
        if world.count("audit_event WHERE action = 'vend' AND method = 'connect'").await == 8 {
            return world.end().await;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    unreachable!("eight credentials were given away, and the audit has another number");
}

/// A named account is that account or nothing.
#[tokio::test]
async fn a_proxy_is_given_the_account_that_was_chosen() {
    let world = world().await;
    world.ada().await.connect("api").await;
    let ada = world.program(ADA);
    let work = [("attache-account", "work")];
    let refused = asked_by(EDGE, &ada, "api", &work).await;
    assert_eq!(refused.status, 403);
    let connect = format!("{}connect/api@work", world.origin);
    assert_eq!(refused.header("attache-connect-url"), Some(connect.as_str()));
    for unclear in [&["work", "home"][..], &["Work"], &[""]] {
        let headers: Vec<_> = unclear.iter().map(|name| ("attache-account", *name)).collect();
        let refused = asked_by(EDGE, &ada, "api", &headers).await;
        assert_eq!(refused.status, 403);
        assert!(refused.body.contains("/problems/account-unclear"), "{}", refused.body);
    }

    world.ada().await.connect("api@work").await;
    let [first, second] =
        [asked_by(EDGE, &ada, "api", &[]).await, asked_by(EDGE, &ada, "api", &work).await]
            .map(|granted| granted.header("authorization").unwrap().to_owned());
    assert_ne!(first, second);
    world.end().await;
}

/// A secret that is wrong, missing, doubled, or for other upstreams opens nothing and tells nothing:
/// also not which upstreams there are.
#[tokio::test]
async fn whoever_is_no_proven_proxy_learns_nothing() {
    let world = world().await;
    world.ada().await.connect("api").await;
    world.ada().await.connect("mail").await;
    let ada = world.program(ADA);
    let without = |name: &str| {
        ada.request(Method::GET, &format!("/forward-auth/{name}")).body(Bytes::new()).unwrap()
    };
    let reference = look(&heard(&ada, without("api")).await, "api");
    assert!(reference.starts_with("401"), "{reference}");
    for (secret, name) in [
        ("", "api"),
        (&EDGE[..EDGE.len() - 1], "api"),
        (&EDGE.to_uppercase(), "api"),
        (&format!("{EDGE}{OTHER}"), "api"),
        (&format!("{EDGE}, {OTHER}"), "api"),
        // Of another proxy.
        (EDGE, "mail"),
        (OTHER, "notes"),
        (OTHER, "vip-api"),
        // Not there at all.
        (EDGE, "nothing"),
        (EDGE, "API"),
        (EDGE, "api/"),
        (EDGE, "api/mail"),
        (EDGE, "%61pi"),
        (EDGE, ""),
        ("wrong", "nothing"),
    ] {
        let answer = asked_by(secret, &ada, name, &[]).await;
        assert_eq!(look(&answer, name), reference, "{secret} {name}");
    }
    for lines in [
        format!("Attache-Proxy-Secret: {EDGE}\r\nAttache-Proxy-Secret: {EDGE}\r\n"),
        format!("Attache-Proxy-Secret: {OTHER}x\r\nAttache-Proxy-Secret: {EDGE}\r\n"),
        format!("Attache_Proxy_Secret: {EDGE}\r\n"),
        format!("Proxy-Authorization: Bearer {EDGE}\r\n"),
    ] {
        let answer = ada.raw_get("/forward-auth/api", &lines).await;
        assert_eq!(status(&answer), Some(401), "{lines}: {answer}");
        assert!(answer.contains("unknown-proxy"), "{answer}");
    }
    let elsewhere = format!("/forward-auth/api?attache-proxy-secret={EDGE}");
    assert_eq!(status(&ada.raw_get(&elsewhere, "").await), Some(401));
    assert_eq!(world.count("audit_event WHERE action = 'vend'").await, 0);
    world.end().await;
}

/// The proxy's secret says nothing about a person: they prove themselves, as everywhere.
#[tokio::test]
async fn a_proxy_speaks_for_nobody() {
    let world = world().await;
    let mut ada = world.ada().await;
    ada.connect("api").await;
    ada.connect("vip-api").await;
    let (program, grace) = (world.program(ADA), world.program(GRACE));

    let url = world.origin.join("/forward-auth/api").unwrap();
    let anonymous = || Request::get(url.as_str()).header("attache-proxy-secret", EDGE);
    let metadata = format!("{}.well-known/oauth-protected-resource/http/api", world.origin);
    let nobody = heard(&program, anonymous().body(Bytes::new()).unwrap()).await;
    assert_eq!(nobody.status, 401);
    assert_eq!(
        nobody.header("www-authenticate").unwrap(),
        format!("Bearer resource_metadata=\"{metadata}\"")
    );
    // A browser's session is sent by any page that the person visits.
    let cookie = format!("attache_session={}", ada.session().unwrap());
    let visiting = anonymous().header(header::COOKIE, cookie).body(Bytes::new()).unwrap();
    assert_eq!(heard(&program, visiting).await.status, 401);

    let token = |changed: Value| {
        let mut claims = json!({
            "iss": world.forge.issuer, "aud": world.origin.origin().ascii_serialization(),
            "sub": "ada", "client_id": "c", "iat": world.now(), "exp": world.now() + 3600,
        });
        claims.as_object_mut().unwrap().extend(changed.as_object().unwrap().clone());
        world.program_with(&world.forge.sign("at+jwt", &claims))
    };
    let elsewhere = world.origin.join("/http/keyed").unwrap().to_string();
    let strangers = Forge::start(std::net::Ipv4Addr::LOCALHOST).await;
    for (what, caller, status) in [
        ("expired", token(json!({ "exp": world.now() - 3600 })), 401),
        ("of another audience", token(json!({ "aud": "https://elsewhere.example" })), 401),
        ("of another route", token(json!({ "aud": elsewhere })), 401),
        ("of nobody we know", token(json!({ "iss": strangers.issuer })), 401),
        ("of a namesake", token(json!({})), 403),
        ("of somebody not connected", grace.clone(), 403),
    ] {
        let answer = asked_by(EDGE, &caller, "api", &[]).await;
        assert_eq!(answer.status, status, "a token {what}: {}", answer.body);
    }

    // What to do is said twice: nginx drops bodies.
    let refused = asked_by(EDGE, &grace, "api", &[]).await;
    let connect = format!("{}connect/api", world.origin);
    assert_eq!(refused.header("attache-connect-url"), Some(connect.as_str()));
    let problem = refused.json().unwrap();
    assert_eq!(problem["connect_url"], connect);
    assert_eq!(problem["status"], 403);

    // Not hers to use, connected or not; and no way to ask in somebody else's name.
    let hers = asked_by(EDGE, &grace, "vip-api", &[]).await;
    assert_eq!(hers.status, 403);
    assert_eq!(hers.json().unwrap()["title"], "No such upstream");
    assert_eq!(hers.header("attache-connect-url"), None);
    let twice = format!(
        "Attache-Proxy-Secret: {EDGE}\r\nAuthorization: Bearer {}\r\n",
        world.program(GRACE).token
    );
    assert_eq!(status(&program.raw_get("/forward-auth/api", &twice).await), Some(403));
    assert_eq!(world.count("audit_event WHERE action = 'vend'").await, 0);
    world.end().await;
}

/// Headers that name another upstream, person or request change nothing, or close the way.
#[tokio::test]
async fn what_a_caller_adds_opens_nothing() {
    let world = world().await;
    world.ada().await.connect("api").await;
    world.ada().await.connect("mail").await;
    let ada = world.program(ADA);
    for more in [
        &[("x-original-uri", "/forward-auth/mail"), ("x-original-method", "DELETE")][..],
        &[("x-forwarded-uri", "/http/mail"), ("x-forwarded-method", "GET")],
        &[("x-forwarded-user", "grace"), ("x-forwarded-for", "127.0.0.1")],
        &[("x-forwarded-host", "evil.example"), ("forwarded", "host=evil.example")],
        // The page of another site, which the proxied API may well serve: that is the proxy's to say.
        &[("origin", "https://app.example.com")],
        &[("if-none-match", "*"), ("range", "bytes=0-1")],
        &[("connection", "authorization, attache-proxy-secret")],
    ] {
        let granted = asked_by(EDGE, &ada, "api", more).await;
        assert_eq!(granted.status, 200, "{more:?}");
        assert_eq!(owner(&world, granted.header("authorization").unwrap()).await, "ada");
    }
    for more in [
        &[("x-original-uri", "/a/../b")][..],
        &[("x-original-uri", "/a"), ("x-forwarded-uri", "/%2e%2e/b")],
        &[("x-original-uri", "/a"), ("x-original-uri", "/..;/b")],
        &[("x-original-method", "TRACE")],
        &[("x-original-method", "GET"), ("x-forwarded-method", "connect")],
    ] {
        assert_eq!(asked_by(EDGE, &ada, "api", more).await.status, 403, "{more:?}");
    }
    // By another name it is not this gateway that is asked.
    let token = &ada.token;
    let rebound = format!(
        "GET /forward-auth/api HTTP/1.1\r\nHost: evil.example\r\nAttache-Proxy-Secret: {EDGE}\r\n\
         Authorization: Bearer {token}\r\nConnection: close\r\n\r\n"
    );
    assert_eq!(status(&ada.raw(&rebound).await), Some(403));
    world.end().await;
}

#[tokio::test]
async fn one_person_is_answered_so_often() {
    let world = world().await;
    world.ada().await.connect("api").await;
    world.grace().await.connect("api").await;
    let (ada, grace) = (world.program(ADA), world.program(GRACE));
    for _ in 0..3 {
        assert_eq!(asked_by(OTHER, &ada, "api", &[]).await.status, 200);
    }
    let refused = asked_by(OTHER, &ada, "api", &[]).await;
    assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (429, Some("1")));
    assert_eq!(asked_by(OTHER, &grace, "api", &[]).await.status, 200, "it is hers alone");
    assert_eq!(asked_by(EDGE, &ada, "api", &[]).await.status, 200, "and that proxy's");
    world.later(Duration::from_secs(1));
    assert_eq!(asked_by(OTHER, &ada, "api", &[]).await.status, 200);
    world.end().await;
}

/// What it would be used for nobody here sees: no credential for a token that only looks.
#[tokio::test]
async fn who_may_only_look_is_given_no_credential() {
    let world = world().await;
    let mut ada = world.ada().await;
    ada.connect("api").await;
    for (access, expected) in [("look", 403), ("act", 200)] {
        let form = format!("name=a&reach=everything&access={access}&days=1");
        let holder = holder(&world, &token(&mut ada, &form).await);
        let answer = asked_by(EDGE, &holder, "api", &[("x-original-method", "GET")]).await;
        assert_eq!(answer.status, expected, "{access}: {}", answer.body);
    }
    assert!(world.bare.arrived().is_empty());
    world.end().await;
}

/// A secret that a proxy sends with every request goes no further.
#[tokio::test]
async fn the_secret_reaches_no_upstream() {
    let world = world().await;
    world.ada().await.connect("keyed").await;
    let ada = world.program(ADA);
    let answer = ada.get_with("/http/keyed/x", &[("attache-proxy-secret", EDGE)]).await;
    assert_eq!(answer.status, 200);
    assert!(world.bare.arrived().iter().all(|one| one.all("attache-proxy-secret").is_empty()));
    world.end().await;
}

/// All there is to see of an answer, but for its id, its hour and the name that was asked for.
fn look(answer: &Page, name: &str) -> String {
    let id = answer.header("x-request-id").expect("every answer has an id");
    let headers: Vec<_> = answer
        .headers
        .iter()
        .filter(|(header, _)| !["date", "x-request-id"].contains(&header.as_str()))
        .collect();
    assert!(name.len() < 4 || !answer.body.contains(&format!("/{name}")), "{}", answer.body);
    format!("{}\n{headers:?}\n{}", answer.status, answer.body).replace(id, "ID")
}

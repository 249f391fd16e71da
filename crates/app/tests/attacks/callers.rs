//! Who may call at all, and from where.

use std::time::Duration;

use attache_sandbox::{
    Page,
    people::{ADA, GRACE},
};
use bytes::Bytes;
use http::{Method, Request, header};
use serde_json::{Value, json};

use crate::{
    forge::Forge,
    program::{Program, status},
    world::World,
};

/// A good token's, but for what a test changes; `null` leaves a claim out.
fn claims(world: &World, changed: &Value) -> Value {
    let now = world.now();
    let mut claims = json!({
        "iss": world.forge.issuer,
        "aud": world.origin.origin().ascii_serialization(),
        "sub": "mallory",
        "client_id": "a-client",
        "iat": now,
        "exp": now + 3600,
    });
    if let (Some(claims), Some(changed)) = (claims.as_object_mut(), changed.as_object()) {
        claims.extend(changed.clone());
        claims.retain(|_, value| !value.is_null());
    }
    claims
}

#[tokio::test]
async fn without_a_token_one_is_told_where_to_get_one() {
    let world = World::new().await;
    let program = world.program(ADA);
    for (path, metadata) in [
        ("/mcp/notes", "mcp/notes"),
        ("/http/api/me", "http/api"),
        // What does not exist is no different for somebody who may not know.
        ("/mcp/nothing", "mcp/nothing"),
    ] {
        let url = program.origin.join(path).unwrap();
        let request = Request::post(url.as_str()).body(Bytes::new()).unwrap();
        let answer = program.send(request).await;
        assert_eq!(answer.status, 401, "{path}");
        let challenge = answer.header("www-authenticate").unwrap();
        let expected = format!("{}.well-known/oauth-protected-resource/{metadata}", world.origin);
        assert_eq!(challenge, format!("Bearer resource_metadata=\"{expected}\""));
    }
    assert_eq!(world.mcp.recorder().arrived() + world.api.recorder().arrived(), 0);
    world.end().await;
}

#[tokio::test]
async fn a_token_that_is_not_for_us_opens_nothing() {
    let world = World::new().await;
    let now = world.now();
    let signed = |typ: &str, changed: Value| world.forge.sign(typ, &claims(&world, &changed));
    let good = claims(&world, &json!({}));
    let tampered = {
        let token = signed("at+jwt", json!({}));
        let [header, _, signature] = token.split('.').collect::<Vec<_>>().try_into().unwrap();
        let forged = Forge::unsigned(&claims(&world, &json!({ "sub": "ada" })));
        format!("{header}.{}.{signature}", forged.split('.').nth(1).unwrap())
    };
    let cases = [
        ("expired", signed("at+jwt", json!({ "exp": now - 120 }))),
        ("without an end", signed("at+jwt", json!({ "exp": null }))),
        ("not yet valid", signed("at+jwt", json!({ "nbf": now + 600 }))),
        ("for another audience", signed("at+jwt", json!({ "aud": "https://other.example" }))),
        ("for no audience", signed("at+jwt", json!({ "aud": null }))),
        ("of an issuer not trusted", signed("at+jwt", json!({ "iss": "https://evil.example" }))),
        ("in another issuer's name", signed("at+jwt", json!({ "iss": world.idp.issuer() }))),
        ("bound to a key", signed("at+jwt", json!({ "cnf": { "jkt": "x" } }))),
        ("an ID token", signed("JWT", json!({ "nonce": "n" }))),
        ("a logout token", signed("logout+jwt", json!({}))),
        ("of nobody", signed("at+jwt", json!({ "sub": null }))),
        ("unsigned", Forge::unsigned(&good)),
        ("HS256 with the public key", world.forge.signed_with_the_public_key(&good)),
        ("signed by a stranger", world.forge.signed_by_a_stranger(&good)),
        ("tampered with", tampered),
        ("no JWT", "opaque-but-long-enough".to_owned()),
    ];
    for (what, token) in cases {
        for path in ["/mcp/notes", "/http/api/me", "/api/v1/user/credentials"] {
            let answer = world.program_with(&token).get(path).await;
            assert_eq!(answer.status, 401, "{what} at {path}");
            let challenge = answer.header("www-authenticate").unwrap();
            assert!(challenge.contains("error=\"invalid_token\""), "{what}: {challenge}");
        }
    }
    assert_eq!(world.mcp.recorder().arrived() + world.api.recorder().arrived(), 0);
    assert_eq!(world.count("person").await, 0, "nobody became anybody");

    let honest = world.program_with(&signed("at+jwt", json!({})));
    assert!(honest.whoami("notes").await.contains("/connect/notes"), "an honest one does");
    world.end().await;
}

/// Audience confusion: a client that got a token for one upstream, or an upstream that was shown
/// it, tries it elsewhere.
#[tokio::test]
async fn a_token_for_one_upstream_opens_no_other() {
    let world = World::new().await;
    let mut ada = world.ada().await;
    ada.connect("notes").await;
    ada.connect("api").await;
    let ours = |path: &str| world.origin.join(path).unwrap().to_string();
    let token_of = |issuer: Value, audience: Value| {
        let changed = json!({ "iss": issuer, "aud": audience });
        world.program_with(&world.forge.sign("at+jwt", &claims(&world, &changed)))
    };
    let issuer = json!(world.forge.issuer);
    let narrow = token_of(issuer.clone(), json!([ours("mcp/notes"), "https://other.example"]));
    assert!(narrow.whoami("notes").await.contains("/connect/notes"), "it opens its own");

    for (path, metadata) in [
        ("/mcp/mail", "/mcp/mail"),
        ("/mcp/rooms", "/mcp/rooms"),
        ("/http/api/me", "/http/api"),
        // What does not exist, or is for others, is no different.
        ("/mcp/nothing", "/mcp/nothing"),
        ("/mcp/vip", "/mcp/vip"),
        ("/http/vip-api/me", "/http/vip-api"),
        // Nor does it speak for the person beside the routes.
        ("/api/v1/user/credentials", ""),
        ("/api/v1/user/credentials?server=notes", ""),
    ] {
        let answer = narrow.get(path).await;
        assert_eq!(answer.status, 401, "{path}");
        let challenge = answer.header("www-authenticate").unwrap();
        let metadata = ours(&format!(".well-known/oauth-protected-resource{metadata}"));
        assert!(challenge.contains("error=\"invalid_token\""), "{path}: {challenge}");
        assert!(challenge.ends_with(&format!("resource_metadata=\"{metadata}\"")), "{challenge}");
    }
    let delete = narrow.request(Method::DELETE, "/api/v1/user/credentials/notes");
    assert_eq!(narrow.send(delete.body(Bytes::new()).unwrap()).await.status, 401);

    for audience in [ours("connect/notes"), ours("mcp/notes/x"), ours("http"), ours("mcp/")] {
        let nowhere = token_of(issuer.clone(), json!(audience));
        assert_eq!(nowhere.get("/mcp/notes").await.status, 401, "{audience}");
    }
    assert_eq!(world.mcp.recorder().arrived() + world.api.recorder().arrived(), 0);
    assert_eq!(world.status(ADA, "notes").await, "connected");
    world.end().await;
}

/// The same `sub` from two issuers is two people (and an e-mail address is nobody).
#[tokio::test]
async fn a_person_is_their_issuer_and_subject() {
    let world = World::new().await;
    world.ada().await.connect("notes").await;
    let twin = json!({ "sub": "ada", "email": ADA.email, "email_verified": true });
    let twin = world.program_with(&world.forge.sign("at+jwt", &claims(&world, &twin)));

    assert!(twin.whoami("notes").await.contains("/connect/notes"));
    assert_eq!(world.mcp.recorder().arrived(), 0);
    assert_eq!(world.program(ADA).whoami("notes").await, "You are ada at Sandbox Notes");
    world.end().await;
}

#[tokio::test]
async fn a_token_is_in_one_place() {
    let world = World::new().await;
    world.ada().await.connect("api").await;
    let program = world.program(ADA);
    let twice = format!("Authorization: Bearer {}\r\n", program.token);
    for target in ["/http/api/me", "/mcp/notes", "/api/v1/user/credentials"] {
        let answer = program.raw_get(target, &twice).await;
        assert_eq!(status(&answer), Some(400), "{target}: {answer}");
        // The address is where tokens leak; a good header beside it mends nothing.
        let answer = program.raw_get(&format!("{target}?access_token=a.b.c"), "").await;
        assert_eq!(status(&answer), Some(400), "{target}: {answer}");
    }
    assert_eq!(world.api.recorder().arrived(), 0);
    world.end().await;
}

/// Else any page that a person visits could call with that person's credentials.
#[tokio::test]
async fn a_session_cookie_calls_nothing() {
    let world = World::new().await;
    let mut ada = world.ada().await;
    ada.connect("notes").await;
    ada.connect("api").await;
    let own = ada.url("/").origin().ascii_serialization();
    for (method, path) in
        [(Method::POST, "/mcp/notes"), (Method::GET, "/mcp/notes"), (Method::GET, "/http/api/me")]
    {
        let request = Request::builder()
            .method(&method)
            .uri(ada.url(path).as_str())
            .header(header::ORIGIN, &own)
            .body(Bytes::new());
        assert_eq!(ada.send(request.unwrap()).await.status, 401, "{method} {path}");
    }
    assert_eq!(world.mcp.recorder().arrived() + world.api.recorder().arrived(), 0);
    world.end().await;
}

/// DNS rebinding, and scripts of other sites that hold a token.
#[tokio::test]
async fn another_name_or_site_is_refused() {
    let world = World::new().await;
    world.ada().await.connect("api").await;
    let program = world.program(ADA);
    let token = &program.token;
    let host = program.origin.authority();
    for target in ["/http/api/me", "/mcp/notes", "/api/v1/user/credentials", "/connect/notes", "/"]
    {
        for named in [
            "Host: evil.example\r\n".to_owned(),
            format!("Host: evil.example:{}\r\n", program.origin.port().unwrap()),
            format!("Host: user@{host}\r\n"),
            format!("Host: {host}\r\nHost: evil.example\r\n"),
            format!("Host: {host}\r\nOrigin: https://evil.example\r\n"),
            format!("Host: {host}\r\nOrigin: http://{host}.evil.example\r\n"),
        ] {
            let answer = program
                .raw(&format!(
                    "GET {target} HTTP/1.1\r\n{named}Authorization: Bearer {token}\r\n\
                     Connection: close\r\n\r\n"
                ))
                .await;
            assert_eq!(status(&answer), Some(403), "{target} {named}: {answer}");
        }
        // Without a name, or with a wrong one in the request line.
        for (line, named) in [
            (format!("GET {target} HTTP/1.1"), String::new()),
            (format!("GET http://evil.example{target} HTTP/1.1"), format!("Host: {host}\r\n")),
            (format!("GET http://evil.example{target} HTTP/1.1"), "Host: evil.example\r\n".into()),
        ] {
            let answer = program
                .raw(&format!(
                    "{line}\r\n{named}Authorization: Bearer {token}\r\nConnection: close\r\n\r\n"
                ))
                .await;
            assert!(matches!(status(&answer), Some(400 | 403)), "{line} {named}: {answer}");
        }
    }
    assert_eq!(world.api.recorder().arrived(), 0);
    world.end().await;
}

/// An upstream that is not open to somebody looks in every way like one that is not there.
#[tokio::test]
async fn what_is_not_for_you_does_not_exist() {
    let world = World::new().await;
    let mut ada = world.ada().await;
    ada.connect("vip").await;
    let mut grace = world.grace().await;
    let program = world.program(GRACE);

    let mut paths = vec![];
    for upstream in ["vip", "vip-api"] {
        paths.extend([
            (Method::POST, format!("/mcp/{upstream}")),
            (Method::GET, format!("/mcp/{upstream}")),
            (Method::GET, format!("/http/{upstream}/me")),
            (Method::DELETE, format!("/api/v1/user/credentials/{upstream}")),
            (Method::GET, format!("/api/v1/user/credentials/{upstream}/connect")),
            (Method::GET, format!("/connect/{upstream}")),
            (Method::POST, format!("/connect/{upstream}")),
            (Method::GET, format!("/api/v1/user/credentials/{upstream}/callback?code=c&state=s")),
            (Method::POST, format!("/ui/connections/{upstream}/disconnect")),
            (Method::GET, format!("/connect/{upstream}/account")),
            (Method::POST, format!("/connect/{upstream}/account/replace?attempt=1")),
            (Method::GET, format!("/.well-known/oauth-protected-resource/mcp/{upstream}")),
            (Method::GET, format!("/.well-known/oauth-protected-resource/http/{upstream}")),
        ]);
    }
    for (method, forbidden) in paths {
        let unknown = forbidden.replace("vip", "xyz");
        let with_token =
            |path: &str| program.request(method.clone(), path).body(Bytes::new()).unwrap();
        let forbidden_answer = program.send(with_token(&forbidden)).await;
        let unknown_answer = program.send(with_token(&unknown)).await;
        assert_eq!(look(&forbidden_answer), look(&unknown_answer), "{method} {forbidden}");

        let with_cookie = |path: &str| {
            let request =
                Request::builder().method(&method).uri(world.origin.join(path).unwrap().as_str());
            request.body(Bytes::new()).unwrap()
        };
        let forbidden_answer = grace.send(with_cookie(&forbidden)).await;
        let unknown_answer = grace.send(with_cookie(&unknown)).await;
        assert_eq!(look(&forbidden_answer), look(&unknown_answer), "{method} {forbidden}");
    }
    let listed = program.get("/api/v1/user/credentials").await.body;
    let shown = grace.visit("/ui/connections").await.body;
    assert!(!listed.contains("vip") && !shown.contains("vip"));

    assert_eq!(world.mcp.recorder().arrived() + world.api.recorder().arrived(), 0);
    assert_eq!(world.count("connect_flow").await, 0);
    assert_eq!(world.status(ADA, "vip").await, "connected");
    assert_eq!(world.program(ADA).whoami("vip").await, "You are ada at Sandbox Notes");
    world.end().await;
}

/// All there is to see of an answer, but for its id, its hour and the name that was asked for.
fn look(answer: &Page) -> String {
    let headers: Vec<_> = answer
        .headers
        .iter()
        .filter(|(name, _)| !["date", "x-request-id"].contains(&name.as_str()))
        .collect();
    let id = answer.header("x-request-id").expect("every answer has an id");
    let text = format!("{}\n{headers:?}\n{}", answer.status, answer.body);
    text.replace(id, "ID").replace("vip", "xyz")
}

/// A name is not a place to escape from (and the two protocols do not mix).
#[tokio::test]
async fn a_path_names_an_upstream_exactly() {
    let world = World::new().await;
    world.ada().await.connect("api").await;
    let program = world.program(ADA);
    for target in [
        "/mcp/api",
        "/http/notes/mcp",
        "/http/API/me",
        "/http/%61pi/me",
        "/http/api%2Fme",
        "/http//api/me",
        "/mcp/notes/../vip",
        "/MCP/notes",
    ] {
        let answer = program.raw_get(target, "").await;
        assert_eq!(status(&answer), Some(404), "{target}: {answer}");
    }
    assert_eq!(world.mcp.recorder().arrived() + world.api.recorder().arrived(), 0);
    world.end().await;
}

/// Who was taken out of a group holds tokens from before, which say that they are in it.
#[tokio::test]
async fn an_older_token_brings_no_group_back() {
    let world = World::new().await;
    let says = |claims: Value| {
        let origin = world.origin.origin().ascii_serialization();
        let mut all = json!({
            "iss": world.forge.issuer, "aud": origin, "sub": "mallory", "client_id": "c",
        });
        for (name, value) in claims.as_object().unwrap() {
            all[name] = value.clone();
        }
        world.program_with(&world.forge.sign("at+jwt", &all))
    };
    let told = |issued: i64, groups: &[&str]| {
        says(json!({ "iat": issued, "exp": issued + 3600, "groups": groups }))
    };
    let is_engineer = async |program: &Program| program.get("/http/vip-api/me").await.status != 404;
    let before = told(world.now(), &["engineering"]);
    assert!(is_engineer(&before).await);
    world.later(Duration::from_mins(10));
    let after = told(world.now(), &[]);
    assert!(!is_engineer(&after).await);
    world.later(Duration::from_mins(2));
    assert!(!is_engineer(&before).await, "it is an hour's token, and older");
    assert!(!is_engineer(&after).await);
    world.later(Duration::from_secs(1));
    assert!(is_engineer(&told(world.now(), &["engineering"])).await, "what is newer counts");

    // What does not say when it was issued is no news of anybody.
    let timeless = json!({ "exp": world.now() + 3600, "groups": ["engineering"] });
    world.later(Duration::from_secs(1));
    assert!(!is_engineer(&told(world.now(), &[])).await);
    world.later(Duration::from_mins(2));
    assert!(!is_engineer(&says(timeless)).await);
    world.end().await;
}

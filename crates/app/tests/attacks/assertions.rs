//! What a company's identity provider asserts of people to the built-in authorization server (AS-25):
//! by whom, for whom, and once.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use attache_crypto::digest::base64url;
use attache_sandbox::{Browser, Page, people::ADA};
use bytes::Bytes;
use http::{Request, header};
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::{
    app::App,
    world::{Surroundings, World},
};

const CLIENTS: &str = r#"
[authorization_server]
id_jag = true
[[authorization_server.client]]
id = "desk"
client_secret = "desk-secret"
[[authorization_server.client]]
id = "other"
client_secret = "other-secret"
[[authorization_server.client]]
id = "public"
redirect_uris = ["http://127.0.0.1/callback"]
"#;
const TYPE: &str = "oauth-id-jag+jwt";
const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

async fn world() -> World {
    let surroundings = Surroundings { more: CLIENTS.to_owned(), ..Surroundings::default() };
    World::among("sqlite:attache.db", surroundings).await
}

fn ours(world: &World, path: &str) -> String {
    format!("{}{path}", world.origin.origin().ascii_serialization())
}

/// About Ada, for `desk` and `/mcp/notes`, but for what is changed; `null` takes one away.
fn claims(world: &World, changed: &Value) -> Value {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let mut claims = json!({
        "iss": world.idp.issuer(),
        "sub": "ada",
        "aud": ours(world, ""),
        "client_id": "desk",
        "resource": ours(world, "/mcp/notes"),
        "jti": format!("jti-{}", NEXT.fetch_add(1, Relaxed)),
        "iat": world.now(),
        "exp": world.now() + 300,
    });
    let members = claims.as_object_mut().expect("a table");
    members.extend(changed.as_object().expect("a table").clone());
    members.retain(|_, value| !value.is_null());
    claims
}

fn assertion(world: &World, changed: &Value) -> String {
    let text = world.idp.sign(TYPE, &claims(world, changed));
    world.keep_secret(&text);
    text
}

async fn redeem(world: &World, assertion: &str, changed: &[(&str, &str)]) -> Page {
    let usual = [
        ("grant_type", GRANT_TYPE),
        ("assertion", assertion),
        ("client_id", "desk"),
        ("client_secret", "desk-secret"),
    ];
    let kept = usual.iter().filter(|(name, _)| !changed.iter().any(|(one, _)| one == name));
    let all = kept.chain(changed).filter(|(_, value)| !value.is_empty());
    let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(all).finish();
    let request = Request::post(ours(world, "/oauth/token"))
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Bytes::from(form))
        .expect("a request");
    Browser::new().send(request).await.expect("the gateway answers")
}

/// The access token of an answer that has no other.
fn token(world: &World, page: &Page) -> String {
    assert_eq!(page.status, 200, "{}", page.body);
    let answer = page.json().expect("JSON");
    assert_eq!(answer.get("refresh_token"), None, "the next one is asked for there");
    let token = answer.get("access_token").and_then(Value::as_str);
    let token = token.expect("a token").to_owned();
    world.keep_secret(&token);
    token
}

fn refused(page: &Page, error: &str, what: &str) {
    let said = page.json().and_then(|answer| answer.get("error")?.as_str().map(str::to_owned));
    assert_eq!(said.as_deref(), Some(error), "{what}: {}", page.body);
}

#[tokio::test]
async fn an_assertion_lets_a_client_in_once_for_what_it_is_for() {
    let world = world().await;
    let mut ada = world.ada().await;
    ada.connect("notes").await;

    let first = assertion(&world, &json!({}));
    let given = token(&world, &redeem(&world, &first, &[]).await);
    let desk = world.program_with(&given);
    assert_eq!(desk.whoami("notes").await, "You are ada at Sandbox Notes", "the same person");
    for path in ["/http/api/me", "/api/v1/user/credentials"] {
        assert_eq!(desk.get(path).await.status, 401, "{path}");
    }
    refused(&redeem(&world, &first, &[]).await, "invalid_grant", "once more");
    assert_eq!(desk.whoami("notes").await, "You are ada at Sandbox Notes");

    // However often the client comes back, the person sees it once, and ends it.
    token(&world, &redeem(&world, &assertion(&world, &json!({})), &[]).await);
    assert_eq!(world.count("oauth_grant").await, 1);
    assert_eq!(
        world.count("audit_event WHERE action = 'token_issue' AND outcome = 'success'").await,
        2
    );
    let failed = "audit_event WHERE action = 'token_issue' AND reason = 'invalid_grant'";
    assert_eq!(world.count(failed).await, 1);

    // Whom the policy of a route keeps out, no assertion lets in; who is new is a person of hers.
    for (subject, groups, status) in
        [("grace", json!([]), 404), ("hedy", json!(["engineering"]), 403)]
    {
        let vip =
            json!({ "sub": subject, "groups": groups, "resource": ours(&world, "/http/vip-api") });
        let given = token(&world, &redeem(&world, &assertion(&world, &vip), &[]).await);
        let page = world.program_with(&given).get("/http/vip-api/me").await;
        assert_eq!(page.status, status, "{subject}: {}", page.body);
    }
    let metadata = ada.visit("/.well-known/oauth-authorization-server").await.body;
    assert!(metadata.contains("urn:ietf:params:oauth:grant-profile:id-jag"), "{metadata}");
    world.end().await;
}

#[tokio::test]
async fn what_is_no_assertion_for_us_lets_nobody_in() {
    let world = world().await;
    let audience = ours(&world, "");
    for (changed, error) in [
        (json!({ "aud": "https://other.example.com" }), "invalid_grant"),
        (json!({ "aud": [audience, "https://other.example.com"] }), "invalid_grant"),
        (json!({ "aud": ours(&world, "/") }), "invalid_grant"),
        (json!({ "aud": null }), "invalid_grant"),
        (json!({ "iss": world.forge.issuer }), "invalid_grant"),
        (json!({ "client_id": "other" }), "invalid_grant"),
        (json!({ "client_id": null }), "invalid_grant"),
        (json!({ "sub": null }), "invalid_grant"),
        (json!({ "jti": null }), "invalid_grant"),
        (json!({ "iat": null }), "invalid_grant"),
        (json!({ "exp": null }), "invalid_grant"),
        (json!({ "exp": world.now() - 60 }), "invalid_grant"),
        (json!({ "exp": world.now() + 301 }), "invalid_grant"),
        (json!({ "iat": world.now() + 61 }), "invalid_grant"),
        (json!({ "nbf": world.now() + 61 }), "invalid_grant"),
        (json!({ "cnf": { "jkt": "x" } }), "invalid_grant"),
        (json!({ "authorization_details": [] }), "invalid_grant"),
        (json!({ "scope": "admin" }), "invalid_scope"),
        (json!({ "resource": null }), "invalid_target"),
        (json!({ "resource": audience }), "invalid_target"),
        (json!({ "resource": ours(&world, "/api/v1") }), "invalid_target"),
        (json!({ "resource": "https://other.example.com/mcp/notes" }), "invalid_target"),
        (
            json!({ "resource": [ours(&world, "/mcp/notes"), ours(&world, "/mcp/vip")] }),
            "invalid_target",
        ),
    ] {
        let page = redeem(&world, &assertion(&world, &changed), &[]).await;
        refused(&page, error, &changed.to_string());
    }

    // Of another kind, or of another key.
    let good = claims(&world, &json!({}));
    for typ in ["JWT", "at+jwt", "dpop+jwt"] {
        refused(&redeem(&world, &world.idp.sign(typ, &good), &[]).await, "invalid_grant", typ);
    }
    let forged = world.forge.sign(TYPE, &good);
    refused(&redeem(&world, &forged, &[]).await, "invalid_grant", "another's key");
    for alg in ["none", "HS256"] {
        let header = json!({ "alg": alg, "typ": TYPE }).to_string();
        let (header, body) = (base64url(header.as_bytes()), base64url(good.to_string().as_bytes()));
        let unsigned = format!("{header}.{body}.{}", base64url(b"signature"));
        refused(&redeem(&world, &unsigned, &[]).await, "invalid_grant", alg);
    }
    // More than the assertion says.
    let vip = ours(&world, "/mcp/vip");
    for (name, value, error) in
        [("resource", vip.as_str(), "invalid_target"), ("scope", "admin", "invalid_scope")]
    {
        let page = redeem(&world, &assertion(&world, &json!({})), &[(name, value)]).await;
        refused(&page, error, name);
    }
    assert_eq!(world.count("oauth_grant").await, 0);
    world.end().await;
}

/// Whoever steals an assertion has to be its client, too.
#[tokio::test]
async fn only_a_client_of_the_operators_that_proves_itself_brings_assertions() {
    let world = world().await;
    let metadata = json!({ "token_endpoint_auth_method": "client_secret_post" });
    let answer = App::register(&world, &metadata).await.json().expect("JSON");
    let (id, secret) = (answer["client_id"].as_str(), answer["client_secret"].as_str());
    let (id, secret) = (id.expect("an id"), secret.expect("a secret"));
    world.keep_secret(secret);
    for (client, secret, error) in [
        ("public", "", "unauthorized_client"),
        (id, secret, "unauthorized_client"),
        ("desk", "", "invalid_client"),
        ("desk", "other-secret", "invalid_client"),
        ("other", "other-secret", "invalid_grant"),
    ] {
        let stolen = assertion(&world, &json!({}));
        let page =
            redeem(&world, &stolen, &[("client_id", client), ("client_secret", secret)]).await;
        refused(&page, error, client);
    }
    let theirs = assertion(&world, &json!({ "client_id": "public" }));
    let page = redeem(&world, &theirs, &[("client_id", "public"), ("client_secret", "")]).await;
    refused(&page, "unauthorized_client", "its own");
    assert_eq!(world.count("oauth_grant").await, 0);
    world.end().await;
}

#[tokio::test]
async fn nobody_is_believed_unless_the_operator_says_so() {
    let more = CLIENTS
        .replace("id_jag = true", "")
        .replace("client_secret", "redirect_uris = [\"http://127.0.0.1/callback\"]\nclient_secret");
    let world =
        World::among("sqlite:attache.db", Surroundings { more, ..Surroundings::default() }).await;
    let page = redeem(&world, &assertion(&world, &json!({})), &[]).await;
    refused(&page, "unsupported_grant_type", "off");
    let metadata = world.stranger(ADA).visit("/.well-known/oauth-authorization-server").await.body;
    assert!(!metadata.contains("id-jag") && !metadata.contains(GRANT_TYPE), "{metadata}");
    world.end().await;
}

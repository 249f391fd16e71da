//! The identity provider takes people away, as Okta and Entra do it, and nobody else does.

use std::{fs, time::Duration};

use attache_sandbox::{
    Browser, Page, Person,
    people::{ADA, GRACE},
};
use bytes::Bytes;
use http::{Method, Request, header};
use serde_json::{Value, json};

use crate::{
    app::{App, error},
    configuration, offboarding,
    program::Program,
    tokens::{EVERYTHING, holder, token},
    world::{Surroundings, World},
};

const SECRET: &str = "the-provider's-own-secret-of-40-characters";
const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const PATCH: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";

async fn world(options: &str) -> World {
    let more = format!("[identity.scim]\ntoken = \"{SECRET}\"\n{options}\n");
    let world =
        World::among("sqlite:attache.db", Surroundings { more, ..Surroundings::default() }).await;
    world.keep_secret(SECRET);
    world
}

/// As the provider, with its secret or with something else.
async fn send_as(bearer: &str, world: &World, method: Method, path: &str, body: &Value) -> Page {
    let url = world.origin.join("/scim/v2/").and_then(|base| base.join(path)).expect("a path");
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let mut request = Request::builder().method(method).uri(url.as_str());
    if !bearer.is_empty() {
        request = request.header(header::AUTHORIZATION, bearer);
    }
    let request = request.header(header::CONTENT_TYPE, "application/scim+json");
    let page = Browser::new().send(request.body(Bytes::from(body)).expect("a request")).await;
    page.expect("the gateway answers")
}

async fn send(world: &World, method: Method, path: &str, body: &Value) -> Page {
    send_as(&format!("Bearer {SECRET}"), world, method, path, body).await
}

async fn answer(world: &World, method: Method, path: &str, body: &Value, status: u16) -> Value {
    let page = send(world, method, path, body).await;
    assert_eq!(page.status.as_u16(), status, "{path} {}", page.body);
    assert_eq!(page.header("content-type"), Some("application/scim+json"), "{path}");
    let said = page.json().expect("JSON");
    if status >= 400 {
        let schemas = json!(["urn:ietf:params:scim:api:messages:2.0:Error"]);
        assert_eq!(said.get("schemas"), Some(&schemas), "{path}");
        assert_eq!(said.get("status"), Some(&json!(status.to_string())), "{path}");
    }
    said
}

fn search(attribute: &str, value: &str) -> String {
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("filter", &format!("{attribute} eq {}", json!(value)))
        .finish();
    format!("Users?{query}")
}

fn deactivated(value: &Value) -> Value {
    json!({ "schemas": [PATCH], "Operations": [{ "op": "Replace", "path": "active", "value": value }] })
}

/// Okta's own: no path, and the attributes as an object.
fn okta(active: bool) -> Value {
    json!({ "schemas": [PATCH], "Operations": [{ "op": "replace", "value": { "active": active } }] })
}

/// With all that a provider sends along.
fn user(person: Person, active: bool) -> Value {
    json!({
        "schemas": [USER], "externalId": person.id, "userName": person.email, "active": active,
        "name": { "givenName": "G", "familyName": "F", "formatted": person.name },
        "emails": [{ "primary": true, "type": "work", "value": person.email }],
        "displayName": person.name, "locale": "en-US", "groups": [], "password": "ignored",
    })
}

async fn is_let_in(program: &Program) -> bool {
    let page = program.mcp("notes", "tools/call", &json!({ "name": "whoami" })).await;
    page.status != 401
}

/// Okta: search by user name, create, get, deactivate, reactivate.
#[tokio::test]
async fn who_is_deactivated_is_out_with_everything_at_once() {
    let world = world("").await;
    let (mut ada, mut grace) = (world.ada().await, world.grace().await);
    ada.connect("notes").await;
    let script = holder(&world, &token(&mut ada, EVERYTHING).await);
    let (app, client) = App::signed_in(&world, &mut ada).await;
    let programs = [script, client.program(&world), world.program(ADA)];
    for program in &programs {
        assert!(is_let_in(program).await);
    }

    let found = answer(&world, Method::GET, &search("userName", "nobody"), &Value::Null, 200).await;
    assert_eq!((&found["totalResults"], &found["Resources"]), (&json!(0), &json!([])));
    let created = answer(&world, Method::POST, "Users", &user(ADA, true), 201).await;
    let id = created["id"].as_str().expect("an id").to_owned();
    assert_eq!((&created["active"], &created["userName"]), (&json!(true), &json!(ADA.email)));
    for (attribute, value) in [
        ("userName", ADA.email.to_uppercase()),
        ("externalId", ADA.id.to_owned()),
        ("id", id.clone()),
    ] {
        let found =
            answer(&world, Method::GET, &search(attribute, &value), &Value::Null, 200).await;
        assert_eq!(found["Resources"][0], created, "{attribute}");
    }
    assert!(is_let_in(&programs[0]).await, "she stays who she was");
    let again = answer(&world, Method::POST, "Users", &user(ADA, true), 409).await;
    assert_eq!(again["scimType"], "uniqueness");

    let path = format!("Users/{id}");
    let gone = answer(&world, Method::PATCH, &path, &okta(false), 200).await;
    assert_eq!(gone["active"], false);
    for program in &programs {
        assert!(!is_let_in(program).await, "at once, where it was done");
    }
    assert!(!ada.is_signed_in().await && grace.is_signed_in().await);
    assert_eq!(error(&app.refresh(&client.refresh).await), (400, "invalid_grant".to_owned()));
    assert_eq!(world.stranger(ADA).visit("/ui/connections").await.status, 403);
    assert_eq!(world.count("audit_event WHERE action = 'disable'").await, 1);
    assert_eq!(world.count("credential").await, 1, "what she connected waits for her");

    let back = answer(&world, Method::PUT, &path, &user(ADA, true), 200).await;
    assert_eq!(back["active"], true);
    assert!(is_let_in(&world.program(ADA)).await && !is_let_in(&programs[0]).await);
    world.end().await;
}

/// Entra: users are created before they ever sign in, deactivated by a text, and deleted a month
/// later.
#[tokio::test]
async fn who_is_provisioned_as_gone_never_gets_in() {
    let world = world("").await;
    let created = answer(&world, Method::POST, "Users", &user(ADA, false), 201).await;
    assert_eq!(created["active"], false);
    assert_eq!(world.stranger(ADA).visit("/ui/connections").await.status, 403);
    assert!(!is_let_in(&world.program(ADA)).await);

    let graces = answer(&world, Method::POST, "Users", &user(GRACE, true), 201).await;
    let path = format!("Users/{}", graces["id"].as_str().expect("an id"));
    let mut grace = world.grace().await;
    for off in [json!("False"), json!(false)] {
        let gone = answer(&world, Method::PATCH, &path, &deactivated(&off), 200).await;
        assert_eq!(gone["active"], false, "{off}");
        assert!(!grace.is_signed_in().await);
        answer(&world, Method::PATCH, &path, &deactivated(&json!("True")), 200).await;
        grace = world.grace().await;
    }
    let deleted = send(&world, Method::DELETE, &path, &Value::Null).await;
    assert_eq!((deleted.status.as_u16(), deleted.body.as_str()), (204, ""));
    assert!(!grace.is_signed_in().await && !is_let_in(&world.program(GRACE)).await);
    for (method, body) in [
        (Method::GET, Value::Null),
        (Method::DELETE, Value::Null),
        (Method::PATCH, deactivated(&json!(true))),
        (Method::PUT, user(GRACE, true)),
    ] {
        answer(&world, method, &path, &body, 404).await;
    }
    // Who comes back to the company is let in again.
    let back = answer(&world, Method::POST, "Users", &user(GRACE, true), 201).await;
    assert_eq!(back["active"], true);
    assert!(is_let_in(&world.program(GRACE)).await);
    world.end().await;
}

/// OC-28.
#[tokio::test]
async fn who_leaves_is_ended_at_the_providers_where_that_is_wanted() {
    let world = world("offboard = true").await;
    for upstream in ["notes", "mail"] {
        world.ada().await.connect(upstream).await;
    }
    world.grace().await.connect("notes").await;
    let found = answer(&world, Method::GET, &search("externalId", ADA.id), &Value::Null, 200).await;
    let path = format!("Users/{}", found["Resources"][0]["id"].as_str().expect("who signed in"));
    answer(&world, Method::PATCH, &path, &okta(false), 200).await;
    assert_eq!(world.count("credential").await, 1, "grace's");
    assert!(world.notes.stats().revocations > 0 && world.mail.stats().revocations > 0);
    assert_eq!(world.count("audit_event WHERE action = 'revoke' AND outcome = 'success'").await, 2);
    assert_eq!(world.count("person WHERE email IS NOT NULL").await, 2);

    assert_eq!(send(&world, Method::DELETE, &path, &Value::Null).await.status, 204);
    assert_eq!(world.count("person WHERE email IS NOT NULL").await, 1, "she is erased");
    assert_eq!(world.count("audit_event WHERE action = 'offboard'").await, 1);
    assert!(!is_let_in(&world.program(ADA)).await);
    assert_eq!(world.stranger(ADA).visit("/ui/connections").await.status, 403);
    answer(&world, Method::POST, "Users", &user(ADA, true), 201).await;
    assert!(is_let_in(&world.program(ADA)).await, "hired again, with nothing");
    world.end().await;
}

/// A profile that is synchronized, with `active` true as ever, is not a word about what an operator
/// did.
#[tokio::test]
async fn what_an_operator_switched_off_stays_off() {
    let world = world("").await;
    let mut ada = world.ada().await;
    let created = answer(&world, Method::POST, "Users", &user(ADA, true), 201).await;
    let path = format!("Users/{}", created["id"].as_str().expect("an id"));
    world.tamper("UPDATE person SET disabled = TRUE WHERE email = 'ada@example.com'").await;
    world.later(Duration::from_mins(1));
    for (method, body) in [
        (Method::PUT, user(ADA, true)),
        (Method::PATCH, okta(true)),
        (Method::PATCH, okta(false)),
        (Method::PATCH, okta(true)),
    ] {
        let said = answer(&world, method, &path, &body, 200).await;
        assert_eq!(said["active"], false);
        assert!(!ada.is_signed_in().await && !is_let_in(&world.program(ADA)).await);
    }
    // Also whom the provider had switched off before.
    let created = answer(&world, Method::POST, "Users", &user(GRACE, true), 201).await;
    let id = created["id"].as_str().expect("an id");
    let grace = format!("Users/{id}");
    assert_eq!(answer(&world, Method::PATCH, &grace, &okta(false), 200).await["active"], false);
    fs::write(world.home.config_file(), configuration::text(&world)).expect("a disk");
    let operator = offboarding::user(&world, &["disable", id]);
    assert!(operator.status.success(), "{operator:?}");
    assert_eq!(answer(&world, Method::PATCH, &grace, &okta(true), 200).await["active"], false);
    assert!(!is_let_in(&world.program(GRACE)).await);
    // Nor does it come back by being deleted and created.
    assert_eq!(send(&world, Method::DELETE, &path, &Value::Null).await.status, 204);
    let again = answer(&world, Method::POST, "Users", &user(ADA, true), 201).await;
    assert_eq!(again["active"], false);
    assert!(!is_let_in(&world.program(ADA)).await);
    world.end().await;
}

#[tokio::test]
async fn only_the_provider_is_answered() {
    let world = world("").await;
    let mut ada = world.ada().await;
    let script = token(&mut ada, EVERYTHING).await;
    let wrong = [
        String::new(),
        "Bearer".to_owned(),
        "Bearer wrong".to_owned(),
        format!("Basic {SECRET}"),
        format!("Bearer {SECRET}x"),
        format!("Bearer {}", SECRET.to_uppercase()),
        format!("Bearer {script}"),
        format!("Bearer {}", world.program(ADA).token),
    ];
    for bearer in &wrong {
        let refused = send_as(bearer, &world, Method::GET, "Users", &Value::Null).await;
        assert_eq!(refused.status, 401, "{bearer}");
        assert_eq!(refused.header("www-authenticate"), Some("Bearer realm=\"scim\""));
        assert!(!refused.body.contains("ada"), "{}", refused.body);
    }
    // Whoever tries on waits, and not the provider, nor whoever tries later.
    for _ in 0..5 {
        send_as("Bearer wrong", &world, Method::GET, "Users", &Value::Null).await;
    }
    let slowly = send_as("Bearer wrong", &world, Method::POST, "Users", &user(ADA, false)).await;
    assert_eq!((slowly.status.as_u16(), slowly.header("retry-after")), (429, Some("60")));
    assert_eq!(answer(&world, Method::GET, "Users", &Value::Null, 200).await["totalResults"], 1);
    world.later(Duration::from_mins(1));
    assert_eq!(
        send_as("Bearer wrong", &world, Method::GET, "Users", &Value::Null).await.status,
        401
    );

    // A person in their browser is not the provider either, and no page speaks for it.
    let url = ada.url("/scim/v2/Users");
    assert_eq!(ada.open(&url).await.status, 401);
    assert!(ada.is_signed_in().await);

    let none = World::new().await;
    let absent =
        send_as(&format!("Bearer {SECRET}"), &none, Method::GET, "Users", &Value::Null).await;
    assert_eq!(absent.status, 404, "without a secret there is nothing");
    none.end().await;
    world.end().await;
}

#[tokio::test]
async fn a_message_reaches_whom_it_names_and_nobody_else() {
    let world = world("").await;
    let (mut ada, mut grace) = (world.ada().await, world.grace().await);
    // Of another issuer: not the provider's to take away.
    let forged = json!({ "iss": world.forge.issuer, "aud": world.origin.origin().ascii_serialization(),
        "sub": "eve", "exp": world.now() + 300, "iat": world.now() });
    let eve = world.program_with(&world.forge.sign("at+jwt", &forged));
    assert!(is_let_in(&eve).await);
    let people = answer(&world, Method::GET, "Users", &Value::Null, 200).await;
    assert_eq!(people["totalResults"], 2);

    for filter in [
        "userName eq \"a\" or active eq true",
        "userName ne \"nobody\"",
        "userName eq \"x\" or \"1\" eq \"1\"",
        "userName eq 'ada'",
        "not (userName eq \"x\")",
        "userName pr",
        "password eq \"x\"",
    ] {
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("filter", filter)
            .finish();
        let refused =
            answer(&world, Method::GET, &format!("Users?{query}"), &Value::Null, 400).await;
        assert_eq!(refused["scimType"], "invalidFilter", "{filter}");
    }
    for text in ["x' OR '1'='1", "%", "_da", "ada\"", "x'; DELETE FROM person; --", "eve"] {
        for attribute in ["userName", "externalId", "id"] {
            let found =
                answer(&world, Method::GET, &search(attribute, text), &Value::Null, 200).await;
            assert_eq!(found["totalResults"], 0, "{attribute} {text}");
        }
    }
    let page = answer(&world, Method::GET, "Users?startIndex=2&count=1", &Value::Null, 200).await;
    assert_eq!((&page["totalResults"], &page["itemsPerPage"]), (&json!(2), &json!(1)));
    let evil = "Users/nobody%27%20OR%201=1";
    for method in [Method::GET, Method::DELETE] {
        answer(&world, method, evil, &Value::Null, 404).await;
    }
    answer(&world, Method::PATCH, evil, &okta(false), 404).await;
    answer(&world, Method::GET, "Groups", &Value::Null, 404).await;

    // Nobody becomes somebody else by another name.
    let created = answer(&world, Method::POST, "Users", &user(ADA, true), 201).await;
    let path = format!("Users/{}", created["id"].as_str().expect("an id"));
    let renamed = json!({ "schemas": [USER], "externalId": GRACE.id, "userName": ADA.email });
    let refused = answer(&world, Method::PUT, &path, &renamed, 400).await;
    assert_eq!(refused["scimType"], "mutability");
    answer(&world, Method::POST, "Users", &user(GRACE, true), 201).await;
    let taken = json!({ "schemas": [USER], "userName": GRACE.email.to_uppercase() });
    assert_eq!(answer(&world, Method::PUT, &path, &taken, 409).await["scimType"], "uniqueness");

    for (body, status) in [
        (json!([]), 400),
        (json!({ "schemas": [USER] }), 400),
        (json!({ "userName": "x" }), 400),
        (json!({ "userName": "x", "externalId": "y", "active": "perhaps" }), 400),
        (json!({ "userName": "x".repeat(70_000) }), 413),
    ] {
        answer(&world, Method::POST, "Users", &body, status).await;
    }
    // An address that the provider writes opens nothing: only a sign-in brings one.
    let eves = json!({ "schemas": [USER], "externalId": "eve", "userName": "eve",
        "emails": [{ "value": "ada@example.com" }], "groups": ["engineering"] });
    answer(&world, Method::POST, "Users", &eves, 201).await;
    assert_eq!(world.count("person WHERE email = 'ada@example.com'").await, 1);
    assert!(is_let_in(&eve).await && ada.is_signed_in().await && grace.is_signed_in().await);
    world.end().await;
}

#[tokio::test]
async fn it_says_what_it_can() {
    let world = world("").await;
    for (path, pointer, expected) in [
        ("ServiceProviderConfig", "/patch/supported", json!(true)),
        ("ServiceProviderConfig", "/bulk/supported", json!(false)),
        ("ServiceProviderConfig", "/filter/maxResults", json!(100)),
        ("ResourceTypes", "/Resources/0/endpoint", json!("/Users")),
        ("ResourceTypes/User", "/schema", json!(USER)),
        ("Schemas", "/Resources/0/id", json!(USER)),
        (&format!("Schemas/{USER}"), "/attributes/0/name", json!("userName")),
    ] {
        let said = answer(&world, Method::GET, path, &Value::Null, 200).await;
        assert_eq!(said.pointer(pointer), Some(&expected), "{path}");
    }
    world.end().await;
}

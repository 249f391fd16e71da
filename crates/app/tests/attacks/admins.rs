//! What only administrators may: whoever is none, or is one no more, finds nothing there.

use std::time::Duration;

use attache_sandbox::{
    Page, Person,
    people::{ADA, GRACE},
};
use bytes::Bytes;
use http::{Method, Request};
use serde_json::{Value, json};

use crate::{
    app::App,
    program::Program,
    tokens::{EVERYTHING, holder, token},
    visitor::Visitor,
    world::{Surroundings, World},
};

const USERS: &str = "/api/v1/admin/users";

/// Ada administers, by her group; `ops@example.com` does, by address.
async fn world() -> World {
    let admins = "[identity]\n\
                  admins = { groups = [\"engineering\"], emails = [\"ops@example.com\"] }\n";
    let more = admins.to_owned();
    World::among("sqlite:attache.db", Surroundings { more, ..Surroundings::default() }).await
}

/// With the cookies of a browser, as a program that stole them, or as a page, would.
async fn as_browser(who: &mut Visitor, method: Method, path: &str, more: &[(&str, &str)]) -> Page {
    let mut request = Request::builder().method(method).uri(who.url(path).as_str());
    for (name, value) in more {
        request = request.header(*name, *value);
    }
    who.send(request.body(Bytes::new()).expect("a request")).await
}

async fn call(program: &Program, method: Method, path: &str) -> Page {
    program.send(program.request(method, path).body(Bytes::new()).expect("a request")).await
}

async fn administers(program: &Program) -> bool {
    let page = program.get(USERS).await;
    assert!(matches!(page.status.as_u16(), 200 | 404), "{page:?}");
    page.status == 200
}

/// By an issuer whose key is ours.
fn forged(world: &World, changed: &Value) -> Program {
    let now = world.now();
    let mut claims = json!({
        "iss": world.forge.issuer, "aud": world.origin.origin().ascii_serialization(),
        "sub": "mallory", "iat": now, "exp": now + 3600,
    });
    if let (Some(claims), Some(changed)) = (claims.as_object_mut(), changed.as_object()) {
        claims.extend(changed.clone());
    }
    world.program_with(&world.forge.sign("at+jwt", &claims))
}

async fn id_of(program: &Program, person: Person) -> String {
    let listed = program.get(USERS).await.json().expect("JSON");
    let users = listed.get("users").and_then(Value::as_array).expect("a list");
    let user = users.iter().find(|user| user["email"] == person.email).expect("somebody");
    user["id"].as_str().expect("a text").to_owned()
}

fn without_its_id(page: &Page) -> (u16, Value) {
    let mut problem = page.json().unwrap_or_else(|| unreachable!("{page:?}"));
    problem.as_object_mut().expect("an object").remove("request_id");
    (page.status.as_u16(), problem)
}

#[tokio::test]
async fn for_who_is_no_administrator_there_is_nothing() {
    let world = world().await;
    let (_ada, mut grace) = (world.ada().await, world.grace().await);
    let graces_id = id_of(&world.program(ADA), GRACE).await;
    let disable = format!("{USERS}/{graces_id}/disable");
    let script = holder(&world, &token(&mut grace, EVERYTHING).await);
    let (nobody, hers) = (world.program_with("a.b.c"), world.program(GRACE));
    for (method, path) in [
        (Method::GET, USERS),
        (Method::POST, USERS),
        (Method::DELETE, USERS),
        (Method::GET, &*disable),
        (Method::POST, &*disable),
        (Method::POST, "/api/v1/admin/users/nobody/enable"),
    ] {
        let unknown = call(&hers, method.clone(), "/api/v1/admin/nothing").await;
        assert_eq!(unknown.status, 404);
        let unknown = without_its_id(&unknown);
        for program in [&hers, &script, &nobody] {
            let page = call(program, method.clone(), path).await;
            assert_eq!(without_its_id(&page), unknown, "{method} {path}");
        }
        let page = as_browser(&mut grace, method.clone(), path, &[]).await;
        assert_eq!(without_its_id(&page), unknown, "{method} {path} with a session");
    }
    assert!(grace.is_signed_in().await, "nothing was done");
    world.end().await;
}

#[tokio::test]
async fn an_address_that_nobody_verified_makes_no_administrator() {
    let world = world().await;
    for (claims, expected) in [
        (json!({ "email": "ops@example.com", "email_verified": false }), false),
        (json!({ "email": "ops@example.com" }), false),
        (json!({ "email": "ops@example.com.evil.example", "email_verified": true }), false),
        (json!({ "groups": "engineering-interns" }), false),
        (json!({ "email": "OPS@example.com", "email_verified": true }), true),
    ] {
        let program = forged(&world, &claims);
        assert_eq!(administers(&program).await, expected, "{claims}");
    }
    world.end().await;
}

/// What a sign-in or a token once said is not what is so.
#[tokio::test]
async fn who_left_the_group_is_no_administrator_from_there_on() {
    let world = world().await;
    let mut ada = world.ada().await;
    assert_eq!(as_browser(&mut ada, Method::GET, USERS, &[]).await.status, 200);
    world.tamper("UPDATE person SET groups = '[]' WHERE email = 'ada@example.com'").await;
    assert_eq!(as_browser(&mut ada, Method::GET, USERS, &[]).await.status, 404);

    let before = forged(&world, &json!({ "groups": ["engineering"] }));
    assert!(administers(&before).await);
    world.later(Duration::from_secs(2));
    let after = forged(&world, &json!({ "groups": [] }));
    assert!(!administers(&after).await);
    assert!(!administers(&before).await, "its word is older");
    world.end().await;
}

/// What people make for their programs is asked about what it opens, and never about this.
#[tokio::test]
async fn what_an_administrator_gave_a_program_administers_nothing() {
    let world = world().await;
    let mut ada = world.ada().await;
    assert!(administers(&world.program(ADA)).await);
    for form in [EVERYTHING, "name=c&reach=everything&access=look&days=1"] {
        assert!(!administers(&holder(&world, &token(&mut ada, form).await)).await, "{form}");
    }
    let (_, client) = App::signed_in(&world, &mut ada).await;
    assert!(!administers(&client.program(&world)).await);
    for path in ["mcp/notes", "mcp", "api/v1"] {
        let audience = world.origin.join(path).expect("a path").to_string();
        let narrow = world.idp.access_token(ADA.id, &audience, Duration::from_hours(1));
        let narrow = world.program_with(&narrow.expect("a token"));
        assert!(!administers(&narrow).await, "{path}");
    }
    world.end().await;
}

#[tokio::test]
async fn another_site_has_nobody_switched_off() {
    let world = world().await;
    let (mut ada, mut grace) = (world.ada().await, world.grace().await);
    let disable = format!("{USERS}/{}/disable", id_of(&world.program(ADA), GRACE).await);
    for from in [
        &[("origin", "https://evil.example")][..],
        &[("origin", "null")],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
    ] {
        let page = as_browser(&mut ada, Method::POST, &disable, from).await;
        assert_eq!(page.status, 403, "{from:?}: {}", page.body);
    }
    assert_eq!(as_browser(&mut ada, Method::GET, &disable, &[]).await.status, 405);
    assert!(grace.is_signed_in().await);

    let ours = ada.url("/").origin().ascii_serialization();
    let page = as_browser(&mut ada, Method::POST, &disable, &[("origin", &ours)]).await;
    assert_eq!(page.json().expect("JSON")["disabled"], true, "{}", page.body);
    assert!(!grace.is_signed_in().await);
    world.end().await;
}

#[tokio::test]
async fn whom_an_administrator_switches_off_is_out_at_once_and_the_audit_knows_who_did_it() {
    let world = world().await;
    let (_ada, mut grace) = (world.ada().await, world.grace().await);
    grace.connect("notes").await;
    let (admin, program) = (world.program(ADA), world.program(GRACE));
    let script = holder(&world, &token(&mut grace, EVERYTHING).await);
    for caller in [&program, &script] {
        assert_eq!(caller.whoami("notes").await, "You are grace at Sandbox Notes");
    }
    let (ada_id, grace_id) = (id_of(&admin, ADA).await, id_of(&admin, GRACE).await);
    let user = format!("{USERS}/{grace_id}");
    assert_eq!(call(&admin, Method::POST, &format!("{user}/disable")).await.status, 200);
    for caller in [&program, &script] {
        assert_eq!(caller.get("/mcp/notes").await.status, 401);
    }
    assert!(!grace.is_signed_in().await);
    assert_eq!(call(&admin, Method::POST, &format!("{user}/enable")).await.status, 200);
    assert_eq!(program.whoami("notes").await, "You are grace at Sandbox Notes");
    assert_eq!(call(&admin, Method::POST, &format!("{USERS}/nobody/disable")).await.status, 404);

    for action in ["disable", "enable"] {
        let pair = format!(
            "audit_event AS one JOIN audit_event AS other ON one.request_id = other.request_id
             WHERE one.action = 'administer' AND one.user_id = '{ada_id}'
                AND other.action = '{action}' AND other.user_id = '{grace_id}'"
        );
        assert_eq!(world.count(&pair).await, 1, "{action}");
    }
    assert_eq!(world.count("audit_event WHERE action = 'administer'").await, 2);
    world.end().await;
}

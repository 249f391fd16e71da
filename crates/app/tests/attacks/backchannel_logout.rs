//! Who says that somebody left: the identity provider, about its own sign-ins, once.

use std::time::Duration;

use attache_sandbox::{
    Browser, Page,
    people::{ADA, GRACE},
};
use bytes::Bytes;
use http::{Request, header};
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::{
    exchange::Exchanger,
    subject_tokens,
    tokens::{self, EVERYTHING},
    world::World,
};

const CLIENT: &str = "attache";

async fn bring(world: &World, token: &str) -> Page {
    if !token.is_empty() {
        world.keep_secret(token);
    }
    let form =
        form_urlencoded::Serializer::new(String::new()).append_pair("logout_token", token).finish();
    post(world, form).await
}

async fn post(world: &World, form: String) -> Page {
    let url = world.origin.join("/logout/backchannel").expect("a path");
    let request = Request::post(url.as_str())
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Bytes::from(form))
        .expect("a request");
    Browser::new().send(request).await.expect("the gateway answers")
}

#[tokio::test]
async fn the_provider_ends_its_own_sign_ins() {
    let world = World::new().await;
    let (mut desk, mut phone, mut grace) =
        (world.ada().await, world.ada().await, world.grace().await);
    let sign_ins = world.idp.sign_ins(ADA);
    let at_the_desk = sign_ins.first().expect("two sign-ins");

    let one = world.idp.logout_token(CLIENT, &json!({ "sub": ADA.id, "sid": at_the_desk }));
    let done = bring(&world, &one).await;
    assert_eq!((done.status.as_u16(), done.body.as_str()), (200, ""));
    assert_eq!(done.header("cache-control"), Some("no-store"));
    assert!(!desk.is_signed_in().await && phone.is_signed_in().await);

    // Of nobody who is signed in: that is as it should be.
    let again = world.idp.logout_token(CLIENT, &json!({ "sid": at_the_desk }));
    assert_eq!(bring(&world, &again).await.status, 200);
    assert!(phone.is_signed_in().await);

    let all = world.idp.logout_token(CLIENT, &json!({ "sub": ADA.id }));
    assert_eq!(bring(&world, &all).await.status, 200);
    assert!(!phone.is_signed_in().await && grace.is_signed_in().await);
    assert_eq!(world.count("audit_event WHERE action = 'sign_out'").await, 2);
    world.end().await;
}

/// A replica reads sessions from the store: it is no other case. What is kept in memory is another.
#[tokio::test]
async fn what_the_sign_in_left_ends_with_it() {
    let exchanger = Exchanger::start().await;
    let world = subject_tokens::world(&exchanger).await;
    let mut ada = world.ada().await;
    let script = tokens::holder(&world, &tokens::token(&mut ada, EVERYTHING).await);
    assert_eq!(script.get("/http/hr/me").await.status, 200);

    // Also when her browser's session is over by then.
    world.tamper("DELETE FROM session").await;
    let token = world.idp.logout_token(CLIENT, &json!({ "sub": ADA.id }));
    assert_eq!(bring(&world, &token).await.status, 200);
    let told = script.get("/http/hr/me").await;
    assert_eq!((told.status.as_u16(), world.count("credential").await), (403, 0), "{}", told.body);
    world.end().await;
}

#[tokio::test]
async fn nobody_else_ends_a_sign_in() {
    let world = World::new().await;
    let (mut ada, mut grace) = (world.ada().await, world.grace().await);
    let ada_left = json!({ "sub": ADA.id });
    let bent = |changes: Value| {
        let mut claims = ada_left.clone();
        let changes = changes.as_object().expect("it is one").clone();
        claims.as_object_mut().expect("it is one").extend(changes);
        world.idp.logout_token(CLIENT, &claims)
    };
    let now = world.now();
    let mut tokens = vec![
        // Of another client, or another issuer.
        world.idp.logout_token("another-client", &ada_left),
        bent(json!({ "iss": "https://idp.example.com" })),
        // An ID token, or an access token, whatever it is brought as.
        bent(json!({ "nonce": "n" })),
        bent(json!({ "events": null })),
        bent(json!({ "events": { "https://example.com/other": {} } })),
        world.program(ADA).token,
        // That nobody can tell from one that came before, or for ever.
        bent(json!({ "jti": null })),
        bent(json!({ "exp": null })),
        bent(json!({ "exp": now - 120 })),
        bent(json!({ "iat": now + 120 })),
        // Of nobody.
        bent(json!({ "sub": null })),
        String::new(),
        "not.a.token".to_owned(),
    ];
    tokens.extend(world.idp.forged_logout_token(CLIENT, &ada_left));
    for token in &tokens {
        let refused = bring(&world, token).await;
        assert_eq!(refused.status, 400, "{token}");
        assert_eq!(refused.header("cache-control"), Some("no-store"));
        assert!(refused.body.contains("invalid_request"), "{}", refused.body);
    }
    // Two, of which one is good.
    let good = world.idp.logout_token(CLIENT, &ada_left);
    let twice = format!("logout_token={good}&logout_token={good}");
    assert_eq!(post(&world, twice).await.status, 400);
    assert!(ada.is_signed_in().await && grace.is_signed_in().await);
    world.end().await;
}

/// Whoever recorded one would end every later sign-in of that person with it.
#[tokio::test]
async fn a_logout_token_counts_once() {
    let world = World::new().await;
    let token = world.idp.logout_token(CLIENT, &json!({ "sub": GRACE.id }));
    let mut before = world.grace().await;
    assert_eq!(bring(&world, &token).await.status, 200);
    assert!(!before.is_signed_in().await);
    let mut after = world.grace().await;
    for later in [Duration::ZERO, Duration::from_mins(2), Duration::from_mins(2)] {
        world.later(later);
        assert_eq!(bring(&world, &token).await.status, 400);
        assert!(after.is_signed_in().await);
    }
    world.end().await;
}

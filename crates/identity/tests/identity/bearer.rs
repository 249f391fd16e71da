//! Access tokens as callers (RS-6, RS-8 to RS-11, RS-13, RS-15).

use std::time::Duration;

use attache_core::{
    Clock as _, UserId,
    authenticator::AuthnError,
    changes::{Change, Memory as _},
    principal::AuthenticatedBy,
};
use attache_crypto::{digest::base64url, jose::SigningKey, random::SystemRandom};
use http::header;
use serde_json::{Value, json};

use crate::{
    idp::{CLIENT, ISSUER, map},
    world::{AUDIENCE, NOW, World, browser, parts},
};

/// An honest access token with some claims replaced; `null` takes one away.
fn claims(changes: Value) -> Value {
    let mut claims = map(json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "ada", "iat": NOW, "exp": NOW + 300,
        "email": "ada@example.com", "email_verified": true, "groups": ["engineering"],
    }));
    claims.extend(map(changes));
    claims.retain(|_, value| !value.is_null());
    claims.into()
}

#[tokio::test]
async fn a_token_for_us_says_who_is_calling() {
    let world = World::new().await;
    let door = world.identity.data_plane();
    for (typ, changes) in [
        ("at+jwt", json!({})),
        ("application/at+jwt", json!({})),
        ("JWT", json!({})),
        ("at+jwt", json!({ "aud": ["https://other.example", AUDIENCE] })),
        ("at+jwt", json!({ "exp": NOW - 59, "nbf": NOW + 60 })),
        ("at+jwt", json!({ "nonce": "n", "aud": [AUDIENCE, CLIENT] })),
        ("JWT", json!({ "aud": [AUDIENCE, CLIENT], "scp": "access" })),
    ] {
        let token = world.idp.sign(typ, claims(changes.clone()));
        let who = world.call(&*door, &token).await.unwrap();
        assert_eq!((who.issuer.as_str(), who.subject.as_str()), (ISSUER, "ada"), "{changes}");
        assert_eq!(who.groups, ["engineering"]);
        assert_eq!(who.authenticated_by, AuthenticatedBy::AccessToken(None));
    }
    assert_eq!(world.idp.asked("/keys"), 1);
}

#[tokio::test]
async fn every_other_token_is_refused() {
    let world = World::new().await;
    let door = world.identity.data_plane();
    let (audience, id_token) =
        ("the token is not for this gateway", "an ID token is not an access token");
    let (untrusted, expired) =
        ("the token is of an issuer not trusted here", "the token has expired");
    let (no_end, not_yet) = ("the token has no end", "the token is not valid yet");
    let (no_subject, other_type) =
        ("the token does not say whose it is", "the token is not an access token");
    let bound = "the token is bound to a key and cannot be used as a bearer token";
    for (typ, changes, expected) in [
        ("at+jwt", json!({ "aud": "https://other.example" }), audience),
        ("at+jwt", json!({ "aud": "https://gw.example.com/" }), audience),
        ("at+jwt", json!({ "aud": null }), audience),
        ("JWT", json!({ "aud": CLIENT }), audience),
        ("at+jwt", json!({ "iss": "https://idp.example.com/t1/" }), untrusted),
        ("at+jwt", json!({ "iss": null }), untrusted),
        ("at+jwt", json!({ "exp": NOW - 60 }), expired),
        ("at+jwt", json!({ "exp": null }), no_end),
        ("at+jwt", json!({ "exp": "never" }), no_end),
        ("at+jwt", json!({ "nbf": NOW + 61 }), not_yet),
        ("at+jwt", json!({ "nbf": "soon" }), not_yet),
        ("at+jwt", json!({ "sub": null }), no_subject),
        ("at+jwt", json!({ "cnf": { "jkt": "x" } }), bound),
        ("logout+jwt", json!({}), other_type),
        ("oauth-id-jag+jwt", json!({}), other_type),
        ("JWT", json!({ "nonce": "n" }), id_token),
        ("JWT", json!({ "at_hash": "h" }), id_token),
        ("JWT", json!({ "aud": [AUDIENCE, CLIENT] }), id_token),
    ] {
        let token = world.idp.sign(typ, claims(changes.clone()));
        let refused = world.call(&*door, &token).await.unwrap_err();
        assert!(matches!(refused, AuthnError::Rejected(_)), "{refused:?}");
        assert_eq!(refused.to_string(), expected, "{typ} {changes}");
    }
}

#[tokio::test]
async fn every_other_signature_is_refused() {
    let world = World::new().await;
    let door = world.identity.data_plane();
    let token = world.idp.sign("at+jwt", claims(json!({})));
    let parts: Vec<_> = token.split('.').collect();
    let none = base64url(br#"{"alg":"none","typ":"at+jwt"}"#);
    let other = base64url(claims(json!({ "sub": "grace" })).to_string().as_bytes());
    let stranger = SigningKey::generate(&SystemRandom).sign("at+jwt", &map(claims(json!({}))));
    for forged in [
        format!("{none}.{}.", parts[1]),
        format!("{none}.{}.{}", parts[1], parts[2]),
        format!("{}.{other}.{}", parts[0], parts[2]),
        stranger,
        "opaque".to_owned(),
    ] {
        let refused = world.call(&*door, &forged).await;
        assert!(matches!(refused, Err(AuthnError::Rejected(_))), "{forged} {refused:?}");
    }
    assert_eq!(world.idp.asked("/keys"), 1, "an unknown kid does not hammer the issuer");
}

#[tokio::test]
async fn a_caller_is_remembered_for_a_minute() {
    let world = World::new().await;
    let door = world.identity.data_plane();
    let token = world.idp.sign("at+jwt", claims(json!({ "exp": NOW + 90 })));
    let request = parts(&[(header::AUTHORIZATION, &format!("Bearer {token}"))]);
    let now = || world.clock.now();
    assert!(door.recall(&request, now()).is_none());
    let who = door.authenticate(&request).await.unwrap();
    assert_eq!(door.recall(&request, now()), Some(who));

    let twice = parts(&[
        (header::AUTHORIZATION, &format!("Bearer {token}")),
        (header::AUTHORIZATION, &format!("Bearer {token}")),
    ]);
    assert!(door.recall(&twice, now()).is_none());
    let refused = door.authenticate(&twice).await;
    assert!(matches!(refused, Err(AuthnError::Malformed(_))), "{refused:?}");

    world.clock.advance(Duration::from_mins(1));
    assert!(door.recall(&request, now()).is_none());
    door.authenticate(&request).await.unwrap();
    world.clock.advance(Duration::from_secs(30));
    assert!(door.recall(&request, now()).is_none(), "not longer than the token");
}

#[tokio::test]
async fn a_change_to_a_person_is_heeded_at_once() {
    let world = World::new().await;
    let door = world.identity.data_plane();
    let token = world.idp.sign("at+jwt", claims(json!({})));
    let who = world.call(&*door, &token).await.unwrap();
    let bearing = parts(&[(header::AUTHORIZATION, &format!("Bearer {token}"))]);
    let recalled = || door.recall(&bearing, world.clock.now()).is_some();

    for change in [Change::Person(who.user.clone()), Change::Missed] {
        assert!(recalled());
        world.identity.heed(&change);
        assert!(!recalled(), "{change:?}");
        world.call(&*door, &token).await.unwrap();
    }
    world.identity.heed(&Change::Person(UserId::new("somebody else")));
    assert!(recalled());

    // One that was switched off while the store is away stays out.
    world.switch_off();
    world.store_away(true);
    world.identity.heed(&Change::Person(who.user.clone()));
    let refused = world.call(&*door, &token).await;
    assert!(matches!(refused, Err(AuthnError::Unavailable(_))), "{refused:?}");
    world.store_away(false);
    let refused = world.call(&*door, &token).await;
    assert!(matches!(refused, Err(AuthnError::Rejected(_))), "{refused:?}");
}

#[tokio::test]
async fn a_known_caller_goes_on_while_the_store_is_away() {
    let world = World::new().await;
    let door = world.identity.data_plane();
    let token = world.idp.sign("at+jwt", claims(json!({})));
    world.call(&*door, &token).await.unwrap();
    let bearing = parts(&[(header::AUTHORIZATION, &format!("Bearer {token}"))]);
    let recalled = || door.recall(&bearing, world.clock.now()).is_some();

    world.store_away(true);
    world.clock.advance(Duration::from_mins(1));
    world.identity.heed(&Change::Missed);
    assert!(!recalled(), "nobody knows yet that the store is away");
    world.call(&*door, &token).await.unwrap();
    assert!(recalled(), "nor does every request wait for it");
    let stranger = world.idp.sign("at+jwt", claims(json!({ "sub": "grace" })));
    let refused = world.call(&*door, &stranger).await;
    assert!(matches!(refused, Err(AuthnError::Unavailable(_))), "{refused:?}");

    world.clock.advance(Duration::from_mins(3));
    world.call(&*door, &token).await.unwrap();
    world.clock.advance(Duration::from_mins(2));
    let refused = world.call(&*door, &token).await;
    assert!(matches!(refused, Err(AuthnError::Rejected(_))), "its token ended: {refused:?}");
}

#[tokio::test]
async fn known_keys_serve_while_the_issuer_is_down() {
    let world = World::new().await;
    let door = world.identity.data_plane();
    world.idp.change(|state| state.down = true);
    let token = |number: i64| world.idp.sign("at+jwt", claims(json!({ "exp": NOW + number })));
    let unavailable = world.call(&*door, &token(100_000)).await;
    assert!(matches!(unavailable, Err(AuthnError::Unavailable(_))), "{unavailable:?}");

    world.idp.change(|state| state.down = false);
    world.clock.advance(Duration::from_secs(10));
    world.call(&*door, &token(100_001)).await.unwrap();
    world.idp.change(|state| state.down = true);
    world.clock.advance(Duration::from_hours(12));
    world.call(&*door, &token(100_002)).await.unwrap();
    world.clock.advance(Duration::from_hours(12));
    let too_old = world.call(&*door, &token(100_003)).await;
    assert!(matches!(too_old, Err(AuthnError::Unavailable(_))), "{too_old:?}");
}

#[tokio::test]
async fn one_person_at_the_browser_and_at_the_door() {
    let world = World::new().await;
    let signed_in = world.sign_in().await.unwrap();
    let mut request = parts(&[]);
    request.headers = browser(&[&signed_in.cookie]);
    let visitor = world.identity.web().authenticate(&request).await.unwrap();
    let token = world.idp.sign("at+jwt", claims(json!({})));
    let caller = world.call(&*world.identity.web(), &token).await.unwrap();
    assert_eq!(caller.user, visitor.user);
}

/// What sign-in stored is not wiped by a token that says less, and yields to one that says more.
#[tokio::test]
async fn a_token_that_is_silent_leaves_what_is_known() {
    let world = World::new().await;
    let signed_in = world.sign_in().await.unwrap();
    let mut request = parts(&[]);
    request.headers = browser(&[&signed_in.cookie]);
    let visitor = world.identity.web().authenticate(&request).await.unwrap();
    let stored =
        async || world.stores.people.find(&visitor.user).await.unwrap().unwrap().profile.groups;

    let silent = json!({ "email": null, "email_verified": null, "groups": null });
    let door = world.identity.data_plane();
    let caller = world.call(&*door, &world.idp.sign("at+jwt", claims(silent))).await.unwrap();
    assert_eq!(caller.email.as_deref(), Some("ada@example.com"));
    assert_eq!((caller.label(), &caller.groups), ("Ada", &visitor.groups));
    assert_eq!(stored().await, ["engineering"]);

    let left = world.idp.sign("at+jwt", claims(json!({ "groups": [], "email": null })));
    let caller = world.call(&*door, &left).await.unwrap();
    assert_eq!(caller.email.as_deref(), Some("ada@example.com"));
    assert!(caller.groups.is_empty() && stored().await.is_empty());
}

/// The allowed domain is asked of what is known, not of one token alone.
#[tokio::test]
async fn a_known_address_admits_a_silent_token() {
    let world =
        World::with(|settings| settings.allowed_email_domains = vec!["example.com".to_owned()])
            .await;
    let door = world.identity.data_plane();
    let silent = |number: i64| {
        let changes = json!({ "email": null, "email_verified": null, "exp": NOW + number });
        world.idp.sign("at+jwt", claims(changes))
    };
    let stranger = world.call(&*door, &silent(100)).await;
    assert!(matches!(stranger, Err(AuthnError::Rejected(_))), "{stranger:?}");
    world.sign_in().await.unwrap();
    world.call(&*door, &silent(101)).await.unwrap();
    let withdrawn = world.idp.sign("at+jwt", claims(json!({ "email_verified": false })));
    let refused = world.call(&*door, &withdrawn).await;
    assert!(matches!(refused, Err(AuthnError::Rejected(_))), "{refused:?}");
}

#[tokio::test]
async fn an_issuer_that_signs_nobody_in_is_found_too() {
    let world = World::new().await;
    let door = world.identity.data_plane();
    world.idp.change(|state| state.is_oauth_only = true);
    let token = |number: i64| world.idp.sign("at+jwt", claims(json!({ "exp": NOW + number })));
    for number in [100, 101] {
        world.call(&*door, &token(number)).await.unwrap();
    }
    assert_eq!(world.idp.asked("/.well-known/oauth-authorization-server/t1"), 1);
    assert_eq!(world.idp.asked("/keys"), 1);

    let down = World::new().await;
    down.idp.change(|state| state.down = true);
    let unavailable = down.call(&*down.identity.data_plane(), &token(100)).await;
    assert!(matches!(unavailable, Err(AuthnError::Unavailable(_))), "{unavailable:?}");
    assert_eq!(
        down.idp.asked("/.well-known/oauth-authorization-server/t1"),
        0,
        "only where none is"
    );
}

//! Browser sign-in, and everything that must not become one (AS-14, AS-23, OC-18, OC-19).

use std::time::Duration;

use attache_core::audit::{Action, Outcome, Reason};
use attache_crypto::{jose::SigningKey, random::SystemRandom};
use attache_identity::LoginError;
use attache_oauth::id_token::IdTokenError;
use http::{HeaderMap, HeaderValue};
use serde_json::{Value, json};
use url::Url;

use crate::world::{World, browser, parts};

/// A sign-in with a bent ID token.
async fn refused(id_token: Value) -> (World, LoginError) {
    let world = World::new().await;
    world.idp.change(|state| state.id_token = id_token);
    let error = world.sign_in().await.unwrap_err();
    (world, error)
}

async fn audited(world: &World) -> Vec<(Action, Outcome)> {
    let events = world.stores.audit.list(None, 10).await.unwrap();
    events.into_iter().map(|event| (event.action, event.outcome)).collect()
}

#[tokio::test]
async fn a_person_signs_in_and_is_known() {
    let world = World::new().await;
    let signed_in = world.sign_in().await.unwrap();
    assert_eq!(signed_in.return_to, "/connect/github");
    let session = &signed_in.cookie;
    let attributes = "Path=/; Max-Age=86400; HttpOnly; SameSite=Lax; Secure";
    assert!(session.to_str().unwrap().starts_with("__Host-attache_session="));
    assert!(session.to_str().unwrap().ends_with(attributes));

    let mut request = parts(&[]);
    request.headers = browser(&[session]);
    let who = world.identity.web().authenticate(&request).await.unwrap();
    assert_eq!((who.subject.as_str(), who.label()), ("ada", "Ada"));
    assert_eq!(who.email.as_deref(), Some("ada@example.com"));
    assert_eq!(who.groups, ["engineering"]);
    assert_eq!(audited(&world).await, [(Action::SignIn, Outcome::Success)]);

    let again = world.sign_in().await.unwrap();
    request.headers = browser(&[&again.cookie]);
    let same = world.identity.web().authenticate(&request).await.unwrap();
    assert_eq!(same.user, who.user, "one person, however often they sign in");
}

#[tokio::test]
async fn a_state_is_used_once() {
    let world = World::new().await;
    let begun = world.identity.begin(None, &HeaderMap::new()).await.unwrap();
    let query = world.idp.approve(&begun.url);
    let headers = browser(&[&begun.cookie]);
    world.identity.callback(&query, &headers).await.unwrap();
    let again = world.identity.callback(&query, &headers).await;
    assert!(matches!(again, Err(LoginError::FlowUnknown)), "{again:?}");
}

#[tokio::test]
async fn two_tabs_of_one_browser_both_finish() {
    let world = World::new().await;
    let first = world.identity.begin(Some("/first"), &HeaderMap::new()).await.unwrap();
    let cookie = browser(&[&first.cookie]);
    let second = world.identity.begin(Some("/second"), &cookie).await.unwrap();
    assert_eq!(browser(&[&second.cookie]), cookie);
    for name in ["state", "nonce", "code_challenge"] {
        let of = |url: &Url| url.query_pairs().find(|(key, _)| key == name).unwrap().1.into_owned();
        assert_ne!(of(&first.url), of(&second.url), "{name}");
    }
    for (tab, return_to) in [(second, "/second"), (first, "/first")] {
        let query = world.idp.approve(&tab.url);
        let signed_in = world.identity.callback(&query, &cookie).await.unwrap();
        assert_eq!(signed_in.return_to, return_to);
    }
}

#[tokio::test]
async fn only_a_cookie_of_ours_is_used_again() {
    let world = World::new().await;
    for planted in ["", "guess", &"a".repeat(44), &"+".repeat(43)] {
        let planted = HeaderValue::from_str(&format!("__Host-attache_login={planted};")).unwrap();
        let begun = world.identity.begin(None, &browser(&[&planted])).await.unwrap();
        assert_ne!(browser(&[&begun.cookie]), browser(&[&planted]));
        let query = world.idp.approve(&begun.url);
        world.identity.callback(&query, &browser(&[&begun.cookie])).await.unwrap();
    }
}

/// Login CSRF: somebody else's sign-in must not become mine.
#[tokio::test]
async fn another_browser_cannot_finish() {
    let world = World::new().await;
    let other = world.identity.begin(None, &HeaderMap::new()).await.unwrap();
    for headers in [HeaderMap::new(), browser(&[&other.cookie])] {
        let begun = world.identity.begin(None, &HeaderMap::new()).await.unwrap();
        let query = world.idp.approve(&begun.url);
        let outcome = world.identity.callback(&query, &headers).await;
        assert!(matches!(outcome, Err(LoginError::WrongBrowser)), "{outcome:?}");
        assert_eq!(world.idp.asked("/token"), 0);
        assert_eq!(audited(&world).await, [], "strangers cannot fill the audit log");
    }
    let begun = world.identity.begin(None, &HeaderMap::new()).await.unwrap();
    let query = world.idp.approve(&begun.url);
    world.identity.callback(&query, &HeaderMap::new()).await.unwrap_err();
    let own = world.identity.callback(&query, &browser(&[&begun.cookie])).await;
    assert!(own.is_ok(), "who may not finish a sign-in does not spend it either: {own:?}");
}

/// There is nothing to fill, and nobody's sign-in to push out.
#[tokio::test]
async fn strangers_who_begin_take_no_room_from_others() {
    let world = World::new().await;
    let begun = world.identity.begin(None, &HeaderMap::new()).await.unwrap();
    for _ in 0..10_001 {
        world.identity.begin(None, &HeaderMap::new()).await.unwrap();
    }
    let query = world.idp.approve(&begun.url);
    world.identity.callback(&query, &browser(&[&begun.cookie])).await.unwrap();
}

#[tokio::test]
async fn a_sign_in_does_not_wait_for_ever() {
    let world = World::new().await;
    let begun = world.identity.begin(None, &HeaderMap::new()).await.unwrap();
    let query = world.idp.approve(&begun.url);
    world.clock.advance(Duration::from_mins(10));
    let late = world.identity.callback(&query, &browser(&[&begun.cookie])).await;
    assert!(matches!(late, Err(LoginError::FlowUnknown)), "{late:?}");
}

#[tokio::test]
async fn an_id_token_of_another_sign_in_is_refused() {
    for (claims, expected) in [
        (json!({ "nonce": "another" }), IdTokenError::WrongNonce),
        (json!({ "nonce": null }), IdTokenError::WrongNonce),
        (json!({ "aud": "another" }), IdTokenError::WrongAudience),
        (json!({ "azp": "another" }), IdTokenError::WrongAudience),
        (json!({ "iss": "https://idp.example.com/t2" }), IdTokenError::WrongIssuer),
        (json!({ "exp": 1_795_435_000 }), IdTokenError::Expired),
    ] {
        let (world, error) = refused(claims.clone()).await;
        assert!(
            matches!(&error, LoginError::IdToken(error) if *error == expected),
            "{claims} {error:?}"
        );
        assert_eq!(audited(&world).await, [(Action::SignIn, Outcome::Failure(error.reason()))]);
    }
}

#[tokio::test]
async fn a_signature_of_somebody_else_is_refused_and_a_rotated_key_is_not() {
    let world = World::new().await;
    world.sign_in().await.unwrap();
    world.idp.change(|state| {
        state.published = Some(state.key.jwk());
        state.key = SigningKey::generate(&SystemRandom);
    });
    world.clock.advance(Duration::from_mins(2));
    let forged = world.sign_in().await;
    assert!(matches!(forged, Err(LoginError::IdToken(IdTokenError::Jwt(_)))), "{forged:?}");

    world.idp.change(|state| state.published = None);
    world.clock.advance(Duration::from_mins(1));
    world.sign_in().await.unwrap();
}

#[tokio::test]
async fn what_came_from_elsewhere_is_not_acted_on() {
    let world = World::new().await;
    for (iss, error, expected) in [
        (Some("https://evil.example"), false, Reason::WrongIssuer),
        (Some("https://evil.example"), true, Reason::WrongIssuer),
        (None, false, Reason::WrongIssuer),
        (Some("https://idp.example.com/t1"), true, Reason::AccessDenied),
    ] {
        let begun = world.identity.begin(None, &HeaderMap::new()).await.unwrap();
        let query = world.idp.approve(&begun.url);
        let state = query.split('&').find(|pair| pair.starts_with("state=")).unwrap();
        let outcome = if error { "error=access_denied" } else { "code=the-code" };
        let iss = iss.map(|iss| format!("&iss={iss}")).unwrap_or_default();
        let query = format!("{outcome}&{state}{iss}");
        let refused = world.identity.callback(&query, &browser(&[&begun.cookie])).await;
        assert_eq!(refused.unwrap_err().reason(), expected, "{query}");
    }
    assert_eq!(world.idp.asked("/token"), 0);
}

#[tokio::test]
async fn the_userinfo_of_somebody_else_is_refused() {
    let world = World::new().await;
    world.idp.change(|state| state.userinfo["sub"] = json!("grace"));
    let refused = world.sign_in().await;
    assert!(matches!(refused, Err(LoginError::UserinfoMismatch)), "{refused:?}");

    let complete = json!({ "email": "ada@example.com", "email_verified": true, "name": "Ada" });
    world.idp.change(|state| state.id_token = complete);
    world.sign_in().await.unwrap();
    assert_eq!(world.idp.asked("/userinfo"), 1, "asked only when something is missing");
}

#[tokio::test]
async fn only_verified_addresses_of_allowed_domains_get_in() {
    let world =
        World::with(|settings| settings.allowed_email_domains = vec!["example.com".to_owned()])
            .await;
    world.sign_in().await.unwrap();
    for (name, value) in
        [("email_verified", json!(false)), ("email", json!("ada@elsewhere.example"))]
    {
        let mut honest = Value::Null;
        world.idp.change(|state| {
            honest = state.userinfo.clone();
            state.userinfo[name] = value;
        });
        let refused = world.sign_in().await;
        assert!(matches!(refused, Err(LoginError::NotAdmitted)), "{name} {refused:?}");
        world.idp.change(|state| state.userinfo = honest);
    }
}

/// Entra: `sub` differs from application to application, `oid` is one person in a tenant (RS-15).
#[tokio::test]
async fn a_person_is_known_by_the_configured_claim() {
    let world = World::with(|settings| {
        if let Some(oidc) = &mut settings.oidc {
            oidc.subject_claim = "oid".to_owned();
        }
    })
    .await;
    let missing = world.sign_in().await;
    assert!(matches!(missing, Err(LoginError::NoSubject)), "{missing:?}");
    world.idp.change(|state| state.id_token = json!({ "oid": "o-1", "tid": "t-1" }));
    let signed_in = world.sign_in().await.unwrap();
    let mut request = parts(&[]);
    request.headers = browser(&[&signed_in.cookie]);
    let who = world.identity.web().authenticate(&request).await.unwrap();
    assert_eq!(who.subject, "t-1:o-1");
}

#[tokio::test]
async fn a_provider_that_is_down_is_asked_later_again() {
    let world = World::new().await;
    world.idp.change(|state| state.down = true);
    for _ in 0..3 {
        let error = world.identity.begin(None, &HeaderMap::new()).await.unwrap_err();
        assert_eq!(error.reason(), Reason::ProviderUnavailable);
    }
    assert_eq!(world.idp.asked("/t1/.well-known/openid-configuration"), 1);
    world.idp.change(|state| state.down = false);
    world.clock.advance(Duration::from_secs(10));
    world.sign_in().await.unwrap();
}

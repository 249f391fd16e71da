//! Sessions: how they end, and where they do not count.

use std::time::Duration;

use attache_core::{audit::Action, authenticator::AuthnError, principal::AuthenticatedBy};
use attache_crypto::digest::sha256;
use attache_identity::LoginError;
use http::header;
use serde_json::json;

use crate::{
    idp::ISSUER,
    world::{AUDIENCE, NOW, World, browser, parts},
};

#[tokio::test]
async fn a_session_ends_when_it_is_over() {
    let world = World::new().await;
    let web = world.identity.web();
    for sign_out in [true, false] {
        let signed_in = world.sign_in().await.unwrap();
        let mut request = parts(&[]);
        request.headers = browser(&[&signed_in.cookie]);
        let who = web.authenticate(&request).await.unwrap();
        let cookie = world.identity.session_cookie(&request.headers).unwrap();
        let AuthenticatedBy::Session(digest) = who.authenticated_by else { panic!("{who:?}") };
        assert_eq!(digest.0, sha256(cookie.expose().as_bytes()));

        if sign_out {
            let [cleared, ..] = world.identity.sign_out(&request.headers).await.unwrap();
            assert!(cleared.to_str().unwrap().starts_with("__Host-attache_session=; "));
            let events = world.stores.audit.list(Some(&who.user), 1).await.unwrap();
            assert_eq!(events[0].action, Action::SignOut);
        } else {
            world.clock.advance(Duration::from_hours(24));
        }
        let after = web.authenticate(&request).await;
        assert!(matches!(after, Err(AuthnError::Missing)), "{after:?}");
        assert!(web.recall(&request, who.expires_at).is_none());
    }
}

/// A cookie is sent by whatever page a browser shows; what is proxied wants a token.
#[tokio::test]
async fn the_data_plane_takes_no_cookie() {
    let world = World::new().await;
    let signed_in = world.sign_in().await.unwrap();
    let mut request = parts(&[]);
    request.headers = browser(&[&signed_in.cookie]);
    let outcome = world.identity.data_plane().authenticate(&request).await;
    assert!(matches!(outcome, Err(AuthnError::Missing)), "{outcome:?}");
}

#[tokio::test]
async fn whoever_is_switched_off_stays_outside_every_door() {
    let world = World::new().await;
    let signed_in = world.sign_in().await.unwrap();
    let mut request = parts(&[]);
    request.headers = browser(&[&signed_in.cookie]);
    let claims = json!({ "iss": ISSUER, "aud": AUDIENCE, "sub": "ada", "exp": NOW + 300 });
    let token = world.idp.sign("at+jwt", claims);

    world.switch_off();
    let web = world.identity.web().authenticate(&request).await;
    assert!(matches!(web, Err(AuthnError::Missing)), "{web:?}");
    let called = world.call(&*world.identity.data_plane(), &token).await;
    assert!(matches!(called, Err(AuthnError::Rejected(_))), "{called:?}");
    let again = world.sign_in().await;
    assert!(matches!(again, Err(LoginError::Disabled)), "{again:?}");
}

/// A bearer token decides alone: a cookie beside it adds nothing.
#[tokio::test]
async fn a_bad_token_is_not_saved_by_a_session() {
    let world = World::new().await;
    let signed_in = world.sign_in().await.unwrap();
    let mut request = parts(&[(header::AUTHORIZATION, "Bearer opaque")]);
    request.headers.extend(browser(&[&signed_in.cookie]));
    let outcome = world.identity.web().authenticate(&request).await;
    assert!(matches!(outcome, Err(AuthnError::Rejected(_))), "{outcome:?}");
}

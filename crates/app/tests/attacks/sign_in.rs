//! Who gets a session: browser sign-in, bent at every joint.

use std::time::Duration;

use attache_sandbox::{
    CallbackAnswer, IdTokenAnswer, Page,
    people::{ADA, GRACE},
};
use url::Url;

use crate::{
    visitor::{SESSION, Visitor},
    world::{Surroundings, World},
};

/// Goes to sign in, and stops before the answer is brought back.
async fn answered(visitor: &mut Visitor) -> Url {
    let connections = visitor.url("/ui/connections");
    let sent = visitor.open(&connections).await;
    let back = visitor.follow_until(sent, |url| url.path() == "/login/callback").await;
    back.location().expect("the identity provider sends the browser back")
}

async fn refused(world: &World, visitor: &mut Visitor, page: &Page, words: &str) {
    assert!(page.status.is_client_error(), "{page:?}");
    assert!(page.body.contains("You are not signed in"), "{}", page.body);
    assert!(page.body.contains(words), "{}", page.body);
    assert!(!visitor.is_signed_in().await);
    assert_eq!(world.count("session").await, 0);
}

#[tokio::test]
async fn an_id_token_that_proves_nothing_signs_nobody_in() {
    let world = World::new().await;
    let mut ada = world.stranger(ADA);
    for answer in [
        IdTokenAnswer::WrongNonce,
        IdTokenAnswer::NoNonce,
        IdTokenAnswer::WrongIssuer,
        IdTokenAnswer::WrongAudience,
        IdTokenAnswer::Expired,
        IdTokenAnswer::UnknownKey,
        IdTokenAnswer::Unsigned,
    ] {
        world.idp.id_tokens().next(answer);
        let callback = answered(&mut ada).await;
        let page = ada.open(&callback).await;
        refused(&world, &mut ada, &page, "cannot be trusted").await;
    }
    let callback = answered(&mut ada).await;
    assert_eq!(ada.open(&callback).await.status, 303);
    assert!(ada.is_signed_in().await, "an honest one does");
    world.end().await;
}

/// Google: anybody has an account with an address of the company's, verified; only the company's own
/// say `hd`.
#[tokio::test]
async fn an_account_of_ones_own_is_none_of_the_companys() {
    let oidc = "hosted_domains = [\"example.com\"]".to_owned();
    let surroundings = Surroundings { oidc, ..Surroundings::default() };
    let world = World::among("sqlite:attache.db", surroundings).await;
    let mut ada = world.stranger(ADA);
    for answer in [
        IdTokenAnswer::Normal,
        IdTokenAnswer::HostedDomain(""),
        IdTokenAnswer::HostedDomain("evil.example"),
        IdTokenAnswer::HostedDomain("example.com.evil.example"),
        IdTokenAnswer::HostedDomain("sub.example.com"),
    ] {
        world.idp.id_tokens().next(answer);
        let callback = answered(&mut ada).await;
        let page = ada.open(&callback).await;
        refused(&world, &mut ada, &page, "not one of an organization").await;
    }
    // Nor by a token of the same provider.
    let called = world.program(ADA).get("/api/v1/user/credentials").await;
    assert_eq!(called.status, 401, "{}", called.body);
    world.idp.id_tokens().next(IdTokenAnswer::HostedDomain("Example.com"));
    let callback = answered(&mut ada).await;
    assert_eq!(ada.open(&callback).await.status, 303);
    assert!(ada.is_signed_in().await);
    world.end().await;
}

#[tokio::test]
async fn a_bent_callback_signs_nobody_in() {
    let world = World::new().await;
    let mut ada = world.stranger(ADA);
    let asked = "an identity provider that was not asked";
    let unreadable = "cannot be read";
    for (answer, words) in [
        (CallbackAnswer::WrongIssuer, asked),
        (CallbackAnswer::NoIssuer, asked),
        (CallbackAnswer::ErrorOfWrongIssuer("access_denied"), asked),
        (CallbackAnswer::CodeTwice, unreadable),
        (CallbackAnswer::NoState, unreadable),
        (CallbackAnswer::Error("access_denied"), "did not sign you in"),
        (CallbackAnswer::Error("<script>"), "did not sign you in"),
    ] {
        world.idp.callbacks().next(answer);
        let callback = answered(&mut ada).await;
        let page = ada.open(&callback).await;
        refused(&world, &mut ada, &page, words).await;
    }
    world.end().await;
}

/// Login CSRF: Grace hands Ada the end of her own sign-in, so that Ada would connect her accounts
/// as Grace.
#[tokio::test]
async fn a_sign_in_ends_in_the_browser_it_began_in() {
    let world = World::new().await;
    let mut grace = world.stranger(GRACE);
    let hers = answered(&mut grace).await;

    let mut ada = world.stranger(ADA);
    let page = ada.open(&hers).await;
    refused(&world, &mut ada, &page, "begun in another browser").await;

    // Nor while she has a sign-in of her own under way.
    let mut grace = world.stranger(GRACE);
    let hers = answered(&mut grace).await;
    answered(&mut ada).await;
    let page = ada.open(&hers).await;
    refused(&world, &mut ada, &page, "begun in another browser").await;
    world.end().await;
}

#[tokio::test]
async fn an_answer_signs_in_once() {
    let world = World::new().await;
    let mut ada = world.stranger(ADA);
    let callback = answered(&mut ada).await;
    assert_eq!(ada.open(&callback).await.status, 303);

    let again = ada.open(&callback).await;
    assert_eq!(again.status, 400);
    assert!(again.body.contains("already finished"), "{}", again.body);
    assert_eq!(world.count("session").await, 1);
    world.end().await;
}

#[tokio::test]
async fn an_answer_that_is_late_signs_nobody_in() {
    let world = World::new().await;
    let mut ada = world.stranger(ADA);
    let login = ada.url("/login");
    let provider = ada.open(&login).await.location().unwrap();
    world.later(Duration::from_mins(12));
    let callback = ada.open(&provider).await.location().unwrap();
    let page = ada.open(&callback).await;
    refused(&world, &mut ada, &page, "took too long").await;
    world.end().await;
}

#[tokio::test]
async fn a_session_planted_beforehand_is_not_taken_over() {
    let world = World::new().await;
    let mut ada = world.stranger(ADA);
    let home = ada.url("/");
    ada.browser.set_cookie(&home, SESSION, "chosen-by-the-attacker");
    assert_eq!(ada.visit("/ui/connections").await.status, 200);
    assert_ne!(ada.session(), Some("chosen-by-the-attacker"));

    let mut attacker = world.stranger(GRACE);
    attacker.browser.set_cookie(&home, SESSION, "chosen-by-the-attacker");
    assert!(!attacker.is_signed_in().await);

    // Signing in again gives a new one, too.
    let first = ada.session().map(str::to_owned);
    ada.visit("/login").await;
    assert_ne!(ada.session().map(str::to_owned), first);
    world.end().await;
}

#[tokio::test]
async fn signing_out_counts_at_once_and_everywhere() {
    let world = World::new().await;
    let mut ada = world.ada().await;
    let authorization = ada.begin("notes").await;
    let callback = ada.approve(&authorization).await;
    let mut copied = world.stranger(ADA);
    let session = ada.session().unwrap().to_owned();
    copied.browser.set_cookie(&ada.url("/"), SESSION, &session);
    assert!(copied.is_signed_in().await, "it is the same session");

    let page = ada.visit("/ui/connections").await;
    let out = ada.browser.press(&page, "Sign out").await.unwrap();
    assert_eq!(out.status, 303);

    assert!(!ada.is_signed_in().await);
    assert!(!copied.is_signed_in().await);
    assert_eq!(world.count("session").await, 0);
    // What was under way in it is over as well.
    assert_eq!(copied.finish(&callback).await.outcome, "wrong_browser");
    assert_eq!(world.notes.stats().code_exchanges, 0);
    world.nobody_is_connected().await;
    world.end().await;
}

#[tokio::test]
async fn signing_in_leads_nowhere_else() {
    let world = World::new().await;
    for away in [
        "//evil.example",
        "/\\evil.example",
        "https://evil.example/",
        "https:evil.example",
        "javascript:alert(1)",
        "/\t/evil.example",
        "\\\\evil.example",
    ] {
        let mut ada = world.stranger(ADA);
        let mut login = ada.url("/login");
        login.query_pairs_mut().append_pair("return_to", away);
        let sent = ada.open(&login).await;
        let back = ada.follow_until(sent, |url| url.path() == "/login/callback").await;
        let signed_in = ada.open(&back.location().unwrap()).await;
        assert_eq!(signed_in.header("location"), Some("/"), "{away:?}");
    }
    world.end().await;
}

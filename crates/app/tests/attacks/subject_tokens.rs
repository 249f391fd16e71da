//! Tokens that browser sign-in left, to be exchanged for who calls with a token of ours: whose, how
//! fresh, and for how long.

use std::{fs, time::Duration};

use attache_sandbox::{
    TokenAnswer,
    people::{ADA, GRACE},
};

use crate::{
    app::{App, Tokens},
    configuration,
    exchange::{Exchanger, arrived},
    offboarding::{self, AT_ONCE},
    program::Program,
    streams,
    tokens::{self, EVERYTHING},
    visitor::Visitor,
    world::{Surroundings, World},
};

pub(crate) const KEPT: &str =
    "store_subject_token = true\nscopes = [\"openid\", \"offline_access\"]";

/// What they are told when it ended.
pub(crate) const AGAIN: &str = "Sign in to this gateway with your browser";

pub(crate) async fn world(exchanger: &Exchanger) -> World {
    let surroundings = Surroundings { oidc: KEPT.to_owned(), ..Surroundings::default() };
    let world = exchanger.world_among(surroundings).await;
    world.idp.give_tokens_for(&world.origin.origin().ascii_serialization());
    world
}

/// A program with a token that this person made here: nothing that the provider gave.
pub(crate) async fn program(world: &World, who: &mut Visitor) -> Program {
    tokens::holder(world, &tokens::token(who, EVERYTHING).await)
}

pub(crate) async fn refused(program: &Program, status: u16, says: &str) {
    let told = program.get("/http/hr/me").await;
    assert_eq!(told.status.as_u16(), status, "{}", told.body);
    assert!(told.body.contains(says), "{}", told.body);
    let leads = told.body.contains(&format!("{}login", program.origin));
    assert_eq!(leads, says == AGAIN, "{}", told.body);
}

#[tokio::test]
async fn who_calls_with_a_token_of_ours_is_exchanged_for_by_their_sign_in() {
    let exchanger = Exchanger::start().await;
    let world = world(&exchanger).await;
    let (mut ada, mut grace) = (world.ada().await, world.grace().await);
    let (adas, graces) = (program(&world, &mut ada).await, program(&world, &mut grace).await);
    for (program, name, token) in [(&adas, "ada", "given-1"), (&graces, "grace", "given-2")] {
        for _ in 0..3 {
            let page = program.get("/http/hr/me").await;
            assert_eq!(page.status, 200, "{}", page.body);
            assert_eq!(arrived(&world), [format!("Bearer {token}")], "had once, used by one");
        }
        assert_eq!(subject(&exchanger), name);
    }
    assert_eq!(world.count("credential").await, 2, "sealed, one for each");
    let listed = adas.get("/api/v1/user/credentials").await;
    assert!(!listed.body.contains("identity-provider"), "{}", listed.body);

    // Five minutes later what was kept has ended: it is renewed before it is shown to anybody.
    world.later(Duration::from_mins(6));
    let stale = exchanger.said("subject_token");
    assert_eq!(graces.get("/http/hr/me").await.status, 200);
    assert_eq!(subject(&exchanger), "grace");
    assert_ne!(exchanger.said("subject_token"), stale);

    // Whoever brings a token of the provider is exchanged for by that.
    let own = world.program(ADA);
    assert_eq!(own.get("/http/hr/me").await.status, 200);
    assert_eq!(exchanger.said("subject_token"), [own.token.as_str()]);
    world.end().await;
}

#[tokio::test]
async fn a_sign_out_ends_what_was_kept() {
    let exchanger = Exchanger::start().await;
    let world = world(&exchanger).await;
    let (mut ada, mut grace) = (world.ada().await, world.grace().await);
    let (adas, graces) = (program(&world, &mut ada).await, program(&world, &mut grace).await);
    assert_eq!(adas.get("/http/hr/me").await.status, 200);
    assert_eq!(world.idp.open_grants(), 2);
    let mut stream = streams::listen_at(&adas, "/http/hr/events").await;
    let gone = tokens::post(&mut ada, "/logout", "").await;
    assert_eq!(gone.status, 303, "{}", gone.body);
    assert!(stream.ends_within(AT_ONCE).await, "what was begun with it ends with it");
    for _ in 0..2 {
        refused(&adas, 403, AGAIN).await;
    }
    assert_eq!((exchanger.asked(), world.count("credential").await), (1, 1));
    ended_at_the_provider(&world, 1).await;
    assert_eq!(graces.get("/http/hr/me").await.status, 200, "nobody else's is");

    // Who comes back is served again, by what that sign-in brings.
    let again = world.ada().await;
    assert_eq!(adas.get("/http/hr/me").await.status, 200);
    assert_eq!((subject(&exchanger), world.count("credential").await), ("ada".to_owned(), 2));
    drop(again);
    world.end().await;
}

/// Nobody waits for the provider to be told.
async fn ended_at_the_provider(world: &World, left: usize) {
    let told = async {
        while world.idp.open_grants() != left {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let told = tokio::time::timeout(Duration::from_secs(10), told).await;
    told.expect("the refresh token is revoked");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_offboarded_leaves_nothing_to_exchange() {
    let exchanger = Exchanger::start().await;
    let world = world(&exchanger).await;
    let (mut ada, mut grace) = (world.ada().await, world.grace().await);
    let (adas, graces) = (program(&world, &mut ada).await, program(&world, &mut grace).await);
    assert_eq!(adas.get("/http/hr/me").await.status, 200);
    fs::write(world.home.config_file(), configuration::text(&world)).expect("a disk");
    let ended = offboarding::user(&world, &["offboard", "ada@example.com", "-o", "json"]);
    let receipts = offboarding::receipts(&ended);
    assert_eq!(receipts, [format!("\"{}\" true null", world.idp.issuer())]);
    assert_eq!((world.idp.open_grants(), world.count("credential").await), (1, 1));
    world.later(Duration::from_mins(2));
    assert_eq!(adas.get("/http/hr/me").await.status, 401);
    assert_eq!(graces.get("/http/hr/me").await.status, 200);
    world.end().await;
}

/// Clients that find their own way have nothing else: a person who lets one in signed in for it.
#[tokio::test]
async fn a_client_that_signs_in_through_us_is_exchanged_for_by_its_person() {
    let exchanger = Exchanger::start().await;
    let world = world(&exchanger).await;
    for (number, person) in [ADA, GRACE].into_iter().enumerate() {
        let mut visitor = world.visitor(person).await;
        let app = App::new(&world).await;
        let request = app.request(&[("resource", &app.resource("/http/hr"))]);
        let landed = app.approved_for(&mut visitor, &request).await;
        let client = Tokens::of(&world, &app.redeem(&landed.code()).await).program(&world);
        let page = client.get("/http/hr/me").await;
        assert_eq!(page.status, 200, "{}", page.body);
        assert_eq!(arrived(&world), [format!("Bearer given-{}", number + 1)]);
        assert_eq!(subject(&exchanger), person.id);
    }
    world.end().await;
}

/// TX-4, OBO-1: what the provider gave for somebody else is shown to nobody.
#[tokio::test]
async fn a_sign_in_for_another_audience_is_not_exchanged() {
    let exchanger = Exchanger::start().await;
    let world = world(&exchanger).await;
    world.idp.give_tokens_for("https://graph.example.com");
    let mut ada = world.ada().await;
    let adas = program(&world, &mut ada).await;
    refused(&adas, 502, "not for this gateway").await;
    assert_eq!((exchanger.asked(), world.bare.arrived().len()), (0, 0));
    world.end().await;
}

/// TX-2, TX-3: a provider that is away, that ended the grant, or that does not take what was kept.
#[tokio::test]
async fn a_sign_in_is_renewed_once_and_its_end_is_said() {
    let exchanger = Exchanger::start().await;
    let world = world(&exchanger).await;
    let mut ada = world.ada().await;
    let adas = program(&world, &mut ada).await;

    exchanger.lie(400, r#"{"error":"invalid_grant"}"#);
    assert_eq!(adas.get("/http/hr/me").await.status, 200, "renewed, and asked again");
    assert_eq!(exchanger.asked(), 2);

    world.later(Duration::from_mins(12));
    for _ in 0..2 {
        exchanger.lie(400, r#"{"error":"invalid_grant"}"#);
    }
    for _ in 0..3 {
        refused(&adas, 403, AGAIN).await;
        assert_eq!(exchanger.asked(), 4, "once more, and no more");
    }

    world.later(Duration::from_mins(6));
    world.idp.renewals().next(TokenAnswer::Status500);
    refused(&adas, 503, "not answering").await;
    world.later(Duration::from_mins(1));
    assert_eq!(adas.get("/http/hr/me").await.status, 200, "the grant is still there");

    world.later(Duration::from_mins(12));
    world.idp.renewals().next(TokenAnswer::InvalidGrant);
    for _ in 0..2 {
        refused(&adas, 403, AGAIN).await;
    }
    assert_eq!(world.bare.arrived().len(), 2);
    world.end().await;
}

/// What one provider refuses for ever, another takes.
#[tokio::test]
async fn one_refusal_keeps_nobody_from_the_other_upstreams() {
    let (refuses, takes) = (Exchanger::start().await, Exchanger::start().await);
    let surroundings = Surroundings {
        oidc: KEPT.to_owned(),
        more: takes.upstream("crm"),
        ..Surroundings::default()
    };
    let world = refuses.world_among(surroundings).await;
    world.idp.give_tokens_for(&world.origin.origin().ascii_serialization());
    let mut ada = world.ada().await;
    let adas = program(&world, &mut ada).await;
    let crm = async || adas.get("/http/crm/me").await.status.as_u16();
    assert_eq!(crm().await, 200);
    for minute in 0..4 {
        for _ in 0..2 {
            refuses.lie(400, r#"{"error":"invalid_grant"}"#);
        }
        for _ in 0..2 {
            refused(&adas, 403, AGAIN).await;
            assert_eq!(crm().await, 200, "minute {minute}");
        }
        world.later(Duration::from_secs(40));
    }
    assert_eq!(takes.asked(), 2, "renewed once, and exchanged anew for that");
    world.end().await;
}

/// Whether the provider renews it or not: what it gave before has not ended.
#[tokio::test]
async fn a_refusal_while_the_provider_is_away_keeps_nobody_from_the_other_upstreams() {
    let (refuses, takes) = (Exchanger::start().await, Exchanger::start().await);
    let surroundings = Surroundings {
        oidc: KEPT.to_owned(),
        more: takes.upstream("crm"),
        ..Surroundings::default()
    };
    let world = refuses.world_among(surroundings).await;
    world.idp.give_tokens_for(&world.origin.origin().ascii_serialization());
    let mut ada = world.ada().await;
    let adas = program(&world, &mut ada).await;
    refuses.lie(400, r#"{"error":"invalid_grant"}"#);
    world.idp.renewals().next(TokenAnswer::Status500);
    refused(&adas, 503, "not answering").await;
    assert_eq!(adas.get("/http/crm/me").await.status, 200);
    world.end().await;
}

/// An operator stops keeping them: those that are there end as ever.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_kept_before_ends_with_a_sign_out_and_with_its_person() {
    let exchanger = Exchanger::start().await;
    let mut world = world(&exchanger).await;
    let (mut ada, grace) = (world.ada().await, world.grace().await);
    world.surroundings.oidc = String::new();
    world.restart().await;
    assert_eq!(world.count("credential").await, 2);
    assert_eq!(tokens::post(&mut ada, "/logout", "").await.status, 303);
    assert_eq!(world.count("credential").await, 1);
    fs::write(world.home.config_file(), configuration::text(&world)).expect("a disk");
    let switched = offboarding::user(&world, &["disable", "grace@example.com"]);
    assert!(switched.status.success(), "{switched:?}");
    assert_eq!(world.count("credential").await, 0);
    drop(grace);
    world.end().await;
}

/// Whose token was exchanged last.
fn subject(exchanger: &Exchanger) -> String {
    let token = exchanger.said("subject_token").concat();
    let claims = attache_crypto::jose::unproved_claims(&token).expect("a JWT");
    let subject = claims.get("sub").and_then(serde_json::Value::as_str);
    subject.expect("a text").to_owned()
}

//! Whose a connection is at its provider (OC-23).

use std::time::Duration;

use attache_broker::{
    ConnectError, Decision, Finished, connections::Revocation, replacement::DECISION_LIFE,
};
use attache_core::{
    Account, Slot,
    audit::{Action, Outcome, Reason},
    store::Version,
};
use serde_json::{Value, json};

use crate::support::{Gateway, Someone, World, eventually, server};

/// A provider that says who people are, asked by a gateway that wants to know.
async fn world() -> World {
    attache_crypto::install_provider();
    let mut world = World::new().await;
    world.scopes = vec!["openid".to_owned()];
    world.provider.identify(json!({}));
    world
}

async fn connect_as(
    world: &World,
    gateway: &Gateway,
    claims: Value,
) -> Result<Finished, ConnectError> {
    let person = &world.ada;
    world.provider.identify(claims);
    let query = gateway.consent(person, "notes").await;
    gateway.callback(person, "notes", &query).await
}

#[tokio::test]
async fn an_id_token_says_whose_a_connection_is() {
    let world = world().await;
    let gateway = world.gateway();
    for (claims, label) in [
        (json!({}), "a-1"),
        (json!({ "name": "Ada" }), "Ada"),
        (json!({ "name": "Ada", "email": "ada@example.com" }), "ada@example.com"),
        (json!({ "preferred_username": "ada", "email": "ada@example.com" }), "ada"),
        (json!({ "name": "Ada\u{1b}[2J" }), "a-1"),
    ] {
        connect_as(&world, &gateway, claims).await.unwrap();
        let connection = gateway.connection(&world.ada, "notes").await;
        assert_eq!(connection.account, Account::new(Some("a-1"), Some(label)));
    }
    world.provider.rotate_keys();
    world.clock.advance(Duration::from_mins(2));
    connect_as(&world, &gateway, json!({})).await.unwrap();
}

/// Nothing of it is kept here, and nothing lives on there.
#[tokio::test]
async fn an_id_token_that_answers_another_question_connects_nobody() {
    let world = world().await;
    let gateway = world.gateway();
    for (claims, reason) in [
        (json!({ "nonce": "of another attempt" }), Reason::MalformedResponse),
        (json!({ "nonce": null }), Reason::MalformedResponse),
        (json!({ "iss": "https://other.example.com" }), Reason::WrongIssuer),
        (json!({ "aud": "somebody else" }), Reason::MalformedResponse),
        (json!({ "exp": 1 }), Reason::MalformedResponse),
    ] {
        let revoked = world.provider.revocations().len();
        let refused = connect_as(&world, &gateway, claims.clone()).await;
        assert_eq!(refused, Err(ConnectError(reason)), "{claims}");
        assert_eq!(world.provider.revocations().len(), revoked + 2, "{claims}");
    }
    assert!(world.stored(&world.ada, "notes").await.is_none());
}

/// Who did not ask for an ID token has no use for one.
#[tokio::test]
async fn an_id_token_that_was_not_asked_for_is_not_looked_at() {
    let world = World::new().await;
    attache_crypto::install_provider();
    let gateway = world.gateway();
    connect_as(&world, &gateway, json!({ "nonce": null, "aud": "x" })).await.unwrap();
    assert_eq!(gateway.connection(&world.ada, "notes").await.account, None);
}

const GONE: ConnectError = ConnectError(Reason::FlowUnknown);

/// Connected as `ada`, and then approved as `grace`: the attempt that waits.
async fn dilemma(world: &World, gateway: &Gateway) -> Version {
    let ada = json!({ "sub": "a-1", "email": "ada@example.com" });
    assert_eq!(connect_as(world, gateway, ada).await, Ok(Finished::Connected));
    let grace = json!({ "sub": "a-2", "email": "grace@example.com" });
    assert_eq!(connect_as(world, gateway, grace).await, Ok(Finished::Undecided));
    asked(gateway, &world.ada).await.expect("a question")
}

async fn asked(gateway: &Gateway, person: &Someone) -> Option<Version> {
    let asked = gateway.connections.undecided(&person.who, &person.browser, &server("notes")).await;
    let asked = asked.unwrap()?;
    assert_eq!(
        (asked.connected.label(), asked.approved.label()),
        ("ada@example.com", "grace@example.com")
    );
    Some(asked.attempt)
}

async fn decide(
    gateway: &Gateway,
    person: &Someone,
    attempt: Version,
    decision: Decision,
) -> Result<(), ConnectError> {
    gateway.connections.decide(&person.act("notes"), &person.browser, attempt, decision).await
}

#[tokio::test]
async fn another_account_replaces_nothing_before_its_owner_said_so() {
    let world = world().await;
    let (gateway, replica) = (world.gateway(), world.gateway());
    for (decision, label) in
        [(Decision::Keep, "ada@example.com"), (Decision::Replace, "grace@example.com")]
    {
        let attempt = dilemma(&world, &gateway).await;
        let before = gateway.obtain(&world.ada, "notes").await.unwrap();
        let revoked = world.provider.revocations().len();

        // Decided on another replica, once.
        assert_eq!(decide(&replica, &world.ada, attempt, decision).await, Ok(()));
        assert_eq!(decide(&gateway, &world.ada, attempt, decision).await, Err(GONE));
        assert_eq!(asked(&gateway, &world.ada).await, None);

        let connection = replica.connection(&world.ada, "notes").await;
        assert_eq!(connection.account.unwrap().label(), label);
        let after = replica.obtain(&world.ada, "notes").await.unwrap();
        assert_eq!(after == before, decision == Decision::Keep);
        let revocations = world.provider.revocations();
        assert_eq!(revocations.len(), revoked + 2, "the approval that lost");
        let over = revocations.last().unwrap()["token"] == before;
        assert_eq!(over, decision == Decision::Replace);
        assert_eq!(world.audited().await.last(), Some(&(Action::Revoke, Outcome::Success)));
        gateway.disconnect(&world.ada, "notes").await.unwrap();
    }
}

/// Bound to person, browser and attempt: nobody else finds it, and trying spends nothing.
#[tokio::test]
async fn nobody_else_decides() {
    let world = world().await;
    let gateway = world.gateway();
    let attempt = dilemma(&world, &gateway).await;
    let elsewhere = world.ada.in_another_browser();
    let with_her_cookie = Someone { browser: world.ada.browser.clone(), ..world.grace.clone() };
    for stranger in [&world.grace, &elsewhere, &with_her_cookie] {
        assert_eq!(asked(&gateway, stranger).await, None);
        assert_eq!(decide(&gateway, stranger, attempt, Decision::Replace).await, Err(GONE));
    }
    let older = decide(&gateway, &world.ada, Version(attempt.0 - 1), Decision::Replace).await;
    assert_eq!(older, Err(GONE));
    assert_eq!(asked(&gateway, &world.ada).await, Some(attempt));

    // A newer approval takes its place, and it ends at the provider.
    let grace = json!({ "sub": "a-2", "email": "grace@example.com" });
    assert_eq!(connect_as(&world, &gateway, grace).await, Ok(Finished::Undecided));
    assert_eq!(decide(&gateway, &world.ada, attempt, Decision::Replace).await, Err(GONE));
    eventually("it ended there", async || world.provider.revocations().len() == 2).await;
}

/// Doing nothing changes nothing: the approval is dropped, and ended when somebody looks.
#[tokio::test]
async fn what_nobody_decides_about_lapses() {
    let world = world().await;
    let gateway = world.gateway();
    let attempt = dilemma(&world, &gateway).await;
    world.clock.advance(DECISION_LIFE);
    assert_eq!(asked(&gateway, &world.ada).await, None);
    assert!(world.provider.revocations().is_empty());
    gateway.connections.list(&world.ada.who).await.unwrap();
    eventually("it ended there", async || world.provider.revocations().len() == 2).await;
    assert_eq!(decide(&gateway, &world.ada, attempt, Decision::Replace).await, Err(GONE));

    dilemma_over_disconnect(&world, &gateway).await;
}

async fn dilemma_over_disconnect(world: &World, gateway: &Gateway) {
    let grace = json!({ "sub": "a-2", "email": "grace@example.com" });
    assert_eq!(connect_as(world, gateway, grace).await, Ok(Finished::Undecided));
    let ended = gateway.disconnect(&world.ada, "notes").await.unwrap();
    assert_eq!(ended, Some(Some(Revocation::Revoked)));
    assert_eq!(asked(gateway, &world.ada).await, None);
    eventually("both ended there", async || world.provider.revocations().len() == 6).await;
}

/// OC-28: also what waits for a decision, each with a receipt of its own.
#[tokio::test]
async fn an_undecided_approval_is_offboarded_too() {
    let world = world().await;
    let gateway = world.gateway();
    dilemma(&world, &gateway).await;
    gateway.connect(&world.ada, "tickets").await;
    let receipts = gateway.offboard(&world, &world.ada).await.unwrap();
    let mut told: Vec<_> = receipts
        .iter()
        .map(|receipt| (matches!(receipt.slot, Slot::Undecided(..)), receipt.revocation))
        .collect();
    told.sort_by_key(|(undecided, revocation)| (*undecided, revocation.is_some()));
    let revoked = Some(Revocation::Revoked);
    assert_eq!(told, [(false, None), (false, revoked), (true, revoked)]);
    assert_eq!(world.provider.revocations().len(), 4);
    assert!(world.stores.people.find(&world.ada.who.user).await.unwrap().is_none());
}

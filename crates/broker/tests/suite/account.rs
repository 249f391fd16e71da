//! Whose a connection is at its provider (OC-23).

use std::time::Duration;

use attache_broker::ConnectError;
use attache_core::{Account, audit::Reason};
use serde_json::{Value, json};

use crate::support::{Gateway, World};

/// A provider that says who people are, asked by a gateway that wants to know.
async fn world() -> World {
    attache_crypto::install_provider();
    let mut world = World::new().await;
    world.scopes = vec!["openid".to_owned()];
    world.provider.identify(json!({}));
    world
}

async fn connect_as(world: &World, gateway: &Gateway, claims: Value) -> Result<(), ConnectError> {
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

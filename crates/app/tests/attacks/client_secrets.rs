//! The operator replaces a client secret while people work, and nobody notices (OC-10).

use std::time::Duration;

use attache_core::Secret;
use attache_sandbox::{
    Client, Person,
    people::{ADA, GRACE},
};
use bytes::Bytes;
use http::Method;

use crate::world::{CLIENT_SECRET, Surroundings, World};

const UPSTREAM: &str = r#"
[[upstream]]
name = "rotating"
url = "{mcp}"
protocol = "streamable-http"
[upstream.auth_broker]
mode = "oauth_connect"
authorization_endpoint = "{notes}/authorize"
token_endpoint = "{notes}/token"
revocation_endpoint = "{notes}/revoke"
issuer = "{notes}"
client_id = "rotating"
client_secret = [{secrets}]
"#;

/// Each begins as the world's own, and is looked for wherever that one is.
fn secret(which: &str) -> String {
    format!("{CLIENT_SECRET}-{which}")
}

/// The provider takes this one from now on.
fn switch(world: &World, which: &str) {
    world.notes.register(Client {
        id: "rotating".to_owned(),
        secret: Some(Secret::new(secret(which))),
        redirect_prefix: world.origin.to_string(),
    });
}

async fn revoked(world: &World, person: Person) -> String {
    let program = world.program(person);
    let delete = program.request(Method::DELETE, "/api/v1/user/credentials/rotating");
    let receipt = program.send(delete.body(Bytes::new()).expect("a request")).await;
    receipt.json().expect("JSON").get("revoked").expect("an answer").to_string()
}

#[tokio::test]
async fn a_secret_is_replaced_and_no_request_fails() {
    let secrets = format!("\"{}\", \"{}\"", secret("new"), secret("old"));
    let more = UPSTREAM.replace("{secrets}", &secrets);
    let world =
        World::among("sqlite:attache.db", Surroundings { more, ..Surroundings::default() }).await;
    let taken = async |which: &str| {
        let line =
            format!("attache_client_secret_taken{{upstream=\"rotating\",secret=\"{which}\"}} 1");
        assert!(world.counted("attache_client_secret_taken").await.contains(&line), "{which}");
    };
    let works = async |person: Person| {
        let said = world.program(person).whoami("rotating").await;
        assert!(said.ends_with(" at Sandbox Notes"), "{said}");
    };
    taken("first").await;

    // Before the provider knows the new one: a code is redeemed with the old.
    switch(&world, "old");
    assert_eq!(world.ada().await.connect("rotating").await.outcome, "connected");
    works(ADA).await;
    taken("second").await;

    // It switches between two renewals.
    for which in ["old", "new"] {
        switch(&world, which);
        world.later(Duration::from_hours(2));
        works(ADA).await;
    }
    taken("first").await;
    assert_eq!(world.grace().await.connect("rotating").await.outcome, "connected");
    works(GRACE).await;

    // And goes back, while somebody leaves: the provider hears of that, too.
    assert_eq!(revoked(&world, ADA).await, "true");
    switch(&world, "old");
    assert_eq!(revoked(&world, GRACE).await, "true");
    taken("second").await;

    // With neither, it is the operator's move, and nobody is told to connect again.
    assert_eq!(world.ada().await.connect("rotating").await.outcome, "connected");
    switch(&world, "lost");
    world.later(Duration::from_hours(2));
    let said = world.program(ADA).whoami("rotating").await;
    assert!(!said.contains("/connect/"), "{said}");
    assert_eq!(world.health(ADA, "rotating").await, "misconfigured");
    world.end().await;
}

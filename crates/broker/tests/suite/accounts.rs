//! Several accounts of one person at one upstream, each under a name of theirs.

use attache_broker::{
    ConnectError, Decision, Finished, ObtainError, Status, connections::ACCOUNTS_PER_UPSTREAM,
};
use attache_core::audit::Reason;
use serde_json::{Value, json};

use crate::support::{Gateway, LIFE, Someone, World, server};

const NOT_CONNECTED: ObtainError = ObtainError::NotConnected { reason: Reason::NotConnected };

async fn names(gateway: &Gateway, person: &Someone) -> Vec<String> {
    let listed = gateway.connections.list(&person.who).await.unwrap();
    listed.into_iter().map(|one| format!("{} {}", one.server, one.status.as_str())).collect()
}

/// Never one for the other: not when it is missing, renewed, refused or gone.
#[tokio::test]
async fn each_account_has_a_credential_of_its_own() {
    let world = World::new().await;
    let (gateway, ada) = (world.gateway(), &world.ada);
    gateway.connect(ada, "notes").await;
    let first = gateway.obtain(ada, "notes").await.unwrap();
    assert_eq!(gateway.obtain(ada, "notes@work").await, Err(NOT_CONNECTED));
    gateway.connect(ada, "notes@work").await;
    let work = gateway.obtain(ada, "notes@work").await.unwrap();
    assert_ne!(first, work);
    assert_eq!(gateway.obtain(ada, "notes").await.as_ref(), Ok(&first));
    assert_eq!(gateway.obtain(&world.grace, "notes@work").await, Err(NOT_CONNECTED));
    let listed = ["notes connected", "notes@work connected", "tickets not_connected"];
    assert_eq!(names(&gateway, ada).await, listed);

    gateway.reject(ada, "notes@work").await;
    let renewed = gateway.obtain(ada, "notes@work").await.unwrap();
    assert_ne!(renewed, work);
    assert_eq!(gateway.obtain(ada, "notes").await.as_ref(), Ok(&first));
    world.clock.advance(LIFE);
    let later = gateway.obtain(ada, "notes").await.unwrap();
    assert_ne!(gateway.obtain(ada, "notes@work").await.unwrap(), later);

    gateway.disconnect(ada, "notes").await.unwrap().unwrap();
    assert_eq!(gateway.obtain(ada, "notes").await, Err(NOT_CONNECTED));
    gateway.obtain(ada, "notes@work").await.unwrap();
    let listed = ["notes not_connected", "notes@work connected", "tickets not_connected"];
    assert_eq!(names(&gateway, ada).await, listed);
    gateway.disconnect(ada, "notes@work").await.unwrap().unwrap();
    assert_eq!(gateway.obtain(ada, "notes@work").await, Err(NOT_CONNECTED));
    assert_eq!(names(&gateway, ada).await, ["notes not_connected", "tickets not_connected"]);
}

/// The redirect URI is one for all: the flow says for which account an answer is.
#[tokio::test]
async fn an_answer_connects_the_account_that_was_asked_for() {
    let world = World::new().await;
    let (gateway, ada) = (world.gateway(), &world.ada);
    let first = gateway.consent(ada, "notes").await;
    let work = gateway.consent(ada, "notes@work").await;
    let home = gateway.consent(ada, "notes@home").await;
    gateway.disconnect(ada, "notes@home").await.unwrap();
    let ended = gateway.callback(ada, "notes@home", &home).await;
    assert_eq!(ended, Err(ConnectError(Reason::FlowUnknown)));

    assert_eq!(gateway.callback(ada, "notes@work", &work).await, Ok(Finished::Connected));
    assert_eq!(gateway.obtain(ada, "notes").await, Err(NOT_CONNECTED));
    let token = gateway.obtain(ada, "notes@work").await.unwrap();
    assert_eq!(gateway.callback(ada, "notes", &first).await, Ok(Finished::Connected));
    assert_ne!(gateway.obtain(ada, "notes").await.as_ref(), Ok(&token));
    assert_eq!(gateway.obtain(ada, "notes@work").await, Ok(token));
}

#[tokio::test]
async fn accounts_are_bounded() {
    let world = World::new().await;
    let (gateway, ada) = (world.gateway(), &world.ada);
    let name = |number: usize| format!("notes@account-{number}");
    for number in 2..ACCOUNTS_PER_UPSTREAM {
        gateway.connect(ada, &name(number)).await;
    }
    let too_many = Err(ConnectError(Reason::TooManyAccounts));
    let begun_before = gateway.consent(ada, "notes@one-more").await;
    gateway.connect(ada, "notes").await;
    gateway.connect(ada, &name(ACCOUNTS_PER_UPSTREAM)).await;
    let one_more = server("notes@one-more");
    let begun = gateway.connections.begin(&ada.who, &ada.browser, &one_more, None).await;
    assert_eq!(begun.map(drop), too_many);
    let late = gateway.callback(ada, "notes@one-more", &begun_before).await;
    assert_eq!(late.map(drop), too_many);
    assert_eq!(world.provider.revocations().len(), 2, "what is not kept does not live on there");

    gateway.connect(ada, &name(3)).await;
    gateway.connect(&world.grace, "notes@hers").await;
    gateway.connect(ada, "tickets@work").await;
    gateway.disconnect(ada, &name(3)).await.unwrap().unwrap();
    gateway.connect(ada, "notes@one-more").await;
}

/// OC-23 holds for each account; two names for one account of the provider are pointed out.
#[tokio::test]
async fn whose_an_account_is_is_asked_and_shown_for_each() {
    attache_crypto::install_provider();
    let mut world = World::new().await;
    world.scopes = vec!["openid".to_owned()];
    let (gateway, ada) = (world.gateway(), &world.ada);
    let connect_as = async |name: &str, claims: Value| {
        world.provider.identify(claims);
        let query = gateway.consent(ada, name).await;
        gateway.callback(ada, name, &query).await
    };
    let (private, office) = (json!({ "sub": "a-1" }), json!({ "sub": "a-2" }));
    assert_eq!(connect_as("notes", private.clone()).await, Ok(Finished::Connected));
    assert_eq!(connect_as("notes@work", private.clone()).await, Ok(Finished::Connected));
    let same = async |name: &str| {
        let listed = gateway.connections.list(&ada.who).await.unwrap();
        let one = listed.into_iter().find(|one| one.server == server(name)).unwrap();
        assert_eq!(one.status, Status::Connected);
        one.same_account_as.map(|other| other.to_string())
    };
    assert_eq!(same("notes@work").await.as_deref(), Some("notes"));

    let before = gateway.obtain(ada, "notes@work").await.unwrap();
    assert_eq!(connect_as("notes@work", office.clone()).await, Ok(Finished::Undecided));
    let asked = async |name: &str| {
        gateway.connections.undecided(&ada.who, &ada.browser, &server(name)).await.unwrap()
    };
    assert_eq!(asked("notes").await, None);
    let attempt = asked("notes@work").await.unwrap().attempt;
    // Answering about another of their accounts answers nothing.
    let decide = async |name: &str| {
        let replace = Decision::Replace;
        gateway.connections.decide(&ada.act(name), &ada.browser, attempt, replace).await
    };
    assert_eq!(decide("notes").await, Err(ConnectError(Reason::FlowUnknown)));
    assert_eq!(connect_as("notes", private).await, Ok(Finished::Connected));
    assert_eq!(gateway.obtain(ada, "notes@work").await.as_ref(), Ok(&before));
    assert_eq!(decide("notes@work").await, Ok(()));
    assert_ne!(gateway.obtain(ada, "notes@work").await, Ok(before));
    assert_eq!(same("notes@work").await, None);
}

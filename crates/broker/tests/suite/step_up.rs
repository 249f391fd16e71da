//! An upstream wants more than its person gave (OC-14).

use attache_broker::{ConnectError, ObtainError, Status};
use attache_core::audit::Reason;
use http::{HeaderMap, HeaderValue, header};
use url::Url;

use crate::support::{Gateway, Someone, World, server};

const MORE: Option<ObtainError> =
    Some(ObtainError::NotConnected { reason: Reason::InsufficientScope });
const NO_MORE: Option<ObtainError> =
    Some(ObtainError::Operator { reason: Reason::ScopesNotGranted });

/// Tells the broker that the upstream wants `scopes` beyond what it is served now.
async fn demand(gateway: &Gateway, person: &Someone, scopes: &str) -> Option<ObtainError> {
    let upstream = gateway.upstream("notes");
    let served = gateway.broker.obtain(&person.who, upstream, None).await.expect("a credential");
    let challenge = format!("Bearer error=\"insufficient_scope\", scope=\"{scopes}\"");
    let challenge = HeaderValue::try_from(challenge).expect("a header");
    let answer = HeaderMap::from_iter([(header::WWW_AUTHENTICATE, challenge)]);
    gateway.broker.step_up(&person.who, upstream, None, served.version, &answer).await
}

async fn begin(gateway: &Gateway, person: &Someone) -> Url {
    let begun =
        gateway.connections.begin(&person.who, &person.browser, &server("notes"), None).await;
    begun.expect("begun")
}

/// What an approval would ask for, as the page says it and as the browser carries it.
async fn asked(gateway: &Gateway, person: &Someone) -> String {
    let url = begin(gateway, person).await;
    let carried = url.query_pairs().find(|(name, _)| name == "scope").expect("scopes").1;
    let offer = gateway.connections.offer(&person.who, &server("notes")).await;
    let shown = offer.expect("terms").expect("an upstream").scopes;
    assert_eq!(shown.join(" "), carried);
    carried.into_owned()
}

#[tokio::test]
async fn an_approval_asks_for_everything_that_was_asked_for_and_what_is_wanted() {
    let world = World::new().await;
    let (gateway, ada, grace) = (world.gateway(), &world.ada, &world.grace);
    for person in [ada, grace] {
        gateway.connect(person, "notes").await;
    }
    let before = gateway.obtain(ada, "notes").await;
    assert_eq!(demand(&gateway, ada, "admin").await, MORE);
    assert_eq!(gateway.obtain(ada, "notes").await, before, "the old one serves the rest");
    let connection = gateway.connection(ada, "notes").await;
    assert_eq!(connection.status, Status::Connected);
    assert_eq!(connection.reason, Some(Reason::InsufficientScope));
    assert_eq!(connection.wanted_scopes, ["admin"]);
    assert_eq!(asked(&gateway, ada).await, "read write admin");

    let hers = gateway.connection(grace, "notes").await;
    assert_eq!((hers.reason, hers.wanted_scopes.len()), (None, 0), "hers is as it was");
    assert_eq!(asked(&gateway, grace).await, "read write");

    // Another gateway asks for the same, and what was approved once is asked for ever after.
    let replica = world.gateway();
    assert_eq!(asked(&replica, ada).await, "read write admin");
    replica.connect(ada, "notes").await;
    assert_eq!(gateway.connection(ada, "notes").await.wanted_scopes, [""; 0]);
    assert_eq!(demand(&gateway, ada, "audit").await, MORE);
    assert_eq!(asked(&gateway, ada).await, "read write admin audit");

    // A disconnect forgets it all.
    gateway.disconnect(ada, "notes").await.unwrap().unwrap();
    gateway.connect(ada, "notes").await;
    assert_eq!(asked(&gateway, ada).await, "read write");
}

#[tokio::test]
async fn what_does_not_help_is_given_up() {
    let world = World::new().await;
    let (gateway, ada) = (world.gateway(), &world.ada);
    gateway.connect(ada, "notes").await;
    for _ in 0..3 {
        for _ in 0..5 {
            assert_eq!(demand(&gateway, ada, "admin").await, MORE);
        }
        gateway.connect(ada, "notes").await;
    }
    assert_eq!(demand(&gateway, ada, "admin").await, NO_MORE);
    assert_eq!(demand(&world.gateway(), ada, "admin").await, NO_MORE, "whichever gateway");
    assert_eq!(demand(&gateway, ada, "other").await, MORE, "of this, and of nothing else");
    assert_eq!(
        asked(&gateway, ada).await,
        "read write admin other",
        "who mends it mends it for all"
    );
    assert!(gateway.obtain(ada, "notes").await.is_ok());
}

/// Or a person could never connect again, because of what an upstream made up.
#[tokio::test]
async fn a_scope_that_the_provider_does_not_know_is_not_asked_for_twice() {
    let world = World::new().await;
    let (gateway, ada) = (world.gateway(), &world.ada);
    gateway.connect(ada, "notes").await;
    assert_eq!(demand(&gateway, ada, "made-up").await, MORE);

    let url = begin(&gateway, ada).await;
    let state = url.query_pairs().find(|(name, _)| name == "state").expect("a state").1;
    let refused = format!("error=invalid_scope&state={state}&iss=https%3A%2F%2Fas.example.com");
    let ended = gateway.callback(ada, "notes", &refused).await;
    assert_eq!(ended, Err(ConnectError(Reason::InvalidScope)));

    assert_eq!(asked(&gateway, ada).await, "read write");
    gateway.connect(ada, "notes").await;
    assert_eq!(demand(&gateway, ada, "made-up").await, NO_MORE);
}

#[tokio::test]
async fn only_missing_scopes_are_asked_for_and_only_where_the_operator_agrees() {
    let mut world = World::new().await;
    let ada = world.ada.clone();
    world.gateway().connect(&ada, "notes").await;
    for scopes in ["", "offline_access", "\\\\", "é"] {
        assert_eq!(demand(&world.gateway(), &ada, scopes).await, None, "{scopes}");
    }
    world.step_up = false;
    assert_eq!(demand(&world.gateway(), &ada, "admin").await, None);
    assert_eq!(world.stores.demands.find(&ada.key("notes")).await.unwrap(), []);
}

#[tokio::test]
async fn what_was_disconnected_meanwhile_is_asked_for_as_ever() {
    let world = World::new().await;
    let (gateway, ada) = (world.gateway(), &world.ada);
    gateway.connect(ada, "notes").await;
    let upstream = gateway.upstream("notes");
    let served = gateway.broker.obtain(&ada.who, upstream, None).await.unwrap();
    gateway.disconnect(ada, "notes").await.unwrap().unwrap();
    let challenge = HeaderValue::from_static("Bearer error=\"insufficient_scope\", scope=\"w\"");
    let answer = HeaderMap::from_iter([(header::WWW_AUTHENTICATE, challenge)]);
    let told = gateway.broker.step_up(&ada.who, upstream, None, served.version, &answer).await;
    assert_eq!(told, Some(ObtainError::NotConnected { reason: Reason::NotConnected }));
}

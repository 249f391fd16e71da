//! A provider that fails is asked by few, and everybody is told the same.

use std::time::Duration;

use attache_broker::{Condition, ObtainError, Status};
use attache_core::audit::Reason;
use tokio::task::JoinSet;

use crate::support::{Gateway, LIFE, Someone, Trouble, World};

const PEOPLE: usize = 50;
/// Failures in a row after which a provider is left alone by everybody.
const FAILURES: usize = 5;

/// Everybody's token has expired.
async fn expired(world: &World, gateway: &Gateway) -> Vec<Someone> {
    let mut people = Vec::new();
    for number in 0..PEOPLE {
        let person = world.person(&format!("person-{number}")).await;
        gateway.connect(&person, "notes").await;
        people.push(person);
    }
    world.clock.advance(LIFE);
    people
}

fn away<T>(seconds: u64) -> Result<T, ObtainError> {
    let retry_after = Some(Duration::from_secs(seconds));
    Err(ObtainError::Unavailable { reason: Reason::ProviderUnavailable, retry_after })
}

/// OC-26.
#[tokio::test]
async fn fifty_people_ask_a_provider_that_is_away_a_few_times() {
    let world = World::new().await;
    let gateway = world.gateway();
    let people = expired(&world, &gateway).await;
    world.provider.fail(Trouble::status(500));
    let everybody = async || {
        for person in &people {
            assert!(matches!(
                gateway.obtain(person, "notes").await,
                Err(ObtainError::Unavailable { reason: Reason::ProviderUnavailable, .. })
            ));
        }
        world.provider.refreshes().len()
    };
    assert_eq!(everybody().await, FAILURES);
    let last = people.last().unwrap();
    assert_eq!(gateway.obtain(last, "notes").await, away(5));
    let connection = gateway.connection(last, "notes").await;
    assert_eq!(connection.status, Status::Unavailable);
    assert_eq!(connection.condition, Some(Condition::ProviderUnavailable));
    assert_eq!(connection.provider.as_deref(), Some("as.example.com"));
    let state =
        |state, value| format!("provider_state{{upstream=\"notes\",state=\"{state}\"}} {value}");
    assert!(world.counted("provider_state").contains(&state("provider_unavailable", 1)));

    // One more each pause; each twice as long as the one before, up to a minute.
    for (further, pause) in [5, 10, 20, 40, 60, 60].into_iter().enumerate() {
        world.clock.advance(Duration::from_millis(pause * 1000 - 1));
        assert_eq!(everybody().await, FAILURES + further, "after {pause} s");
        world.clock.advance(Duration::from_millis(1));
        assert_eq!(everybody().await, FAILURES + further + 1, "after {pause} s");
    }

    world.provider.recover();
    world.clock.advance(Duration::from_mins(1));
    for person in &people {
        gateway.obtain(person, "notes").await.unwrap();
        assert_eq!(gateway.connection(person, "notes").await.condition, Some(Condition::Connected));
    }
    assert!(world.counted("provider_state").contains(&state("provider_unavailable", 0)));
    assert!(world.counted("provider_state").contains(&state("available", 1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_caller_asks_for_all_whether_it_is_over() {
    let world = World::new().await;
    let gateway = world.gateway();
    let people = expired(&world, &gateway).await;
    world.provider.fail(Trouble::busy("30"));
    assert_eq!(gateway.obtain(&people[0], "notes").await, away(30));
    world.clock.advance(Duration::from_secs(20));
    assert_eq!(gateway.obtain(&people[1], "notes").await, away(10), "it asked to be left alone");
    assert_eq!(world.provider.refreshes().len(), 1);

    world.clock.advance(Duration::from_secs(10));
    world.provider.recover();
    let mut held = world.provider.hold();
    let mut probe = JoinSet::new();
    probe.spawn(gateway.obtain_beside(&people[2], "notes"));
    held.reached().await;
    for person in &people[3..] {
        assert_eq!(gateway.obtain(person, "notes").await, away(1));
    }
    assert_eq!(world.provider.refreshes().len(), 2);
    held.release();
    assert!(probe.join_all().await[0].is_ok());
    for person in &people {
        gateway.obtain(person, "notes").await.unwrap();
    }
}

/// An account that a provider always fails for is nobody else's trouble.
#[tokio::test]
async fn one_person_keeps_no_other_from_the_provider() {
    let world = World::new().await;
    let gateway = world.gateway();
    let people = expired(&world, &gateway).await;
    world.provider.fail(Trouble::status(500));
    for _ in 0..2 * FAILURES {
        assert_eq!(gateway.obtain(&people[0], "notes").await, away(5));
        world.clock.advance(Duration::from_secs(5));
    }
    world.provider.recover();
    gateway.obtain(&people[1], "notes").await.unwrap();

    // What asks for patience gets it of all; then the others ask first.
    world.provider.fail(Trouble::busy("30"));
    for _ in 0..2 {
        assert_eq!(gateway.obtain(&people[0], "notes").await, away(30));
        assert_eq!(gateway.obtain(&people[2], "notes").await, away(30));
        world.clock.advance(Duration::from_secs(30));
    }
    let asked = world.provider.refreshes().len();
    assert_eq!(gateway.obtain(&people[0], "notes").await, away(30));
    assert_eq!(world.provider.refreshes().len(), asked);
    world.provider.recover();
    gateway.obtain(&people[2], "notes").await.unwrap();
    gateway.obtain(&people[0], "notes").await.unwrap();
}

/// One person's ended grant is an answer, whoever hears it how often.
#[tokio::test]
async fn ended_grants_keep_nobody_from_the_provider() {
    let world = World::new().await;
    let gateway = world.gateway();
    let people = expired(&world, &gateway).await;
    world.provider.fail(Trouble::error(400, "invalid_grant"));
    for person in &people[1..] {
        assert!(matches!(
            gateway.obtain(person, "notes").await,
            Err(ObtainError::NotConnected { reason: Reason::InvalidGrant })
        ));
        let condition = gateway.connection(person, "notes").await.condition;
        assert_eq!(condition, Some(Condition::NeedsReconnect));
    }
    world.provider.recover();
    gateway.obtain(&people[0], "notes").await.unwrap();
}

/// A client that is not accepted is nobody's own trouble, and is asked about once.
#[tokio::test]
async fn a_refused_client_is_refused_for_everybody() {
    let world = World::new().await;
    let gateway = world.gateway();
    let people = expired(&world, &gateway).await;
    gateway.connect(&world.ada, "notes").await;
    gateway.connect(&world.ada, "tickets").await;
    world.provider.fail(Trouble::error(401, "invalid_client"));
    for person in &people {
        let refused = Err(ObtainError::Operator { reason: Reason::InvalidClient });
        assert_eq!(gateway.obtain(person, "notes").await, refused);
        let condition = gateway.connection(person, "notes").await.condition;
        assert_eq!(condition, Some(Condition::Misconfigured));
    }
    assert_eq!(world.provider.refreshes().len(), 1);

    let connection = gateway.connection(&world.ada, "notes").await;
    assert_eq!(connection.status, Status::Connected, "a good token serves on");
    assert_eq!(connection.condition, Some(Condition::Misconfigured));
    gateway.obtain(&world.ada, "notes").await.unwrap();

    // Another upstream's client is another matter; and whoever connects proves that it is over.
    let tickets = gateway.connection(&world.ada, "tickets").await;
    assert_eq!(tickets.condition, Some(Condition::Connected));
    world.provider.recover();
    gateway.connect(&people[0], "notes").await;
    gateway.obtain(&people[1], "notes").await.unwrap();
}

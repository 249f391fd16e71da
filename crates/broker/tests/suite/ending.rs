//! A connection whose end is known is told of before.

use std::time::Duration;

use attache_broker::{Condition, Status};

use crate::support::{LIFE, Manner, World};

const DAY: Duration = Duration::from_hours(24);

fn of_a_month(rotates: bool) -> Manner {
    Manner { rotates, refresh_expires_in: Some(30 * DAY.as_secs()), ..Manner::default() }
}

#[tokio::test]
async fn the_end_of_a_refresh_token_is_told_before() {
    let world = World::new().await;
    let (gateway, ada) = (world.gateway(), &world.ada);
    world.provider.behave(of_a_month(true));
    gateway.connect(ada, "notes").await;
    let end = world.now().plus(30 * DAY);
    world.clock.advance(26 * DAY);
    let connection = gateway.connection(ada, "notes").await;
    assert_eq!(connection.condition, Some(Condition::Connected));
    assert_eq!(connection.ends_at, Some(end));

    world.clock.advance(DAY);
    let connection = gateway.connection(ada, "notes").await;
    assert_eq!(connection.status, Status::Connected);
    assert_eq!(connection.condition, Some(Condition::Expiring));

    // Whoever uses it gets a new refresh token, which lives as long again.
    gateway.obtain(ada, "notes").await.unwrap();
    let connection = gateway.connection(ada, "notes").await;
    assert_eq!(connection.condition, Some(Condition::Connected));
    assert_eq!(connection.ends_at, Some(end.plus(27 * DAY)));
}

/// An end that was said once holds for the refresh token it was said of.
#[tokio::test]
async fn a_refresh_token_that_is_kept_ends_when_it_did() {
    let world = World::new().await;
    let (gateway, ada) = (world.gateway(), &world.ada);
    world.provider.behave(of_a_month(true));
    gateway.connect(ada, "notes").await;
    let end = Some(world.now().plus(30 * DAY));
    world.provider.behave(Manner { refresh_expires_in: None, ..of_a_month(false) });
    world.clock.advance(27 * DAY);
    gateway.obtain(ada, "notes").await.unwrap();
    let connection = gateway.connection(ada, "notes").await;
    assert_eq!(connection.ends_at, end);
    assert_eq!(connection.condition, Some(Condition::Expiring), "its use does not prolong it");

    // One of which nothing was said is not judged by what was said of another.
    world.provider.behave(Manner::default());
    world.clock.advance(LIFE);
    gateway.obtain(ada, "notes").await.unwrap();
    let connection = gateway.connection(ada, "notes").await;
    assert_eq!((connection.ends_at, connection.condition), (None, Some(Condition::Connected)));
}

/// Without a refresh token the access token's end is the connection's.
#[tokio::test]
async fn what_cannot_be_renewed_ends_with_its_token() {
    let world = World::new().await;
    let (gateway, ada) = (world.gateway(), &world.ada);
    world.provider.behave(Manner { gives_refresh_tokens: false, ..Manner::default() });
    gateway.connect(ada, "notes").await;
    let begin = world.now();
    for (minutes, expected) in
        [(0, Condition::Connected), (54, Condition::Expiring), (60, Condition::NeedsReconnect)]
    {
        let now = begin.plus(Duration::from_mins(minutes));
        world.clock.advance(now.since(world.now()));
        let connection = gateway.connection(ada, "notes").await;
        assert_eq!(connection.ends_at, Some(begin.plus(LIFE)));
        assert_eq!(connection.condition, Some(expected));
    }
}

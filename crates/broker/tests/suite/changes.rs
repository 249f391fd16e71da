//! What others change: at once where it is told, within a minute where it is not.

use std::{path::Path, time::Duration};

use attache_broker::ObtainError;
use attache_core::{
    audit::Reason,
    changes::{Change, Memory as _},
};
use attache_store::{Location, Store};
use tokio::task::JoinSet;

use crate::support::{Gateway, LIFE, Operation, Someone, World, bearer, eventually};

/// What is remembered is compared after this, in the background.
const RECHECK: Duration = Duration::from_secs(30);
/// And not served after this.
const BOUND: Duration = Duration::from_mins(1);

fn ready(world: &World, gateway: &Gateway, person: &Someone) -> Option<String> {
    let ready = gateway.broker.ready(&person.who, gateway.upstream("notes"), None, world.now());
    ready.map(|injection| bearer(&injection))
}

fn refused<T>(error: ObtainError) -> Result<T, ObtainError> {
    Err(error)
}

const GONE: ObtainError = ObtainError::NotConnected { reason: Reason::NotConnected };
const UNREADABLE: ObtainError = ObtainError::Operator { reason: Reason::Unreadable };
const AWAY: ObtainError =
    ObtainError::Unavailable { reason: Reason::StoreUnavailable, retry_after: None };

async fn destroy_data_key(world: &World, person: &Someone) {
    let (data_keys, user) = (&world.stores.data_keys, &person.who.user);
    let key = data_keys.find(user).await.unwrap().unwrap();
    data_keys.remove(user, &key).await.unwrap();
}

#[tokio::test]
async fn what_is_not_in_memory_takes_one_read() {
    let world = World::new().await;
    world.gateway().connect(&world.ada, "notes").await;
    let (restarted, before) = (world.gateway(), world.faulty.every_call().len());
    restarted.obtain(&world.ada, "notes").await.unwrap();
    assert_eq!(world.faulty.every_call()[before..], [Operation::Find]);
}

#[tokio::test]
async fn what_is_told_counts_at_once() {
    let world = World::new().await;
    let (one, other) = (world.gateway(), world.gateway());
    let (ada, grace) = (&world.ada, &world.grace);
    one.connect(ada, "notes").await;
    one.connect(grace, "notes").await;
    let graces = other.obtain(grace, "notes").await.unwrap();
    let user = || ada.who.user.clone();

    // What may have changed and did not costs one read.
    let token = other.obtain(ada, "notes").await.unwrap();
    for change in
        [Change::Credential(ada.key("notes")), Change::Person(user()), Change::DataKey(user())]
    {
        other.broker.heed(&change);
        assert_eq!(ready(&world, &other, ada), None, "{change:?}");
        assert_eq!(ready(&world, &other, grace).as_ref(), Some(&graces), "{change:?}");
        let reads = world.faulty.calls(Operation::Find);
        assert_eq!(other.obtain(ada, "notes").await.as_ref(), Ok(&token), "{change:?}");
        assert_eq!(world.faulty.calls(Operation::Find), reads + 1, "{change:?}");
        assert_eq!(ready(&world, &other, ada).as_ref(), Some(&token), "{change:?}");
    }
    other.broker.heed(&Change::Missed);
    assert_eq!((ready(&world, &other, ada), ready(&world, &other, grace)), (None, None));
    assert_eq!(other.obtain(grace, "notes").await.as_ref(), Ok(&graces));

    one.connect(ada, "notes").await;
    other.broker.heed(&Change::Credential(ada.key("notes")));
    assert_ne!(other.obtain(ada, "notes").await.unwrap(), token, "reconnected");
    one.disconnect(ada, "notes").await.unwrap();
    other.broker.heed(&Change::Credential(ada.key("notes")));
    assert_eq!(ready(&world, &other, ada), None);
    assert_eq!(other.obtain(ada, "notes").await, refused(GONE));

    destroy_data_key(&world, grace).await;
    other.broker.heed(&Change::DataKey(grace.who.user.clone()));
    assert_eq!(ready(&world, &other, grace), None);
    assert_eq!(other.obtain(grace, "notes").await, refused(UNREADABLE));
}

/// A command on the same file tells the gateway nothing.
#[tokio::test]
async fn what_nobody_tells_counts_within_a_minute() {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("changes-nobody-tells.db");
    std::fs::remove_file(&file).ok();
    let location = Location::Sqlite(file);
    let world = World::on(&location).await;
    let (gateway, ada, grace) = (world.gateway(), &world.ada, &world.grace);
    let elsewhere = Store::open_as_is(&location).await.unwrap();
    assert!(elsewhere.changes().is_none());
    let elsewhere = elsewhere.stores();

    // In use: compared in the background, and refused before the bound.
    gateway.connect(ada, "notes").await;
    gateway.obtain(ada, "notes").await.unwrap();
    elsewhere.credentials.remove(&ada.key("notes")).await.unwrap();
    world.clock.advance(RECHECK);
    assert!(ready(&world, &gateway, ada).is_some(), "nobody waits for that");
    eventually("it is noticed", async || ready(&world, &gateway, ada).is_none()).await;
    assert_eq!(gateway.obtain(ada, "notes").await, refused(GONE));

    // Not in use: compared first.
    for person in [ada, grace] {
        gateway.connect(person, "notes").await;
        gateway.obtain(person, "notes").await.unwrap();
    }
    elsewhere.credentials.remove(&ada.key("notes")).await.unwrap();
    destroy_data_key(&world, grace).await;
    world.clock.advance(BOUND);
    assert_eq!((ready(&world, &gateway, ada), ready(&world, &gateway, grace)), (None, None));
    assert_eq!(gateway.obtain(ada, "notes").await, refused(GONE));
    assert_eq!(gateway.obtain(grace, "notes").await, refused(UNREADABLE));
}

#[tokio::test]
async fn what_is_in_memory_serves_while_the_store_is_away() {
    let world = World::new().await;
    let (gateway, ada, grace) = (world.gateway(), &world.ada, &world.grace);
    for person in [ada, grace] {
        gateway.connect(person, "notes").await;
    }
    let (token, end) = (gateway.obtain(ada, "notes").await.unwrap(), world.now().plus(LIFE));
    gateway.obtain(grace, "notes").await.unwrap();
    let reads = || world.faulty.calls(Operation::Find);
    let before = reads();
    world.faulty.refuse(Operation::Find, 10_000);
    world.clock.advance(BOUND);
    assert_eq!(ready(&world, &gateway, ada), None, "nobody knows yet");
    assert_eq!(gateway.obtain(ada, "notes").await.as_ref(), Ok(&token));
    for _ in 0..100 {
        assert_eq!(ready(&world, &gateway, ada).as_ref(), Some(&token));
    }
    assert_eq!(reads(), before + 1, "one waited");

    // One of all looks every five seconds, until the token ends.
    gateway.broker.heed(&Change::Person(grace.who.user.clone()));
    let mut asked = reads();
    while world.now().plus(Duration::from_secs(10)) < end {
        world.clock.advance(Duration::from_secs(10));
        for _ in 0..100 {
            assert_eq!(ready(&world, &gateway, ada).as_ref(), Some(&token));
        }
        eventually("somebody looks", async || reads() == asked + 1).await;
        asked = reads();
    }
    assert_eq!(ready(&world, &gateway, grace), None, "of whom something changed");
    assert_eq!(gateway.obtain(grace, "notes").await, refused(AWAY));
    world.clock.advance(Duration::from_secs(10));
    assert_eq!(ready(&world, &gateway, ada), None);
    assert_eq!(gateway.obtain(ada, "notes").await, refused(AWAY));

    world.faulty.mend();
    assert_ne!(gateway.obtain(ada, "notes").await.unwrap(), token, "renewed");
}

#[tokio::test]
async fn what_the_upstream_refused_is_not_served_in_an_outage() {
    let world = World::new().await;
    let (gateway, ada) = (world.gateway(), &world.ada);
    gateway.connect(ada, "notes").await;
    gateway.reject(ada, "notes").await;
    world.faulty.refuse(Operation::Find, 1);
    assert_eq!(gateway.obtain(ada, "notes").await, refused(AWAY));
}

/// Disconnected here, or elsewhere and told, while what was read before is on its way.
#[tokio::test]
async fn a_comparison_brings_nothing_back() {
    for told in [false, true] {
        let world = World::new().await;
        let (gateway, other, ada) = (world.gateway(), world.gateway(), &world.ada);
        gateway.connect(ada, "notes").await;
        gateway.obtain(ada, "notes").await.unwrap();
        world.clock.advance(RECHECK);
        let mut held = world.faulty.hold_answer(Operation::Find);
        assert!(ready(&world, &gateway, ada).is_some());
        held.reached().await;
        if told {
            other.disconnect(ada, "notes").await.unwrap();
            gateway.broker.heed(&Change::Credential(ada.key("notes")));
        } else {
            gateway.disconnect(ada, "notes").await.unwrap();
        }
        let mut late = JoinSet::new();
        late.spawn(gateway.obtain_beside(ada, "notes"));
        tokio::time::sleep(Duration::from_millis(20)).await;
        held.release();
        assert_eq!(late.join_all().await, [refused(GONE)], "who asked after it");
        assert_eq!(ready(&world, &gateway, ada), None);
    }
}

#[tokio::test]
async fn a_disconnect_costs_nobody_else_a_read() {
    let world = World::new().await;
    let (gateway, ada, grace) = (world.gateway(), &world.ada, &world.grace);
    gateway.connect(ada, "notes").await;
    let mut held = world.faulty.hold_answer(Operation::Find);
    let mut callers = JoinSet::new();
    callers.spawn(gateway.obtain_beside(ada, "notes"));
    held.reached().await;
    assert_eq!(gateway.disconnect(grace, "notes").await.unwrap(), None);
    held.release();
    let obtained = callers.join_all().await.remove(0).unwrap();
    assert_eq!(ready(&world, &gateway, ada), Some(obtained));
}

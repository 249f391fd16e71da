//! A record that cannot be opened is the operator's business, never "not connected" (OC-31).

use std::sync::Arc;

use attache_broker::{ObtainError, Status, connections::Revocation};
use attache_core::{
    audit::Reason,
    store::{KeyId, KeyOwner, Record, Sealed, WrappedKey},
};
use attache_crypto::{
    keyring::{KeyError, KeyWrapper},
    seal::DataKey,
};

use crate::support::{Gateway, LIFE, Someone, World, key_ring, server};

/// Puts a record where one is, as whoever can write to the database may.
async fn overwrite(world: &World, person: &Someone, name: &str, record: &Record) {
    let old = world.stored(person, name).await.unwrap().record.version;
    let put = world.stores.credentials.put(&person.key(name), record, Some(old)).await;
    put.unwrap();
}

async fn record(world: &World, person: &Someone, name: &str) -> Record {
    world.stored(person, name).await.unwrap().record
}

async fn assert_unreadable(gateway: &Gateway, person: &Someone, name: &str, case: &str) {
    assert_unavailable(gateway, person, name, Reason::Unreadable, case).await;
}

async fn assert_key_missing(gateway: &Gateway, person: &Someone, name: &str, case: &str) {
    assert_unavailable(gateway, person, name, Reason::KeyMissing, case).await;
}

async fn assert_unavailable(
    gateway: &Gateway,
    person: &Someone,
    name: &str,
    reason: Reason,
    case: &str,
) {
    let error = ObtainError::Operator { reason };
    assert_eq!(gateway.obtain(person, name).await, Err(error), "{case}");
    let listed = gateway.connections.list(&person.who).await.unwrap();
    let connection = listed.into_iter().find(|one| one.server == server(name)).unwrap();
    assert_eq!(connection.status, Status::Unavailable, "{case}");
    assert_eq!(connection.reason, Some(reason), "{case}");
    assert!(connection.updated_at.is_some() && connection.scopes.is_empty(), "{case}");
    assert_eq!(gateway.connection(person, name).await, connection, "{case}");
}

async fn destroy_data_key(world: &World, person: &Someone) {
    let (data_keys, user) = (&world.stores.data_keys, &person.who.user);
    let key = data_keys.find(user).await.unwrap().unwrap();
    data_keys.remove(user, &key).await.unwrap();
}

/// It can still be thrown away, and what replaces it works.
async fn assert_mended_by_its_owner(gateway: &Gateway, person: &Someone, name: &str, case: &str) {
    let done = gateway.disconnect(person, name).await.unwrap();
    let failed = Revocation::Failed(Reason::Unreadable);
    assert_eq!(done, Some((name == "notes").then_some(failed)), "{case}");
    let reason = Reason::NotConnected;
    assert_eq!(
        gateway.obtain(person, name).await,
        Err(ObtainError::NotConnected { reason }),
        "{case}"
    );
    gateway.connect(person, name).await;
    gateway.obtain(person, name).await.unwrap();
}

#[tokio::test]
async fn a_row_that_was_swapped_cut_or_changed_does_not_open() {
    type Tamper = fn(&mut Record, graces: &Record, others: [&Record; 2]);
    let cases: [(&str, Tamper); 10] = [
        ("the row of another person", |record, graces, _| *record = graces.clone()),
        ("the bytes of another person", |record, graces, _| record.sealed = graces.sealed.clone()),
        ("the row of another upstream", |record, _, [other, _]| *record = other.clone()),
        ("the bytes of another upstream", |record, _, [other, _]| {
            record.sealed = other.sealed.clone();
        }),
        ("the row of another account", |record, _, [_, work]| *record = work.clone()),
        ("the bytes of another account", |record, _, [_, work]| {
            record.sealed = work.sealed.clone();
        }),
        ("cut short", |record, _, _| record.sealed.0.truncate(40)),
        ("empty", |record, _, _| record.sealed = Sealed(Vec::new())),
        ("one bit", |record, _, _| *record.sealed.0.last_mut().unwrap() ^= 1),
        ("another version's number", |record, _, _| record.version = record.version.next()),
    ];
    for (case, tamper) in cases {
        let world = World::new().await;
        let (gateway, ada) = (world.gateway(), &world.ada);
        for name in ["notes", "tickets", "notes@work"] {
            gateway.connect(ada, name).await;
        }
        gateway.connect(&world.grace, "notes").await;
        let mut tampered = record(&world, ada, "notes").await;
        let graces = record(&world, &world.grace, "notes").await;
        let other = record(&world, ada, "tickets").await;
        let work = record(&world, ada, "notes@work").await;
        tamper(&mut tampered, &graces, [&other, &work]);
        overwrite(&world, ada, "notes", &tampered).await;

        assert_unreadable(&gateway, ada, "notes", case).await;
        assert_unreadable(&world.gateway(), ada, "notes", &format!("{case}, restarted")).await;
        for name in ["tickets", "notes@work"] {
            gateway.obtain(ada, name).await.unwrap();
        }
        gateway.obtain(&world.grace, "notes").await.unwrap();
        assert_mended_by_its_owner(&gateway, ada, "notes", case).await;
    }
}

#[tokio::test]
async fn a_row_that_was_put_back_does_not_open() {
    for (case, looked_at) in [("read since", true), ("only written since", false)] {
        let world = World::new().await;
        let (gateway, ada) = (world.gateway(), &world.ada);
        gateway.connect(ada, "notes").await;
        let old = record(&world, ada, "notes").await;
        world.clock.advance(LIFE);
        gateway.obtain(ada, "notes").await.unwrap();
        if looked_at {
            gateway.obtain(ada, "notes").await.unwrap();
        }
        let new = record(&world, ada, "notes").await;

        let under_the_new_number = Record { version: new.version, ..old.clone() };
        for (what, record) in [("the whole row", &old), ("its bytes", &under_the_new_number)] {
            overwrite(&world, ada, "notes", record).await;
            assert_unreadable(&gateway, ada, "notes", &format!("{what}, {case}")).await;
        }
        assert_mended_by_its_owner(&gateway, ada, "notes", case).await;
    }
}

#[tokio::test]
async fn a_row_that_was_put_back_after_a_reconnect_does_not_open() {
    let world = World::new().await;
    let (gateway, ada) = (world.gateway(), &world.ada);
    gateway.connect(ada, "notes").await;
    let old = record(&world, ada, "notes").await;
    gateway.connect(ada, "notes").await;
    overwrite(&world, ada, "notes", &old).await;
    assert_unreadable(&gateway, ada, "notes", "reconnected").await;
}

#[tokio::test]
async fn without_the_persons_data_key_nothing_opens() {
    let world = World::new().await;
    let (gateway, ada) = (world.gateway(), &world.ada);
    gateway.connect(ada, "notes").await;
    gateway.connect(&world.grace, "notes").await;

    destroy_data_key(&world, ada).await;
    assert_unreadable(&world.gateway(), ada, "notes", "no data key").await;

    let data_keys = &world.stores.data_keys;
    let graces = data_keys.find(&world.grace.who.user).await.unwrap().unwrap();
    data_keys.insert(&ada.who.user, &graces, world.now()).await.unwrap();
    assert_key_missing(&world.gateway(), ada, "notes", "the data key of another person").await;
}

#[tokio::test]
async fn a_fresh_data_key_is_made_where_the_old_one_was_destroyed() {
    let world = World::new().await;
    world.gateway().connect(&world.ada, "notes").await;
    destroy_data_key(&world, &world.ada).await;
    let restarted = world.gateway();
    assert_unreadable(&restarted, &world.ada, "notes", "no data key").await;
    assert_mended_by_its_owner(&restarted, &world.ada, "notes", "no data key").await;
}

#[tokio::test]
async fn a_key_that_left_the_ring_takes_its_records_with_it_until_it_is_back() {
    let mut world = World::new().await;
    world.gateway().connect(&world.ada, "notes").await;
    let before = world.gateway().obtain(&world.ada, "notes").await;

    let old = std::mem::replace(&mut world.ring, key_ring());
    let without = world.gateway();
    assert_key_missing(&without, &world.ada, "notes", "a ring without the key").await;

    world.ring.retired.push(old.active);
    assert_eq!(world.gateway().obtain(&world.ada, "notes").await, before);

    world.ring = key_ring();
    let done = without.disconnect(&world.ada, "notes").await.unwrap();
    assert_eq!(done, Some(Some(Revocation::Failed(Reason::KeyMissing))));
    assert!(world.stored(&world.ada, "notes").await.is_none());
}

/// Nobody's move: the same records open again when the key service is back.
#[tokio::test]
async fn a_key_service_that_is_away_makes_nothing_unreadable() {
    let mut world = World::new().await;
    world.gateway().connect(&world.ada, "notes").await;
    world.ring.active = Arc::new(KeyServiceAway(world.ring.active.id().clone()));
    let gateway = world.gateway();
    let reason = Reason::KeysUnavailable;
    assert_eq!(
        gateway.obtain(&world.ada, "notes").await,
        Err(ObtainError::Unavailable { reason, retry_after: None })
    );
    let connection = gateway.connection(&world.ada, "notes").await;
    assert_eq!((connection.status, connection.reason), (Status::Unavailable, Some(reason)));
}

#[derive(Debug)]
struct KeyServiceAway(KeyId);

#[async_trait::async_trait]
impl KeyWrapper for KeyServiceAway {
    fn id(&self) -> &KeyId {
        &self.0
    }

    async fn wrap(&self, _: &DataKey, _: &KeyOwner) -> Result<WrappedKey, KeyError> {
        Err(KeyError::Unavailable("no route".into()))
    }

    async fn unwrap(&self, _: &WrappedKey, _: &KeyOwner) -> Result<DataKey, KeyError> {
        Err(KeyError::Unavailable("no route".into()))
    }
}

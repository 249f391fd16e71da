//! A key that all replicas share, and that outlives them.

use attache_broker::{ObtainError, ServiceKey, ServiceKeyParts, Tasks};
use attache_core::{ServiceKeyName, audit::Reason};
use attache_crypto::{keyring::KeyRing, random::SystemRandom};
use tokio::runtime::Handle;

use crate::support::{World, key_ring};

/// As one process has it.
fn service_key(world: &World, ring: &KeyRing, name: &str) -> ServiceKey {
    ServiceKey::new(ServiceKeyParts {
        name: ServiceKeyName::new(name),
        ring: ring.clone(),
        store: world.stores.service_keys.clone(),
        clock: world.clock.clone(),
        random: std::sync::Arc::new(SystemRandom),
        tasks: Tasks::new(Handle::current()),
    })
}

/// What tells keys apart.
async fn print(key: &ServiceKey) -> [u8; 32] {
    key.obtain().await.unwrap().authenticate("which", &[])
}

#[tokio::test]
async fn replicas_that_make_it_at_once_have_one_and_so_has_the_next_process() {
    let world = World::new().await;
    let replica = |name| service_key(&world, &world.ring, name);
    let (one, other, another_name) = (replica("a"), replica("a"), replica("b"));
    let (first, second, third) = tokio::join!(print(&one), print(&other), print(&another_name));
    assert_eq!(first, second);
    assert_ne!(first, third);
    assert_eq!(print(&replica("a")).await, first, "after a restart");
}

#[tokio::test]
async fn one_that_does_not_open_is_never_replaced_in_silence() {
    let world = World::new().await;
    print(&service_key(&world, &world.ring, "a")).await;
    let missing = Err(ObtainError::Operator { reason: Reason::KeyMissing });
    let without = service_key(&world, &key_ring(), "a").obtain().await;
    assert_eq!(without.map(drop), missing, "another key ring");

    let names = ["a", "b"].map(ServiceKeyName::new);
    let moved = world.stores.service_keys.find(&names[0]).await.unwrap().unwrap();
    world.stores.service_keys.insert(&names[1], &moved, world.now()).await.unwrap();
    let moved = service_key(&world, &world.ring, "b").obtain().await;
    assert_eq!(moved.map(drop), missing, "the key of another name");
}

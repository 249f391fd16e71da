//! The server goes away in every way there is, and comes back.

use std::{
    num::NonZeroU32,
    sync::Arc,
    time::{Duration, Instant},
};

use attache_core::{
    Secret, UserId,
    store::{Person, StoreError},
};
use attache_store::{Location, OpenError, Store};
use sqlx::{Connection as _, PgConnection};
use tokio::task::JoinSet;

use crate::{cable::Cable, remember, run, support::Cluster};

/// Whoever finds out waits this long at most: for a connection and a statement.
const FOUND_OUT: Duration = Duration::from_secs(10);
/// Everybody else.
const AT_ONCE: Duration = Duration::from_millis(100);
/// Until the store is used again.
const RECOVERY: Duration = Duration::from_secs(3);
const CALLERS: usize = 100;
const CONNECTIONS: u32 = 4;

struct Scene {
    cluster: Cluster,
    cable: Cable,
    store: Arc<Store>,
}

impl Scene {
    async fn new() -> Self {
        let cluster = Cluster::start();
        let url = cluster.url().expose().to_owned();
        let (_, address) = url.split_once('@').expect("a user");
        let (address, _) = address.split_once('/').expect("a database");
        let cable = Cable::to(address.parse().expect("an address"));
        let url = Secret::new(url.replace(address, &cable.address().to_string()));
        let max_connections = NonZeroU32::new(CONNECTIONS).expect("not zero");
        let store = Store::open(&Location::Postgres { url, max_connections }).await.expect("open");
        let scene = Self { cluster, cable, store: Arc::new(store) };
        remember(&scene.store.stores(), "ada").await.expect("all is well");
        scene
    }

    async fn ada(&self) -> Result<Option<Person>, StoreError> {
        self.store.stores().people.find(&UserId::new("ada")).await
    }

    /// Many ask at once: each hears in time that the store is away, and from then on at once.
    async fn is_away(&self) {
        let mut callers = JoinSet::new();
        for _ in 0..CALLERS {
            let people = self.store.stores().people;
            callers.spawn(async move {
                let start = Instant::now();
                (people.find(&UserId::new("ada")).await, start.elapsed())
            });
        }
        while let Some(heard) = callers.join_next().await {
            let (answer, took) = heard.expect("nobody panicked");
            assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");
            assert!(took < FOUND_OUT, "{took:?}");
        }
        let (tried, mut waited) = (self.cable.tried(), 0);
        for _ in 0..CALLERS {
            let start = Instant::now();
            assert!(matches!(self.ada().await, Err(StoreError::Unavailable(_))));
            waited += usize::from(start.elapsed() > AT_ONCE);
        }
        assert!(waited <= 1, "one tries for all, not {waited}");
        assert!(self.cable.tried() <= tried + 1, "the door that was just closed is left alone");
    }

    /// Used again soon, by all, with no more connections than before.
    async fn is_back(&self) {
        let start = Instant::now();
        while let Err(error) = self.store.ping().await {
            assert!(start.elapsed() < RECOVERY, "{error:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let mut callers = JoinSet::new();
        for _ in 0..CALLERS {
            let people = self.store.stores().people;
            callers.spawn(async move { people.find(&UserId::new("ada")).await });
        }
        while let Some(found) = callers.join_next().await {
            let found = found.expect("nobody panicked").expect("the store is back");
            assert!(found.is_some(), "what was committed is there");
        }
        let watch = PgConnection::connect(self.cluster.socket_url().expose()).await;
        let mut watch = watch.expect("the server runs");
        let ours = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'attache'";
        let start = Instant::now();
        while run(&mut watch, ours).await > CONNECTIONS.into() {
            assert!(start.elapsed() < FOUND_OUT, "connections are left over");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cable_that_is_cut() {
    let scene = Scene::new().await;
    for _ in 0..2 {
        scene.cable.cut();
        scene.is_away().await;
        scene.cable.mend();
        scene.is_back().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_swallows_everything() {
    let scene = Scene::new().await;
    for _ in 0..2 {
        scene.cable.swallow();
        scene.is_away().await;
        scene.cable.mend();
        scene.is_back().await;
    }
}

/// It is idle meanwhile, so nobody notices.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_restarts_while_nobody_asks() {
    let scene = Scene::new().await;
    scene.cluster.crash();
    scene.cluster.run_server();
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert!(scene.ada().await.expect("a new connection").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_down() {
    let scene = Scene::new().await;
    scene.cluster.crash();
    scene.is_away().await;
    let error = Store::open(&Location::postgres(scene.cluster.url())).await.unwrap_err();
    assert!(matches!(error, OpenError::Unreachable { .. }) && error.is_passing(), "{error:?}");
    assert!(error.to_string().contains("127.0.0.1"), "{error}");
    scene.cluster.run_server();
    scene.is_back().await;
}

/// After a failover the old address may lead to a server that is now a standby: it answers, and
/// takes no writes.
#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_is_demoted() {
    let scene = Scene::new().await;
    let mut admin = PgConnection::connect(scene.cluster.socket_url().expose()).await.unwrap();
    run(&mut admin, "ALTER SYSTEM SET default_transaction_read_only = on").await;
    run(&mut admin, "SELECT pg_reload_conf()").await;
    let start = Instant::now();
    while remember(&scene.store.stores(), "grace").await.is_ok() {
        assert!(start.elapsed() < RECOVERY, "it was reloaded");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let away = scene.store.ping().await;
    assert!(matches!(away, Err(StoreError::Unavailable(_))), "{away:?}");
    let error = Store::open(&Location::postgres(scene.cluster.url())).await.unwrap_err();
    assert!(matches!(error, OpenError::ReadOnly { .. }) && error.is_passing(), "{error:?}");

    run(&mut admin, "SET default_transaction_read_only = off").await;
    run(&mut admin, "ALTER SYSTEM RESET default_transaction_read_only").await;
    run(&mut admin, "SELECT pg_reload_conf()").await;
    scene.is_back().await;
    remember(&scene.store.stores(), "grace").await.expect("it takes writes again");
}

//! The store on `PostgreSQL`: the suite with two replicas, and what only a server can get wrong.

#[path = "support/postgres.rs"]
mod support;

use std::time::Duration;

use attache_core::{
    IssuerId, Secret, Timestamp, UserId,
    store::{Profile, StoreError, Stores},
};
use attache_store::{BackupError, Location, OpenError, Store, backup, conformance};
use sqlx::{Connection as _, PgConnection};
use support::Cluster;
use tokio::task::JoinSet;

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_keep_every_promise() {
    let cluster = Cluster::start();
    // Both begin on an empty database at once: one migrates, the other waits.
    let (one, other) =
        (Location::Postgres(cluster.url()), Location::Postgres(cluster.socket_url()));
    let (one, other) = tokio::join!(Store::open(&one), Store::open(&other));
    let (one, other) = (one.unwrap(), other.unwrap());
    conformance::run(&one.stores(), &other.stores()).await;

    let raw = async |sql| {
        let mut raw = PgConnection::connect(cluster.url().expose()).await.unwrap();
        run(&mut raw, sql).await;
    };
    conformance::a_row_that_cannot_be_read_is_named(&one.stores(), raw).await;
}

/// Inserts sweep rows of others, in an order that the planner chooses: two can lock each other out.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_is_cancelled_to_break_a_deadlock_is_tried_again() {
    let cluster = Cluster::start();
    let store = Store::open(&Location::Postgres(cluster.url())).await.unwrap();
    let logins = store.stores().logins;
    for number in [1, 2] {
        logins.spend([number; 32], Timestamp(number.into()), 10, Timestamp(0)).await.unwrap();
    }

    // Somebody holds the second row, and is the more patient one.
    let mut rival = PgConnection::connect(cluster.url().expose()).await.unwrap();
    run(&mut rival, "SET deadlock_timeout = '60s'").await;
    run(&mut rival, "BEGIN").await;
    run(&mut rival, "SELECT 1 FROM spent_login WHERE expires_at = 2 FOR UPDATE").await;

    // This insert deletes the first as expired, then the second as the oldest, and waits for it.
    let mut insert = JoinSet::new();
    insert.spawn(async move { logins.spend([3; 32], Timestamp(3), 1, Timestamp(1)).await });
    let waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
    let mut watch = PgConnection::connect(cluster.url().expose()).await.unwrap();
    while run(&mut watch, waiting).await == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }

    // Now each waits for the other.
    run(&mut rival, "SELECT 1 FROM spent_login WHERE expires_at = 1 FOR UPDATE").await;
    run(&mut rival, "COMMIT").await;
    assert!(insert.join_next().await.unwrap().unwrap().unwrap());
    assert_eq!(run(&mut watch, "SELECT 1 FROM spent_login").await, 1, "only the third is left");
}

#[tokio::test]
async fn a_server_that_went_away_is_unavailable_until_it_is_back() {
    let cluster = Cluster::start();
    let store = Store::open(&Location::Postgres(cluster.url())).await.unwrap();
    remember(&store.stores(), "ada").await;

    cluster.crash();
    let away = store.ping().await;
    assert!(matches!(away, Err(StoreError::Unavailable(_))), "{away:?}");
    let error = Store::open(&Location::Postgres(cluster.url())).await.unwrap_err();
    assert!(matches!(error, OpenError::Unreachable { .. }), "{error:?}");
    assert!(error.to_string().contains("127.0.0.1"), "{error}");

    cluster.run_server();
    let ada = store.stores().people.find(&UserId::new("ada")).await.unwrap();
    assert!(ada.is_some(), "what was committed survives a crash");
}

#[tokio::test]
async fn a_backup_is_left_to_postgresql() {
    let location = Location::Postgres(Secret::new("postgres://ada@localhost/attache"));
    let refused = backup(&location, "backup.db".as_ref()).await;
    assert!(matches!(refused, Err(BackupError::NotAFile)), "{refused:?}");
}

async fn remember(stores: &Stores, name: &str) {
    let issuer = IssuerId::new("https://idp.example.com");
    let profile = Profile::default();
    let person = stores.people.upsert(&issuer, name, &profile, UserId::new(name), Timestamp(1));
    person.await.expect("upsert");
}

/// How many rows a statement touched or found.
async fn run(connection: &mut PgConnection, sql: &'static str) -> u64 {
    sqlx::query(sql).execute(connection).await.expect(sql).rows_affected()
}

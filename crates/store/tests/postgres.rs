//! The store on `PostgreSQL`: the suite with two replicas, and what only a server can get wrong.

#[path = "support/postgres.rs"]
mod support;

use attache_core::{
    IssuerId, Secret, Timestamp, UserId,
    principal::SessionDigest,
    store::{Profile, Session, StoreError, Stores},
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

    let raw = async |sql| run_outside(&cluster.url(), sql).await;
    conformance::a_row_that_cannot_be_read_is_named(&one.stores(), raw).await;
}

/// Each sign-in sweeps expired sessions: many at once must not cancel each other.
#[tokio::test(flavor = "multi_thread")]
async fn sign_ins_that_sweep_the_same_sessions_all_succeed() {
    let cluster = Cluster::start();
    let store = Store::open(&Location::Postgres(cluster.url())).await.unwrap();
    remember(&store.stores(), "ada").await;
    for round in 0..10 {
        let mut tasks = JoinSet::new();
        for number in 0..40 {
            let sessions = store.stores().sessions;
            tasks.spawn(async move {
                let mut digest = [round; 32];
                digest[0] = number;
                let began = i64::from(round) * 1_000;
                let session = Session {
                    digest: SessionDigest(digest),
                    user: UserId::new("ada"),
                    created_at: Timestamp(began),
                    expires_at: Timestamp(began + 1_000 - i64::from(number)),
                };
                sessions.insert(&session).await
            });
        }
        for outcome in tasks.join_all().await {
            outcome.unwrap();
        }
    }
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

async fn run_outside(url: &Secret, sql: &'static str) {
    let mut raw = PgConnection::connect(url.expose()).await.expect("connect");
    sqlx::query(sql).execute(&mut raw).await.expect(sql);
    raw.close().await.expect("close");
}

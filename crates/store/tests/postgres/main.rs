//! The store on `PostgreSQL`: the suite with two replicas, and what only a server can get wrong.

mod away;
#[path = "../../../app/tests/support/cable.rs"]
mod cable;
#[path = "../support/postgres.rs"]
mod support;
mod tls;

use std::{process::Command, time::Duration};

use attache_core::{
    Clock as _, CredentialKey, IssuerId, ObtainedVia, Secret, SystemClock, Timestamp, UpstreamName,
    UserId,
    changes::{Change, ChangeFeed},
    principal::SessionDigest,
    store::{
        ConnectFlow, Health, KeyId, Leased, Profile, Record, Sealed, StoreError, Stores, Version,
        WrappedKey,
    },
};
use attache_store::{BackupError, Location, OpenError, Store, backup, conformance};
use sqlx::{Connection as _, PgConnection, Row as _};
use support::Cluster;
use tokio::task::JoinSet;

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_keep_every_promise() {
    let cluster = Cluster::start();
    // Both begin on an empty database at once: one migrates, the other waits.
    let (one, other) =
        (Location::postgres(cluster.url()), Location::postgres(cluster.socket_url()));
    let (one, other) = tokio::join!(Store::open(&one), Store::open(&other));
    let (one, other) = (one.unwrap(), other.unwrap());
    conformance::run(&one.stores(), &other.stores(), &*one.trail()).await;

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
    let store = Store::open(&Location::postgres(cluster.url())).await.unwrap();
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

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_fails_leaves_no_transaction_open() {
    let cluster = Cluster::start();
    let store = Store::open(&Location::postgres(cluster.url())).await.unwrap();
    let of_nobody = ConnectFlow {
        state: [0; 32],
        user: UserId::new("nobody"),
        session: SessionDigest([0; 32]),
        connection: "notes".parse().unwrap(),
        issuer: None,
        redirect_uri: "https://gw.example.com/callback".to_owned(),
        scopes: Vec::new(),
        resource: None,
        created_at: Timestamp(0),
        expires_at: Timestamp(1),
    };
    let refused = store.stores().connects.insert(&of_nobody, 1, Timestamp(0)).await;
    assert!(matches!(refused, Err(StoreError::Conflict)), "{refused:?}");
    let mut watch = PgConnection::connect(cluster.url().expose()).await.unwrap();
    let open = "SELECT 1 FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'";
    assert_eq!(run(&mut watch, open).await, 0);
}

/// What the how-to has an administrator grant, and no more.
#[tokio::test]
async fn the_owner_of_an_empty_database_may_do_all_that_is_done() {
    let cluster = Cluster::start();
    let mut admin = PgConnection::connect(cluster.socket_url().expose()).await.unwrap();
    run(&mut admin, "CREATE ROLE gateway LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE").await;
    run(&mut admin, "CREATE DATABASE attache OWNER gateway").await;
    run(&mut admin, "REVOKE ALL ON DATABASE attache FROM PUBLIC").await;
    let of_gateway = |database: &str| {
        let url = cluster.url().expose().replace("attache@", "gateway@");
        Location::postgres(Secret::new(url.replace("/postgres", &format!("/{database}"))))
    };
    let location = of_gateway("attache");
    let (one, other) =
        (Store::open(&location).await.unwrap(), Store::open(&location).await.unwrap());
    conformance::run(&one.stores(), &other.stores(), &*one.trail()).await;

    let refused = Store::open(&of_gateway("postgres")).await.unwrap_err();
    assert!(matches!(refused, OpenError::NoPrivilege { .. }), "{refused:?}");
}

/// Leases are held by one replica and judged by others.
#[tokio::test]
async fn the_servers_clock_is_everybodys() {
    let cluster = Cluster::start();
    let store = Store::open(&Location::postgres(cluster.url())).await.unwrap();
    let credentials = store.stores().credentials;
    let behind = credentials.now(Timestamp(0)).await.unwrap();
    let ahead = credentials.now(Timestamp(i64::MAX)).await.unwrap();
    assert!(behind <= ahead && ahead.since(behind) < Duration::from_secs(30), "{behind} {ahead}");
    let here = SystemClock.now();
    assert!(here.since(ahead).max(ahead.since(here)) < Duration::from_secs(30), "{here} {ahead}");
}

#[tokio::test]
async fn a_backup_is_left_to_postgresql() {
    let location = Location::postgres(Secret::new("postgres://ada@localhost/attache"));
    let refused = backup(&location, "backup.db".as_ref()).await;
    assert!(matches!(refused, Err(BackupError::NotAFile)), "{refused:?}");
}

/// Whoever writes: another replica, or somebody at a prompt.
#[tokio::test(flavor = "multi_thread")]
async fn what_others_change_is_heard_with_the_commit() {
    let cluster = Cluster::start();
    let location = Location::postgres(cluster.url());
    let (here, there) = (Store::open(&location).await.unwrap(), Store::open(&location).await);
    let there = there.unwrap().stores();
    let mut feed = here.changes().expect("PostgreSQL tells");
    assert_eq!(heard(&mut feed).await, Change::Missed, "what came before was not heard");

    let [ada, grace] = ["ada", "grace"].map(UserId::new);
    let notes = CredentialKey::upstream(ada.clone(), UpstreamName::parse("notes").unwrap());
    let key = WrappedKey { wrapped_by: KeyId("local:1".into()), bytes: vec![1] };
    let rewrapped = WrappedKey { wrapped_by: KeyId("local:2".into()), ..key.clone() };
    let mut prompt = PgConnection::connect(cluster.url().expose()).await.unwrap();

    // Nobody remembered what is new, and neither a sign-in, a rewrap nor a lease changes anything.
    for name in ["ada", "grace", "ada"] {
        remember(&there, name).await.unwrap();
    }
    there.data_keys.insert(&ada, &key, Timestamp(1)).await.unwrap();
    there.wrapped_keys.replace(&ada.clone().into(), &key, &rewrapped).await.unwrap();
    there.credentials.put(&notes, &record(1), None).await.unwrap();
    let leased = there.credentials.lease(&notes, Version(1), [7; 16], Timestamp(1), Timestamp(9));
    let Leased::Granted(lease, _) = leased.await.unwrap() else { unreachable!("nobody has it") };
    run(&mut prompt, "BEGIN").await;
    run(&mut prompt, "DELETE FROM person WHERE id = 'grace'").await;
    run(&mut prompt, "ROLLBACK").await;

    there.credentials.commit(&lease, &record(2)).await.unwrap();
    assert_eq!(heard(&mut feed).await, Change::Credential(notes.clone()), "the first of all");
    there.credentials.put(&notes, &record(3), Some(Version(2))).await.unwrap();
    assert_eq!(heard(&mut feed).await, Change::Credential(notes.clone()));
    run(&mut prompt, "UPDATE credential SET health = 'needs_reconnect', reason = 'other'").await;
    assert_eq!(heard(&mut feed).await, Change::Credential(notes.clone()));
    run(&mut prompt, "UPDATE person SET disabled = TRUE WHERE id = 'grace'").await;
    assert_eq!(heard(&mut feed).await, Change::Person(grace));
    there.credentials.remove(&notes).await.unwrap();
    assert_eq!(heard(&mut feed).await, Change::Credential(notes.clone()));
    there.data_keys.remove(&ada, &rewrapped).await.unwrap();
    assert_eq!(heard(&mut feed).await, Change::DataKey(ada.clone()));

    there.data_keys.insert(&ada, &key, Timestamp(1)).await.unwrap();
    there.credentials.put(&notes, &record(4), None).await.unwrap();
    assert!(there.people.remove(&ada).await.unwrap());
    let mut erased = [heard(&mut feed).await, heard(&mut feed).await, heard(&mut feed).await];
    erased.sort_by_key(|change| format!("{change:?}"));
    let everything = [Change::Credential(notes), Change::DataKey(ada.clone()), Change::Person(ada)];
    assert_eq!(erased, everything);

    // More than a notification can say is still told, and the write goes through.
    let long = "INSERT INTO person (id, issuer, subject, groups, created_at)
        SELECT string_agg(md5(part::TEXT), ''), '', '', '[]', 1 FROM generate_series(1, 250) AS part";
    run(&mut prompt, "ALTER TABLE person DROP CONSTRAINT person_pkey CASCADE").await;
    run(&mut prompt, long).await;
    assert_eq!(run(&mut prompt, "DELETE FROM person WHERE length(id) = 8000").await, 1);
    assert_eq!(heard(&mut feed).await, Change::Missed);
    run(&mut prompt, "TRUNCATE credential CASCADE").await;
    assert_eq!(heard(&mut feed).await, Change::Missed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_session_is_told_and_mended() {
    let cluster = Cluster::start();
    let store = Store::open(&Location::postgres(cluster.url())).await.unwrap();
    remember(&store.stores(), "ada").await.unwrap();
    let mut feed = store.changes().expect("PostgreSQL tells");
    assert_eq!(heard(&mut feed).await, Change::Missed);
    let mut prompt = PgConnection::connect(cluster.url().expose()).await.unwrap();
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'";
    assert_eq!(run(&mut prompt, end).await, 1, "it has a session of its own");
    assert_eq!(heard(&mut feed).await, Change::Missed);
    run(&mut prompt, "UPDATE person SET disabled = TRUE").await;
    assert_eq!(heard(&mut feed).await, Change::Person(UserId::new("ada")));

    // As where a network died: nothing is closed, and nothing comes.
    let find = "SELECT pid FROM pg_stat_activity WHERE query LIKE 'LISTEN%' OR query = 'SELECT 1'";
    let backend: i32 = sqlx::query(find).fetch_one(&mut prompt).await.unwrap().get(0);
    signal("STOP", backend);
    assert_eq!(heard(&mut feed).await, Change::Missed);
    signal("CONT", backend);

    cluster.crash();
    tokio::time::timeout(Duration::from_secs(1), feed.next()).await.expect_err("nobody is there");
    cluster.run_server();
    assert_eq!(heard(&mut feed).await, Change::Missed);
    let mut prompt = PgConnection::connect(cluster.url().expose()).await.unwrap();
    run(&mut prompt, "UPDATE person SET disabled = FALSE").await;
    assert_eq!(heard(&mut feed).await, Change::Person(UserId::new("ada")));
}

async fn heard(feed: &mut Box<dyn ChangeFeed>) -> Change {
    let next = tokio::time::timeout(Duration::from_secs(30), feed.next());
    next.await.expect("something is heard")
}

fn signal(name: &str, process: i32) {
    let sent = Command::new("kill").args([format!("-{name}"), process.to_string()]).status();
    assert!(sent.expect("kill").success());
}

fn record(version: i64) -> Record {
    Record {
        version: Version(version),
        sealed: Sealed(vec![0]),
        health: Health::Good,
        obtained_via: ObtainedVia::ConnectFlow,
        expires_at: None,
        updated_at: Timestamp(1),
    }
}

pub(crate) async fn remember(stores: &Stores, name: &str) -> Result<(), StoreError> {
    let issuer = IssuerId::new("https://idp.example.com");
    let profile = Profile::default();
    let person = stores.people.upsert(&issuer, name, &profile, UserId::new(name), Timestamp(1));
    person.await.map(drop)
}

/// How many rows a statement touched or found.
pub(crate) async fn run(connection: &mut PgConnection, sql: &'static str) -> u64 {
    sqlx::query(sql).execute(connection).await.expect(sql).rows_affected()
}

//! A log on a real database, gateways that write it, and a pen that knows no keys.

use std::{
    fmt::Write as _,
    fs,
    path::PathBuf,
    process,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use attache_broker::audit::{
    Ledger,
    verify::{Place, Problem, Report, verify},
};
use attache_core::{
    Clock, RequestId, Timestamp, UserId,
    audit::{
        Action, AuditEvent, Method, Outcome, Reason,
        trail::{AuditTrail, Position, Writer, WriterId},
    },
    store::AuditStore as _,
};
use attache_crypto::{keyring::KeyRing, random::SystemRandom, wrap::local::LocalKey};
use attache_store::{Location, Store};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection};

use crate::postgres::Cluster;

#[derive(Debug)]
pub(crate) struct Hands(AtomicI64);

impl Hands {
    pub(crate) fn advance(&self, span: Duration) {
        self.0
            .fetch_add(i64::try_from(span.as_millis()).expect("no faults here"), Ordering::SeqCst);
    }
}

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

enum Database {
    Sqlite(PathBuf),
    Postgres(Cluster),
}

pub(crate) struct Desk {
    database: Database,
    pub(crate) store: Store,
    pub(crate) clock: Arc<Hands>,
    pub(crate) ring: KeyRing,
}

impl Desk {
    pub(crate) async fn sqlite(name: &str) -> Self {
        let directory =
            std::env::temp_dir().join(format!("attache-trail-{}-{name}", process::id()));
        fs::create_dir(&directory).expect("no faults here");
        Self::at(Database::Sqlite(directory.join("attache.db"))).await
    }

    pub(crate) async fn postgres() -> Self {
        Self::at(Database::Postgres(Cluster::start())).await
    }

    async fn at(database: Database) -> Self {
        let store = Store::open(&location(&database)).await.expect("no faults here");
        let clock = Arc::new(Hands(AtomicI64::new(1_795_435_200_000)));
        Self { database, store, clock, ring: ring() }
    }

    /// One process, with a store of its own.
    pub(crate) async fn gateway(&self) -> Ledger {
        let store = Store::open_as_is(&location(&self.database)).await.expect("no faults here");
        self.clock.advance(Duration::from_secs(1));
        self.ledger(store.trail())
    }

    pub(crate) fn ledger(&self, trail: Arc<dyn AuditTrail>) -> Ledger {
        Ledger::new(trail, self.ring.clone(), self.clock.clone(), Arc::new(SystemRandom))
    }

    /// Six entries of a gateway that is killed, five of one that saw them and ended.
    pub(crate) async fn write_a_log(&self) {
        let killed = self.gateway().await;
        for number in 2..=6 {
            killed.append(&[self.event(number)]).await.expect("no faults here");
        }
        let ended = self.gateway().await;
        ended.append(&[self.event(1), self.event(2), self.event(3)]).await.expect("no faults here");
        ended.end().await.expect("no faults here");
    }

    /// Every field is filled.
    pub(crate) fn event(&self, number: u64) -> AuditEvent {
        self.clock.advance(Duration::from_secs(1));
        AuditEvent {
            at: self.clock.now(),
            user: Some(UserId::new("ada")),
            server: Some("notes".parse().expect("no faults here")),
            method: Some(Method::Connect),
            action: Action::Refresh,
            outcome: Outcome::Failure(Reason::InvalidGrant),
            request_id: Some(RequestId::new(format!("r-{number}"))),
            count: Some(number),
        }
    }

    pub(crate) async fn clear(&self) {
        self.run("DELETE FROM audit_event; DELETE FROM audit_writer").await;
    }

    pub(crate) async fn report(&self) -> Report {
        verify(&*self.store.trail(), &self.ring).await.expect("no faults here")
    }

    /// What is wrong, and where first.
    pub(crate) async fn problems(&self) -> Vec<(Problem, Place)> {
        let problems = self.report().await.problems;
        problems.into_iter().map(|(problem, found)| (problem, found.first)).collect()
    }

    /// The writers, in the order in which they began.
    pub(crate) async fn writers(&self) -> Vec<WriterId> {
        let all = self.store.trail().writers(Timestamp(i64::MAX), WriterId([0; 16]), 100).await;
        let mut all: Vec<Writer> = all.expect("no faults here");
        all.sort_by_key(|writer| writer.started_at);
        all.into_iter().map(|writer| writer.id).collect()
    }

    pub(crate) fn bytes(&self, bytes: &[u8]) -> String {
        let mut digits = String::new();
        for byte in bytes {
            write!(digits, "{byte:02x}").expect("a String takes any text");
        }
        match self.database {
            Database::Sqlite(_) => format!("x'{digits}'"),
            Database::Postgres(_) => format!("'\\x{digits}'::bytea"),
        }
    }

    /// Runs what somebody types at the database. `{A}` and `{B}` are the writers of
    /// [`Desk::write_a_log`]; keys between tables hold nobody up.
    pub(crate) async fn run(&self, sql: &str) {
        let mut sql = sql.to_owned();
        for (name, writer) in ["{A}", "{B}"].into_iter().zip(self.writers().await) {
            sql = sql.replace(name, &self.bytes(&writer.0));
        }
        match &self.database {
            Database::Sqlite(file) => {
                let options =
                    sqlx::sqlite::SqliteConnectOptions::new().filename(file).foreign_keys(false);
                let mut raw = options.connect().await.expect("no faults here");
                sqlx::raw_sql(AssertSqlSafe(sql.clone())).execute(&mut raw).await.expect(&sql);
                raw.close().await.expect("no faults here");
            }
            Database::Postgres(cluster) => {
                let mut raw =
                    PgConnection::connect(cluster.url().expose()).await.expect("no faults here");
                let sql = format!("SET session_replication_role = replica; {sql}");
                sqlx::raw_sql(AssertSqlSafe(sql.clone())).execute(&mut raw).await.expect(&sql);
            }
        }
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        if let Database::Sqlite(file) = &self.database {
            fs::remove_dir_all(file.parent().expect("no faults here")).ok();
        }
    }
}

pub(crate) fn ring() -> KeyRing {
    let key = LocalKey::from_base64(&LocalKey::generate(&SystemRandom)).expect("no faults here");
    KeyRing { active: Arc::new(key), retired: Vec::new() }
}

pub(crate) fn entry(writer: WriterId, sequence: i64) -> Place {
    Place::Entry(Position { writer, sequence })
}

fn location(database: &Database) -> Location {
    match database {
        Database::Sqlite(file) => Location::Sqlite(file.clone()),
        Database::Postgres(cluster) => Location::postgres(cluster.url()),
    }
}

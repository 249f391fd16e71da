//! From SQLite to PostgreSQL: every table, every row, or nothing.

#[expect(dead_code, reason = "the store's own suite asks more of it")]
#[path = "support/postgres.rs"]
mod support;

use std::{
    fs,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    path::{Path, PathBuf},
    process,
};

use attache_core::{
    Timestamp, UserId,
    audit::{Action, AuditEvent, Outcome},
};
use attache_store::{CopyError, Location, OpenError, Progress, Store, copy};
use sqlx::{
    AssertSqlSafe, Connection as _, PgConnection, Row as _, SqliteConnection,
    sqlite::SqliteConnectOptions,
};
use support::Cluster;

/// A row of every table, with every kind of value: a table that is added needs one here.
const ROWS: &[&str] = &[
    "INSERT INTO person VALUES
        ('ada', 'https://idp', 'a', 'ada@example.com', 'Ädä', '[\"x\"]', TRUE, 1, 7),
        ('grace', 'https://idp', 'g', NULL, '', '[]', FALSE, -9223372036854775808, NULL)",
    "INSERT INTO session VALUES (x'00ff', 'ada', 1, 2, 'a', NULL)",
    "INSERT INTO personal_token VALUES
        ('t1', x'07', 'ada', 'report', '[\"notes\"]', TRUE, 1, 2, 3),
        ('t2', x'08', 'ada', 'all', NULL, FALSE, 1, 2, NULL)",
    "INSERT INTO spent_login VALUES (x'01', 9223372036854775807)",
    "INSERT INTO connect_flow VALUES
        (x'02', 'ada', x'03', 'notes', NULL, 'https://gw/cb', '[]', 'https://notes', 1, 2)",
    // A refresh that a crash interrupted: the destination must know, too.
    "INSERT INTO credential VALUES ('ada', 'upstream:notes', 7, x'', 'good', NULL, 'connect_flow',
        NULL, 3, x'0a0b', 60, 5, 4)",
    "INSERT INTO demanded_scope VALUES ('ada', 'upstream:notes', 'notes:write', 2, 7, NULL)",
    "INSERT INTO data_key VALUES ('ada', 'local:1', x'c0ffee', 1)",
    "INSERT INTO audit_writer VALUES (x'aa', 1, 'local:1', x'bb', 0, x'')",
    "INSERT INTO service_key VALUES ('sessions', 'local:1', x'0102', 1)",
    "INSERT INTO registration VALUES ('notes', 7, x'0304', x'0506', 60)",
    "INSERT INTO oauth_grant VALUES ('g', 'ada', 'c', 'C', 'https://gw/mcp/notes', '[]', 1, 9, x'11',
        'challenge', 'http://127.0.0.1/cb', 2, NULL, NULL, NULL, NULL, NULL)",
    "INSERT INTO oauth_client VALUES ('c', 'C', '[]', 'none', NULL, 1, 9, TRUE)",
    "INSERT INTO device_authorization VALUES (x'12', x'13', 'c', 'https://gw/api/v1', NULL, 'refused',
        1, 9)",
    "INSERT INTO provisioned VALUES ('ada', 'https://idp', 'ada@example.com', NULL, TRUE, 9)",
    "INSERT INTO connection_end VALUES ('ada', 'upstream:notes', 99)",
    "INSERT INTO notice VALUES ('ada', 'upstream:notes', 7, 'ending', NULL, 90, 80, 85, 1)",
    // The last number is of a row that retention removed.
    "INSERT INTO audit_event (id, at, action, outcome, writer, sequence, seen, seal) VALUES
        (41, 1, 'log_begin', 'success', x'aa', 1, x'', x'cc'),
        (42, 2, 'inject', 'success', x'aa', 2, x'', x'dd')",
    "DELETE FROM audit_event WHERE id = 42",
];

const NEWER: &str = "INSERT INTO _sqlx_migrations (version, description, success, checksum, \
    execution_time) VALUES (9999, 'from the future', TRUE, 'x', 0)";

#[tokio::test(flavor = "multi_thread")]
async fn every_table_arrives_as_it_was() {
    let directory = Directory::new("all");
    let tables = directory.fill().await;
    let cluster = Cluster::start();
    let mut last = Progress::default();
    let copied =
        copy(&directory.file(), &cluster.url(), digest, &mut |progress| last = progress).await;
    let copied = copied.unwrap();

    let names: Vec<&str> = copied.iter().map(|one| one.table.as_str()).collect();
    for table in &tables {
        assert!(names.contains(&table.as_str()), "{table} was left behind");
    }
    assert!(copied.iter().all(|one| one.rows > 0), "{copied:?}");
    let rows: u64 = copied.iter().map(|one| one.rows).sum();
    assert_eq!(last, Progress { all: rows, copied: rows, verified: rows });

    let mut raw = PgConnection::connect(cluster.url().expose()).await.unwrap();
    let ada = "SELECT lease_holder, lease_until, lease_started, interrupted, reason, sealed
        FROM credential";
    let row = sqlx::query(ada).fetch_one(&mut raw).await.unwrap();
    assert_eq!(row.get::<Vec<u8>, _>(0), [0x0a, 0x0b]);
    let times = (row.get::<i64, _>(1), row.get::<i64, _>(2), row.get::<i64, _>(3));
    assert_eq!(times, (60, 5, 4));
    assert_eq!((row.get::<Option<&str>, _>(4), row.get::<&[u8], _>(5)), (None, &[][..]));

    let store = Store::open(&Location::postgres(cluster.url())).await.unwrap();
    let grace = store.stores().people.find(&UserId::new("grace")).await.unwrap().unwrap();
    assert_eq!((grace.profile.email, grace.created_at), (None, Timestamp(i64::MIN)));
    // Numbers go on behind the last that was ever given.
    let event = AuditEvent {
        at: Timestamp(3),
        user: None,
        server: None,
        method: None,
        action: Action::Inject,
        outcome: Outcome::Success,
        request_id: None,
        count: None,
    };
    store.stores().audit.append(&[event]).await.unwrap();
    let newest = sqlx::query("SELECT max(id) FROM audit_event").fetch_one(&mut raw).await.unwrap();
    assert_eq!(newest.get::<i64, _>(0), 43);

    let again = copy(&directory.file(), &cluster.url(), digest, &mut |_| ()).await;
    assert!(matches!(again, Err(CopyError::NotEmpty(_))), "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_of_it_or_nothing() {
    let directory = Directory::new("nothing");
    directory.fill().await;
    let cluster = Cluster::start();
    let copied = async || copy(&directory.file(), &cluster.url(), digest, &mut |_| ()).await;

    // Somebody still uses the source.
    let gateway = Store::open(&Location::Sqlite(directory.file())).await.unwrap();
    let refused = copied().await;
    assert!(matches!(refused, Err(CopyError::InUse(_))), "{refused:?}");
    gateway.close().await;

    // A text that PostgreSQL cannot hold, in the last table that has one.
    directory.run("UPDATE credential SET obtained_via = CAST(x'610062' AS TEXT)").await;
    let refused = copied().await;
    assert!(matches!(refused, Err(CopyError::Write(_))), "{refused:?}");
    let mut raw = PgConnection::connect(cluster.url().expose()).await.unwrap();
    let people = sqlx::query("SELECT 1 FROM person").fetch_all(&mut raw).await.unwrap();
    assert!(people.is_empty());
    directory.run("UPDATE credential SET obtained_via = 'connect_flow'").await;

    // Tables of another version, on either side.
    let there = NEWER.replace("'x'", "''::bytea");
    sqlx::query(AssertSqlSafe(there)).execute(&mut raw).await.unwrap();
    let refused = copied().await;
    assert!(matches!(refused, Err(CopyError::Destination(OpenError::Newer(9999)))), "{refused:?}");
    sqlx::query("DELETE FROM _sqlx_migrations WHERE version = 9999")
        .execute(&mut raw)
        .await
        .unwrap();
    directory.run(&NEWER.replace("'x'", "x''")).await;
    let refused = copied().await;
    assert!(matches!(refused, Err(CopyError::Source(OpenError::Newer(9999)))), "{refused:?}");
    directory.run("DELETE FROM _sqlx_migrations WHERE version = 9999").await;

    copied().await.unwrap();
}

/// Good enough to tell rows apart.
fn digest(bytes: &[u8]) -> [u8; 32] {
    let mut digest = [0; 32];
    for (number, part) in digest.chunks_mut(8).enumerate() {
        let mut hasher = DefaultHasher::new();
        (number, bytes).hash(&mut hasher);
        part.copy_from_slice(&hasher.finish().to_be_bytes());
    }
    digest
}

/// A directory that is gone when the test is over.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("attache-copy-{}-{name}", process::id()));
        fs::create_dir(&path).expect("a new directory");
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("attache.db")
    }

    /// Makes a store with rows in every table; the names of the tables.
    async fn fill(&self) -> Vec<String> {
        Store::open(&Location::Sqlite(self.file())).await.expect("open").close().await;
        let mut raw = connect(&self.file()).await;
        for sql in ROWS {
            sqlx::query(*sql).execute(&mut raw).await.expect(sql);
        }
        let asked = sqlx::query(
            "SELECT name FROM sqlite_schema
             WHERE type = 'table' AND name NOT GLOB 'sqlite_*' AND name <> '_sqlx_migrations'",
        );
        let rows = asked.fetch_all(&mut raw).await.expect("tables");
        raw.close().await.expect("close");
        rows.iter().map(|row| row.get(0)).collect()
    }

    async fn run(&self, sql: &str) {
        let mut raw = connect(&self.file()).await;
        sqlx::query(AssertSqlSafe(sql.to_owned())).execute(&mut raw).await.expect(sql);
        raw.close().await.expect("close");
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).expect("gone");
    }
}

async fn connect(file: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(file);
    SqliteConnection::connect_with(&options).await.expect("connect")
}

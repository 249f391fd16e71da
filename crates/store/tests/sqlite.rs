//! The store on `SQLite`: the suite, and what only a file can get wrong.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process,
};

use attache_core::{
    CredentialKey, IssuerId, ObtainedVia, Timestamp, UpstreamName, UserId,
    principal::SessionDigest,
    store::{Health, Profile, Record, Sealed, StoreError, Stores, Version},
};
use attache_store::{BackupError, Fault, Location, OpenError, Store, backup, check, conformance};
use sqlx::{ConnectOptions as _, Connection as _, Row as _, sqlite::SqliteConnectOptions};

#[tokio::test]
async fn in_memory_it_keeps_every_promise() {
    let store = Store::open(&Location::Memory).await.unwrap();
    store.ping().await.unwrap();
    conformance::run(&store.stores(), &store.stores(), &*store.trail()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_and_a_command_beside_it_keep_every_promise() {
    let directory = Directory::new("beside");
    let gateway = directory.store().await;
    let command = Store::open_as_is(&Location::Sqlite(directory.file())).await.unwrap();
    conformance::run(&gateway.stores(), &command.stores(), &*gateway.trail()).await;
}

/// What one changes, the memory of the other would hear of late.
#[tokio::test]
async fn one_gateway_at_a_time_has_the_file() {
    let directory = Directory::new("two-gateways");
    let first = directory.store().await;
    let second = Store::open(&Location::Sqlite(directory.file())).await.unwrap_err();
    assert!(matches!(second, OpenError::InUse(_)), "{second:?}");
    first.close().await;
    directory.store().await;
}

#[tokio::test]
async fn a_spoiled_row_is_named() {
    let directory = Directory::new("spoiled");
    let store = directory.store().await;
    let raw = async |sql| run_outside(&directory.file(), sql).await;
    conformance::a_row_that_cannot_be_read_is_named(&store.stores(), raw).await;
}

#[tokio::test]
async fn a_restart_keeps_everything_and_close_means_closed() {
    let directory = Directory::new("restart");
    let store = directory.store().await;
    remember(&store.stores(), "ada").await;
    store.close().await;
    let closed = store.ping().await;
    assert!(matches!(closed, Err(StoreError::Unavailable(_))), "{closed:?}");

    assert!(knows(&directory.store().await.stores(), "ada").await);
}

/// What is in the write-ahead log only, as after a kill, is kept.
#[tokio::test]
async fn a_kill_keeps_what_was_committed() {
    let directory = Directory::new("kill");
    let store = directory.store().await;
    remember(&store.stores(), "ada").await;

    let after = Directory::new("kill-after");
    fs::copy(directory.file(), after.file()).unwrap();
    let log = directory.file().with_extension("db-wal");
    assert!(fs::metadata(&log).unwrap().len() > 0, "the log holds the commit");
    fs::copy(log, after.file().with_extension("db-wal")).unwrap();

    assert!(knows(&after.store().await.stores(), "ada").await);
}

/// Deleting a data key shreds what it sealed: it must not be found in a free page.
#[tokio::test]
async fn what_is_deleted_is_gone_from_the_file() {
    let directory = Directory::new("deleted");
    let (user, marker) = (UserId::new("ada"), b"the sealed bytes of ada".to_vec());
    for (delete, found) in [(false, true), (true, false)] {
        let store = directory.store().await;
        remember(&store.stores(), "ada").await;
        let key = CredentialKey::upstream(user.clone(), UpstreamName::parse("github").unwrap());
        let record = Record {
            version: Version(1),
            sealed: Sealed(marker.clone()),
            health: Health::Good,
            obtained_via: ObtainedVia::ApiKey,
            expires_at: None,
            updated_at: Timestamp(1),
        };
        if delete {
            store.stores().credentials.remove(&key).await.unwrap().unwrap();
        } else {
            store.stores().credentials.put(&key, &record, None).await.unwrap();
        }
        store.close().await;
        let bytes = fs::read(directory.file()).unwrap();
        assert_eq!(bytes.windows(marker.len()).any(|window| window == marker), found);
    }
}

#[tokio::test]
async fn only_its_owner_can_read_the_file() {
    let directory = Directory::new("mode");
    fs::write(directory.file(), "").unwrap();
    fs::set_permissions(directory.file(), fs::Permissions::from_mode(0o644)).unwrap();
    let store = directory.store().await;
    remember(&store.stores(), "ada").await;
    for name in ["attache.db", "attache.db-wal", "attache.db-shm"] {
        let mode = fs::metadata(directory.path.join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_a_store_is_named() {
    let directory = Directory::new("refused");
    let missing = directory.path.join("missing/attache.db");
    let error = Store::open(&Location::Sqlite(missing.clone())).await.unwrap_err();
    assert!(matches!(error, OpenError::File { .. }), "{error:?}");
    assert!(error.to_string().contains(missing.to_str().unwrap()), "{error}");

    fs::write(directory.file(), "this is a text of more than sixteen bytes\n".repeat(100)).unwrap();
    let error = Store::open(&Location::Sqlite(directory.file())).await.unwrap_err();
    assert!(matches!(error, OpenError::Unusable { fault: Fault::NotADatabase, .. }), "{error:?}");
}

/// A command beside gateways neither migrates under them nor guesses.
#[tokio::test]
async fn tables_of_another_version_are_left_alone() {
    const NEWER: &str = "INSERT INTO _sqlx_migrations (version, description, success, checksum, \
        execution_time) VALUES (9999, 'from the future', TRUE, x'00', 0)";
    type Expected = fn(&OpenError) -> bool;
    let cases: [(&str, Expected, Option<Expected>); 4] = [
        (NEWER, |error| matches!(error, OpenError::Newer(9999)), None),
        (
            "UPDATE _sqlx_migrations SET checksum = x'00' WHERE version = 1",
            |error| matches!(error, OpenError::Altered(1)),
            None,
        ),
        (
            "UPDATE _sqlx_migrations SET success = FALSE WHERE version = 2",
            |error| matches!(error, OpenError::HalfApplied(2)),
            None,
        ),
        // A gateway would migrate; this one fails at it, since the tables are there.
        (
            "DELETE FROM _sqlx_migrations WHERE version = 2",
            |error| matches!(error, OpenError::Older { missing: 2 }),
            Some(|error| matches!(error, OpenError::Migration(_))),
        ),
    ];
    for (number, (sql, expected, of_a_gateway)) in cases.into_iter().enumerate() {
        let directory = Directory::new(&format!("version-{number}"));
        directory.store().await.close().await;
        run_outside(&directory.file(), sql).await;
        let location = Location::Sqlite(directory.file());
        let error = Store::open_as_is(&location).await.unwrap_err();
        assert!(expected(&error), "{sql}: {error:?}");
        let error = Store::open(&location).await.unwrap_err();
        assert!(of_a_gateway.unwrap_or(expected)(&error), "{sql}: {error:?}");
    }
    let directory = Directory::new("version-none");
    let location = Location::Sqlite(directory.file());
    let error = Store::open_as_is(&location).await.unwrap_err();
    assert!(matches!(error, OpenError::Missing(_)), "{error:?}");
    fs::write(directory.file(), "").unwrap();
    let error = Store::open_as_is(&location).await.unwrap_err();
    assert!(matches!(error, OpenError::NoTables), "{error:?}");
}

#[tokio::test]
async fn a_backup_is_a_whole_store_and_overwrites_nothing() {
    let directory = Directory::new("backup");
    let store = directory.store().await;
    remember(&store.stores(), "ada").await;

    let (from, copy) = (Location::Sqlite(directory.file()), directory.path.join("copy.db"));
    backup(&from, &copy).await.unwrap();
    remember(&store.stores(), "grace").await;
    assert_eq!(fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);

    let restored = Store::open(&Location::Sqlite(copy.clone())).await.unwrap();
    assert!(knows(&restored.stores(), "ada").await);
    assert!(!knows(&restored.stores(), "grace").await, "came after the backup");

    let again = backup(&from, &copy).await;
    assert!(matches!(again, Err(BackupError::Exists(_))), "{again:?}");
    let nothing = Location::Sqlite(directory.path.join("nothing.db"));
    let target = directory.path.join("of-nothing.db");
    let failed = backup(&nothing, &target).await;
    assert!(matches!(failed, Err(BackupError::Missing(_))), "{failed:?}");
    assert!(!target.exists(), "no empty file that looks like a backup");
}

/// Half a file has no name that looks like a backup, and what a killed run left is not built upon.
#[tokio::test]
async fn a_backup_that_fails_leaves_nothing() {
    let directory = Directory::new("half-backup");
    let store = directory.store().await;
    remember(&store.stores(), "ada").await;
    let (from, to) = (Location::Sqlite(directory.file()), directory.path.join("copy.db"));
    let partial = directory.path.join("copy.db.partial");
    fs::write(&partial, "half").unwrap();
    let refused = backup(&from, &to).await;
    assert!(matches!(refused, Err(BackupError::Unfinished(_))), "{refused:?}");
    fs::remove_file(&partial).unwrap();

    store.close().await;
    spoil(&directory.file()).await;
    let failed = backup(&from, &to).await;
    assert!(matches!(failed, Err(BackupError::Copy { fault: Fault::Damaged, .. })), "{failed:?}");
    assert!(!partial.exists() && !to.exists());
}

/// It cannot be read everywhere: what can be is served, and the rest is told truthfully.
#[tokio::test]
async fn damage_is_found_and_the_rest_is_served() {
    let directory = Directory::new("damaged");
    let store = directory.store().await;
    remember(&store.stores(), "ada").await;
    assert_eq!(check(&directory.file()).await.unwrap(), Vec::<String>::new());
    store.close().await;
    spoil(&directory.file()).await;

    let found = check(&directory.file()).await;
    assert!(found.as_ref().is_ok_and(|found| !found.is_empty()), "{found:?}");
    let store = directory.store().await;
    assert!(!store.is_damaged());
    assert!(knows(&store.stores(), "ada").await);
    let key = CredentialKey::upstream(UserId::new("ada"), UpstreamName::parse("github").unwrap());
    let error = store.stores().credentials.find(&key).await.unwrap_err();
    let StoreError::Unavailable(cause) = error else { unreachable!("{error:?}") };
    assert_eq!(cause.downcast_ref::<Fault>(), Some(&Fault::Damaged));
    assert!(store.is_damaged());
    store.ping().await.unwrap();
}

/// It would take every write, and lose them all with the process.
#[tokio::test]
async fn a_file_that_was_taken_away_is_missed() {
    let directory = Directory::new("taken-away");
    let store = directory.store().await;
    remember(&store.stores(), "ada").await;
    let elsewhere = directory.path.join("elsewhere.db");
    fs::rename(directory.file(), &elsewhere).unwrap();
    let error = store.stores().sessions.remove(SessionDigest([0; 32])).await.unwrap_err();
    let StoreError::Unavailable(cause) = error else { unreachable!("{error:?}") };
    assert_eq!(cause.downcast_ref::<Fault>(), Some(&Fault::Gone));
    assert!(store.ping().await.is_err());

    fs::rename(elsewhere, directory.file()).unwrap();
    store.ping().await.unwrap();
    remember(&store.stores(), "grace").await;
    store.close().await;
    assert!(knows(&directory.store().await.stores(), "grace").await);
}

/// What a crash leaves behind the last commit is not a commit, and takes none away.
#[tokio::test]
async fn garbage_behind_the_log_loses_nothing() {
    let directory = Directory::new("garbage-log");
    let store = directory.store().await;
    remember(&store.stores(), "ada").await;
    let after = Directory::new("garbage-log-after");
    fs::copy(directory.file(), after.file()).unwrap();
    let mut log = fs::read(directory.file().with_extension("db-wal")).unwrap();
    log.extend([0x5a; 10_000]);
    fs::write(after.file().with_extension("db-wal"), log).unwrap();
    assert!(knows(&after.store().await.stores(), "ada").await);
}

/// Overwrites the first pages of the credentials and of their index.
async fn spoil(file: &Path) {
    let mut raw = SqliteConnectOptions::new().filename(file).connect().await.expect("connect");
    let asked = sqlx::query(
        "SELECT rootpage, (SELECT page_size FROM pragma_page_size) FROM sqlite_schema
         WHERE tbl_name = 'credential' AND rootpage > 0",
    );
    let pages: Vec<(i64, i64)> = asked
        .fetch_all(&mut raw)
        .await
        .expect("pages")
        .iter()
        .map(|row| (row.get(0), row.get(1)))
        .collect();
    raw.close().await.expect("close");
    let mut bytes = fs::read(file).expect("a file");
    for (number, size) in pages {
        let [start, end] = [(number - 1) * size, number * size]
            .map(|offset| usize::try_from(offset).expect("an offset"));
        bytes.get_mut(start..end).expect("a page").fill(0xa5);
    }
    fs::write(file, bytes).expect("written");
}

async fn remember(stores: &Stores, name: &str) {
    let issuer = IssuerId::new("https://idp.example.com");
    let profile = Profile::default();
    stores
        .people
        .upsert(&issuer, name, &profile, UserId::new(name), Timestamp(1))
        .await
        .expect("upsert");
}

async fn knows(stores: &Stores, name: &str) -> bool {
    stores.people.find(&UserId::new(name)).await.expect("find").is_some()
}

async fn run_outside(file: &Path, sql: &'static str) {
    let mut raw = SqliteConnectOptions::new().filename(file).connect().await.expect("connect");
    sqlx::query(sql).execute(&mut raw).await.expect(sql);
    raw.close().await.expect("close");
}

/// A directory that is gone when the test is over.
struct Directory {
    path: PathBuf,
}

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("attache-store-{}-{name}", process::id()));
        fs::create_dir(&path).expect("a new directory");
        Self { path }
    }

    fn file(&self) -> PathBuf {
        self.path.join("attache.db")
    }

    async fn store(&self) -> Store {
        Store::open(&Location::Sqlite(self.file())).await.expect("open")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.path).expect("gone");
    }
}

//! The store on `SQLite`: the suite, and what only a file can get wrong.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process,
};

use attache_core::{
    CredentialKey, IssuerId, ObtainedVia, Timestamp, UpstreamName, UserId,
    store::{Health, Profile, Record, Sealed, StoreError, Stores, Version},
};
use attache_store::{BackupError, Location, OpenError, Store, backup, conformance};
use sqlx::{ConnectOptions as _, Connection as _, sqlite::SqliteConnectOptions};

#[tokio::test]
async fn in_memory_it_keeps_every_promise() {
    let store = Store::open(&Location::Memory).await.unwrap();
    store.ping().await.unwrap();
    conformance::run(&store.stores(), &store.stores(), &*store.trail()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_gateways_on_one_file_keep_every_promise() {
    let directory = Directory::new("replicas");
    let (one, other) = (directory.store().await, directory.store().await);
    conformance::run(&one.stores(), &other.stores(), &*one.trail()).await;
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
    assert!(matches!(error, OpenError::Unusable { .. }), "{error:?}");
}

#[tokio::test]
async fn a_file_of_a_newer_version_is_left_alone() {
    let directory = Directory::new("newer");
    directory.store().await.close().await;
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, \
                 execution_time) VALUES (9999, 'from the future', TRUE, x'00', 0)";
    run_outside(&directory.file(), newer).await;
    let error = Store::open(&Location::Sqlite(directory.file())).await.unwrap_err();
    assert!(matches!(error, OpenError::Newer(9999)), "{error:?}");
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
    assert!(matches!(failed, Err(BackupError::Copy { .. })), "{failed:?}");
    assert!(!target.exists(), "no empty file that looks like a backup");
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

//! `attache keys` as an operator runs it, beside what is serving.

use std::{
    fmt::Write as _,
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
};

use attache_broker::{
    ObtainError, ServiceKey, ServiceKeyParts, Tasks, audit::Ledger, vault::Vault,
};
use attache_core::{
    Secret, ServiceKeyName, SystemClock, Timestamp, UserId,
    store::{StoreError, Stores, Version},
};
use attache_crypto::{keyring::KeyRing, random::SystemRandom, wrap::local::LocalKey};
use attache_store::{Location, Store};
use serde_json::Value;
use tokio::runtime::Handle;

use crate::{
    plugin::Running,
    postgres::Cluster,
    props::{Directory, attache, credential_key, people, ring_of, seal, status, succeeds, vault},
};

const PEOPLE: usize = 600;
/// Where the upstream would be, that nobody calls here.
const ORIGIN: &str = "https://notes.example.com";

fn local(file: &Path) -> Arc<LocalKey> {
    let text = Secret::new(fs::read_to_string(file).unwrap());
    Arc::new(LocalKey::from_base64(&text).unwrap())
}

fn configure(directory: &Directory, store: &str, active: &str, retired: &[&str]) -> String {
    let mut text = format!(
        "public_url = \"http://127.0.0.1:8080\"\nstore.url = \"{store}\"\n\
         keys.active = \"{active}\"\nkeys.retired = ["
    );
    for one in retired {
        write!(text, "\"{one}\",").unwrap();
    }
    text.push_str("]\n");
    let file = directory.path("attache.toml");
    fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

/// How many keys of every kind the status says `role` wraps.
fn under(report: &Value, role: &str) -> u64 {
    let keys = report["keys"].as_array().unwrap().iter().filter(|key| key["role"] == role);
    keys.map(|key| {
        let count = |kind: &str| key[kind].as_u64().unwrap();
        count("data_keys") + count("audit_writers") + count("service_keys")
    })
    .sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn on_sqlite_keys_rotate_under_a_gateway_that_serves() {
    let directory = Directory::new("sqlite");
    let url = format!("sqlite:{}", directory.text("attache.db"));
    let location = Location::Sqlite(directory.path("attache.db"));
    keys_rotate_while_others_read_and_write(&directory, &url, &location).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_postgresql_keys_rotate_under_a_gateway_that_serves() {
    let (directory, cluster) = (Directory::new("postgres"), Cluster::start());
    let url = cluster.url();
    let location = Location::postgres(url.clone());
    keys_rotate_while_others_read_and_write(&directory, url.expose(), &location).await;
}

async fn keys_rotate_while_others_read_and_write(
    directory: &Directory,
    url: &str,
    location: &Location,
) {
    for name in ["old.key", "new.key"] {
        succeeds(&attache(&["keys", "generate", &directory.text(name)]));
    }
    let (old, new) = (local(&directory.path("old.key")), local(&directory.path("new.key")));
    let store = Store::open(location).await.unwrap();
    let stores = store.stores();
    let token = shared_key_and_audit(&store, &ring_of(old.clone())).await;
    let names: Vec<String> = (0..PEOPLE).map(|number| format!("person-{number:04}")).collect();
    let users = people(&stores, &ring_of(old.clone()), &names).await;
    for user in &users {
        let vault = vault(&stores, &ring_of(old.clone()));
        let sealed = seal(&vault, user, Version(1), ORIGIN).await;
        stores.credentials.put(&credential_key(user), &sealed, None).await.unwrap();
    }

    // What serves was given the new key before, as the manual says: one replica wraps with the
    // old one still, another with the new one already.
    let replicas = [
        KeyRing { active: old.clone(), retired: vec![new.clone()] },
        KeyRing { active: new.clone(), retired: vec![old.clone()] },
    ];
    let over = Arc::new(AtomicBool::new(false));
    let mut serving = tokio::task::JoinSet::new();
    for (number, ring) in replicas.into_iter().enumerate() {
        let (over, stores, users) = (over.clone(), stores.clone(), users.clone());
        serving.spawn(async move {
            let mut rounds = 0;
            while !over.load(SeqCst) || rounds == 0 {
                serve(&stores, &ring, &users, number).await;
                rounds += 1;
            }
        });
    }

    let config = configure(
        directory,
        url,
        &format!("file:{}", directory.text("new.key")),
        &[&format!("file:{}", directory.text("old.key"))],
    );
    let rotate = || {
        let config = config.clone();
        tokio::task::spawn_blocking(move || attache(&["keys", "rotate", "--config", &config]))
    };
    let (one, other) = (rotate(), rotate());
    for output in [one.await.unwrap(), other.await.unwrap()] {
        // A replica that still wraps with the old key makes new people under it.
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() || words.contains("written under other keys"), "{words}");
    }
    over.store(true, SeqCst);
    while let Some(served) = serving.join_next().await {
        served.expect("nothing ever failed to open");
    }

    let words = succeeds(&attache(&["keys", "rotate", "--config", &config]));
    assert!(words.contains("can leave keys.retired: local:"), "{words}");
    let again = succeeds(&attache(&["keys", "rotate", "--config", &config]));
    assert!(again.contains("0 keys wrapped again"), "{again}");
    let (code, report) = status(&config);
    assert_eq!((code, under(&report, "retired"), under(&report, "missing")), (Some(0), 0, 0));
    assert!(under(&report, "active") > PEOPLE as u64, "{report}");

    // The old key is gone for good.
    let new_file = format!("file:{}", directory.text("new.key"));
    let config = configure(directory, url, &new_file, &[]);
    let alone = ring_of(new.clone());
    for user in &users {
        open(&vault(&stores, &alone), &stores, user).await;
    }
    assert_eq!(session_token(&stores, &alone).await.unwrap(), token);
    let words = succeeds(&attache(&["audit", "verify", "--config", &config]));
    assert!(words.contains("2 of 2 entries, by 1 writers, are proved"), "{words}");
}

/// Makes what a gateway makes for itself: a chain of the audit, and a key of all replicas.
async fn shared_key_and_audit(store: &Store, ring: &KeyRing) -> [u8; 32] {
    let (clock, random) = (Arc::new(SystemClock), Arc::new(SystemRandom));
    let ledger = Ledger::new(store.trail(), ring.clone(), clock, random);
    ledger.checkpoint().await.unwrap();
    session_token(&store.stores(), ring).await.unwrap()
}

/// What only the holder of that key can make.
async fn session_token(stores: &Stores, ring: &KeyRing) -> Result<[u8; 32], ObtainError> {
    let key = ServiceKey::new(ServiceKeyParts {
        name: ServiceKeyName::new("test"),
        ring: ring.clone(),
        store: stores.service_keys.clone(),
        clock: Arc::new(SystemClock),
        random: Arc::new(SystemRandom),
        tasks: Tasks::new(Handle::current()),
    });
    Ok(key.obtain().await?.authenticate("test", &[]))
}

/// Reads and writes as a gateway does, its memory empty at the start. A person is new each round.
async fn serve(stores: &Stores, ring: &KeyRing, users: &[UserId], replica: usize) {
    let vault = vault(stores, ring);
    for user in users.iter().skip(replica).step_by(7) {
        open(&vault, stores, user).await;
        let found = stores.credentials.find(&credential_key(user)).await.unwrap().unwrap();
        let old = found.record.version;
        let record =
            seal(&vault, user, vault.next_version(&credential_key(user), old), ORIGIN).await;
        match stores.credentials.put(&credential_key(user), &record, Some(old)).await {
            Ok(()) | Err(StoreError::Conflict) => {}
            Err(error) => unreachable!("{error:?}"),
        }
    }
    let name = format!("late-{replica}-{}", attache_crypto::random::token(&SystemRandom));
    let user = UserId::new(name.as_str());
    let issuer = attache_core::IssuerId::new("https://idp.example.com");
    stores
        .people
        .upsert(
            &issuer,
            &name,
            &attache_core::store::Profile::default(),
            user.clone(),
            Timestamp(1),
        )
        .await
        .unwrap();
    let record = seal(&vault, &user, Version(1), ORIGIN).await;
    stores.credentials.put(&credential_key(&user), &record, None).await.unwrap();
    open(&crate::props::vault(stores, ring), stores, &user).await;
}

async fn open(vault: &Vault, stores: &Stores, user: &UserId) {
    let key = credential_key(user);
    let record = stores.credentials.find(&key).await.unwrap().unwrap().record;
    let opened = vault.open(&key, &record, None, None).await.unwrap();
    assert_eq!(opened.access_token.unwrap().expose(), format!("token of {user}"));
}

#[tokio::test]
async fn a_lost_key_is_told_and_given_up_only_when_asked() {
    let directory = Directory::new("lost");
    for name in ["lost.key", "new.key"] {
        succeeds(&attache(&["keys", "generate", &directory.text(name)]));
    }
    let url = format!("sqlite:{}", directory.text("attache.db"));
    let store = Store::open(&Location::Sqlite(directory.path("attache.db"))).await.unwrap();
    let stores = store.stores();
    let lost = ring_of(local(&directory.path("lost.key")));
    let names = ["ada".to_owned(), "grace".to_owned()];
    let users = people(&stores, &lost, &names).await;
    let token = shared_key_and_audit(&store, &lost).await;

    let config = configure(&directory, &url, &format!("file:{}", directory.text("new.key")), &[]);
    let (code, report) = status(&config);
    assert_eq!((code, under(&report, "missing")), (Some(1), 4), "{report}");
    assert_eq!(report["unreadable_keys"][0]["owner"], "ada");
    let kept = attache(&["keys", "rotate", "--config", &config]);
    let words = String::from_utf8_lossy(&kept.stderr).into_owned();
    assert_eq!(kept.status.code(), Some(1));
    assert!(words.contains("--discard-unreadable"), "{words}");
    assert!(stores.data_keys.find(&users[0]).await.unwrap().is_some());

    let gone = attache(&["keys", "rotate", "--discard-unreadable", "--config", &config]);
    let words = succeeds(&gone);
    assert!(words.contains("3 given up"), "{words}");
    // What nothing proves any more is evidence, and stays.
    assert!(words.contains("1 keys of audit writers stay"), "{words}");
    let (code, report) = status(&config);
    assert_eq!((code, under(&report, "missing")), (Some(1), 1), "{report}");
    assert_eq!(attache(&["audit", "verify", "--config", &config]).status.code(), Some(1));
    // And now ada can connect again, and replicas share a new key.
    let alone = ring_of(local(&directory.path("new.key")));
    seal(&vault(&stores, &alone), &users[0], Version(1), ORIGIN).await;
    assert_ne!(session_token(&stores, &alone).await.unwrap(), token);
}

#[tokio::test]
async fn a_plugin_is_configured_like_any_key() {
    let directory = Directory::new("plugged");
    succeeds(&attache(&["keys", "generate", &directory.text("old.key")]));
    let url = format!("sqlite:{}", directory.text("attache.db"));
    let stores =
        Store::open(&Location::Sqlite(directory.path("attache.db"))).await.unwrap().stores();
    let old = local(&directory.path("old.key"));
    people(&stores, &ring_of(old), &["ada".to_owned()]).await;
    let running = Running::start(&directory, "key.sock", "plugin.key");
    let plugin = format!("plugin:{}", directory.text("key.sock"));
    let file = format!("file:{}", directory.text("old.key"));
    let config = configure(&directory, &url, &plugin, &[&file]);
    succeeds(&attache(&["keys", "rotate", "--config", &config]));
    let (code, report) = status(&config);
    assert_eq!((code, under(&report, "active")), (Some(0), 1));
    assert_eq!(report["keys"][0]["name"], running.id.as_str());
    drop(running);

    let away = attache(&["keys", "status", "--config", &config]);
    let words = String::from_utf8_lossy(&away.stderr).into_owned();
    assert_eq!(away.status.code(), Some(2));
    assert!(words.contains("keys.active: the plugin at"), "{words}");
}

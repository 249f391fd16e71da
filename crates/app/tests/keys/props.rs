//! What the tests of this folder share.

use std::{
    fs,
    path::{Path, PathBuf},
    process,
    sync::Arc,
    time::Duration,
};

use attache_core::{
    IssuerId, Timestamp, UserId,
    store::{Profile, Stores},
};
use attache_crypto::{keyring::KeyRing, random::SystemRandom, seal::DataKey};

/// A directory that is gone when the test is over.
#[derive(Debug)]
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("attache-keys-{}-{name}", process::id()));
        fs::create_dir(&path).expect("a new directory");
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).to_str().expect("a plain path").to_owned()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).expect("gone");
    }
}

/// The repository's folder.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Makes people with a data key under the active key of `ring`.
pub(crate) async fn people(stores: &Stores, ring: &KeyRing, names: &[String]) -> Vec<UserId> {
    let issuer = IssuerId::new("https://idp.example.com");
    let profile = Profile::default();
    let mut users = Vec::new();
    for name in names {
        let user = UserId::new(name.as_str());
        let made = stores.people.upsert(&issuer, name, &profile, user.clone(), Timestamp(1));
        made.await.expect("a person");
        let wrapped = ring
            .wrap(&DataKey::generate(&SystemRandom), &user.clone().into())
            .await
            .expect("wrapped");
        stores.data_keys.insert(&user, &wrapped, Timestamp(1)).await.expect("a data key");
        users.push(user);
    }
    users
}

/// Waits for what a process does on its own.
pub(crate) async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let patience = Duration::from_secs(20);
    assert!(tokio::time::timeout(patience, wait).await.is_ok(), "it never came true: {what}");
}

/// A ring of this one key.
pub(crate) fn ring_of(active: Arc<dyn attache_crypto::keyring::KeyWrapper>) -> KeyRing {
    KeyRing { active, retired: Vec::new() }
}

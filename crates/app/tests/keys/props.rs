//! What the tests of this folder share.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{self, Command, Output},
    sync::Arc,
    time::Duration,
};

use attache_broker::{Metrics, vault::Vault};
use attache_core::{
    Credential, CredentialKey, IssuerId, ObtainedVia, Secret, SystemClock, Timestamp, UpstreamName,
    UserId,
    store::{Health, Profile, Record, Stores, Version},
};
use attache_crypto::{keyring::KeyRing, random::SystemRandom, seal::DataKey};
use serde_json::Value;

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

/// The binary, as an operator runs it.
pub(crate) fn attache(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_attache"))
        .args(arguments)
        .env_remove("ATTACHE_KEY")
        .output()
        .expect("it does")
}

/// What it said.
pub(crate) fn succeeds(output: &Output) -> String {
    let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{complaints}");
    complaints
}

pub(crate) fn status(config: &str) -> (Option<i32>, Value) {
    let output = attache(&["keys", "status", "--config", config, "-o", "json"]);
    (output.status.code(), serde_json::from_slice(&output.stdout).expect("it does"))
}

/// Makes people with a data key under the active key of `ring`.
pub(crate) async fn people(stores: &Stores, ring: &KeyRing, names: &[String]) -> Vec<UserId> {
    people_of("https://idp.example.com", stores, ring, names).await
}

/// The same, with the issuer that knows them.
pub(crate) async fn people_of(
    issuer: &str,
    stores: &Stores,
    ring: &KeyRing,
    names: &[String],
) -> Vec<UserId> {
    let (issuer, profile) = (IssuerId::new(issuer), Profile::default());
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

pub(crate) fn vault(stores: &Stores, ring: &KeyRing) -> Vault {
    let (clock, random) = (Arc::new(SystemClock), Arc::new(SystemRandom));
    Vault::new(ring.clone(), stores.data_keys.clone(), clock, random, Metrics::default())
}

pub(crate) fn credential_key(user: &UserId) -> CredentialKey {
    CredentialKey::upstream(user.clone(), UpstreamName::parse("notes").expect("it does"))
}

/// A credential of `token of {user}`, for whatever is at `origin`.
pub(crate) async fn seal(vault: &Vault, user: &UserId, version: Version, origin: &str) -> Record {
    let credential = Credential {
        access_token: Some(Secret::new(format!("token of {user}"))),
        refresh_token: None,
        token_type: "Bearer".to_owned(),
        scopes: Vec::new(),
        audience: None,
        issuer: None,
        obtained_at: Timestamp(1),
        expires_at: None,
        refresh_validity: None,
        account: None,
        base_url: None,
        origin: Some(origin.to_owned()),
        id_token: None,
        term: None,
    };
    Record {
        version,
        sealed: vault.seal(&credential_key(user), version, &credential).await.expect("it does"),
        health: Health::Good,
        obtained_via: ObtainedVia::ConnectFlow,
        expires_at: None,
        updated_at: Timestamp(1),
    }
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

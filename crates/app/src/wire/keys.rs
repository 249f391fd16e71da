//! The key ring of a configuration.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use attache_broker::{ServiceKeyParts, Tasks};
use attache_config::{
    Config,
    model::{KeySource, VaultSignIn},
};
use attache_core::{
    Secret, ServiceKeyName,
    store::{KeyKind, Stores, WrappedKeys, Wraps},
};
use attache_crypto::{
    keyring::{KeyError, KeyRing, KeyWrapper},
    wrap::{
        local::LocalKey,
        plugin::Plugin,
        transit::{SignIn, Transit, TransitSettings},
    },
};
use attache_net::{line_service::UnixSocket, outbound::DedicatedClient, tls::Trust};
use tokio_util::sync::CancellationToken;

use super::World;

/// The service key that seals our registrations.
pub(crate) const REGISTRATION: &str = "registration";
/// The service key that we prove ourselves with (RFC 7523).
pub(crate) const CLIENT_ASSERTION: &str = "client-assertion";
/// The names of the keys of our own access tokens begin with it.
pub(super) const ACCESS_TOKEN: &str = "access-token";
/// Derives each refresh token from the one before.
pub(super) const REFRESH_TOKEN: &str = "refresh-token";
/// When signing in at Vault is tried again after it failed.
const SIGN_IN_AGAIN: Duration = Duration::from_secs(15);

#[derive(Debug, thiserror::Error)]
pub enum KeyRingError {
    #[error(
        "no key-encryption key: make one with `attache keys generate attache.key` and set \
         `keys.active = \"file:attache.key\"`, or set ATTACHE_KEY"
    )]
    NoKey,
    #[error("{0}: not a key; a key is 32 bytes in base64, as `attache keys generate` makes it")]
    InvalidKey(&'static str),
    #[error("{key}: the plugin at {path} cannot be asked which key it holds: {source}")]
    Plugin { key: &'static str, path: String, source: KeyError },
}

pub(crate) struct Keys {
    pub(crate) ring: KeyRing,
    /// Those of the ring whose sign-in has to be kept alive ([`stay_signed_in`]).
    pub(crate) transits: Vec<Arc<Transit>>,
}

/// What it takes to have a key that all replicas share.
pub(crate) fn service_key(
    name: &str,
    ring: &KeyRing,
    stores: &Stores,
    world: &World,
    tasks: &Tasks,
) -> ServiceKeyParts {
    ServiceKeyParts {
        name: ServiceKeyName::new(name),
        ring: ring.clone(),
        store: Arc::clone(&stores.service_keys),
        clock: Arc::clone(&world.clock),
        random: Arc::clone(&world.random),
        tasks: tasks.clone(),
    }
}

/// Plugins are asked which key they hold; a Vault is not asked anything yet.
pub(crate) async fn wire(config: &Config, trust: &Trust) -> Result<Keys, KeyRingError> {
    let keys = config.keys.as_ref().ok_or(KeyRingError::NoKey)?;
    let mut transits = Vec::new();
    let active = wrapper(&keys.active, "keys.active", trust, &mut transits).await?;
    let mut retired = Vec::new();
    for source in &keys.retired {
        retired.push(wrapper(source, "keys.retired", trust, &mut transits).await?);
    }
    Ok(Keys { ring: KeyRing { active, retired }, transits })
}

fn local(text: &Secret, key: &'static str) -> Result<LocalKey, KeyRingError> {
    LocalKey::from_base64(text).map_err(|_| KeyRingError::InvalidKey(key))
}

async fn wrapper(
    source: &KeySource,
    key: &'static str,
    trust: &Trust,
    transits: &mut Vec<Arc<Transit>>,
) -> Result<Arc<dyn KeyWrapper>, KeyRingError> {
    match source {
        KeySource::Local(text) => Ok(Arc::new(local(text, key)?)),
        KeySource::Transit { name, address, sign_in } => {
            let settings = TransitSettings {
                name: name.clone(),
                address: address.clone(),
                sign_in: match sign_in.clone() {
                    VaultSignIn::Token(token) => SignIn::Token(token),
                    VaultSignIn::AppRole { role_id, secret_id } => {
                        SignIn::AppRole { role_id, secret_id }
                    }
                },
            };
            let outbound = Arc::new(DedicatedClient::new(address, trust));
            let transit = Arc::new(Transit::new(settings, outbound));
            transits.push(Arc::clone(&transit));
            Ok(transit)
        }
        KeySource::Plugin(path) => {
            let met = Plugin::meet(Arc::new(UnixSocket::new(path.clone()))).await;
            let path = || path.display().to_string();
            let plugin =
                met.map_err(|source| KeyRingError::Plugin { key, path: path(), source })?;
            Ok(Arc::new(plugin))
        }
    }
}

/// Tells the log at the start, and not at the first call, which configured keys are missing.
pub(crate) async fn complain_of_missing(keys: Arc<dyn WrappedKeys>, ring: KeyRing) {
    let Ok(wrapped) = keys.count().await else { return };
    for (key, Missed { people, audit_writers, service_keys }) in missed(&wrapped, &ring) {
        tracing::error!(
            key,
            people,
            audit_writers,
            service_keys,
            "this key is not configured, and what it wraps cannot be opened: these people's \
             credentials, what these runs wrote into the audit, and these keys that all replicas \
             share. Add it to `keys.retired`"
        );
    }
}

/// The names of those that wrap something and are not configured.
pub(crate) fn missing(wrapped: &[Wraps], ring: &KeyRing) -> Vec<String> {
    missed(wrapped, ring).into_keys().map(str::to_owned).collect()
}

/// What one missing key wraps.
#[derive(Debug, Default, PartialEq, Eq)]
struct Missed {
    people: u64,
    audit_writers: u64,
    service_keys: u64,
}

/// By the name of the missing key.
fn missed<'w>(wrapped: &'w [Wraps], ring: &KeyRing) -> BTreeMap<&'w str, Missed> {
    let mut missed = BTreeMap::<_, Missed>::new();
    for Wraps { by, kind, count } in wrapped {
        let mut members = std::iter::once(&ring.active).chain(&ring.retired);
        if members.any(|member| member.id() == by) {
            continue;
        }
        let one = missed.entry(&*by.0).or_default();
        match kind {
            KeyKind::Person => one.people = *count,
            KeyKind::AuditWriter => one.audit_writers = *count,
            KeyKind::Service => one.service_keys = *count,
        }
    }
    missed
}

/// Renews the token in time also when nobody needs a key for hours, until `stop`. At the start it
/// tells the log whether the sign-in works at all.
pub(crate) async fn stay_signed_in(transit: Arc<Transit>, stop: CancellationToken) {
    let renewing = async {
        loop {
            let pause = match transit.stay_signed_in().await {
                Ok(pause) => pause,
                Err(error) => {
                    tracing::error!(key = ?transit, %error, "cannot sign in at the key's Vault");
                    SIGN_IN_AGAIN
                }
            };
            tokio::time::sleep(pause).await;
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = renewing => {}
    }
}

#[cfg(test)]
mod tests {
    use attache_core::store::KeyId;
    use attache_crypto::random::SystemRandom;

    use super::*;

    #[test]
    fn a_missing_key_is_told_for_everything_it_wraps() {
        let active = LocalKey::from_base64(&LocalKey::generate(&SystemRandom)).unwrap();
        let ours = active.id().clone();
        let ring = KeyRing { active: Arc::new(active), retired: Vec::new() };
        let lost = KeyId("local:lost".into());
        let wraps = |by: &KeyId, kind, count| Wraps { by: by.clone(), kind, count };
        let wrapped = [
            wraps(&ours, KeyKind::Person, 7),
            wraps(&lost, KeyKind::Person, 3),
            wraps(&lost, KeyKind::AuditWriter, 2),
            wraps(&lost, KeyKind::Service, 1),
        ];
        let expected = Missed { people: 3, audit_writers: 2, service_keys: 1 };
        assert_eq!(missed(&wrapped, &ring), BTreeMap::from([("local:lost", expected)]));
        assert_eq!(missed(&wrapped[..1], &ring), BTreeMap::new());
    }
}

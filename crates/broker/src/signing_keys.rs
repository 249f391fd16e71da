//! Keys that we sign with, the same on every replica: client assertions (`private_key_jwt`, RFC 7523)
//! with those of one name, our own access tokens with those of another. Each serves for a period,
//! and is published one period before and one after it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use attache_core::{ServiceKeyName, Timestamp, audit::Reason};
use attache_crypto::jose::SigningKey;
use serde_json::{Value, json};

use crate::{
    broker::ObtainError,
    service_key::{ServiceKey, ServiceKeyParts},
};

/// What client assertions are signed for.
pub const CLIENT_ASSERTIONS: &str = "attache/client-assertion";
/// What our own access tokens are signed for.
pub const ACCESS_TOKENS: &str = "attache/access-token";

/// After a failure nobody asks for a key for so long.
const REST: Duration = Duration::from_secs(5);

/// How long one key signs. Servers that keep a copy of our keys look again within that time.
const PERIOD: Duration = Duration::from_hours(30 * 24);

#[derive(Debug)]
pub struct SigningKeys {
    /// What signatures are for: a key for one thing is no key for another.
    purpose: &'static str,
    /// Of every key's service key but the period.
    parts: ServiceKeyParts,
    /// By period; three at most.
    open: Mutex<BTreeMap<i64, Arc<SigningKey>>>,
    /// Held by who asks for one, with what the last failure was and until when it holds. Anybody may
    /// ask for the public halves, and so nobody waits here on their behalf.
    asking: tokio::sync::Mutex<Option<(Timestamp, ObtainError)>>,
}

/// What is done when somebody else is asking.
#[derive(Clone, Copy)]
enum Patience {
    Wait,
    Leave,
}

const BUSY: ObtainError =
    ObtainError::Unavailable { reason: Reason::KeysUnavailable, retry_after: Some(REST) };

impl SigningKeys {
    /// `parts.name` is what the names of all of them begin with.
    pub fn new(parts: ServiceKeyParts, purpose: &'static str) -> Self {
        Self { purpose, parts, open: Mutex::default(), asking: tokio::sync::Mutex::default() }
    }

    /// The key to sign with now.
    ///
    /// # Errors
    /// Those of [`ServiceKey::obtain`].
    pub async fn current(&self) -> Result<Arc<SigningKey>, ObtainError> {
        self.of(period(self.parts.clock.now()), Patience::Wait).await
    }

    /// The public halves, as a key set (RFC 7517 section 5), for anybody who asks.
    ///
    /// # Errors
    /// Those of [`ServiceKey::obtain`]; unavailable also while somebody else asks for a key.
    pub async fn published(&self) -> Result<Value, ObtainError> {
        self.key_set(Patience::Leave).await
    }

    /// The same, to verify with: waits for whoever asks for a key.
    ///
    /// # Errors
    /// Those of [`ServiceKey::obtain`].
    pub async fn verifying(&self) -> Result<Value, ObtainError> {
        self.key_set(Patience::Wait).await
    }

    async fn key_set(&self, patience: Patience) -> Result<Value, ObtainError> {
        let now = period(self.parts.clock.now());
        let mut keys = Vec::new();
        for period in [now, now - 1, now + 1] {
            keys.push(self.of(period, patience).await?.jwk());
        }
        Ok(json!({ "keys": keys }))
    }

    async fn of(&self, wanted: i64, patience: Patience) -> Result<Arc<SigningKey>, ObtainError> {
        if let Some(key) = self.opened(wanted) {
            return Ok(key);
        }
        let mut failed = match patience {
            Patience::Wait => self.asking.lock().await,
            Patience::Leave => self.asking.try_lock().map_err(|_| BUSY)?,
        };
        if let Some(key) = self.opened(wanted) {
            return Ok(key);
        }
        let now = self.parts.clock.now();
        if let Some((_, error)) = failed.filter(|(until, _)| now < *until) {
            return Err(error);
        }
        let name = ServiceKeyName::new(format!("{}-{wanted}", self.parts.name));
        let seed = ServiceKey::new(ServiceKeyParts { name, ..self.parts.clone() }).obtain().await;
        *failed = seed.as_ref().err().map(|error| (now.plus(REST), *error));
        let key = Arc::new(SigningKey::derive(&*seed?, self.purpose));
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|other, _| (period(now) - other).abs() <= 1);
        open.insert(wanted, Arc::clone(&key));
        Ok(key)
    }

    fn opened(&self, period: i64) -> Option<Arc<SigningKey>> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.get(&period).map(Arc::clone)
    }
}

fn period(now: Timestamp) -> i64 {
    let length = i64::try_from(PERIOD.as_millis()).unwrap_or(i64::MAX);
    now.0.div_euclid(length)
}

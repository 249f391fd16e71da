//! The keys that we sign client assertions with (`private_key_jwt`, RFC 7523), the same on every
//! replica. Each serves for a period, and is published one period before and one after it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use attache_core::{ServiceKeyName, Timestamp};
use attache_crypto::jose::SigningKey;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::{
    broker::ObtainError,
    service_key::{ServiceKey, ServiceKeyParts},
};

/// How long one key signs. Servers that keep a copy of our keys look again within that time.
const PERIOD: Duration = Duration::from_hours(30 * 24);

#[derive(Debug)]
pub struct AssertionKeys {
    /// Of every key's service key but the period.
    parts: ServiceKeyParts,
    /// By period; three at most. Anybody may ask for the public halves: the store and the key
    /// service are asked for one at a time.
    open: Mutex<BTreeMap<i64, Arc<SigningKey>>>,
}

impl AssertionKeys {
    /// `parts.name` is what the names of all of them begin with.
    pub fn new(parts: ServiceKeyParts) -> Self {
        Self { parts, open: Mutex::default() }
    }

    /// The key to sign with now.
    ///
    /// # Errors
    /// Those of [`ServiceKey::obtain`].
    pub async fn current(&self) -> Result<Arc<SigningKey>, ObtainError> {
        self.of(period(self.parts.clock.now())).await
    }

    /// The public halves, as a key set (RFC 7517 section 5).
    ///
    /// # Errors
    /// Those of [`ServiceKey::obtain`].
    pub async fn published(&self) -> Result<Value, ObtainError> {
        let now = period(self.parts.clock.now());
        let mut keys = Vec::new();
        for period in [now, now - 1, now + 1] {
            keys.push(self.of(period).await?.jwk());
        }
        Ok(json!({ "keys": keys }))
    }

    async fn of(&self, period: i64) -> Result<Arc<SigningKey>, ObtainError> {
        let mut open = self.open.lock().await;
        if let Some(key) = open.get(&period) {
            return Ok(Arc::clone(key));
        }
        let name = ServiceKeyName::new(format!("{}-{period}", self.parts.name));
        let seed = ServiceKey::new(ServiceKeyParts { name, ..self.parts.clone() }).obtain().await?;
        let key = Arc::new(SigningKey::derive(&seed, "attache/client-assertion"));
        open.retain(|other, _| (period - other).abs() <= 2);
        open.insert(period, Arc::clone(&key));
        Ok(key)
    }
}

fn period(now: Timestamp) -> i64 {
    let length = i64::try_from(PERIOD.as_millis()).unwrap_or(i64::MAX);
    now.0.div_euclid(length)
}

//! A person's new credential, written over whatever was there.

use attache_core::{
    Credential, CredentialKey, ObtainedVia,
    audit::Reason,
    store::{Health, Record, StoreError, Version},
};

use crate::{broker::Broker, connections::ConnectError};

/// A reconnect races with a refresh; whoever loses looks again, this often.
const PUT_TRIES: u32 = 5;

impl Broker {
    pub(crate) async fn put(
        &self,
        key: &CredentialKey,
        credential: &Credential,
        obtained_via: ObtainedVia,
    ) -> Result<Record, ConnectError> {
        let parts = &self.parts;
        for _ in 0..PUT_TRIES {
            let old = parts.store.find(key).await?.map(|stored| stored.record.version);
            let base = match old {
                Some(old) => old,
                None => Version::first(parts.store.now(parts.clock.now()).await?),
            };
            let version = parts.vault.next_version(key, base);
            let record = Record {
                version,
                sealed: parts.vault.seal(key, version, credential).await?,
                health: Health::Good,
                obtained_via,
                expires_at: credential.expires_at,
                updated_at: parts.clock.now(),
            };
            match parts.store.put(key, &record, old).await {
                Err(StoreError::Conflict) => {}
                written => {
                    written?;
                    parts.vault.saw(key, version);
                    self.ready.forget(key);
                    self.forgive(key);
                    return Ok(record);
                }
            }
        }
        Err(ConnectError(Reason::Conflict))
    }
}

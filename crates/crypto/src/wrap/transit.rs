//! A key of a Vault or `OpenBao` Transit engine: it never leaves the service, which wraps and
//! unwraps people's data keys with it, bound to the person, and the gateway's own.
//!
//! Transit's own `rewrap` is not used: it takes no associated data. What is to be under the newest
//! version of a key is unwrapped and wrapped.

mod call;
mod session;

use std::{fmt, sync::Arc, time::Duration};

use attache_core::{
    Secret, UserId,
    outbound::Outbound,
    store::{KeyId, KeyOwner, WrappedKey},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use tokio::sync::OnceCell;
use url::Url;

use self::{call::VaultFault, session::Session};
use crate::{
    aead,
    keyring::{KeyError, KeyWrapper},
    seal::DataKey,
};

/// Where the key is and how to sign in there.
#[derive(Clone, Debug)]
pub struct TransitSettings {
    pub name: String,
    /// Its path is that of the Transit engine; `transit` when it has none.
    pub address: Url,
    pub sign_in: SignIn,
}

#[derive(Clone, Debug)]
pub enum SignIn {
    Token(Secret),
    AppRole { role_id: String, secret_id: Secret },
}

pub struct Transit {
    id: KeyId,
    name: String,
    engine: String,
    session: Session,
    /// The key's newest version when somebody first asked.
    newest: OnceCell<u64>,
}

#[derive(Serialize)]
struct Encrypt<'a> {
    plaintext: &'a str,
    associated_data: &'a str,
}

#[derive(Deserialize)]
struct Encrypted {
    ciphertext: String,
}

#[derive(Serialize)]
struct Decrypt<'a> {
    ciphertext: &'a str,
    associated_data: &'a str,
}

#[derive(Deserialize)]
struct Decrypted {
    plaintext: String,
}

impl Transit {
    /// `outbound` is the way to that one service; nothing is sent yet.
    pub fn new(settings: TransitSettings, outbound: Arc<dyn Outbound>) -> Self {
        let TransitSettings { name, address, sign_in } = settings;
        let engine = match address.path().trim_matches('/') {
            "" => "transit".to_owned(),
            engine => engine.to_owned(),
        };
        let text = address.as_str().trim_end_matches('/');
        Self {
            id: KeyId(format!("transit:{name}@{text}").into()),
            name,
            engine,
            session: Session::new(&address, sign_in, outbound),
            newest: OnceCell::new(),
        }
    }

    /// Signs in, or renews the token when that is due: an idle gateway's token must not run out.
    /// How long until this should be called again.
    pub async fn stay_signed_in(&self) -> Result<Duration, KeyError> {
        self.session.stay().await
    }

    async fn encrypt(&self, plaintext: &str, owner: &KeyOwner) -> Result<String, KeyError> {
        let body = Encrypt { plaintext, associated_data: &associated_data(owner) };
        let path = format!("{}/encrypt/{}", self.engine, self.name);
        let Encrypted { ciphertext } = self.session.post(&path, &body).await?;
        Ok(ciphertext)
    }

    /// No policy that lets a gateway work has to let it read the key's properties; what was just
    /// encrypted tells as well.
    async fn newest(&self) -> Result<u64, KeyError> {
        let ask = async || {
            let ciphertext = self.encrypt("", &UserId::new("nobody").into()).await?;
            version(&ciphertext).ok_or_else(malformed)
        };
        self.newest.get_or_try_init(ask).await.copied()
    }
}

#[async_trait::async_trait]
impl KeyWrapper for Transit {
    fn id(&self) -> &KeyId {
        &self.id
    }

    async fn wrap(&self, key: &DataKey, owner: &KeyOwner) -> Result<WrappedKey, KeyError> {
        let ciphertext = self.encrypt(&key.to_base64(), owner).await?;
        version(&ciphertext).ok_or_else(malformed)?;
        Ok(WrappedKey { wrapped_by: self.id.clone(), bytes: ciphertext.into_bytes() })
    }

    async fn unwrap(&self, wrapped: &WrappedKey, owner: &KeyOwner) -> Result<DataKey, KeyError> {
        let ciphertext = str::from_utf8(&wrapped.bytes).map_err(|_| KeyError::Tampered)?;
        let body = Decrypt { ciphertext, associated_data: &associated_data(owner) };
        let path = format!("{}/decrypt/{}", self.engine, self.name);
        let Decrypted { plaintext } = self.session.post(&path, &body).await?;
        let plaintext = zeroize::Zeroizing::new(plaintext);
        DataKey::from_base64(&plaintext).ok_or(KeyError::Tampered)
    }

    async fn is_current(&self, wrapped: &WrappedKey) -> Result<bool, KeyError> {
        let ours = str::from_utf8(&wrapped.bytes).ok().and_then(version);
        Ok(ours == Some(self.newest().await?))
    }
}

impl fmt::Debug for Transit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Transit({})", self.id.0)
    }
}

fn associated_data(owner: &KeyOwner) -> String {
    STANDARD.encode(aead::associated_data("attache/data-key", &[owner.to_string().as_bytes()]))
}

/// The key's version in `vault:v3:…`.
fn version(ciphertext: &str) -> Option<u64> {
    let (version, _) = ciphertext.strip_prefix("vault:v")?.split_once(':')?;
    version.parse().ok()
}

fn malformed() -> KeyError {
    KeyError::Unavailable(Box::new(VaultFault::Malformed))
}

#[cfg(test)]
mod tests;

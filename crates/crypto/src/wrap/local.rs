//! A key-encryption key that the operator keeps in a file or in the environment.

use std::{fmt, fmt::Write as _};

use attache_core::{
    Secret,
    store::{KeyId, KeyOwner, WrappedKey},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use crate::{
    aead::{self, KEY_LEN, Key},
    digest::{length_prefixed, sha256},
    keyring::{KeyError, KeyWrapper},
    random::Random,
    seal::DataKey,
};

/// Known by what it is, not by where it is kept: a key that moves from a file to the environment
/// still opens what it wrapped.
pub struct LocalKey {
    id: KeyId,
    key: Key,
}

impl LocalKey {
    /// Reads 32 bytes in base64; white space around them is ignored, as files end in a newline.
    ///
    /// # Errors
    /// [`InvalidKey`] for anything else.
    pub fn from_base64(text: &Secret) -> Result<Self, InvalidKey> {
        let DataKey(key) = DataKey::from_base64(text.expose().trim()).ok_or(InvalidKey)?;
        Ok(Self { id: id_of(&key), key })
    }

    /// A fresh key as [`Self::from_base64`] reads it.
    pub fn generate(random: &dyn Random) -> Secret {
        let mut key = Key::default();
        random.fill(key.as_mut_slice());
        Secret::new(STANDARD.encode(key.as_slice()))
    }

    fn associated_data(&self, owner: &KeyOwner) -> Vec<u8> {
        aead::associated_data(
            "attache/data-key",
            &[owner.to_string().as_bytes(), self.id.0.as_bytes()],
        )
    }
}

/// `local:` and 16 hexadecimal digits of a digest that serves nothing else.
fn id_of(key: &Key) -> KeyId {
    let parts = Zeroizing::new(length_prefixed(&[b"attache/key-id", key.as_slice()]));
    let mut id = "local:".to_owned();
    for byte in sha256(&parts).iter().take(8) {
        write!(id, "{byte:02x}").expect("a String takes any text");
    }
    KeyId(id.into())
}

#[async_trait::async_trait]
impl KeyWrapper for LocalKey {
    fn id(&self) -> &KeyId {
        &self.id
    }

    async fn wrap(&self, key: &DataKey, owner: &KeyOwner) -> Result<WrappedKey, KeyError> {
        let bytes = aead::seal(&self.key, &self.associated_data(owner), key.0.as_slice());
        Ok(WrappedKey { wrapped_by: self.id.clone(), bytes })
    }

    async fn unwrap(&self, wrapped: &WrappedKey, owner: &KeyOwner) -> Result<DataKey, KeyError> {
        let opened = aead::open(&self.key, &self.associated_data(owner), &wrapped.bytes)
            .map_err(|_| KeyError::Tampered)?;
        let key = <[u8; KEY_LEN]>::try_from(opened.as_slice()).map_err(|_| KeyError::Tampered)?;
        Ok(DataKey(Key::new(key)))
    }
}

impl fmt::Debug for LocalKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LocalKey({})", self.id.0)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key is 32 random bytes in base64; `attache keys generate` makes one")]
pub struct InvalidKey;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use attache_core::UserId;

    use super::*;
    use crate::{keyring::KeyRing, random::SystemRandom};

    fn local_key() -> Arc<LocalKey> {
        Arc::new(LocalKey::from_base64(&LocalKey::generate(&SystemRandom)).unwrap())
    }

    #[test]
    fn reads_32_bytes_and_nothing_else() {
        let zeros = format!("  {}\n", STANDARD.encode([0; 32]));
        let key = LocalKey::from_base64(&Secret::new(zeros)).unwrap();
        let again = LocalKey::from_base64(&Secret::new(STANDARD.encode([0; 32]))).unwrap();
        assert_eq!(key.id(), again.id(), "an id outlives a restart");
        assert_eq!(format!("{key:?}"), format!("LocalKey({})", key.id().0));
        assert_eq!(key.id().0.len(), "local:".len() + 16);
        for bytes in [&[0; 31][..], &[0; 33], &[0; 64], &[]] {
            let text = Secret::new(STANDARD.encode(bytes));
            assert_eq!(LocalKey::from_base64(&text).unwrap_err(), InvalidKey, "{}", bytes.len());
        }
        assert!(LocalKey::from_base64(&Secret::new("correct horse battery staple")).is_err());
    }

    #[tokio::test]
    async fn a_retired_key_unwraps_and_a_stranger_does_not() {
        let (old, new) = (local_key(), local_key());
        let [ada, grace] = ["ada", "grace"].map(|name| KeyOwner::Person(UserId::new(name)));
        let data_key = DataKey::generate(&SystemRandom);
        let before = KeyRing { active: old.clone(), retired: vec![] };
        let after = KeyRing { active: new.clone(), retired: vec![old.clone()] };
        let without = KeyRing { active: new.clone(), retired: vec![] };
        let wrapped = before.wrap(&data_key, &ada).await.unwrap();

        let unwrapped = after.unwrap(&wrapped, &ada).await.unwrap();
        assert_eq!(*unwrapped.0, *data_key.0);
        assert!(matches!(after.unwrap(&wrapped, &grace).await, Err(KeyError::Tampered)));
        assert!(matches!(
            without.unwrap(&wrapped, &ada).await,
            Err(KeyError::Unknown(id)) if id == *old.id()
        ));
        let relabelled = WrappedKey { wrapped_by: new.id().clone(), ..wrapped };
        assert!(matches!(after.unwrap(&relabelled, &ada).await, Err(KeyError::Tampered)));
    }
}

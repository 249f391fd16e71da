//! A record in the form the store sees: it opens for one person, one purpose and one version.

use std::fmt;

use attache_core::{
    Slot, UpstreamName, UserId,
    store::{Sealed, Version},
};
use zeroize::Zeroizing;

pub use crate::aead::OpenError;
use crate::{
    aead::{self, Key},
    digest::{MacKey, hmac_sha256},
    random::Random,
};

/// The key of everything one person has here. Wiped when dropped.
pub struct DataKey(pub(crate) Key);

impl DataKey {
    pub fn generate(random: &dyn Random) -> Self {
        let mut key = Key::default();
        random.fill(key.as_mut_slice());
        Self(key)
    }

    /// HMAC-SHA-256 over `parts` under a key that is derived from this one for `purpose` alone.
    pub fn authenticate(&self, purpose: &str, parts: &[&[u8]]) -> [u8; 32] {
        self.mac_key(purpose).sign(parts)
    }

    /// For [`DataKey::authenticate`], many times.
    pub fn mac_key(&self, purpose: &str) -> MacKey {
        let derived = Zeroizing::new(hmac_sha256(self.0.as_slice(), &[purpose.as_bytes()]));
        MacKey::new(derived.as_slice())
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey(…)")
    }
}

/// What a ciphertext is for: it opens nowhere else.
pub trait Place {
    #[doc(hidden)]
    fn associated_data(&self) -> Vec<u8>;
}

/// The place a record is for. A ciphertext that is copied to another row, or put back after it was
/// replaced, does not open.
#[derive(Clone, Copy, Debug)]
pub struct Binding<'a> {
    pub user: &'a UserId,
    pub slot: &'a Slot,
    pub version: Version,
}

impl Place for Binding<'_> {
    fn associated_data(&self) -> Vec<u8> {
        aead::associated_data(
            "attache/record",
            &[
                self.user.as_str().as_bytes(),
                self.slot.to_string().as_bytes(),
                &self.version.0.to_be_bytes(),
            ],
        )
    }
}

/// The place of one version of our registration for an upstream.
#[derive(Clone, Copy, Debug)]
pub struct RegistrationPlace<'a> {
    pub upstream: &'a UpstreamName,
    pub version: Version,
}

impl Place for RegistrationPlace<'_> {
    fn associated_data(&self) -> Vec<u8> {
        aead::associated_data(
            "attache/registration",
            &[self.upstream.as_str().as_bytes(), &self.version.0.to_be_bytes()],
        )
    }
}

pub fn seal(key: &DataKey, place: &impl Place, plaintext: &[u8]) -> Sealed {
    Sealed(aead::seal(&key.0, &place.associated_data(), plaintext))
}

/// # Errors
/// [`OpenError`] unless these very bytes were sealed with `key` for `place`.
pub fn open(
    key: &DataKey,
    place: &impl Place,
    sealed: &Sealed,
) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    aead::open(&key.0, &place.associated_data(), &sealed.0)
}

#[cfg(test)]
mod tests {
    use attache_core::IssuerId;

    use super::*;
    use crate::random::SystemRandom;

    const PLAINTEXT: &[u8] = b"a refresh token";

    fn upstream(name: &str) -> Slot {
        Slot::Upstream(name.parse().unwrap())
    }

    #[test]
    fn opens_only_in_its_own_place() {
        let (key, other) = (DataKey::generate(&SystemRandom), DataKey::generate(&SystemRandom));
        let (ada, grace) = (UserId::new("ada"), UserId::new("grace"));
        let [github, gitlab, work] = ["github", "gitlab", "github@work"].map(upstream);
        let subject = Slot::SubjectToken(IssuerId::new("github"));
        let home = Binding { user: &ada, slot: &github, version: Version(7) };
        let sealed = seal(&key, &home, PLAINTEXT);

        assert_eq!(open(&key, &home, &sealed).unwrap().as_slice(), PLAINTEXT);
        assert_eq!(open(&other, &home, &sealed), Err(OpenError::Tampered));
        for elsewhere in [
            Binding { user: &grace, ..home },
            Binding { slot: &gitlab, ..home },
            Binding { slot: &work, ..home },
            Binding { slot: &subject, ..home },
            Binding { version: Version(8), ..home },
        ] {
            assert_eq!(open(&key, &elsewhere, &sealed), Err(OpenError::Tampered), "{elsewhere:?}");
        }
    }

    #[test]
    fn every_byte_counts() {
        let key = DataKey::generate(&SystemRandom);
        let (user, slot) = (UserId::new("ada"), upstream("github"));
        let binding = Binding { user: &user, slot: &slot, version: Version(1) };
        let sealed = seal(&key, &binding, PLAINTEXT);
        assert_ne!(sealed, seal(&key, &binding, PLAINTEXT), "the nonce is fresh");

        for length in 0..sealed.0.len() {
            let cut = Sealed(sealed.0[..length].to_vec());
            let expected =
                if length < 1 + 12 + 16 { OpenError::Truncated } else { OpenError::Tampered };
            assert_eq!(open(&key, &binding, &cut), Err(expected), "cut to {length}");
        }
        for position in 0..sealed.0.len() {
            let mut flipped = sealed.clone();
            flipped.0[position] ^= 0x80;
            let expected =
                if position == 0 { OpenError::UnknownFormat(0x81) } else { OpenError::Tampered };
            assert_eq!(open(&key, &binding, &flipped), Err(expected), "flipped {position}");
        }
    }
}

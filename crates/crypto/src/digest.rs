//! Digests, comparison in constant time, and the text form of both.

use std::fmt;

use aws_lc_rs::{constant_time, digest, hmac};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    to_array(digest::digest(&digest::SHA256, bytes).as_ref())
}

/// HMAC-SHA-256 over `parts`, each preceded by its length, so that `["ab", "c"]` and `["a", "bc"]`
/// differ.
pub fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    MacKey::new(key).sign(parts)
}

/// A key of [`hmac_sha256`] that signs often: what the key costs is paid once. The cipher library
/// wipes it.
pub struct MacKey(hmac::Key);

impl MacKey {
    pub fn new(key: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    pub fn sign(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut signed = hmac::Context::with_key(&self.0);
        for part in parts {
            signed.update(&length(part));
            signed.update(part);
        }
        to_array(signed.sign().as_ref())
    }
}

impl fmt::Debug for MacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MacKey(…)")
    }
}

/// Whether two byte strings are equal, in a time that depends on their lengths alone.
pub fn same(a: &[u8], b: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(a, b).is_ok()
}

/// Base64 with the URL-safe alphabet and no padding (RFC 7515 section 2).
pub fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// One string for many: each part after its length as 8 bytes, the most significant first.
pub(crate) fn length_prefixed(parts: &[&[u8]]) -> Vec<u8> {
    let mut joined = Vec::with_capacity(parts.iter().map(|part| 8 + part.len()).sum());
    for part in parts {
        joined.extend_from_slice(&length(part));
        joined.extend_from_slice(part);
    }
    joined
}

fn length(part: &[u8]) -> [u8; 8] {
    (part.len() as u64).to_be_bytes()
}

fn to_array(digest: &[u8]) -> [u8; 32] {
    digest.try_into().expect("SHA-256 gives 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_published_vectors() {
        // FIPS 180-2 appendix B.1
        assert_eq!(base64url(&sha256(b"abc")), "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0");
    }

    #[test]
    fn where_one_part_ends_matters() {
        let digests = [
            hmac_sha256(b"k", &[b"ab", b"c"]),
            hmac_sha256(b"k", &[b"a", b"bc"]),
            hmac_sha256(b"k", &[b"abc"]),
            hmac_sha256(b"k", &[b"abc", b""]),
            hmac_sha256(b"K", &[b"abc"]),
        ];
        for (index, digest) in digests.iter().enumerate() {
            assert!(digests.iter().skip(index + 1).all(|other| !same(digest, other)));
        }
        assert!(same(&digests[0], &hmac_sha256(b"k", &[b"ab", b"c"])));
    }
}

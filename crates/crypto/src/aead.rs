//! Format 1: the byte `1`, a random nonce, then ciphertext and tag of AES-256-GCM-SIV (RFC 8452),
//! which forgives a repeated nonce.

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use zeroize::Zeroizing;

use crate::digest::length_prefixed;

pub(crate) const KEY_LEN: usize = 32;
pub(crate) type Key = Zeroizing<[u8; KEY_LEN]>;

const FORMAT: u8 = 1;
const TAG_LEN: usize = 16;

/// Why a ciphertext did not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Written by a version this one does not know, or not by us.
    #[error("the ciphertext has the unknown format {0}")]
    UnknownFormat(u8),
    #[error("the ciphertext is cut short")]
    Truncated,
    /// Changed, sealed under another key, or moved here from another place.
    #[error("the ciphertext does not belong here or was changed")]
    Tampered,
}

/// What a ciphertext is bound to: a use, the format, and the fields of the place it is for.
pub(crate) fn associated_data(domain: &str, place: &[&[u8]]) -> Vec<u8> {
    let mut parts: Vec<&[u8]> = vec![domain.as_bytes(), &[FORMAT]];
    parts.extend(place);
    length_prefixed(&parts)
}

pub(crate) fn seal(key: &Key, associated_data: &[u8], plaintext: &[u8]) -> Vec<u8> {
    // Room for the tag from the start: growing would leave a copy of the plaintext behind.
    let mut in_out = Vec::with_capacity(plaintext.len() + TAG_LEN);
    in_out.extend_from_slice(plaintext);
    let nonce = cipher(key)
        .seal_in_place_append_tag(Aad::from(associated_data), &mut in_out)
        .expect("AES-GCM-SIV seals anything below 2^36 bytes");
    [&[FORMAT], nonce.as_ref().as_slice(), &in_out].concat()
}

pub(crate) fn open(
    key: &Key,
    associated_data: &[u8],
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let (&format, rest) = sealed.split_first().ok_or(OpenError::Truncated)?;
    if format != FORMAT {
        return Err(OpenError::UnknownFormat(format));
    }
    let (nonce, ciphertext) = rest.split_first_chunk::<NONCE_LEN>().ok_or(OpenError::Truncated)?;
    let length = ciphertext.len().checked_sub(TAG_LEN).ok_or(OpenError::Truncated)?;
    let mut in_out = Zeroizing::new(ciphertext.to_vec());
    cipher(key)
        .open_in_place(
            Nonce::assume_unique_for_key(*nonce),
            Aad::from(associated_data),
            &mut in_out,
        )
        .map_err(|_| OpenError::Tampered)?;
    in_out.truncate(length);
    Ok(in_out)
}

fn cipher(key: &Key) -> RandomizedNonceKey {
    RandomizedNonceKey::new(&AES_256_GCM_SIV, key.as_slice()).expect("the key has 32 bytes")
}

//! Signed JSON web tokens (RFC 7515, 7519) and key sets (RFC 7517), with the habits of RFC 8725:
//! asymmetric algorithms only, from a list the caller pins, and no key that a token brings along.
//!
//! Signatures are all that is checked here. Times, issuers and audiences belong to those who know
//! what they expect, and to their clock.

mod algorithm;
mod certified;
mod jwk;
mod sign;
mod verify;

pub use algorithm::Algorithm;
pub use certified::{CertifiedKey, CertifiedKeyError};
pub use jwk::{JwksError, KeySet};
use serde::de::DeserializeOwned;
pub use sign::SigningKey;
pub use verify::{JwtError, Verified, claimed_issuer, unproved_claims, verify};

/// A JSON object with the fields of `T`. By itself serde would also take a list of their values,
/// where every other reader sees no object.
fn object<T: DeserializeOwned>(json: &[u8]) -> Option<T> {
    let is_object = json.trim_ascii_start().starts_with(b"{");
    is_object.then(|| serde_json::from_slice(json).ok()).flatten()
}

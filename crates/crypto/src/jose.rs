//! Signed JSON web tokens (RFC 7515, 7519) and key sets (RFC 7517), with the habits of RFC 8725:
//! asymmetric algorithms only, from a list the caller pins, and no key that a token brings along.
//!
//! Signatures are all that is checked here. Times, issuers and audiences belong to those who know
//! what they expect, and to their clock.

mod algorithm;
mod jwk;
mod sign;
mod verify;

pub use algorithm::Algorithm;
pub use jwk::{JwksError, KeySet};
pub use sign::SigningKey;
pub use verify::{JwtError, Verified, claimed_issuer, verify};

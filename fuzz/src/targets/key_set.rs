//! An issuer's key set (RFC 7517).
//!
//! It vouches for a token only when the key that signed the token is written in it.

use attache_crypto::jose::{Algorithm, KeySet, verify};
use serde_json::Value;

use super::signed::{GENUINE, filled};
use crate::Outcome;

pub(crate) fn run(input: &[u8]) -> Outcome {
    let text = filled(input);
    let genuine = &*GENUINE;
    let keys = match KeySet::parse(text.as_bytes()) {
        Ok(keys) => keys,
        Err(error) => return Outcome::refused(&error),
    };
    match verify(&genuine.token, &keys, Algorithm::ALL) {
        Ok(verified) => {
            assert_eq!(verified.claims, genuine.claims);
            let document: Value = serde_json::from_str(&text).unwrap_or_default();
            let listed = document["keys"].as_array().into_iter().flatten();
            let same = |key: &&Value| key["x"] == genuine.jwk["x"] && key["y"] == genuine.jwk["y"];
            assert_eq!(listed.filter(same).count().min(1), 1, "who vouches is in the set");
            Outcome::read([1]).showing(&verified)
        }
        Err(error) => Outcome::refused(&error),
    }
}

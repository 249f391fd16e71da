//! A bearer token: in compact form, or, to be encoded here, header, claims and signature by line.
//!
//! Only what the issuer signed is ever verified, byte for byte; and the issuer that a token claims
//! is the one that any reader of it sees.

use std::sync::LazyLock;

use attache_crypto::{
    digest::base64url,
    jose::{Algorithm, KeySet, claimed_issuer, verify},
};
use serde_json::json;

use super::{
    check::Elsewhere,
    signed::{GENUINE, filled},
};
use crate::Outcome;

static KEYS: LazyLock<KeySet> = LazyLock::new(|| {
    let keys = json!({ "keys": [GENUINE.jwk] }).to_string();
    KeySet::parse(keys.as_bytes()).expect("a key of ours")
});

pub(crate) fn run(input: &[u8]) -> Outcome {
    let text = filled(input);
    let lines: Vec<&str> = text.split('\n').collect();
    let token = match lines.as_slice() {
        [header, claims, signature] => {
            format!("{}.{}.{signature}", base64url(header.as_bytes()), base64url(claims.as_bytes()))
        }
        _ => text.clone(),
    };
    if let Some(issuer) = claimed_issuer(&token) {
        assert!(issuer.len() <= token.len());
        if let [_, claims, _] = lines.as_slice() {
            Elsewhere::read(claims.as_bytes()).assert_text("iss", &issuer);
        }
    }
    match verify(&token, &KEYS, Algorithm::ALL) {
        Ok(verified) => {
            let genuine = &*GENUINE;
            assert_eq!(token, genuine.token, "only what was signed");
            assert_eq!(verified.claims, genuine.claims);
            Outcome::read([1]).showing(&verified)
        }
        Err(error) => Outcome::refused(&error),
    }
}

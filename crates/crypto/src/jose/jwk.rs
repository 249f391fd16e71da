//! An issuer's public keys (RFC 7517).

use jsonwebtoken::DecodingKey;
use serde::Deserialize;
use serde_json::Value;

use super::algorithm::{Algorithm, Kind};

/// Bytes of a key set. The largest in the wild (with certificate chains) are below 64 KiB.
const MAX_BYTES: usize = 256 * 1024;
/// Keys in a set: an issuer that rotates has a handful, one with a key a tenant some dozens.
const MAX_KEYS: usize = 256;

/// The keys of a set that can verify a signature; keys for anything else are left out.
#[derive(Clone, Debug)]
pub struct KeySet(Vec<Key>);

impl KeySet {
    /// # Errors
    /// [`JwksError`] unless this is a key set of a reasonable size. One without a usable key is
    /// fine, and verifies nothing.
    pub fn parse(jwks_json: &[u8]) -> Result<Self, JwksError> {
        if jwks_json.len() > MAX_BYTES {
            return Err(JwksError::TooLarge);
        }
        let set: Jwks = super::object(jwks_json).ok_or(JwksError::Malformed)?;
        if set.keys.len() > MAX_KEYS {
            return Err(JwksError::TooLarge);
        }
        Ok(Self(set.keys.into_iter().filter(Value::is_object).filter_map(Key::parse).collect()))
    }

    /// Whether no signature can be verified.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The key a header means. Without a `kid`, the algorithm must leave no choice (OIDC Core
    /// section 10.1).
    pub(super) fn candidate(&self, kid: Option<&str>, algorithm: Algorithm) -> Candidate<'_> {
        let fitting = |key: &&Key| key.fits(algorithm);
        let Some(kid) = kid else {
            let mut fitting = self.0.iter().filter(fitting);
            return match (fitting.next(), fitting.next()) {
                (Some(only), None) => Candidate::Found(&only.verifier),
                _ => Candidate::None,
            };
        };
        let mut named = self.0.iter().filter(|key| key.kid.as_deref() == Some(kid));
        match named.clone().find(fitting) {
            Some(key) => Candidate::Found(&key.verifier),
            None if named.next().is_some() => Candidate::Unfit,
            None => Candidate::None,
        }
    }
}

pub(super) enum Candidate<'a> {
    Found(&'a DecodingKey),
    /// There is a key of that name, but it is for another algorithm.
    Unfit,
    None,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwksError {
    #[error("the document is not a JSON web key set")]
    Malformed,
    #[error("the key set is larger than any real one")]
    TooLarge,
}

#[derive(Clone, Debug)]
struct Key {
    kid: Option<String>,
    kind: Kind,
    /// The only algorithm the key may be used with, when its owner said so (RFC 8725 section 3.1).
    algorithm: Option<Algorithm>,
    verifier: DecodingKey,
}

impl Key {
    fn parse(jwk: Value) -> Option<Self> {
        let jwk: Jwk = serde_json::from_value(jwk).ok()?;
        if jwk.r#use.is_some_and(|r#use| r#use != "sig")
            || jwk.key_ops.is_some_and(|ops| !ops.iter().any(|op| op == "verify"))
        {
            return None;
        }
        let (kind, verifier) = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("RSA", _) => (Kind::Rsa, DecodingKey::from_rsa_components(&jwk.n?, &jwk.e?)),
            ("EC", Some("P-256")) => {
                (Kind::P256, DecodingKey::from_ec_components(&jwk.x?, &jwk.y?))
            }
            ("EC", Some("P-384")) => {
                (Kind::P384, DecodingKey::from_ec_components(&jwk.x?, &jwk.y?))
            }
            ("OKP", Some("Ed25519")) => (Kind::Ed25519, DecodingKey::from_ed_components(&jwk.x?)),
            _ => return None,
        };
        let algorithm = match jwk.alg {
            Some(name) => Some(Algorithm::parse(&name).filter(|alg| alg.kind() == kind)?),
            None => None,
        };
        Some(Self { kid: jwk.kid, kind, algorithm, verifier: verifier.ok()? })
    }

    fn fits(&self, algorithm: Algorithm) -> bool {
        self.kind == algorithm.kind() && self.algorithm.is_none_or(|own| own == algorithm)
    }
}

#[derive(Deserialize)]
struct Jwks {
    keys: Vec<Value>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    r#use: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

//! A key of our own that signs tokens.

use std::fmt;

use aws_lc_rs::{
    agreement,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use crate::{
    digest::{base64url, hmac_sha256, sha256},
    random::Random,
    seal::DataKey,
};

/// Signs with ES256, the smallest signature that every client can verify.
pub struct SigningKey {
    pair: EcdsaKeyPair,
    x: String,
    y: String,
    kid: String,
}

impl SigningKey {
    pub fn generate(random: &dyn Random) -> Self {
        let mut seed = Zeroizing::new([0; 32]);
        random.fill(seed.as_mut_slice());
        from_seed(&seed)
    }

    /// The same key for the same `key` and `purpose`, wherever it is made.
    pub fn derive(key: &DataKey, purpose: &str) -> Self {
        from_seed(&Zeroizing::new(key.authenticate(purpose, &[])))
    }

    /// A JWT whose header carries `typ`, our algorithm and the id of this key.
    pub fn sign(&self, typ: &str, claims: &Map<String, Value>) -> String {
        let header = json!({ "alg": "ES256", "kid": self.kid, "typ": typ }).to_string();
        let claims = Value::from(claims.clone()).to_string();
        let message = format!("{}.{}", base64url(header.as_bytes()), base64url(claims.as_bytes()));
        let signature = signature(&self.pair, &message);
        format!("{message}.{signature}")
    }

    /// The public half (RFC 7517); its `kid` is the thumbprint of RFC 7638.
    pub fn jwk(&self) -> Value {
        json!({
            "kty": "EC", "crv": "P-256", "x": self.x, "y": self.y,
            "kid": self.kid, "alg": "ES256", "use": "sig",
        })
    }

    fn from_scalar(scalar: &[u8; 32]) -> Option<Self> {
        let private =
            agreement::PrivateKey::from_private_key(&agreement::ECDH_P256, scalar).ok()?;
        let public = private.compute_public_key().ok()?;
        let pair = EcdsaKeyPair::from_private_key_and_public_key(
            &ECDSA_P256_SHA256_FIXED_SIGNING,
            scalar,
            public.as_ref(),
        )
        .ok()?;
        // An uncompressed point: the byte 4, then both coordinates (SEC 1 section 2.3.3).
        let (x, y) = public.as_ref().get(1..)?.split_at_checked(32)?;
        let (x, y) = (base64url(x), base64url(y));
        let thumbprint = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        Some(Self { pair, kid: base64url(&sha256(thumbprint.as_bytes())), x, y })
    }
}

/// The first number derived from `seed` that is a scalar of the curve: nearly every number is.
fn from_seed(seed: &[u8; 32]) -> SigningKey {
    (0..=u8::MAX)
        .find_map(|attempt| {
            let scalar = hmac_sha256(seed, &[b"attache/signing-key", &[attempt]]);
            SigningKey::from_scalar(&Zeroizing::new(scalar))
        })
        .expect("one number in 2^32 is not a scalar of P-256")
}

fn signature(pair: &EcdsaKeyPair, message: &str) -> String {
    let signature = pair.sign(&SystemRandom::new(), message.as_bytes());
    base64url(signature.expect("a P-256 key signs any message").as_ref())
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.kid)
    }
}

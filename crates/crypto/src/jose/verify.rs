//! Checks a signature, and nothing else.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Map, Value};

use super::{
    algorithm::Algorithm,
    jwk::{Candidate, KeySet},
};

/// Bytes of a token. Proxies in front of us cut headers at 8 to 32 KiB.
const MAX_BYTES: usize = 16 * 1024;

/// What a key of the issuer signed. No claim has been looked at.
#[derive(Clone, PartialEq)]
pub struct Verified {
    /// As written: `at+jwt`, `JWT`, `application/at+jwt`.
    pub typ: Option<String>,
    pub algorithm: Algorithm,
    pub claims: Map<String, Value>,
}

/// Claims are about people: they are not shown.
impl fmt::Debug for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verified").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwtError {
    /// Not a compact JWS of claims, or one whose header asks for what we do not do.
    #[error("not a signed JSON web token")]
    Malformed,
    /// The issuer may have rotated its keys since the set was fetched.
    #[error("the token is signed with a key that is not in the issuer's key set")]
    UnknownKey,
    #[error("the token is signed with an algorithm that is not allowed")]
    Algorithm,
    #[error("the signature of the token is wrong")]
    Signature,
}

/// Verifies a token in compact form with the key its `kid` names, or with the only one there is
/// for its algorithm. `jku`, `x5u`, `jwk` and `x5c` are ignored: a token does not choose who vouches
/// for it.
///
/// # Errors
/// [`JwtError`]. Only [`JwtError::UnknownKey`] is worth another try, with fresh keys.
pub fn verify(token: &str, keys: &KeySet, allowed: &[Algorithm]) -> Result<Verified, JwtError> {
    if token.len() > MAX_BYTES {
        return Err(JwtError::Malformed);
    }
    let (message, signature) = token.rsplit_once('.').ok_or(JwtError::Malformed)?;
    let (header, claims) = message.split_once('.').ok_or(JwtError::Malformed)?;
    if claims.contains('.') {
        return Err(JwtError::Malformed); // five parts: encrypted
    }
    let header: Header = json(header)?;
    // We understand no extension, so a token that insists on one is refused (RFC 7515 section
    // 4.1.11).
    if header.crit.is_some() {
        return Err(JwtError::Malformed);
    }
    let algorithm = Algorithm::parse(&header.alg)
        .filter(|algorithm| allowed.contains(algorithm))
        .ok_or(JwtError::Algorithm)?;
    let key = match keys.candidate(header.kid.as_deref(), algorithm) {
        Candidate::Found(key) => key,
        Candidate::Unfit => return Err(JwtError::Algorithm),
        Candidate::None => return Err(JwtError::UnknownKey),
    };
    match jsonwebtoken::crypto::verify(signature, message.as_bytes(), key, algorithm.into()) {
        Ok(true) => Ok(Verified { typ: header.typ, algorithm, claims: json(claims)? }),
        Ok(false) | Err(_) => Err(JwtError::Signature),
    }
}

/// The issuer that a token names, unproved: only to choose the keys that may prove it.
pub fn claimed_issuer(token: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Claims {
        iss: String,
    }
    if token.len() > MAX_BYTES {
        return None;
    }
    json::<Claims>(token.split('.').nth(1)?).ok().map(|claims| claims.iss)
}

/// What a token says, unproved: for one that its issuer handed over itself, to tell what it is for.
pub fn unproved_claims(token: &str) -> Option<Map<String, Value>> {
    if token.len() > MAX_BYTES {
        return None;
    }
    json(token.split('.').nth(1)?).ok()
}

fn json<T: serde::de::DeserializeOwned>(part: &str) -> Result<T, JwtError> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| JwtError::Malformed)?;
    super::object(&bytes).ok_or(JwtError::Malformed)
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<IgnoredAny>,
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::hmac;
    use serde_json::json;

    use super::{super::SigningKey, *};
    use crate::{digest::base64url, random::SystemRandom};

    struct Issuer {
        key: SigningKey,
        token: String,
    }

    impl Issuer {
        fn new() -> Self {
            crate::install_provider();
            let key = SigningKey::generate(&SystemRandom);
            let claims = Map::from_iter([("sub".to_owned(), json!("ada"))]);
            Self { token: key.sign("at+jwt", &claims), key }
        }

        /// The public key with some members replaced; `null` takes one away.
        fn keys(&self, changes: &Value) -> KeySet {
            let mut jwk = self.key.jwk();
            let members = jwk.as_object_mut().unwrap();
            members.extend(changes.as_object().unwrap().clone());
            members.retain(|_, value| !value.is_null());
            KeySet::parse(json!({ "keys": [jwk] }).to_string().as_bytes()).unwrap()
        }

        fn with_header(&self, header: &Value) -> String {
            let (_, rest) = self.token.split_once('.').unwrap();
            format!("{}.{rest}", base64url(header.to_string().as_bytes()))
        }

        fn kid(&self) -> Value {
            self.key.jwk()["kid"].clone()
        }
    }

    #[test]
    fn gives_back_what_was_signed() {
        let issuer = Issuer::new();
        for changes in [json!({}), json!({ "use": null, "alg": null, "key_ops": ["verify"] })] {
            let verified = verify(&issuer.token, &issuer.keys(&changes), Algorithm::ALL).unwrap();
            assert_eq!(verified.typ.as_deref(), Some("at+jwt"));
            assert_eq!(verified.algorithm, Algorithm::Es256);
            assert_eq!(verified.claims["sub"], "ada");
            assert!(!format!("{verified:?}").contains("ada"));
        }
    }

    #[test]
    fn a_key_serves_only_what_it_is_for() {
        let issuer = Issuer::new();
        for (changes, expected) in [
            (json!({ "kid": "other" }), JwtError::UnknownKey),
            (json!({ "kid": null }), JwtError::UnknownKey),
            (json!({ "use": "enc" }), JwtError::UnknownKey),
            (json!({ "key_ops": ["sign"] }), JwtError::UnknownKey),
            (json!({ "alg": "ES384" }), JwtError::UnknownKey),
            (json!({ "alg": "HS256" }), JwtError::UnknownKey),
            (json!({ "crv": "P-384", "alg": null }), JwtError::Algorithm),
            (json!({ "kty": "oct", "k": "c2VjcmV0", "alg": null }), JwtError::UnknownKey),
            (SigningKey::generate(&SystemRandom).jwk(), JwtError::UnknownKey),
        ] {
            let verified = verify(&issuer.token, &issuer.keys(&changes), Algorithm::ALL);
            assert_eq!(verified, Err(expected), "{changes}");
        }
        let keys = issuer.keys(&json!({}));
        assert_eq!(verify(&issuer.token, &keys, &[Algorithm::Rs256]), Err(JwtError::Algorithm));
    }

    #[test]
    fn a_header_cannot_weaken_the_check() {
        let issuer = Issuer::new();
        let (kid, keys) = (issuer.kid(), issuer.keys(&json!({})));
        for (header, expected) in [
            (json!({ "alg": "none", "kid": kid }), JwtError::Algorithm),
            (json!({ "alg": "None", "kid": kid }), JwtError::Algorithm),
            (json!({ "alg": "HS256", "kid": kid }), JwtError::Algorithm),
            (json!({ "alg": "RS256", "kid": kid }), JwtError::Algorithm),
            (json!({ "alg": "ES256", "kid": "other" }), JwtError::UnknownKey),
            (json!({ "alg": "ES256", "kid": kid, "crit": ["exp"] }), JwtError::Malformed),
            (json!({ "alg": "ES256", "jwk": issuer.key.jwk() }), JwtError::Signature),
            (json!({ "kid": kid }), JwtError::Malformed),
            (json!([]), JwtError::Malformed),
        ] {
            let verified = verify(&issuer.with_header(&header), &keys, Algorithm::ALL);
            assert_eq!(verified, Err(expected), "{header}");
        }
        let unsigned = issuer.with_header(&json!({ "alg": "none" }));
        let unsigned = format!("{}.", unsigned.rsplit_once('.').unwrap().0);
        assert_eq!(verify(&unsigned, &keys, Algorithm::ALL), Err(JwtError::Algorithm));
    }

    #[test]
    fn the_public_key_is_not_a_shared_secret() {
        let issuer = Issuer::new();
        let header = json!({ "alg": "HS256", "kid": issuer.kid() });
        let message = issuer.with_header(&header);
        let message = message.rsplit_once('.').unwrap().0;
        let secret = issuer.key.jwk().to_string();
        let secret = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let forged =
            format!("{message}.{}", base64url(hmac::sign(&secret, message.as_bytes()).as_ref()));
        let verified = verify(&forged, &issuer.keys(&json!({})), Algorithm::ALL);
        assert_eq!(verified, Err(JwtError::Algorithm));
    }

    #[test]
    fn every_character_counts() {
        let issuer = Issuer::new();
        let keys = issuer.keys(&json!({}));
        for position in 0..issuer.token.len() {
            let mut bytes = issuer.token.clone().into_bytes();
            bytes[position] = if bytes[position] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            assert!(verify(&changed, &keys, Algorithm::ALL).is_err(), "{position}");
        }
        let encrypted = format!("{}.a.b", issuer.token);
        let long = format!("{}{}", issuer.token, "A".repeat(MAX_BYTES));
        for malformed in ["", "..", "a.b", encrypted.as_str(), &long] {
            assert_eq!(verify(malformed, &keys, Algorithm::ALL), Err(JwtError::Malformed));
        }
    }

    #[test]
    fn without_a_key_id_there_must_be_no_choice() {
        let issuer = Issuer::new();
        let other = SigningKey::generate(&SystemRandom);
        let both = json!({ "keys": [issuer.key.jwk(), other.jwk()] }).to_string();
        let both = KeySet::parse(both.as_bytes()).unwrap();
        let anonymous = issuer.with_header(&json!({ "alg": "ES256" }));
        assert_eq!(verify(&anonymous, &both, Algorithm::ALL), Err(JwtError::UnknownKey));
        assert!(verify(&issuer.token, &both, Algorithm::ALL).is_ok());
    }

    /// RFC 7515 appendix A.2.
    #[test]
    fn agrees_with_the_example_of_the_rfc() {
        crate::install_provider();
        let rsa = json!({ "kty": "RSA", "e": "AQAB", "n": concat!(
            "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0",
            "Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXn",
            "dS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5I",
            "hlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ") });
        let token = concat!(
            "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxl",
            "LmNvbS9pc19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZm",
            "h7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnby",
            "TyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEs",
            "qtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_I",
            "oypGlUPQGe77Rw"
        );
        let keys = KeySet::parse(json!({ "keys": [rsa] }).to_string().as_bytes()).unwrap();
        let verified = verify(token, &keys, Algorithm::ALL).unwrap();
        assert_eq!(
            (verified.algorithm, &verified.claims["iss"]),
            (Algorithm::Rs256, &json!("joe"))
        );
    }
}

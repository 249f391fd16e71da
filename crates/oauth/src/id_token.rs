//! ID tokens, validated (`OpenID` Connect Core section 3.1.3.7, AS-23).

use std::{fmt, time::Duration};

use attache_core::{IssuerId, Secret, Timestamp};
use attache_crypto::{
    digest,
    jose::{self, Algorithm, JwtError, KeySet},
};
use serde_json::{Map, Value};

/// What an ID token must say to be the answer to our question.
#[derive(Clone, Copy)]
pub struct IdTokenExpectations<'a> {
    /// Compared as a string: an issuer of another tenant, or a template, is another issuer.
    pub issuer: &'a IssuerId,
    pub client_id: &'a str,
    /// The one sent with the authorization request of this browser.
    pub nonce: &'a str,
    pub now: Timestamp,
}

/// The nonce is worth something to whoever reads a log.
impl fmt::Debug for IdTokenExpectations<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdTokenExpectations")
            .field("issuer", &self.issuer)
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}

/// Checks signature, type, issuer, audience, times and nonce.
///
/// # Errors
/// [`IdTokenError`]; after [`JwtError::UnknownKey`] the issuer's keys may have been rotated and
/// are worth one more fetch.
pub fn verify_id_token(
    token: &Secret,
    keys: &KeySet,
    expect: &IdTokenExpectations<'_>,
) -> Result<IdTokenClaims, IdTokenError> {
    let verified = jose::verify(token.expose(), keys, Algorithm::ALL)?;
    if verified.typ.is_some_and(|typ| !typ.eq_ignore_ascii_case("JWT")) {
        return Err(IdTokenError::WrongType);
    }
    IdTokenClaims::check(verified.claims, expect)
}

/// What is known about a person who just signed in. `Debug` shows nothing of them.
#[derive(Clone, PartialEq)]
pub struct IdTokenClaims {
    /// Unique at the issuer, never given to somebody else; 1 to 255 bytes.
    pub subject: String,
    pub issued_at: Timestamp,
    pub expires_at: Timestamp,
    /// Every claim, for those that an operator names: `oid`, `tid`, `hd`, `groups`.
    pub claims: Map<String, Value>,
}

impl IdTokenClaims {
    /// The e-mail address, when the issuer says it verified it.
    pub fn verified_email(&self) -> Option<&str> {
        let verified = match self.claims.get("email_verified")? {
            Value::Bool(verified) => *verified,
            Value::String(text) => text == "true",
            _ => false,
        };
        self.text("email").filter(|_| verified)
    }

    /// A claim that is a string with something in it.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.claims.get(name)?.as_str().filter(|text| !text.is_empty())
    }

    fn check(
        claims: Map<String, Value>,
        expect: &IdTokenExpectations<'_>,
    ) -> Result<Self, IdTokenError> {
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        if text("iss") != Some(expect.issuer.as_str()) {
            return Err(IdTokenError::WrongIssuer);
        }
        if !is_for(expect.client_id, claims.get("aud"), claims.get("azp")) {
            return Err(IdTokenError::WrongAudience);
        }
        let time = |name| claims.get(name).and_then(numeric_date);
        let expires_at = time("exp").ok_or(IdTokenError::Malformed("exp"))?;
        if expires_at.plus(LEEWAY) <= expect.now {
            return Err(IdTokenError::Expired);
        }
        let issued_at = time("iat").ok_or(IdTokenError::Malformed("iat"))?;
        let begins = time("nbf").map_or(issued_at, |not_before| not_before.max(issued_at));
        if begins > expect.now.plus(LEEWAY) {
            return Err(IdTokenError::NotYetValid);
        }
        let nonce = text("nonce").ok_or(IdTokenError::WrongNonce)?;
        if !digest::same(nonce.as_bytes(), expect.nonce.as_bytes()) {
            return Err(IdTokenError::WrongNonce);
        }
        let subject = text("sub")
            .filter(|subject| (1..=255).contains(&subject.len()))
            .ok_or(IdTokenError::Malformed("sub"))?
            .to_owned();
        Ok(Self { subject, issued_at, expires_at, claims })
    }
}

impl fmt::Debug for IdTokenClaims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdTokenClaims")
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdTokenError {
    #[error(transparent)]
    Jwt(#[from] JwtError),
    #[error("the token is of another type than an ID token")]
    WrongType,
    #[error("the ID token is of another issuer")]
    WrongIssuer,
    #[error("the ID token is for another client")]
    WrongAudience,
    #[error("the ID token is of another sign-in")]
    WrongNonce,
    #[error("the ID token has expired")]
    Expired,
    #[error("the ID token is from the future: a clock is wrong")]
    NotYetValid,
    /// By the claim's name.
    #[error("the ID token has no usable {0}")]
    Malformed(&'static str),
}

/// How far two honest clocks are apart.
pub(crate) const LEEWAY: Duration = Duration::from_mins(1);

/// In the audience; and, when there are others in it, the party it was issued to.
pub(crate) fn is_for(client_id: &str, aud: Option<&Value>, azp: Option<&Value>) -> bool {
    let (listed, alone) = match aud {
        Some(Value::String(one)) => (one == client_id, true),
        Some(Value::Array(many)) => {
            (many.iter().any(|one| one.as_str() == Some(client_id)), many.len() == 1)
        }
        _ => (false, false),
    };
    listed && azp.map_or(alone, |azp| azp.as_str() == Some(client_id))
}

/// RFC 7519 section 2; a fraction of a second is cut off.
pub(crate) fn numeric_date(value: &Value) -> Option<Timestamp> {
    #[expect(clippy::cast_possible_truncation, reason = "the cast saturates, as Timestamp does")]
    let seconds = value.as_i64().or_else(|| value.as_f64().map(|seconds| seconds as i64))?;
    Some(Timestamp::from_seconds(seconds))
}

#[cfg(test)]
mod tests {
    use attache_crypto::{jose::SigningKey, random::SystemRandom};
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_800_000_000;

    /// A good token's claims with `changes`; null takes one away.
    fn claims(changes: Value) -> Map<String, Value> {
        let good = json!({
            "iss": "https://idp.example.com/t1",
            "aud": "attache",
            "sub": "ada",
            "iat": NOW,
            "exp": NOW + 300,
            "nonce": "the-nonce",
        });
        let (Value::Object(mut claims), Value::Object(changes)) = (good, changes) else {
            unreachable!("both are objects")
        };
        claims.extend(changes);
        claims.retain(|_, value| !value.is_null());
        claims
    }

    fn expecting<T>(act: impl FnOnce(&IdTokenExpectations<'_>) -> T) -> T {
        act(&IdTokenExpectations {
            issuer: &IssuerId::new("https://idp.example.com/t1"),
            client_id: "attache",
            nonce: "the-nonce",
            now: Timestamp::from_seconds(NOW),
        })
    }

    fn check(changes: Value) -> Result<IdTokenClaims, IdTokenError> {
        expecting(|expect| IdTokenClaims::check(claims(changes), expect))
    }

    #[test]
    fn a_signature_of_the_issuer_over_an_id_token_counts() {
        attache_crypto::install_provider();
        let key = SigningKey::generate(&SystemRandom);
        let keys = json!({ "keys": [key.jwk()] }).to_string();
        let keys = KeySet::parse(keys.as_bytes()).unwrap();
        let stranger = SigningKey::generate(&SystemRandom);
        let verify = |token: &str| {
            expecting(|expect| verify_id_token(&Secret::new(token), &keys, expect))
                .map(|claims| claims.subject)
        };

        let claims = claims(json!({}));
        let good = key.sign("JWT", &claims);
        assert_eq!(verify(&good), Ok("ada".to_owned()));
        assert_eq!(verify(&key.sign("at+jwt", &claims)), Err(IdTokenError::WrongType));
        let unknown = Err(IdTokenError::Jwt(JwtError::UnknownKey));
        assert_eq!(verify(&stranger.sign("JWT", &claims)), unknown);
        let (message, _) = good.rsplit_once('.').unwrap();
        let other = key.sign("JWT", &Map::new());
        let (_, signature) = other.rsplit_once('.').unwrap();
        let forged = verify(&format!("{message}.{signature}"));
        assert_eq!(forged, Err(IdTokenError::Jwt(JwtError::Signature)));
    }

    #[test]
    fn accepts_what_was_asked_for() {
        let claims = check(json!({})).unwrap();
        assert_eq!(claims.subject, "ada");
        assert_eq!(claims.expires_at, Timestamp::from_seconds(NOW + 300));
        for changes in [
            json!({ "aud": ["attache"] }),
            json!({ "aud": ["attache", "other"], "azp": "attache" }),
            json!({ "azp": "attache" }),
            json!({ "exp": NOW - 59 }),
            json!({ "iat": NOW + 60, "nbf": NOW + 60 }),
            json!({ "exp": 1_800_000_300.7 }),
        ] {
            assert!(check(changes.clone()).is_ok(), "{changes}");
        }
    }

    /// AS-23, one row a way to be somebody else's token.
    #[test]
    fn refuses_every_other_token() {
        use IdTokenError::{
            Expired, Malformed, NotYetValid, WrongAudience, WrongIssuer, WrongNonce,
        };
        for (changes, expected) in [
            (json!({ "iss": "https://idp.example.com/t2" }), WrongIssuer),
            (json!({ "iss": "https://idp.example.com/t1/" }), WrongIssuer),
            (json!({ "iss": "https://idp.example.com/{tenantid}" }), WrongIssuer),
            (json!({ "iss": null }), WrongIssuer),
            (json!({ "aud": "other" }), WrongAudience),
            (json!({ "aud": [] }), WrongAudience),
            (json!({ "aud": null, "azp": "attache" }), WrongAudience),
            (json!({ "aud": ["attache", "other"] }), WrongAudience),
            (json!({ "aud": ["attache", 7] }), WrongAudience),
            (json!({ "azp": "other" }), WrongAudience),
            (json!({ "azp": 7 }), WrongAudience),
            (json!({ "exp": NOW - 60 }), Expired),
            (json!({ "exp": null }), Malformed("exp")),
            (json!({ "exp": "never" }), Malformed("exp")),
            (json!({ "iat": null }), Malformed("iat")),
            (json!({ "iat": NOW + 61 }), NotYetValid),
            (json!({ "nbf": NOW + 61 }), NotYetValid),
            (json!({ "nonce": null }), WrongNonce),
            (json!({ "nonce": "" }), WrongNonce),
            (json!({ "nonce": "another" }), WrongNonce),
            (json!({ "sub": null }), Malformed("sub")),
            (json!({ "sub": "" }), Malformed("sub")),
            (json!({ "sub": 7 }), Malformed("sub")),
            (json!({ "sub": "a".repeat(256) }), Malformed("sub")),
        ] {
            assert_eq!(check(changes.clone()), Err(expected), "{changes}");
        }
    }

    #[test]
    fn an_address_counts_when_it_was_verified() {
        for (verified, expected) in [
            (json!(true), Some("ada@example.com")),
            (json!("true"), Some("ada@example.com")),
            (json!(false), None),
            (json!("false"), None),
            (json!(1), None),
            (Value::Null, None),
        ] {
            let claims = check(json!({ "email": "ada@example.com", "email_verified": verified }));
            let claims = claims.unwrap();
            assert_eq!(claims.verified_email(), expected, "{verified}");
            assert!(!format!("{claims:?}").contains("ada"));
        }
    }
}

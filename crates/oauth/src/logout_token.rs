//! Logout tokens, validated (`OpenID` Connect Back-Channel Logout 1.0 section 2.6): an identity
//! provider's word that somebody left.

use std::time::Duration;

use attache_core::{IssuerId, Timestamp, store::SignedOut};
use attache_crypto::{
    digest::sha256,
    jose::{self, Algorithm, JwtError, KeySet},
};
use serde_json::{Map, Value};

use crate::id_token::{LEEWAY, is_for, numeric_date};

/// What a logout token must say to be for us.
#[derive(Clone, Copy, Debug)]
pub struct LogoutTokenExpectations<'a> {
    /// Compared as a string.
    pub issuer: &'a IssuerId,
    pub client_id: &'a str,
    pub now: Timestamp,
}

/// Checks everything that can be told without a memory: whether it was brought before, its
/// [`LogoutToken::digest`] tells.
///
/// # Errors
/// [`LogoutTokenError`]; after [`JwtError::UnknownKey`] the issuer's keys are worth one more fetch.
pub fn verify_logout_token(
    token: &str,
    keys: &KeySet,
    expect: &LogoutTokenExpectations<'_>,
) -> Result<LogoutToken, LogoutTokenError> {
    let verified = jose::verify(token, keys, Algorithm::ALL)?;
    let typ = verified.typ.as_deref().map(str::to_ascii_lowercase);
    // Explicit typing came with the final text (section 2.4): many providers say `JWT`, or nothing.
    if !matches!(typ.as_deref(), None | Some("jwt" | "logout+jwt" | "application/logout+jwt")) {
        return Err(LogoutTokenError::WrongType);
    }
    LogoutToken::check(&verified.claims, expect)
}

/// A logout token that is for us. It names no person to whoever prints it.
#[derive(Clone, PartialEq, Eq)]
pub struct LogoutToken {
    pub signed_out: SignedOut,
    /// SHA-256 of its issuer and its `jti`: good once.
    pub digest: [u8; 32],
    /// It is refused from here on.
    pub over_at: Timestamp,
}

impl LogoutToken {
    fn check(
        claims: &Map<String, Value>,
        expect: &LogoutTokenExpectations<'_>,
    ) -> Result<Self, LogoutTokenError> {
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        if text("iss") != Some(expect.issuer.as_str()) {
            return Err(LogoutTokenError::WrongIssuer);
        }
        if !is_for(expect.client_id, claims.get("aud"), claims.get("azp")) {
            return Err(LogoutTokenError::WrongAudience);
        }
        let is_event = claims.get("events").and_then(|events| events.get(EVENT));
        // With a nonce it is an ID token, whatever else it says.
        if !is_event.is_some_and(Value::is_object) || claims.contains_key("nonce") {
            return Err(LogoutTokenError::WrongType);
        }
        let time =
            |name| claims.get(name).and_then(numeric_date).ok_or(LogoutTokenError::Malformed(name));
        let (issued_at, expires_at) = (time("iat")?, time("exp")?);
        let over_at = expires_at.min(issued_at.plus(LONGEST_LIFE)).plus(LEEWAY);
        if over_at <= expect.now {
            return Err(LogoutTokenError::Expired);
        }
        if issued_at > expect.now.plus(LEEWAY) {
            return Err(LogoutTokenError::NotYetValid);
        }
        let id = text("jti").filter(|id| !id.is_empty());
        let id = id.ok_or(LogoutTokenError::Malformed("jti"))?;
        let digest = sha256(format!("logout\n{}\n{id}", expect.issuer).as_bytes());
        Ok(Self { signed_out: signed_out(claims)?, digest, over_at })
    }
}

impl std::fmt::Debug for LogoutToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogoutToken").field("over_at", &self.over_at).finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogoutTokenError {
    #[error(transparent)]
    Jwt(#[from] JwtError),
    #[error("the token is of another type than a logout token")]
    WrongType,
    #[error("the logout token is of another issuer")]
    WrongIssuer,
    #[error("the logout token is for another client")]
    WrongAudience,
    #[error("the logout token has expired")]
    Expired,
    #[error("the logout token is from the future: a clock is wrong")]
    NotYetValid,
    /// By the claim's name.
    #[error("the logout token has no usable {0}")]
    Malformed(&'static str),
}

/// The member of `events` that makes it a logout token (section 2.4).
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// From its `iat`, whatever its `exp` says: for so long its use is remembered. The text recommends
/// two minutes.
const LONGEST_LIFE: Duration = Duration::from_hours(1);
/// Bytes of `sub` and `sid`.
const LONGEST_NAME: usize = 255;

/// `sub`, `sid` or both (section 2.4). One that is there and cannot be read is not as good as absent:
/// it would end more, or less, than was meant.
fn signed_out(claims: &Map<String, Value>) -> Result<SignedOut, LogoutTokenError> {
    let name = |name: &'static str| match claims.get(name) {
        None => Ok(None),
        Some(value) => value
            .as_str()
            .filter(|text| (1..=LONGEST_NAME).contains(&text.len()))
            .map(|text| Some(text.to_owned()))
            .ok_or(LogoutTokenError::Malformed(name)),
    };
    match (name("sub")?, name("sid")?) {
        (Some(subject), None) => Ok(SignedOut::Everywhere { subject }),
        (subject, Some(session)) => Ok(SignedOut::Here { session, subject }),
        (None, None) => Err(LogoutTokenError::Malformed("sub or sid")),
    }
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
            "sid": "s1",
            "iat": NOW,
            "exp": NOW + 120,
            "jti": "j1",
            "events": { EVENT: {} },
        });
        let (Value::Object(mut claims), Value::Object(changes)) = (good, changes) else {
            unreachable!("both are objects")
        };
        claims.extend(changes);
        claims.retain(|_, value| !value.is_null());
        claims
    }

    fn expecting<T>(act: impl FnOnce(&LogoutTokenExpectations<'_>) -> T) -> T {
        act(&LogoutTokenExpectations {
            issuer: &IssuerId::new("https://idp.example.com/t1"),
            client_id: "attache",
            now: Timestamp::from_seconds(NOW),
        })
    }

    fn check(changes: Value) -> Result<LogoutToken, LogoutTokenError> {
        expecting(|expect| LogoutToken::check(&claims(changes), expect))
    }

    #[test]
    fn says_who_left_and_where() {
        let (ada, s1) = (|| "ada".to_owned(), || "s1".to_owned());
        for (changes, expected) in [
            (json!({}), SignedOut::Here { session: s1(), subject: Some(ada()) }),
            (json!({ "sub": null }), SignedOut::Here { session: s1(), subject: None }),
            (json!({ "sid": null }), SignedOut::Everywhere { subject: ada() }),
            (
                json!({ "aud": ["attache"], "exp": NOW - 59, "sid": null }),
                SignedOut::Everywhere { subject: ada() },
            ),
        ] {
            assert_eq!(
                check(changes.clone()).map(|token| token.signed_out),
                Ok(expected),
                "{changes}"
            );
        }
        let long = check(json!({ "exp": NOW + 1_000_000 })).unwrap();
        assert_eq!(long.over_at, Timestamp::from_seconds(NOW + 3660), "it is remembered so long");
        assert_ne!(check(json!({ "jti": "j2" })).unwrap().digest, long.digest);
    }

    /// Section 2.6, one row a way to be something else.
    #[test]
    fn refuses_every_other_token() {
        use LogoutTokenError::{
            Expired, Malformed, NotYetValid, WrongAudience, WrongIssuer, WrongType,
        };
        for (changes, expected) in [
            (json!({ "iss": "https://idp.example.com/t2" }), WrongIssuer),
            (json!({ "iss": null }), WrongIssuer),
            (json!({ "aud": "other" }), WrongAudience),
            (json!({ "aud": ["attache", "other"] }), WrongAudience),
            (json!({ "aud": null }), WrongAudience),
            (json!({ "events": null }), WrongType),
            (json!({ "events": EVENT }), WrongType),
            (json!({ "events": { EVENT: true } }), WrongType),
            (json!({ "events": { "https://example.com/other": {} } }), WrongType),
            (json!({ "nonce": "n" }), WrongType),
            (json!({ "exp": NOW - 60 }), Expired),
            (json!({ "iat": NOW - 3660, "exp": NOW + 60 }), Expired),
            (json!({ "exp": null }), Malformed("exp")),
            (json!({ "iat": null }), Malformed("iat")),
            (json!({ "iat": NOW + 61 }), NotYetValid),
            (json!({ "jti": null }), Malformed("jti")),
            (json!({ "jti": "" }), Malformed("jti")),
            (json!({ "sub": null, "sid": null }), Malformed("sub or sid")),
            (json!({ "sub": 7 }), Malformed("sub")),
            (json!({ "sid": "" }), Malformed("sid")),
            (json!({ "sid": "a".repeat(256) }), Malformed("sid")),
        ] {
            assert_eq!(check(changes.clone()), Err(expected), "{changes}");
        }
    }

    #[test]
    fn a_signature_of_the_issuer_over_a_logout_token_counts() {
        attache_crypto::install_provider();
        let (key, stranger) =
            (SigningKey::generate(&SystemRandom), SigningKey::generate(&SystemRandom));
        let keys = json!({ "keys": [key.jwk()] }).to_string();
        let keys = KeySet::parse(keys.as_bytes()).unwrap();
        let verify =
            |token: &str| expecting(|expect| verify_logout_token(token, &keys, expect)).map(drop);
        let claims = claims(json!({}));
        for typ in ["logout+jwt", "JWT", "application/logout+jwt"] {
            assert_eq!(verify(&key.sign(typ, &claims)), Ok(()), "{typ}");
        }
        assert_eq!(verify(&key.sign("at+jwt", &claims)), Err(LogoutTokenError::WrongType));
        let unknown = Err(LogoutTokenError::Jwt(JwtError::UnknownKey));
        assert_eq!(verify(&stranger.sign("logout+jwt", &claims)), unknown);
    }
}

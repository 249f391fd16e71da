//! A key whose private half is here, and a token that it signed. In an input, `{token}`,
//! `{signature}` and the like stand for theirs.

use std::sync::LazyLock;

use attache_crypto::{jose::SigningKey, random::Random};
use serde_json::{Map, Value, json};

pub(crate) struct Genuine {
    pub(crate) jwk: Value,
    pub(crate) claims: Map<String, Value>,
    pub(crate) token: String,
}

pub(crate) static GENUINE: LazyLock<Genuine> = LazyLock::new(|| {
    attache_crypto::install_provider();
    let key = SigningKey::generate(&Sevens);
    let claims = json!({ "iss": "https://idp.example.com", "sub": "ada" });
    let claims = claims.as_object().cloned().unwrap_or_default();
    Genuine { jwk: key.jwk(), token: key.sign("at+jwt", &claims), claims }
});

/// The input with what is genuine in its places.
pub(crate) fn filled(input: &[u8]) -> String {
    let genuine = &*GENUINE;
    let mut parts = genuine.token.split('.');
    let mut part = || parts.next().unwrap_or_default();
    let (header, claims, signature) = (part(), part(), part());
    let member = |name: &str| genuine.jwk[name].as_str().unwrap_or_default();
    let mut text = String::from_utf8_lossy(input).into_owned();
    for (place, value) in [
        ("{token}", genuine.token.as_str()),
        ("{header}", header),
        ("{claims}", claims),
        ("{signature}", signature),
        ("{x}", member("x")),
        ("{y}", member("y")),
        ("{kid}", member("kid")),
    ] {
        // boundedly often, as an input of nothing but places would be huge
        text = text.replacen(place, value, 16);
    }
    text
}

/// No randomness at all: the key is the same in every run.
#[derive(Debug)]
struct Sevens;

impl Random for Sevens {
    fn fill(&self, out: &mut [u8]) {
        out.fill(7);
    }
}

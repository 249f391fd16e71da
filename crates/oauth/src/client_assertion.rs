//! A client that signs instead of sharing a secret (`private_key_jwt`, RFC 7523 section 2.2).

use std::{sync::Arc, time::Duration};

use attache_core::{Clock, IssuerId, Secret};
use attache_crypto::{
    jose::SigningKey,
    random::{self, Random},
};
use serde_json::Value;

/// Makes an assertion for each request to one authorization server.
#[derive(Clone, Debug)]
pub struct AssertionSigner {
    /// Its public half is at the `jwks_uri` of our metadata.
    pub key: Arc<SigningKey>,
    /// The server's issuer, which is the assertion's only audience: a server that is shown one
    /// cannot show it to another (OC-10).
    pub audience: IssuerId,
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
}

impl AssertionSigner {
    /// Good for one use and a minute.
    pub(crate) fn assertion(&self, client_id: &str) -> Secret {
        let now = self.clock.now();
        let claims = [
            ("iss", Value::from(client_id)),
            ("sub", Value::from(client_id)),
            ("aud", Value::from(self.audience.as_str())),
            ("jti", Value::from(random::token(&*self.random))),
            ("iat", Value::from(now.as_seconds())),
            ("exp", Value::from(now.plus(LIFETIME).as_seconds())),
        ];
        let claims = claims.map(|(name, value)| (name.to_owned(), value)).into_iter().collect();
        // libraries that look at `typ` at all know this one
        Secret::new(self.key.sign("JWT", &claims))
    }
}

/// Enough for the request and for clocks that differ a little (RFC 7523 section 3).
const LIFETIME: Duration = Duration::from_mins(1);

#[cfg(test)]
pub(crate) mod tests {
    use attache_core::Timestamp;
    use attache_crypto::{
        jose::{Algorithm, KeySet, verify},
        random::SystemRandom,
    };
    use serde_json::json;

    use super::*;

    #[derive(Debug)]
    struct Noon;

    impl Clock for Noon {
        fn now(&self) -> Timestamp {
            Timestamp::from_seconds(1_000_000)
        }
    }

    pub(crate) fn signer() -> AssertionSigner {
        AssertionSigner {
            key: Arc::new(SigningKey::generate(&SystemRandom)),
            audience: IssuerId::new("https://as.example.com/t1"),
            clock: Arc::new(Noon),
            random: Arc::new(SystemRandom),
        }
    }

    /// OC-10: one audience, the issuer; a `jti` of its own; at most a minute.
    #[test]
    fn an_assertion_is_for_one_server_and_one_use() {
        let signer = signer();
        let keys = json!({ "keys": [signer.key.jwk()] }).to_string();
        let keys = KeySet::parse(keys.as_bytes()).unwrap();
        let mut ids = Vec::new();
        for _ in 0..2 {
            let assertion = signer.assertion("https://gw.example.com/client");
            let mut verified = verify(assertion.expose(), &keys, &[Algorithm::Es256]).unwrap();
            ids.push(verified.claims.remove("jti").unwrap());
            assert_eq!(
                Value::from(verified.claims),
                json!({
                    "iss": "https://gw.example.com/client",
                    "sub": "https://gw.example.com/client",
                    "aud": "https://as.example.com/t1",
                    "iat": 1_000_000,
                    "exp": 1_000_060,
                })
            );
        }
        assert_ne!(ids[0], ids[1]);
    }
}

//! What a webhook is signed with, as Standard Webhooks has it (`standardwebhooks.com`, 1.0.0): whoever
//! gets it can tell that it is ours, whole and new.

use std::fmt;

use attache_core::{Secret, Timestamp};
use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

/// Bytes of a secret that the specification calls for.
const LENGTH: std::ops::RangeInclusive<usize> = 24..=64;

#[derive(Clone)]
pub struct WebhookKey(hmac::Key);

impl WebhookKey {
    /// `whsec_` and the base64 of 24 to 64 bytes; `None` for anything else.
    pub fn parse(secret: &Secret) -> Option<Self> {
        let encoded = secret.expose().strip_prefix("whsec_")?;
        let bytes = Zeroizing::new(STANDARD.decode(encoded).ok()?);
        LENGTH.contains(&bytes.len()).then(|| Self(hmac::Key::new(hmac::HMAC_SHA256, &bytes)))
    }

    /// `webhook-signature` of a message that is sent at `at`.
    pub fn sign(&self, id: &str, at: Timestamp, body: &[u8]) -> String {
        let mut signed = hmac::Context::with_key(&self.0);
        signed.update(format!("{id}.{}.", at.as_seconds()).as_bytes());
        signed.update(body);
        format!("v1,{}", STANDARD.encode(signed.sign()))
    }
}

impl fmt::Debug for WebhookKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of the specification's own libraries.
    #[test]
    fn signs_as_the_specification_does() {
        let key =
            WebhookKey::parse(&Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")).unwrap();
        let at = Timestamp::from_seconds(1_614_265_330);
        let signature = key.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", at, br#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_secret_is_long_enough_and_says_what_it_is() {
        let of = |bytes: usize| format!("whsec_{}", STANDARD.encode(vec![7; bytes]));
        for (secret, good) in [
            (of(24), true),
            (of(64), true),
            (of(23), false),
            (of(65), false),
            (of(32).replace("whsec_", ""), false),
            ("whsec_not base64 at all, but long enough".to_owned(), false),
        ] {
            assert_eq!(WebhookKey::parse(&Secret::new(&*secret)).is_some(), good, "{secret}");
        }
    }
}

//! What ties a sign-in to the browser that began it (AS-14).

use attache_core::{Secret, Timestamp, store::LoginFlow};
use attache_crypto::{
    digest::{base64url, hmac_sha256, same, sha256},
    random::{self, Random},
};

use crate::return_to::ReturnTo;

/// The value of the sign-in cookie: 256 bits that only this browser and we have seen. One for all
/// of its tabs: each sign-in has a state of its own.
#[derive(Debug)]
pub(super) struct Browser(pub(super) Secret);

impl Browser {
    pub(super) fn new(random: &dyn Random) -> Self {
        Self(Secret::new(random::token(random)))
    }

    /// From a cookie, if that has the form of one of ours.
    pub(super) fn known(cookie: Secret) -> Option<Self> {
        let ours = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let text = cookie.expose();
        (text.len() == TOKEN_LENGTH && text.bytes().all(ours)).then_some(Self(cookie))
    }

    pub(super) fn flow(
        &self,
        state: &str,
        return_to: ReturnTo,
        expires_at: Timestamp,
    ) -> LoginFlow {
        LoginFlow {
            state: digest(state),
            browser: digest(self.0.expose()),
            return_to: return_to.into_string(),
            expires_at,
        }
    }

    pub(super) fn began(&self, flow: &LoginFlow) -> bool {
        same(&digest(self.0.expose()), &flow.browser)
    }

    /// The PKCE verifier (RFC 7636 section 4.1).
    pub(super) fn verifier(&self, state: &str) -> Secret {
        self.derived("pkce", state)
    }

    pub(super) fn nonce(&self, state: &str) -> Secret {
        self.derived("nonce", state)
    }

    fn derived(&self, usage: &str, state: &str) -> Secret {
        let parts = [usage.as_bytes(), state.as_bytes()];
        Secret::new(base64url(&hmac_sha256(self.0.expose().as_bytes(), &parts)))
    }
}

/// Of [`random::token`]: 256 bits in base64url.
const TOKEN_LENGTH: usize = 43;

pub(super) fn digest(text: &str) -> [u8; 32] {
    sha256(text.as_bytes())
}

//! A sign-in under way (AS-14). It is nowhere but in the browser that began it: `state` says what was
//! begun, and the browser's cookie proves that it was begun there.

use std::time::Duration;

use attache_core::{Secret, Timestamp};
use attache_crypto::{
    digest::{base64url, hmac_sha256, same, sha256},
    random::{self, Random},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::LoginError;
use crate::return_to::ReturnTo;

/// How long a person may take at the identity provider (AS-14).
pub(super) const LIFE: Duration = Duration::from_mins(10);
/// How far the clocks of two replicas are apart.
const SKEW: Duration = Duration::from_mins(2);

/// The value of the sign-in cookie: 256 bits that only this browser and we have seen. One for all
/// of its tabs: each sign-in has a state of its own.
#[derive(Debug)]
pub(super) struct Browser(pub(super) Secret);

/// A sign-in that this browser began.
#[derive(Debug)]
pub(super) struct Flow {
    /// SHA-256 of `state`, to be spent before anything else.
    pub(super) digest: [u8; 32],
    pub(super) return_to: ReturnTo,
    /// No replica takes it from here on.
    pub(super) over_at: Timestamp,
}

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

    /// `state` of a new sign-in: when, 128 random bits and where to, in base64url, and the proof.
    pub(super) fn begin(&self, to: &ReturnTo, now: Timestamp, random: &dyn Random) -> String {
        let mut once = [0; ONCE];
        random.fill(&mut once);
        let began = now.0.to_be_bytes();
        let payload = base64url(&[&began[..], &once, to.as_str().as_bytes()].concat());
        let proof = self.derived("state", &payload);
        format!("{payload}.{}", proof.expose())
    }

    /// What was begun with `state`, in this browser and lately.
    pub(super) fn resume(&self, state: &str, now: Timestamp) -> Result<Flow, LoginError> {
        let (payload, proof) = state.split_once('.').ok_or(LoginError::WrongBrowser)?;
        if !same(proof.as_bytes(), self.derived("state", payload).expose().as_bytes()) {
            return Err(LoginError::WrongBrowser);
        }
        let (began, return_to) = read(payload).ok_or(LoginError::WrongBrowser)?;
        if began > now.plus(SKEW) || now >= began.plus(LIFE) {
            return Err(LoginError::FlowUnknown);
        }
        let over_at = began.plus(LIFE + SKEW);
        Ok(Flow { digest: sha256(state.as_bytes()), return_to, over_at })
    }

    /// The PKCE verifier (RFC 7636 section 4.1).
    pub(super) fn verifier(&self, state: &str) -> Secret {
        self.derived("pkce", state)
    }

    pub(super) fn nonce(&self, state: &str) -> Secret {
        self.derived("nonce", state)
    }

    fn derived(&self, usage: &str, text: &str) -> Secret {
        let parts = [usage.as_bytes(), text.as_bytes()];
        Secret::new(base64url(&hmac_sha256(self.0.expose().as_bytes(), &parts)))
    }
}

/// Of [`random::token`]: 256 bits in base64url.
const TOKEN_LENGTH: usize = 43;
/// Bytes that make each state another.
const ONCE: usize = 16;

/// Whoever has the cookie could have written it: the path is read as if a stranger had.
fn read(payload: &str) -> Option<(Timestamp, ReturnTo)> {
    let bytes = URL_SAFE_NO_PAD.decode(payload).ok()?;
    let (began, rest) = bytes.split_first_chunk()?;
    let return_to = std::str::from_utf8(rest.get(ONCE..)?).ok()?;
    Some((Timestamp(i64::from_be_bytes(*began)), ReturnTo::parse(Some(return_to))))
}

#[cfg(test)]
mod tests {
    use attache_crypto::random::SystemRandom;

    use super::*;

    const NOW: Timestamp = Timestamp(1_795_435_200_000);

    #[test]
    fn a_state_is_good_in_its_browser_for_its_time() {
        let browser = Browser::new(&SystemRandom);
        let to = ReturnTo::parse(Some("/connect/github"));
        let state = browser.begin(&to, NOW, &SystemRandom);
        assert_ne!(state, browser.begin(&to, NOW, &SystemRandom));
        let just_before = Timestamp(NOW.plus(LIFE).0 - 1);
        for (now, good) in [
            (NOW.minus(SKEW), true),
            (NOW, true),
            (just_before, true),
            (NOW.plus(LIFE), false),
            (Timestamp(NOW.minus(SKEW).0 - 1), false),
        ] {
            let resumed = browser.resume(&state, now);
            assert_eq!(resumed.as_ref().ok().map(|flow| &flow.return_to), good.then_some(&to));
            assert!(good || matches!(resumed, Err(LoginError::FlowUnknown)), "{resumed:?}");
        }
        let elsewhere = Browser::new(&SystemRandom).resume(&state, NOW);
        assert!(matches!(elsewhere, Err(LoginError::WrongBrowser)), "{elsewhere:?}");
    }

    #[test]
    fn a_state_is_good_as_it_was_given_only() {
        let browser = Browser::new(&SystemRandom);
        let state = browser.begin(&ReturnTo::parse(None), NOW, &SystemRandom);
        let (payload, proof) = state.split_once('.').unwrap();
        let nonce = browser.nonce(payload);
        for bent in [
            String::new(),
            payload.to_owned(),
            format!("{payload}."),
            format!(".{proof}"),
            format!("{payload}.{}", nonce.expose()),
            format!("{payload}A.{proof}"),
            format!("{state}A"),
            format!("{state}."),
        ] {
            let refused = browser.resume(&bent, NOW);
            assert!(matches!(refused, Err(LoginError::WrongBrowser)), "{bent} {refused:?}");
        }
    }

    /// A cookie that somebody read still leads nowhere but to a page of ours.
    #[test]
    fn a_forged_state_leads_nowhere_else() {
        let browser = Browser::new(&SystemRandom);
        let forged = |payload: &[u8]| {
            let payload = base64url(payload);
            format!("{payload}.{}", browser.derived("state", &payload).expose())
        };
        let mut away = NOW.0.to_be_bytes().to_vec();
        away.extend([0; ONCE]);
        let cut = forged(&away[..ONCE]);
        away.extend(b"//evil.example");
        let flow = browser.resume(&forged(&away), NOW).unwrap();
        assert_eq!(flow.return_to, ReturnTo::parse(None));
        assert!(matches!(browser.resume(&cut, NOW), Err(LoginError::WrongBrowser)));
    }
}

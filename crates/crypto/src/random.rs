//! Randomness is a parameter, as time is: a test that is handed a [`Random`] repeats itself.

use std::fmt::Debug;

use crate::digest::base64url;

pub trait Random: Debug + Send + Sync {
    /// Fills `out` with bytes that nobody can guess.
    fn fill(&self, out: &mut [u8]);
}

/// The generator of `aws-lc-rs`, seeded by the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the generator")]
    fn fill(&self, out: &mut [u8]) {
        aws_lc_rs::rand::fill(out).expect("a machine without randomness cannot keep secrets");
    }
}

/// 256 bits as 43 characters of base64url: states, session ids, PKCE verifiers (RFC 7636 section
/// 4.1).
pub fn token(random: &dyn Random) -> String {
    let mut bytes = [0; 32];
    random.fill(&mut bytes);
    base64url(&bytes)
}

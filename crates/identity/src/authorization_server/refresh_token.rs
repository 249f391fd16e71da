//! Refresh tokens: opaque, and each good for one turn of its family (AS-20).
//!
//! Two secrets in one: what all tokens of a family have in common, and what only this one has. The
//! first finds the family; a second that is not the good one is a token that was spent before, since
//! nobody else knows the first.

use attache_core::Secret;
use attache_crypto::{
    digest::{base64url, sha256},
    random::{self, Random},
    seal::DataKey,
};

/// So that scanners for secrets find the ones that leak.
const PREFIX: &str = "attr_";

#[derive(Debug)]
pub(super) struct RefreshToken {
    family: Secret,
    turn: Secret,
}

impl RefreshToken {
    pub(super) fn first(random: &dyn Random) -> Self {
        let secret = || Secret::new(random::token(random));
        Self { family: secret(), turn: secret() }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let (family, turn) = text.strip_prefix(PREFIX)?.split_once('.')?;
        Some(Self { family: Secret::new(family), turn: Secret::new(turn) })
    }

    /// The one that follows: the same for whoever asks twice, and nobody's to foresee who has not
    /// the key.
    pub(super) fn successor(&self, key: &DataKey) -> Self {
        let parts = [self.family.expose().as_bytes(), self.turn.expose().as_bytes()];
        let turn = base64url(&key.authenticate("attache/refresh-token", &parts));
        Self { family: self.family.clone(), turn: Secret::new(turn) }
    }

    pub(super) fn family(&self) -> [u8; 32] {
        sha256(self.family.expose().as_bytes())
    }

    pub(super) fn turn(&self) -> [u8; 32] {
        sha256(self.turn.expose().as_bytes())
    }

    pub(super) fn text(&self) -> Secret {
        Secret::new(format!("{PREFIX}{}.{}", self.family.expose(), self.turn.expose()))
    }
}

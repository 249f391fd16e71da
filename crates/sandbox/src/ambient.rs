//! What every peer is handed: the hour, and randomness.

use std::sync::Arc;

use attache_core::{Clock, Timestamp};
use attache_crypto::random::{self, Random};

#[derive(Clone, Debug)]
pub struct Ambient {
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
}

impl Ambient {
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A random value that says what it is: `code_…`, `at_…`.
    pub(crate) fn token(&self, prefix: &str) -> String {
        format!("{prefix}_{}", random::token(self.random.as_ref()))
    }
}

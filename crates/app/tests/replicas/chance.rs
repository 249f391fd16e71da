//! Chance that can be had again: `SplitMix64`, from a seed that is printed.

use std::{process, time::Duration};

#[derive(Debug)]
pub(crate) struct Chance(u64);

/// As the environment says, or another each time.
pub(crate) fn seed() -> u64 {
    told("ATTACHE_CHAOS_SEED").unwrap_or_else(|| u64::from(process::id()))
}

/// As the environment says.
pub(crate) fn rounds() -> Option<u32> {
    told("ATTACHE_CHAOS_ROUNDS").and_then(|rounds| u32::try_from(rounds).ok())
}

#[expect(clippy::disallowed_methods, reason = "it tells a test, and configures nothing")]
fn told(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Less than `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let bound = u64::try_from(bound).expect("small");
        usize::try_from((mixed ^ (mixed >> 31)) % bound).expect("small")
    }

    pub(crate) fn millis_below(&mut self, bound: usize) -> Duration {
        Duration::from_millis(u64::try_from(self.below(bound)).expect("small"))
    }
}

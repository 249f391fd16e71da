//! What names one request in answers, logs and the audit: ours, never the caller's.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use attache_core::RequestId;
use attache_crypto::{digest::base64url, random::Random};

/// No two of any process are the same: one run's random bytes, and a number. They are no secret, and
/// prove nothing.
#[derive(Debug)]
pub(crate) struct RequestIds {
    run: [u8; 7],
    next: AtomicU64,
}

impl RequestIds {
    pub(crate) fn new(random: &dyn Random) -> Self {
        let mut run = [0; 7];
        random.fill(&mut run);
        Self { run, next: AtomicU64::new(0) }
    }

    pub(crate) fn next(&self) -> RequestId {
        let [_, _, _, count @ ..] = self.next.fetch_add(1, Relaxed).to_be_bytes();
        let mut id = [0; 12];
        let (run, number) = id.split_at_mut(self.run.len());
        run.copy_from_slice(&self.run);
        number.copy_from_slice(&count);
        RequestId::new(base64url(&id))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use attache_crypto::random::SystemRandom;

    use super::*;

    #[test]
    fn none_is_given_twice() {
        let runs = [RequestIds::new(&SystemRandom), RequestIds::new(&SystemRandom)];
        let ids: HashSet<_> = (0..600).map(|turn| runs[turn % 2].next()).collect();
        assert_eq!(ids.len(), 600);
        assert!(ids.iter().all(|id| id.as_str().len() == 16));
    }
}

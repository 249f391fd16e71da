//! Whether the store is away, for those who can go on from memory meanwhile.

use std::{
    sync::atomic::{AtomicI64, Ordering::SeqCst},
    time::Duration,
};

use crate::Timestamp;

/// How long a failure is believed. Longer than until the store has failed once more after
/// [`RETRY_AFTER`], so that an outage under load is one outage; afterwards somebody waits to
/// find out.
const BELIEVED: Duration = Duration::from_secs(30);
/// How often somebody looks whether the store is back.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Shared by everybody who reads the same store, so that not each has to wait for its timeout.
#[derive(Debug)]
pub struct Outage {
    failed_at: AtomicI64,
    retry_at: AtomicI64,
}

const NEVER: i64 = i64::MIN;

impl Default for Outage {
    fn default() -> Self {
        Self { failed_at: AtomicI64::new(NEVER), retry_at: AtomicI64::new(NEVER) }
    }
}

impl Outage {
    /// The store did not answer.
    pub fn noticed(&self, now: Timestamp) {
        self.failed_at.store(now.0, SeqCst);
        self.retry_at.store(now.plus(RETRY_AFTER).0, SeqCst);
    }

    /// The store answered.
    pub fn over(&self) {
        if self.failed_at.load(SeqCst) != NEVER {
            self.failed_at.store(NEVER, SeqCst);
        }
    }

    pub fn is_on(&self, now: Timestamp) -> bool {
        now < Timestamp(self.failed_at.load(SeqCst)).plus(BELIEVED)
    }

    /// Whether the store may be asked now in the background: while it is away, by one of all every
    /// five seconds.
    pub fn may_ask(&self, now: Timestamp) -> bool {
        let retry_at = self.retry_at.load(SeqCst);
        let next = now.plus(RETRY_AFTER).0;
        !self.is_on(now)
            || (retry_at <= now.0
                && self.retry_at.compare_exchange(retry_at, next, SeqCst, SeqCst).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_all_asks_while_it_is_away() {
        let outage = Outage::default();
        let at = Timestamp::from_seconds;
        assert!(!outage.is_on(at(0)) && outage.may_ask(at(0)) && outage.may_ask(at(0)));
        outage.noticed(at(0));
        assert!(outage.is_on(at(29)) && !outage.may_ask(at(4)));
        assert!(outage.may_ask(at(5)) && !outage.may_ask(at(5)) && outage.may_ask(at(10)));
        assert!(!outage.is_on(at(30)), "an old failure says nothing");
        outage.noticed(at(40));
        outage.over();
        assert!(!outage.is_on(at(40)));
    }
}

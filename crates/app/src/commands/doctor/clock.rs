//! Clocks that disagree: tokens are then expired before they are used, or not valid yet.

use std::time::Duration;

use attache_core::Timestamp;
use url::Url;

use super::{
    journal::{Journal, origin},
    report::{Check, Finding, Mover},
};

/// What verifiers of tokens commonly forgive is a minute; half of it is worth a word.
const WORTH_A_WORD: Duration = Duration::from_secs(30);
/// Beyond what anybody forgives.
const TOO_MUCH: Duration = Duration::from_mins(2);

/// How far another clock is from ours: what the time of an exchange does not explain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Skew {
    by: Duration,
    ahead: bool,
}

impl Skew {
    /// From a `Date` (RFC 9110 section 6.6.1), and for how many seconds a cache kept its answer
    /// (`Age`, RFC 9111 section 5.1).
    pub(super) fn new(date: Timestamp, age: u64, sent: Timestamp, received: Timestamp) -> Self {
        // `Date` has no fraction: it was written in the second that begins here.
        let begins = date.plus(Duration::from_secs(age));
        let ends = begins.plus(Duration::from_secs(1));
        let (ahead, behind) = (begins.since(received), sent.since(ends));
        Self { by: ahead.max(behind), ahead: !ahead.is_zero() }
    }
}

/// Of the server at `url`, when it said what time it is.
pub(super) fn examine(journal: &Journal, url: &Url) -> Option<Finding> {
    let Skew { by, ahead } = journal.skew(url)?;
    let host = origin(url);
    let (seconds, side) = (by.as_secs(), if ahead { "ahead of" } else { "behind" });
    let off = format!("the clock of {host} is {seconds} s {side} this machine's");
    let next = "set this machine's clock by NTP (`timedatectl`); if it is right, theirs is not";
    Some(if by > TOO_MUCH {
        Finding::wrong(Check::Clock, off).then(Mover::Operator, None, next)
    } else if by > WORTH_A_WORD {
        Finding::warning(Check::Clock, off).then(Mover::Operator, None, next)
    } else {
        Finding::ok(Check::Clock, format!("{host} has the same time as this machine"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_exchange_does_not_explain_is_skew() {
        let noon = 1_795_435_200_000;
        for (date, age, sent, received, by, ahead) in [
            (noon, 0, noon + 900, noon + 950, 0, false),
            // written in the same second, and sent before it
            (noon, 0, noon - 5_000, noon + 10_000, 0, false),
            (noon + 300_000, 0, noon, noon + 1_000, 299_000, true),
            (noon - 300_000, 0, noon, noon + 1_000, 299_000, false),
            // a cache's answer is old, and no clock is wrong
            (noon - 300_000, 300, noon, noon + 1_000, 0, false),
        ] {
            let skew = Skew::new(Timestamp(date), age, Timestamp(sent), Timestamp(received));
            assert_eq!(skew, Skew { by: Duration::from_millis(by), ahead }, "{date} {age}");
        }
    }
}

//! A moment as people say it, with the exact one beside it.

use std::time::Duration;

use attache_core::Timestamp;

/// `in 52 minutes`, `3 days ago`; `exact` is RFC 3339.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    pub(crate) phrase: String,
    pub(crate) exact: String,
}

impl Moment {
    /// `at`, said at `now`. Rounds down: a promise is never longer than the truth.
    pub(crate) fn new(at: Timestamp, now: Timestamp) -> Self {
        let phrase = if at > now {
            match span(at.since(now)) {
                Some(span) => format!("in {span}"),
                None => "in less than a minute".to_owned(),
            }
        } else {
            match span(now.since(at)) {
                Some(span) => format!("{span} ago"),
                None => "just now".to_owned(),
            }
        };
        Self { phrase, exact: at.to_string() }
    }
}

/// The largest unit that fits, or `None` under a minute.
fn span(length: Duration) -> Option<String> {
    const UNITS: [(u64, &str); 5] = [
        (31_536_000, "year"),
        (2_592_000, "month"),
        (86_400, "day"),
        (3_600, "hour"),
        (60, "minute"),
    ];
    let seconds = length.as_secs();
    let (size, name) = UNITS.into_iter().find(|(size, _)| seconds >= *size)?;
    let count = seconds / size;
    let plural = if count == 1 { "" } else { "s" };
    Some(format!("{count} {name}{plural}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_a_person_would() {
        let now = Timestamp::from_seconds(1_795_435_200);
        let cases = [
            (30, "in less than a minute"),
            (60, "in 1 minute"),
            (52 * 60 + 59, "in 52 minutes"),
            (3_600, "in 1 hour"),
            (86_400 * 45, "in 1 month"),
            (0, "just now"),
            (-59, "just now"),
            (-7_200, "2 hours ago"),
            (-86_400 * 800, "2 years ago"),
        ];
        for (seconds, phrase) in cases {
            let at = Timestamp(now.0 + seconds * 1000);
            assert_eq!(Moment::new(at, now).phrase, phrase, "{seconds}");
        }
        assert_eq!(Moment::new(now, now).exact, "2026-11-23T12:00:00Z");
    }
}

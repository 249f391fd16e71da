//! Time is a parameter: whoever needs the hour is handed a [`Clock`].

use std::{fmt, time::Duration};

use jiff::fmt::rfc2822;
use serde::Serialize;

/// Milliseconds since the Unix epoch. `BIGINT` in both databases, RFC 3339 for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Saturates instead of overflowing: a token that claims to live for ever expires in the far
    /// future, not in the past.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }

    #[must_use]
    pub fn minus(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }

    /// How long after `earlier` this is; zero when it is not after it.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// From a JWT's `NumericDate` (RFC 7519 section 2).
    pub fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// From an `HTTP-date` (RFC 9110 section 5.6.7), in the form that servers write.
    pub fn from_http_date(text: &str) -> Option<Self> {
        let moment = rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
        Some(Self::from_seconds(moment.as_second()))
    }

    pub fn as_seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }
}

/// RFC 3339 in UTC, to the second: `2026-11-23T12:00:00Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_second(self.as_seconds()) {
            Ok(moment) => moment.fmt(f),
            Err(_) => f.write_str("9999-12-31T23:59:59Z"),
        }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

pub trait Clock: fmt::Debug + Send + Sync {
    fn now(&self) -> Timestamp;
}

/// The machine's clock; only a composition root makes one.
#[derive(Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the machine")]
    fn now(&self) -> Timestamp {
        let elapsed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Timestamp(elapsed.map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_date_of_an_answer() {
        let read = Timestamp::from_http_date("Mon, 23 Nov 2026 12:00:00 GMT");
        assert_eq!(read, Some(Timestamp::from_seconds(1_795_435_200)));
        for other in ["", "now", "1795435200", "2026-11-23T12:00:00Z"] {
            assert_eq!(Timestamp::from_http_date(other), None, "{other}");
        }
    }

    #[test]
    fn shows_rfc_3339_and_never_overflows() {
        assert_eq!(Timestamp::from_seconds(1_795_435_200).to_string(), "2026-11-23T12:00:00Z");
        assert_eq!(Timestamp(i64::MAX).to_string(), "9999-12-31T23:59:59Z");
        assert_eq!(Timestamp(i64::MAX).plus(Duration::MAX), Timestamp(i64::MAX));
        assert_eq!(Timestamp(5).since(Timestamp(9)), Duration::ZERO);
    }
}

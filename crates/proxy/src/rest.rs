//! Who has to wait because an upstream said so (`Retry-After`): what they ask again too early is not
//! sent.
//!
//! For the same method and path, of the same person and account: some providers count each by itself,
//! and nobody rests for somebody else.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use attache_core::{ConnectionName, Timestamp, UserId};
use attache_crypto::digest::hmac_sha256;
use http::{HeaderMap, Method, StatusCode, header};
use quick_cache::sync::Cache;
use tokio::time::Instant;

/// An upstream is believed this much of a `Retry-After`; then somebody asks again.
const LONGEST: Duration = Duration::from_mins(1);
/// Remembered of one upstream; who is forgotten is let through.
const REMEMBERED: usize = 10_000;

/// One of the things that somebody may have to wait for.
pub(crate) struct Wish<'a> {
    pub(crate) who: &'a UserId,
    pub(crate) server: &'a ConnectionName,
    pub(crate) method: &'a Method,
    /// At the upstream.
    pub(crate) path: &'a str,
}

#[derive(Debug)]
pub(crate) struct Rests {
    began: Instant,
    /// Milliseconds after `began` when the last rest is over: afterwards nobody is looked for.
    last: AtomicU64,
    until: Cache<[u8; 32], Instant>,
}

impl Default for Rests {
    fn default() -> Self {
        Self { began: Instant::now(), last: AtomicU64::new(0), until: Cache::new(REMEMBERED) }
    }
}

impl Rests {
    /// How long this is not asked for.
    pub(crate) fn left(&self, wish: &Wish<'_>) -> Option<Duration> {
        let last = self.last.load(Relaxed);
        if last == 0 || last <= self.millis(Instant::now()) {
            return None;
        }
        let left = self.until.get(&wish.key())?.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }

    pub(crate) fn begin(&self, wish: &Wish<'_>, wait: Duration) {
        let until = Instant::now() + wait.min(LONGEST);
        self.until.insert(wish.key(), until);
        self.last.fetch_max(self.millis(until), Relaxed);
    }

    fn millis(&self, moment: Instant) -> u64 {
        let since = moment.saturating_duration_since(self.began);
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX).saturating_add(1)
    }
}

impl Wish<'_> {
    fn key(&self) -> [u8; 32] {
        let server = self.server.to_string();
        let parts = [self.who.as_str(), &server, self.method.as_str(), self.path];
        hmac_sha256(b"rest", &parts.map(str::as_bytes))
    }
}

/// What an answer says of when to ask again (RFC 6585 section 4, RFC 9110 section 10.2.3).
pub(crate) fn retry_after(
    status: StatusCode,
    headers: &HeaderMap,
    now: Timestamp,
) -> Option<Duration> {
    let asks = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    let said = headers.get(header::RETRY_AFTER).filter(|_| asks)?.to_str().ok()?;
    match said.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => Some(Timestamp::from_http_date(said)?.since(now)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_has_to_wait_waits_and_nobody_else() {
        let rests = Rests::default();
        let [ada, grace] = ["ada", "grace"].map(UserId::new);
        let [first, second] = ["api", "api@work"].map(|name| name.parse().unwrap());
        let wish = |who, server, path| Wish { who, server, method: &Method::GET, path };
        let hers = wish(&ada, &first, "/a");
        assert_eq!(rests.left(&hers), None);
        rests.begin(&hers, Duration::from_hours(9));
        assert_eq!(rests.left(&hers), Some(LONGEST));
        let posted = Wish { method: &Method::POST, ..wish(&ada, &first, "/a") };
        for other in [
            wish(&grace, &first, "/a"),
            wish(&ada, &second, "/a"),
            wish(&ada, &first, "/b"),
            posted,
        ] {
            assert_eq!(rests.left(&other), None);
        }
        tokio::time::advance(LONGEST).await;
        assert_eq!(rests.left(&hers), None);
    }

    #[test]
    fn an_answer_says_when_in_two_ways() {
        let now = Timestamp::from_seconds(1_795_435_200);
        for (status, said, expected) in [
            (429, "7", Some(7)),
            (503, "0", Some(0)),
            (429, "Mon, 23 Nov 2026 12:00:30 GMT", Some(30)),
            (429, "Mon, 23 Nov 2026 11:00:00 GMT", Some(0)),
            (429, "-1", None),
            (429, "soon", None),
            (200, "7", None),
            (301, "7", None),
        ] {
            let headers = [(header::RETRY_AFTER, said.parse().unwrap())].into_iter().collect();
            let status = StatusCode::from_u16(status).unwrap();
            let read = retry_after(status, &headers, now);
            assert_eq!(read, expected.map(Duration::from_secs), "{status} {said}");
        }
    }
}

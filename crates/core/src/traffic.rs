//! How much of an upstream callers may have: for how long, how many at once, and what of it.

use std::{num::NonZeroU32, time::Duration};

use http::Method;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    pub timeouts: Timeouts,
    pub limits: Limits,
    /// Of a plain HTTP API. `None`: every method.
    pub methods: Option<Vec<Method>>,
    /// Of a plain HTTP API: what lies at or below one of these. `None`: every path.
    pub paths: Option<Vec<OpenPath>>,
}

/// How long a request may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// From the last byte of the request that came to the first of the answer. Tool calls that take
    /// longer stream their progress.
    pub head: Duration,
    /// From a request's first byte to the first of its answer, however slowly it comes in.
    pub body: Duration,
    /// Nothing of an answer comes for this long. Servers keep quiet streams alive with comments
    /// every 15 to 30 s (PX-18).
    pub idle: Duration,
    /// From a request's first byte to its answer's last, whatever comes (PX-19).
    pub lifetime: Duration,
}

/// Requests under way at once in one process, streams among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub person: NonZeroU32,
    /// Of all people.
    pub total: NonZeroU32,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            head: Duration::from_mins(5),
            body: Duration::from_hours(1),
            idle: Duration::from_mins(15),
            lifetime: Duration::from_hours(24),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        /// An agent at work, with every tool it has.
        const PERSON: NonZeroU32 = NonZeroU32::new(128).expect("not zero");
        /// As many as a listener has connections.
        const TOTAL: NonZeroU32 = NonZeroU32::new(10_000).expect("not zero");
        Self { person: PERSON, total: TOTAL }
    }
}

/// A path below an upstream's, and everything below it: `/v1/users`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenPath(String);

impl OpenPath {
    /// `None` for what does not begin with a slash, has a dot segment, a query, or anything but
    /// visible ASCII. A slash at the end says nothing.
    pub fn parse(text: &str) -> Option<Self> {
        let plain = text.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'?' | b'#' | b'\\'));
        let climbs = text.split('/').any(|segment| matches!(segment, "." | ".."));
        (text.starts_with('/') && plain && !climbs)
            .then(|| Self(text.trim_end_matches('/').to_owned()))
    }

    /// By whole segments: `/v1/users` does not open `/v1/users2`. Compared as it is written, so
    /// another spelling of an open path is closed.
    pub fn opens(&self, path: &str) -> bool {
        path.strip_prefix(&self.0).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_opens_what_is_below_it() {
        let users = OpenPath::parse("/v1/users/").unwrap();
        for (path, opens) in [
            ("/v1/users", true),
            ("/v1/users/", true),
            ("/v1/users/7%2F8", true),
            ("/v1/users2", false),
            ("/v1", false),
            ("/V1/users", false),
            ("/v1/%75sers", false),
            ("//v1/users", false),
        ] {
            assert_eq!(users.opens(path), opens, "{path}");
        }
        assert!(OpenPath::parse("/").unwrap().opens("/anything"));
        for bad in ["", "v1", "/a/../b", "/a?b", "/a b", "/a\\b"] {
            assert_eq!(OpenPath::parse(bad), None, "{bad}");
        }
    }
}

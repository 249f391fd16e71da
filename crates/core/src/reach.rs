//! How far a proof of identity goes.
//!
//! [`Access`](crate::Access) says what a person may use; a [`Reach`], which of it one proof of
//! theirs opens. A browser session opens everything, an access token what its audience names
//! (RS-9).

use std::collections::BTreeSet;

use crate::UpstreamName;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// `None`: all of them, and what is beside them.
    upstreams: Option<BTreeSet<UpstreamName>>,
    read_only: bool,
}

impl Reach {
    /// All that the person may use: every upstream, and the API.
    pub const fn everything() -> Self {
        Self { upstreams: None, read_only: false }
    }

    /// These upstreams' routes, and nothing beside them.
    pub fn only(upstreams: impl IntoIterator<Item = UpstreamName>) -> Self {
        Self { upstreams: Some(upstreams.into_iter().collect()), read_only: false }
    }

    /// The same, to look and not to act.
    #[must_use]
    pub fn reading(self) -> Self {
        Self { read_only: true, ..self }
    }

    /// Whether it opens more than single upstreams: the API, where a person's connections are.
    pub fn is_everything(&self) -> bool {
        self.upstreams.is_none()
    }

    /// Whether it changes nothing: safe methods of HTTP, and of MCP those that only read.
    pub fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// Which ones, where it is not everything.
    pub fn upstreams(&self) -> Option<&BTreeSet<UpstreamName>> {
        self.upstreams.as_ref()
    }

    pub fn includes(&self, upstream: &UpstreamName) -> bool {
        self.upstreams.as_ref().is_none_or(|some| some.contains(upstream))
    }
}

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
}

impl Reach {
    /// All that the person may use: every upstream, and the API.
    pub const fn everything() -> Self {
        Self { upstreams: None }
    }

    /// These upstreams' routes, and nothing beside them.
    pub fn only(upstreams: impl IntoIterator<Item = UpstreamName>) -> Self {
        Self { upstreams: Some(upstreams.into_iter().collect()) }
    }

    /// Whether it opens more than single upstreams: the API, where a person's connections are.
    pub fn is_everything(&self) -> bool {
        self.upstreams.is_none()
    }

    pub fn includes(&self, upstream: &UpstreamName) -> bool {
        self.upstreams.as_ref().is_none_or(|some| some.contains(upstream))
    }
}

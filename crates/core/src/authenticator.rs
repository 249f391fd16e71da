//! The seam through which the data plane asks who is calling.

use std::{error::Error, fmt, sync::Arc};

use http::request::Parts;

use crate::{Principal, Timestamp};

#[derive(Debug, thiserror::Error)]
pub enum AuthnError {
    /// Nothing that could prove anything was presented.
    #[error("no credentials were presented")]
    Missing,
    /// Something was, and it proves nothing. The text is ours and may be shown.
    #[error("{0}")]
    Rejected(&'static str),
    /// It is good, and was given by this gateway; but whose it is has not signed in for too long.
    #[error("its owner has not signed in for too long")]
    SignInAgain,
    /// More than one credential, or one in a place where it must not be (RFC 6750 section 2).
    #[error("{0}")]
    Malformed(&'static str),
    #[error("credentials cannot be checked right now")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
}

#[async_trait::async_trait]
pub trait Authenticator: fmt::Debug + Send + Sync {
    /// A caller whose proof was checked a moment ago: no await, no I/O.
    fn recall(&self, parts: &Parts, now: Timestamp) -> Option<Arc<Principal>>;

    async fn authenticate(&self, parts: &Parts) -> Result<Arc<Principal>, AuthnError>;

    /// Whether a person who was let in still would be, by the store: for streams, which outlive the
    /// request that began them. Their proof's own end is not looked at.
    async fn still_admits(&self, who: &Principal) -> Result<bool, AuthnError>;
}

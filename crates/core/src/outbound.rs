//! The seam to the network for everything that is not a proxied request: discovery documents,
//! token endpoints, key sets.

use std::{error::Error, fmt, time::Duration};

use bytes::Bytes;

/// What one fetch may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// From the first packet to the last byte of the body.
    pub timeout: Duration,
    /// Bytes of body.
    pub max_body: usize,
}

#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("the address is not allowed by the egress rules")]
    Blocked,
    #[error("only https may be fetched, or http on a loopback address that egress allows")]
    Insecure,
    #[error("the response is larger than {0} bytes")]
    TooLarge(usize),
    /// No connection came about: nothing was sent.
    #[error("the server cannot be reached")]
    Unreachable(#[source] Box<dyn Error + Send + Sync>),
    /// The request may have arrived; its answer did not, or not whole.
    #[error("the connection failed")]
    Transport(#[source] Box<dyn Error + Send + Sync>),
    /// As [`FetchError::Transport`].
    #[error("no complete answer within {0:?}")]
    Timeout(Duration),
}

/// Bounded, never follows redirects (a 3xx is an answer like any other), never reaches an address
/// that the egress rules refuse, sends no cookie and no proxy header.
#[async_trait::async_trait]
pub trait Outbound: fmt::Debug + Send + Sync {
    async fn fetch(
        &self,
        request: http::Request<Bytes>,
        limits: Limits,
    ) -> Result<http::Response<Bytes>, FetchError>;
}

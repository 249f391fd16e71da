//! The data plane's client: one request out, its answer streamed.

use std::{error::Error, fmt, sync::Arc, time::Duration};

use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{self, Client},
    rt::{TokioExecutor, TokioTimer},
};

use crate::{
    BoxError,
    address::EgressRules,
    connect::{ConnectError, Connector},
    resolve::{Resolver, SystemResolver},
    tls::Trust,
};

/// Kept per upstream and worker for the next request.
const MAX_IDLE: usize = 64;
const IDLE_LIMIT: Duration = Duration::from_secs(30);

/// Bytes of a connection held in memory, and so of a response's head (what one read brings beyond
/// is let through).
const MAX_HEAD: usize = 64 * 1024;

/// A pool of HTTP/1.1 connections. Cheap to clone; clones share the pool.
///
/// Make one per worker thread: connections live on the runtime that opened them. HTTP/2 is left
/// out on purpose: all streams of a host would share one connection, and long event streams would
/// hold up the calls beside them.
///
/// Redirects are answers like any other, and proxies of the environment are not asked.
pub struct UpstreamClient<B> {
    client: Client<Connector, B>,
}

/// Whose move it is, when there is no answer to pass on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The operator's: `egress.allow_private` does not list the address.
    #[error("{}", ConnectError::Blocked)]
    Blocked,
    /// The upstream's, or the network's. The words are ours.
    #[error("{0}")]
    Connect(&'static str),
    /// The operator's, or of whoever runs the host: its certificate is not believed. The words are
    /// ours.
    #[error("{0}")]
    Tls(&'static str),
    /// The caller's: their request broke off half-way.
    #[error("the request broke off")]
    RequestBody,
    /// The upstream's. A connection kept alive for too long looks like this too.
    #[error("the upstream closed the connection without an answer")]
    Closed,
    /// The upstream's: what came back is not HTTP, or its head has no end.
    #[error("the upstream's answer is not HTTP")]
    Malformed,
}

impl SendError {
    /// The upstream has not seen one byte: asking again cannot do anything twice.
    pub fn nothing_was_sent(self) -> bool {
        matches!(self, Self::Blocked | Self::Connect(_) | Self::Tls(_))
    }
}

impl<B> UpstreamClient<B>
where
    B: Body<Data: Send, Error: Into<BoxError>> + Send + Unpin + 'static,
{
    pub fn new(rules: Arc<EgressRules>, trust: &Trust) -> Self {
        Self::resolving(rules, trust, Arc::new(SystemResolver))
    }

    /// With names that lead where `resolver` says.
    pub fn resolving(rules: Arc<EgressRules>, trust: &Trust, resolver: Arc<dyn Resolver>) -> Self {
        Self::with_idle(Connector::new(rules, trust, resolver), MAX_IDLE)
    }

    /// With up to `idle` connections kept per host.
    pub(crate) fn with_idle(connector: Connector, idle: usize) -> Self {
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_LIMIT)
            .pool_max_idle_per_host(idle)
            .http1_max_buf_size(MAX_HEAD)
            .build(connector);
        Self { client }
    }

    /// Resolves with the head of the answer. Connecting is bounded (5 s); how long the upstream
    /// may think is the caller's to say.
    ///
    /// The request's URI is absolute, its `Host` is written from it when absent.
    pub async fn send(&self, request: Request<B>) -> Result<Response<Incoming>, SendError> {
        self.client.request(request).await.map_err(|error| classify(&error))
    }
}

impl<B> Clone for UpstreamClient<B> {
    fn clone(&self) -> Self {
        Self { client: self.client.clone() }
    }
}

impl<B> fmt::Debug for UpstreamClient<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamClient").finish_non_exhaustive()
    }
}

/// By the types in the chain of causes, never by their text.
fn classify(error: &legacy::Error) -> SendError {
    if let Some(connect) = cause::<ConnectError>(error) {
        return match connect {
            ConnectError::Blocked => SendError::Blocked,
            ConnectError::Failed(what) => SendError::Connect(what),
            ConnectError::Tls(what) => SendError::Tls(what),
        };
    }
    match cause::<hyper::Error>(error) {
        Some(hyper) if hyper.is_user() => SendError::RequestBody,
        Some(hyper) if hyper.is_parse() => SendError::Malformed,
        _ => SendError::Closed,
    }
}

fn cause<'a, E: Error + 'static>(mut error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    loop {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        error = error.source()?;
    }
}

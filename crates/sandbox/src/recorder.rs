//! What arrived: so that a test can say what an upstream must, and must not, have seen.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll},
};

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Uri};
use http_body::{Body as HttpBody, Frame, SizeHint};

use crate::shared::Shared;

/// Requests that are remembered; the oldest go first.
const MAX_REQUESTS: usize = 1_000;
/// Bytes of each body that are remembered.
const MAX_BODY: usize = 16 * 1024;

/// The requests that arrived at one peer, refused ones too.
#[derive(Clone, Debug, Default)]
pub struct Recorder(Shared<Log>);

#[derive(Debug, Default)]
struct Log {
    requests: VecDeque<Entry>,
    arrived: u64,
}

#[derive(Debug)]
struct Entry {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Shared<Vec<u8>>,
}

/// One request as it arrived. `Debug` leaves headers and body out: they hold tokens.
#[derive(Clone)]
pub struct Recorded {
    pub method: Method,
    /// Path and query.
    pub uri: Uri,
    pub headers: HeaderMap,
    /// The first 16 KiB of what was read of it so far.
    pub body: Vec<u8>,
}

impl Recorder {
    /// The oldest first; at most 1,000.
    pub fn requests(&self) -> Vec<Recorded> {
        self.0.with(|log| log.requests.iter().map(Entry::snapshot).collect())
    }

    /// How many arrived since the start or the last [`Recorder::clear`], forgotten ones included.
    pub fn arrived(&self) -> u64 {
        self.0.with(|log| log.arrived)
    }

    /// Whether any request carried `text`: in its method, path, query, headers or body.
    pub fn mentions(&self, text: &str) -> bool {
        self.requests().iter().any(|request| request.mentions(text))
    }

    pub fn clear(&self) {
        self.0.with(|log| *log = Log::default());
    }

    /// Writes a request down; its body is written down while somebody reads it.
    pub(crate) fn record<B>(&self, request: Request<B>) -> Request<Body>
    where
        B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<axum::BoxError>,
    {
        let body = Shared::default();
        let entry = Entry {
            method: request.method().clone(),
            uri: request.uri().clone(),
            headers: request.headers().clone(),
            body: body.clone(),
        };
        self.0.with(|log| {
            log.arrived = log.arrived.saturating_add(1);
            if log.requests.len() >= MAX_REQUESTS {
                log.requests.pop_front();
            }
            log.requests.push_back(entry);
        });
        request.map(|inner| Body::new(Tee { inner, copy: body }))
    }
}

impl Entry {
    fn snapshot(&self) -> Recorded {
        Recorded {
            method: self.method.clone(),
            uri: self.uri.clone(),
            headers: self.headers.clone(),
            body: self.body.with(|bytes| bytes.clone()),
        }
    }
}

impl Recorded {
    /// The first value of a header, when it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub fn mentions(&self, text: &str) -> bool {
        let holds = |bytes: &[u8]| bytes.windows(text.len().max(1)).any(|w| w == text.as_bytes());
        holds(self.method.as_str().as_bytes())
            || holds(self.uri.to_string().as_bytes())
            || self
                .headers
                .iter()
                .any(|(name, value)| holds(name.as_str().as_bytes()) || holds(value.as_bytes()))
            || holds(&self.body)
    }
}

impl std::fmt::Debug for Recorded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} ({} headers)", self.method, self.uri.path(), self.headers.len())
    }
}

/// Copies the beginning of a body while it passes.
struct Tee<B> {
    inner: B,
    copy: Shared<Vec<u8>>,
}

impl<B: HttpBody<Data = Bytes> + Unpin> HttpBody for Tee<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(data) = frame.data_ref()
        {
            self.copy.with(|copy| {
                let room = MAX_BODY.saturating_sub(copy.len());
                copy.extend(data.iter().take(room));
            });
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

//! Bodies on their way through: streamed, watched, and at most a small copy kept.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{Full, combinators::UnsyncBoxBody};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// How much of a request is remembered so that it can be sent again after a refresh (PX-17).
/// Tool calls are a few KiB.
pub(crate) const REPLAY_LIMIT: usize = 64 * 1024;

/// A response stream with nothing on it for this long is over. Servers keep quiet streams alive
/// with comments every 15 to 30 s (PX-18).
const IDLE_LIMIT: Duration = Duration::from_mins(15);

/// A request's body on its way to the upstream.
#[derive(Debug)]
pub struct RequestBody(Passage);

#[derive(Debug)]
enum Passage {
    /// The caller's bytes as they come, with a copy kept while it is small.
    Streamed(Incoming, Copy),
    Replayed(Full<Bytes>),
}

/// What was sent of a body so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Copy(Arc<Mutex<Copied>>);

#[derive(Debug)]
struct Copied {
    /// Copied together: a frame may be a small slice that keeps a large buffer alive.
    bytes: BytesMut,
    state: CopyState,
    moved_at: Instant,
}

impl Default for Copied {
    fn default() -> Self {
        let (bytes, state) = (BytesMut::new(), CopyState::default());
        Self { bytes, state, moved_at: Instant::now() }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum CopyState {
    #[default]
    Partial,
    Complete,
    TooLarge,
}

impl RequestBody {
    pub(crate) fn streamed(incoming: Incoming) -> (Self, Copy) {
        let copy = Copy::default();
        if incoming.is_end_stream() {
            copy.finish();
        }
        (Self(Passage::Streamed(incoming, copy.clone())), copy)
    }

    pub(crate) fn replayed(whole: Bytes) -> Self {
        Self(Passage::Replayed(Full::new(whole)))
    }
}

impl Copy {
    /// Takes the whole body, if all of it passed and it was small.
    pub(crate) fn whole(&self) -> Option<Bytes> {
        let mut copied = self.lock();
        let complete = copied.state == CopyState::Complete;
        complete.then(|| copied.bytes.split().freeze())
    }

    /// When the body last came further; its beginning, while nothing came.
    pub(crate) fn moved_at(&self) -> Instant {
        self.lock().moved_at
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Copied> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn keep(&self, data: &Bytes) {
        let mut copied = self.lock();
        copied.moved_at = Instant::now();
        if copied.bytes.len() + data.len() > REPLAY_LIMIT {
            copied.state = CopyState::TooLarge;
            copied.bytes = BytesMut::new();
        } else if copied.state == CopyState::Partial {
            copied.bytes.extend_from_slice(data);
        }
    }

    fn finish(&self) {
        let mut copied = self.lock();
        copied.moved_at = Instant::now();
        if copied.state == CopyState::Partial {
            copied.state = CopyState::Complete;
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.get_mut().0 {
            Passage::Replayed(whole) => {
                Pin::new(whole).poll_frame(cx).map_err(|impossible| match impossible {})
            }
            Passage::Streamed(incoming, copy) => {
                let polled = Pin::new(&mut *incoming).poll_frame(cx);
                match &polled {
                    Poll::Ready(Some(Ok(frame))) => {
                        if let Some(data) = frame.data_ref() {
                            copy.keep(data);
                        }
                        if incoming.is_end_stream() {
                            copy.finish();
                        }
                    }
                    Poll::Ready(None) => copy.finish(),
                    _ => {}
                }
                polled.map_err(Into::into)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Passage::Streamed(incoming, _) => incoming.is_end_stream(),
            Passage::Replayed(whole) => whole.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Passage::Streamed(incoming, _) => incoming.size_hint(),
            Passage::Replayed(whole) => whole.size_hint(),
        }
    }
}

/// A response's body on its way to the caller.
#[derive(Debug)]
pub enum ResponseBody {
    Upstream(Box<Watched>),
    Own(Full<Bytes>),
    /// A page or an API answer.
    Web(UnsyncBoxBody<Bytes, BodyError>),
}

/// An upstream's bytes, ended by silence, and by shutdown when they have no end of their own.
#[derive(Debug)]
pub struct Watched {
    incoming: Incoming,
    idle: Pin<Box<Sleep>>,
    drain: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
}

impl ResponseBody {
    pub(crate) fn upstream(incoming: Incoming, drain: Option<CancellationToken>) -> Self {
        if incoming.is_end_stream() {
            return Self::empty();
        }
        Self::Upstream(Box::new(Watched {
            incoming,
            idle: Box::pin(tokio::time::sleep(IDLE_LIMIT)),
            drain: drain.map(|drain| Box::pin(drain.cancelled_owned())),
        }))
    }

    pub(crate) fn empty() -> Self {
        Self::Own(Full::default())
    }
}

impl From<String> for ResponseBody {
    fn from(text: String) -> Self {
        Self::Own(Full::new(Bytes::from(text)))
    }
}

#[derive(Clone, Copy, Debug, thiserror::Error)]
enum Cut {
    #[error("nothing came from the upstream for {IDLE_LIMIT:?}")]
    Idle,
    #[error("the gateway is shutting down")]
    Shutdown,
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Own(whole) => {
                Pin::new(whole).poll_frame(cx).map_err(|impossible| match impossible {})
            }
            Self::Web(body) => Pin::new(body).poll_frame(cx),
            Self::Upstream(watched) => watched.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Upstream(watched) => watched.incoming.is_end_stream(),
            Self::Own(whole) => whole.is_end_stream(),
            Self::Web(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Upstream(watched) => watched.incoming.size_hint(),
            Self::Own(whole) => whole.size_hint(),
            Self::Web(body) => body.size_hint(),
        }
    }
}

impl Watched {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        use std::future::Future as _;

        match Pin::new(&mut self.incoming).poll_frame(cx) {
            Poll::Ready(frame) => {
                self.idle.as_mut().reset(Instant::now() + IDLE_LIMIT);
                Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
            }
            Poll::Pending
                if self.drain.as_mut().is_some_and(|drain| drain.as_mut().poll(cx).is_ready()) =>
            {
                Poll::Ready(Some(Err(Cut::Shutdown.into())))
            }
            Poll::Pending if self.idle.as_mut().poll(cx).is_ready() => {
                Poll::Ready(Some(Err(Cut::Idle.into())))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

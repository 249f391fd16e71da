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
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::{
    bridge::TurnedBody,
    guard::{Cut, Guard},
    headers,
    listing::{Events, Listing},
    member::Parting,
    sse::Relayed,
};

pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// How much of a request is remembered so that it can be sent again after a refresh (PX-17).
/// Tool calls are a few KiB.
pub(crate) const REPLAY_LIMIT: usize = 64 * 1024;

/// How often the guard of an answer that does not pause is asked.
const GUARD_EVERY: Duration = Duration::from_millis(100);

/// A sign of life between two events: a comment, which clients skip.
const COMMENT: Bytes = Bytes::from_static(b":\n\n");

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
    /// The upstream would take more, and nothing more has come.
    is_awaited: bool,
}

impl Default for Copied {
    fn default() -> Self {
        let (bytes, state) = (BytesMut::new(), CopyState::default());
        Self { bytes, state, moved_at: Instant::now(), is_awaited: false }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum CopyState {
    #[default]
    Partial,
    Complete,
    TooLarge,
}

/// A request's body on its way to the gateway.
pub(crate) enum Arriving {
    Streamed(Incoming),
    /// It was looked into, or is the gateway's own. A large one is let go as it is sent.
    Whole(Bytes),
}

impl Body for Arriving {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Streamed(incoming) => Pin::new(incoming).poll_frame(cx).map_err(Into::into),
            Self::Whole(whole) if whole.is_empty() => Poll::Ready(None),
            Self::Whole(whole) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(whole))))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Streamed(incoming) => incoming.is_end_stream(),
            Self::Whole(whole) => whole.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Streamed(incoming) => incoming.size_hint(),
            Self::Whole(whole) => SizeHint::with_exact(whole.len() as u64),
        }
    }
}

impl RequestBody {
    pub(crate) fn first(arriving: Arriving) -> (Self, Copy) {
        let copy = Copy::default();
        match arriving {
            Arriving::Streamed(incoming) => {
                if incoming.is_end_stream() {
                    copy.finish();
                }
                (Self(Passage::Streamed(incoming, copy.clone())), copy)
            }
            Arriving::Whole(whole) => {
                copy.keep(&whole);
                copy.finish();
                (Self::replayed(whole), copy)
            }
        }
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

    /// When the body last came further (its beginning, while nothing came), and whether the caller
    /// is who keeps it.
    pub(crate) fn progress(&self) -> (Instant, bool) {
        let copied = self.lock();
        (copied.moved_at, copied.is_awaited)
    }

    pub(crate) fn wait(&self) {
        self.lock().is_awaited = true;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Copied> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn keep(&self, data: &Bytes) {
        let mut copied = self.lock();
        copied.moved_at = Instant::now();
        copied.is_awaited = false;
        if copied.bytes.len() + data.len() > REPLAY_LIMIT {
            copied.state = CopyState::TooLarge;
            copied.bytes = BytesMut::new();
        } else if copied.state == CopyState::Partial {
            copied.bytes.extend_from_slice(data);
        }
    }

    /// More came than is sent again.
    fn spoil(&self) {
        self.lock().state = CopyState::TooLarge;
    }

    fn finish(&self) {
        let mut copied = self.lock();
        copied.moved_at = Instant::now();
        copied.is_awaited = false;
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
                        match frame.data_ref() {
                            Some(data) => copy.keep(data),
                            None => copy.spoil(), // trailers
                        }
                        if incoming.is_end_stream() {
                            copy.finish();
                        }
                    }
                    Poll::Ready(None) => copy.finish(),
                    Poll::Pending => copy.wait(),
                    Poll::Ready(Some(Err(_))) => {}
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
    Upstream(Box<Guarded>),
    /// Events of an upstream, of which the caller may not see everything.
    Events(Box<Events>),
    /// Whose messages become those of another era.
    Turned(Box<TurnedBody>),
    /// Messages of a stream that is held for the caller.
    Relayed(Box<Relayed>),
    /// With something to do when it is over.
    Parting(Box<Parting>),
    Own(Full<Bytes>),
    /// A page or an API answer.
    Web(UnsyncBoxBody<Bytes, BodyError>),
}

/// An upstream's bytes, ended by their guard, and by shutdown when they have no end of their own.
pub struct Guarded {
    incoming: Incoming,
    guard: Guard,
    asked_at: Instant,
    /// Of an event stream into which comments may be written.
    gap: Option<Gap>,
    drain: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
}

/// Where an event stream is: a comment may stand between two events, not inside one.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Gap {
    /// The last two bytes that are not carriage returns; nothing yet is as good as a gap.
    last: Option<[u8; 2]>,
}

impl Gap {
    fn pass(&mut self, data: &[u8]) {
        let end = data.last_chunk::<4>().map_or(data, |end| {
            self.last = Some([0; 2]); // nothing before these four counts
            end
        });
        for byte in end.iter().filter(|byte| **byte != b'\r') {
            let [_, before] = self.last.unwrap_or_default();
            self.last = Some([before, *byte]);
        }
    }

    fn is_between_events(self) -> bool {
        self.last.is_none_or(|last| last == *b"\n\n")
    }
}

impl std::fmt::Debug for Guarded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guarded").finish_non_exhaustive()
    }
}

impl ResponseBody {
    pub(crate) fn upstream(
        incoming: Incoming,
        guard: Guard,
        gap: Option<Gap>,
        drain: Option<CancellationToken>,
    ) -> Self {
        if incoming.is_end_stream() {
            return Self::empty();
        }
        Self::Upstream(Box::new(Guarded::new(incoming, guard, gap, drain)))
    }

    pub(crate) fn events(
        incoming: Incoming,
        guard: Guard,
        gap: Option<Gap>,
        drain: Option<CancellationToken>,
        listing: Listing,
    ) -> Self {
        Self::Events(Box::new(Events::new(Guarded::new(incoming, guard, gap, drain), listing)))
    }

    pub(crate) fn empty() -> Self {
        Self::Own(Full::default())
    }
}

impl From<String> for ResponseBody {
    fn from(text: String) -> Self {
        Bytes::from(text).into()
    }
}

impl From<Bytes> for ResponseBody {
    fn from(whole: Bytes) -> Self {
        Self::Own(Full::new(whole))
    }
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
            Self::Upstream(guarded) => guarded.poll(cx),
            Self::Events(events) => events.poll(cx),
            Self::Turned(turned) => turned.poll(cx),
            Self::Relayed(relayed) => relayed.poll(cx),
            Self::Parting(parting) => Pin::new(parting.body()).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Upstream(guarded) => guarded.incoming.is_end_stream(),
            Self::Events(_) | Self::Turned(_) | Self::Relayed(_) => false,
            Self::Parting(parting) => parting.is_end_stream(),
            Self::Own(whole) => whole.is_end_stream(),
            Self::Web(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Upstream(guarded) => guarded.incoming.size_hint(),
            Self::Events(_) | Self::Turned(_) | Self::Relayed(_) => SizeHint::default(),
            Self::Parting(parting) => parting.size_hint(),
            Self::Own(whole) => whole.size_hint(),
            Self::Web(body) => body.size_hint(),
        }
    }
}

impl Guarded {
    fn new(
        incoming: Incoming,
        guard: Guard,
        gap: Option<Gap>,
        drain: Option<CancellationToken>,
    ) -> Self {
        let asked_at = Instant::now();
        guard.pulse().beat(asked_at);
        let drain = drain.map(|drain| Box::pin(drain.cancelled_owned()));
        Self { incoming, guard, asked_at, gap, drain }
    }

    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match Pin::new(&mut self.incoming).poll_frame(cx) {
            Poll::Ready(mut frame) => {
                let now = Instant::now();
                self.guard.pulse().beat(now);
                if let Some(Ok(frame)) = &mut frame
                    && let Some(trailers) = frame.trailers_mut()
                {
                    headers::clean_response(trailers);
                }
                if let (Some(gap), Some(Ok(frame))) = (&mut self.gap, &frame)
                    && let Some(data) = frame.data_ref()
                {
                    gap.pass(data);
                }
                // What never pauses would never come to the other arm.
                if now.saturating_duration_since(self.asked_at) >= GUARD_EVERY {
                    self.asked_at = now;
                    if let Some(cut) = self.ask(cx) {
                        return Poll::Ready(Some(Err(cut.into())));
                    }
                }
                Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
            }
            Poll::Pending => {
                if let Some(cut) = self.ask(cx) {
                    return Poll::Ready(Some(Err(cut.into())));
                }
                let is_due = self.guard.pulse().take_silence();
                if is_due && self.gap.is_some_and(Gap::is_between_events) {
                    return Poll::Ready(Some(Ok(Frame::data(COMMENT))));
                }
                Poll::Pending
            }
        }
    }

    fn ask(&mut self, cx: &mut Context<'_>) -> Option<Cut> {
        if self.drain.as_mut().is_some_and(|drain| drain.as_mut().poll(cx).is_ready()) {
            return Some(Cut::Shutdown);
        }
        match Pin::new(&mut self.guard).poll(cx) {
            Poll::Ready(cut) => Some(cut),
            Poll::Pending => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_stands_only_between_events() {
        for (passed, fits) in [
            (&[][..], true),
            (&["data: 1\n\n"][..], true),
            (&["data: 1\r\n\r\n"][..], true),
            (&["data: 1\n", "\n"][..], true),
            (&["data: 1\r", "\n\r", "\n"][..], true),
            (&["data: 1\n"][..], false),
            (&["data: 1\n\n", "data"][..], false),
            (&["\n"][..], false),
        ] {
            let mut gap = Gap::default();
            for data in passed {
                gap.pass(data.as_bytes());
            }
            assert_eq!(gap.is_between_events(), fits, "{passed:?}");
        }
    }
}

//! A caller who does not read one of their HTTP/2 streams, beside others that they do.
//!
//! Every stream has a window of its own (RFC 9113 section 5.2): what its caller does not let through
//! waits here, with all that its request holds, while the socket takes what is for others.

use std::{
    cell::Cell,
    future::poll_fn,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::rt::Executor;
use hyper_util::rt::TokioExecutor;
use tokio::{
    task_local,
    time::{Instant, Sleep, sleep, sleep_until},
};

/// Bytes that a stream's caller is offered at once, of which they have to take all before they are
/// offered more: as many as a frame has.
const PIECE: usize = 16 * 1024;

task_local! {
    /// Since when the stream's caller has been offered something that they have not taken.
    static OFFERED: Cell<Option<Instant>>;
}

/// Those of one connection. Each that takes nothing for `limit` is reset.
#[derive(Clone)]
pub(super) struct Streams {
    limit: Duration,
    count: Arc<Count>,
}

#[derive(Default)]
struct Count {
    begun: AtomicUsize,
    ended: AtomicUsize,
}

impl Streams {
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit, count: Arc::default() }
    }

    /// Ends when all streams have been over for the limit: what their caller has not taken by then of
    /// their last pieces is not waited for. Never for HTTP/1, which has none.
    pub(super) async fn forsaken(&self) {
        let mut before = None;
        loop {
            sleep(self.limit).await;
            let begun = self.count.begun.load(Relaxed);
            let over = (begun > 0 && begun == self.count.ended.load(Relaxed)).then_some(begun);
            if over.is_some() && over == before {
                return;
            }
            before = over;
        }
    }
}

impl<F: Future + Send + 'static> Executor<F> for Streams {
    fn execute(&self, stream: F) {
        let (limit, count) = (self.limit, Arc::clone(&self.count));
        count.begun.fetch_add(1, Relaxed);
        let patient = OFFERED.scope(Cell::new(None), patiently(stream, limit));
        TokioExecutor::new().execute(async move {
            patient.await;
            count.ended.fetch_add(1, Relaxed);
        });
    }
}

/// Drops the stream, which resets it, when its caller takes nothing for `limit`.
async fn patiently<F: Future>(stream: F, limit: Duration) {
    let mut stream = pin!(stream);
    // Made when the first piece is not taken at once.
    let mut alarm: Option<Pin<Box<Sleep>>> = None;
    poll_fn(|cx| {
        if stream.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let Some(since) = OFFERED.with(Cell::get) else { return Poll::Pending };
        let end = since + limit;
        let alarm = alarm.get_or_insert_with(|| Box::pin(sleep_until(end)));
        if alarm.deadline() != end {
            alarm.as_mut().reset(end);
        }
        alarm.as_mut().poll(cx)
    })
    .await;
}

/// An answer's body: in HTTP/2 in pieces, and noted when one is offered.
pub(super) struct Offered<B> {
    body: B,
    /// Of its last frame.
    rest: Bytes,
}

impl<B> Offered<B> {
    pub(super) fn new(body: B) -> Self {
        Self { body, rest: Bytes::new() }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Offered<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let polled = if self.rest.is_empty() {
            Pin::new(&mut self.body).poll_frame(cx)
        } else {
            Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.rest)))))
        };
        // Asked for in HTTP/2 only when the last piece was taken.
        let has_data = matches!(&polled, Poll::Ready(Some(Ok(frame))) if frame.is_data());
        let since = has_data.then(Instant::now);
        if OFFERED.try_with(|offered| offered.set(since)).is_err() || !has_data {
            return polled;
        }
        polled.map_ok(|frame| match frame.into_data() {
            Ok(mut data) => {
                self.rest = data.split_off(data.len().min(PIECE));
                Frame::data(data)
            }
            Err(frame) => frame,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.rest.is_empty() { self.body.size_hint() } else { SizeHint::default() }
    }
}

//! Bodies that take their time. They need no task of their own, and end when nobody reads them.

use std::{
    convert::Infallible,
    future::Future as _,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame};
use tokio::time::{Instant, Sleep, sleep};

/// The chunks one after the other, each after a pause.
pub(crate) fn paced(
    chunks: impl Iterator<Item = Bytes> + Send + Unpin + 'static,
    pause: Duration,
) -> Body {
    Body::new(Paced { chunks, pause, next: Box::pin(sleep(pause)) })
}

struct Paced<I> {
    chunks: I,
    pause: Duration,
    next: Pin<Box<Sleep>>,
}

impl<I: Iterator<Item = Bytes> + Unpin> HttpBody for Paced<I> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if !self.pause.is_zero() {
            std::task::ready!(self.next.as_mut().poll(cx));
        }
        let again = Instant::now() + self.pause;
        self.next.as_mut().reset(again);
        Poll::Ready(self.chunks.next().map(|chunk| Ok(Frame::data(chunk))))
    }
}

//! Messages of one stream for one who waits.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::Frame;
use tokio::{
    sync::mpsc,
    time::{Sleep, sleep},
};

use super::session::SseSession;
use crate::body::BodyError;

/// How long an answer may take, from the request or from the message before.
const PATIENCE: Duration = Duration::from_mins(15);

/// The events for one request, to its answer; or for a caller who listens.
pub struct Relayed {
    events: mpsc::Receiver<Bytes>,
    deadline: Pin<Box<Sleep>>,
    /// The request's, which nobody waits for any more when this is dropped.
    waits: Option<(Arc<SseSession>, String)>,
}

impl fmt::Debug for Relayed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relayed").finish_non_exhaustive()
    }
}

impl Relayed {
    pub(super) fn new(
        events: mpsc::Receiver<Bytes>,
        waits: Option<(Arc<SseSession>, String)>,
    ) -> Self {
        Self { events, deadline: Box::pin(sleep(PATIENCE)), waits }
    }

    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.events.poll_recv(cx) {
            Poll::Ready(Some(event)) => {
                self.deadline.as_mut().reset(tokio::time::Instant::now() + PATIENCE);
                Poll::Ready(Some(Ok(Frame::data(event))))
            }
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending if self.waits.is_none() => Poll::Pending,
            Poll::Pending => self.deadline.as_mut().poll(cx).map(|()| None),
        }
    }
}

impl Drop for Relayed {
    fn drop(&mut self) {
        if let Some((session, id)) = &self.waits {
            session.forget(id);
        }
    }
}

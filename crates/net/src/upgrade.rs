//! Connections that change their protocol: two become one, and bytes are all that passes.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional};

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What a connection does when HTTP is over on it, in the extensions of every request. It counts as
/// a connection as long as that lasts, and shutdown waits for it.
#[derive(Clone, Default)]
pub struct Afterwards(Arc<Mutex<Option<Work>>>);

impl Afterwards {
    pub fn set(&self, work: impl Future<Output = ()> + Send + 'static) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::pin(work));
    }

    pub(crate) fn take(&self) -> Option<Work> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl std::fmt::Debug for Afterwards {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Afterwards").finish_non_exhaustive()
    }
}

/// Passes bytes both ways until both ends have ended; `moved` hears of each piece.
///
/// # Errors
/// When an end did not change its protocol, or broke off.
pub async fn relay(caller: OnUpgrade, upstream: OnUpgrade, moved: impl Fn()) -> io::Result<()> {
    let (caller, upstream) =
        tokio::try_join!(caller, upstream).map_err(|error| io::Error::other(Box::new(error)))?;
    let mut caller = Heard { stream: TokioIo::new(caller), moved: &moved };
    let mut upstream = TokioIo::new(upstream);
    copy_bidirectional(&mut caller, &mut upstream).await.map(drop)
}

struct Heard<'a, F> {
    stream: TokioIo<Upgraded>,
    moved: &'a F,
}

impl<F: Fn()> AsyncRead for Heard<'_, F> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if polled.is_ready() {
            (self.moved)();
        }
        polled
    }
}

impl<F: Fn()> AsyncWrite for Heard<'_, F> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if polled.is_ready() {
            (self.moved)();
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

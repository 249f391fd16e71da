//! A network that has one answer, at once.

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
};

use attache_core::outbound::{FetchError, Limits, Outbound};
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};

#[derive(Clone, Debug)]
pub(super) struct Scripted {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

#[async_trait::async_trait]
impl Outbound for Scripted {
    async fn fetch(&self, _: Request<Bytes>, _: Limits) -> Result<Response<Bytes>, FetchError> {
        let mut response = Response::new(self.body.clone());
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers.clone();
        Ok(response)
    }
}

/// The end of something that waits for nothing but [`Scripted`].
pub(super) fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("a scripted answer is there at once"),
    }
}

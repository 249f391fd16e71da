//! The listener: who accepts, on which threads it is answered, how many at once, how it ends.

mod connection;
mod dispatch;
mod stall;
mod stream;
mod worker;

use std::{
    io,
    net::{SocketAddr, TcpListener},
    num::NonZeroUsize,
    thread,
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::{body::Incoming, service::Service};
use tokio::{
    runtime::{Builder, Runtime},
    sync::oneshot,
};

pub use connection::{Drain, PeerAddr};

use crate::{BoxError, shutdown::Shutdown, tls::MutualTls};
use connection::Protocol;
use dispatch::Dispatcher;
use worker::Worker;

/// Threads per worker for what blocks, which is looking up names.
const MAX_BLOCKING_THREADS: usize = 32;

/// An address that is bound and listens; nobody accepts yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    limits: Limits,
    tls: Option<MutualTls>,
}

/// What callers may take of this listener.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Open at once, over all workers. Beyond, callers wait in the kernel's queue.
    pub connections: usize,
    /// For a request's head to arrive, from the moment the connection is open or idle again.
    pub head: Duration,
    /// For a caller to take anything of what is being sent, on the connection and on each of its
    /// HTTP/2 streams.
    pub stall: Duration,
    /// Without a new request on a connection: HTTP/2's is closed as soon as its streams have ended.
    pub idle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            head: Duration::from_secs(10),
            stall: Duration::from_mins(1),
            idle: Duration::from_mins(5),
        }
    }
}

/// Whatever answers requests; each connection has a clone.
pub trait HttpService:
    Service<
        Request<Incoming>,
        Response = Response<Self::Reply>,
        Error: Into<BoxError>,
        Future: Send + 'static,
    > + Clone
    + Send
    + 'static
{
    type Reply: Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static;
}

impl<S, B> HttpService for S
where
    S: Service<
            Request<Incoming>,
            Response = Response<B>,
            Error: Into<BoxError>,
            Future: Send + 'static,
        > + Clone
        + Send
        + 'static,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static,
{
    type Reply = B;
}

impl Server {
    pub fn bind(address: SocketAddr, limits: Limits) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address, limits, tls: None })
    }

    /// For callers who show a certificate.
    #[must_use]
    pub fn with_tls(self, tls: MutualTls) -> Self {
        Self { tls: Some(tls), ..self }
    }

    /// With the port that was given when 0 was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves on threads of its own, each with a single-threaded runtime: a request stays on one
    /// core, with the upstream connections of that core. `service` is asked for each worker's
    /// service, by the worker's number, inside its runtime.
    ///
    /// # Errors
    /// When a thread or its runtime cannot be had.
    pub fn start<S: HttpService>(
        self,
        workers: NonZeroUsize,
        shutdown: &Shutdown,
        mut service: impl FnMut(usize) -> S,
    ) -> io::Result<Workers> {
        let mut dispatcher = Dispatcher::new(self.limits.connections, shutdown.clone());
        let mut ends = Vec::with_capacity(workers.get());
        for number in 0..workers.get() {
            let runtime = runtime()?;
            let service = {
                let _inside = runtime.enter();
                service(number)
            };
            let protocol = Protocol::new(self.limits, self.tls.clone());
            let worker = Worker::new(dispatcher.add(), protocol, service, shutdown.clone());
            let (report, end) = oneshot::channel();
            thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
                let cut = runtime.block_on(worker.run());
                // A name that is still being looked up would hold up the end.
                runtime.shutdown_background();
                report.send(cut)
            })?;
            ends.push(end);
        }
        let runtime = runtime()?;
        let listener = {
            let _inside = runtime.enter();
            tokio::net::TcpListener::from_std(self.listener)?
        };
        thread::Builder::new()
            .name("listener".to_owned())
            .spawn(move || runtime.block_on(dispatcher.run(listener)))?;
        Ok(Workers { ends })
    }

    /// Serves on the runtime of the caller, until shutdown. Gives the number of connections cut.
    ///
    /// # Errors
    /// When the runtime cannot take the listener over.
    pub async fn serve<S: HttpService>(self, shutdown: &Shutdown, service: S) -> io::Result<usize> {
        let listener = tokio::net::TcpListener::from_std(self.listener)?;
        let mut dispatcher = Dispatcher::new(self.limits.connections, shutdown.clone());
        let protocol = Protocol::new(self.limits, self.tls);
        let worker = Worker::new(dispatcher.add(), protocol, service, shutdown.clone());
        let ((), cut) = tokio::join!(dispatcher.run(listener), worker.run());
        Ok(cut)
    }
}

fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().max_blocking_threads(MAX_BLOCKING_THREADS).build()
}

/// The threads of a [`Server`].
#[derive(Debug)]
#[must_use = "the workers' end is known only here"]
pub struct Workers {
    ends: Vec<oneshot::Receiver<usize>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a worker thread panicked")]
pub struct WorkerPanicked;

impl Workers {
    /// Waits until all have ended, and gives the number of connections that had to be cut.
    pub async fn finished(self) -> Result<usize, WorkerPanicked> {
        let mut cut = 0;
        for end in self.ends {
            cut += end.await.map_err(|_| WorkerPanicked)?;
        }
        Ok(cut)
    }
}

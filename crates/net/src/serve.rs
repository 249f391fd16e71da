//! The listener: who accepts, on which thread, how many, and how it ends.

mod connection;

use std::{
    io,
    net::{SocketAddr, TcpListener},
    num::NonZeroUsize,
    sync::Arc,
    thread,
    time::Duration,
};

use http::{Request, Response};
use http_body::Body;
use hyper::{body::Incoming, service::Service};
use tokio::{
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
    task::JoinSet,
};

pub use connection::{Drain, PeerAddr};

use crate::{BoxError, shutdown::Shutdown};
use connection::Protocol;

/// After the machine refused a connection (no file handles, no memory): time for some to close.
const ACCEPT_PAUSE: Duration = Duration::from_millis(250);

/// Threads per worker for what blocks, which is looking up names.
const MAX_BLOCKING_THREADS: usize = 32;

/// An address that is bound and listens; nobody accepts yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    limits: Limits,
}

/// What callers may take of this listener.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Open at once, over all workers. Beyond, callers wait in the kernel's queue.
    pub connections: usize,
    /// For a request's head to arrive, from the moment the connection is open or idle again.
    pub head: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: 10_000, head: Duration::from_secs(10) }
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
    type Reply: Body<Data: Send, Error: Into<BoxError>> + Send + 'static;
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
    B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
{
    type Reply = B;
}

impl Server {
    pub fn bind(address: SocketAddr, limits: Limits) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address, limits })
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
        let slots = Arc::new(Semaphore::new(self.limits.connections));
        let mut ends = Vec::with_capacity(workers.get());
        for number in 0..workers.get() {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .max_blocking_threads(MAX_BLOCKING_THREADS)
                .build()?;
            let acceptor = {
                let _inside = runtime.enter();
                Acceptor {
                    listener: tokio::net::TcpListener::from_std(self.listener.try_clone()?)?,
                    slots: Arc::clone(&slots),
                    limits: self.limits,
                    service: service(number),
                    shutdown: shutdown.clone(),
                }
            };
            let (report, end) = oneshot::channel();
            thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
                let cut = runtime.block_on(acceptor.run());
                // A name that is still being looked up would hold up the end.
                runtime.shutdown_background();
                report.send(cut)
            })?;
            ends.push(end);
        }
        Ok(Workers { ends })
    }

    /// Serves on the runtime of the caller, until shutdown. Gives the number of connections cut.
    ///
    /// # Errors
    /// When the runtime cannot take the listener over.
    pub async fn serve<S: HttpService>(self, shutdown: &Shutdown, service: S) -> io::Result<usize> {
        let acceptor = Acceptor {
            listener: tokio::net::TcpListener::from_std(self.listener)?,
            slots: Arc::new(Semaphore::new(self.limits.connections)),
            limits: self.limits,
            service,
            shutdown: shutdown.clone(),
        };
        Ok(acceptor.run().await)
    }
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

/// One worker's loop.
struct Acceptor<S> {
    listener: tokio::net::TcpListener,
    slots: Arc<Semaphore>,
    limits: Limits,
    service: S,
    shutdown: Shutdown,
}

impl<S: HttpService> Acceptor<S> {
    async fn run(self) -> usize {
        let protocol = Arc::new(Protocol::new(self.limits.head));
        let drain = self.shutdown.drain();
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                () = drain.cancelled() => break,
                Some(_) = connections.join_next() => {}
                accepted = self.accept() => match accepted {
                    Ok((stream, peer, slot)) => {
                        let protocol = Arc::clone(&protocol);
                        let (service, drain) = (self.service.clone(), drain.clone());
                        connections.spawn(async move {
                            protocol.serve(stream, peer, service, drain).await;
                            drop(slot);
                        });
                    }
                    Err(error) => {
                        tracing::warn!(%error, "no connection can be accepted");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
        drop(self.listener);
        let finished = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(self.shutdown.grace(), finished).await.is_ok() {
            return 0;
        }
        let cut = connections.len();
        connections.shutdown().await;
        cut
    }

    /// A slot first, so that what is accepted is also served.
    async fn accept(&self) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
        let slot = Arc::clone(&self.slots).acquire_owned().await.map_err(io::Error::other)?;
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => return Ok((stream, peer, slot)),
                Err(error) if is_of_the_caller(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// A caller who left before they were accepted, not a fault of this machine.
fn is_of_the_caller(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
    )
}

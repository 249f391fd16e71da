//! Who accepts: one loop that hands each connection to the worker with the fewest.
//!
//! Workers that accepted for themselves would take connections in bursts, 60 of 64 on one of two
//! threads, and keep-alive would hold them there.

use std::{
    io,
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

use tokio::{
    net::TcpListener,
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
};

use crate::shutdown::Shutdown;

/// After the machine refused a connection (no file handles, no memory): time for some to close.
const ACCEPT_PAUSE: Duration = Duration::from_millis(250);

/// Connections that wait for their worker to look up from its work.
const QUEUE: usize = 128;

pub(super) struct Dispatcher {
    workers: Vec<Desk>,
    slots: Arc<Semaphore>,
    shutdown: Shutdown,
}

/// A connection on its way to the worker that will serve it.
pub(super) struct Accepted {
    pub(super) stream: TcpStream,
    pub(super) peer: SocketAddr,
    /// To be held as long as the connection is open.
    pub(super) place: Place,
}

/// Counts twice while it lives: among all connections, and among its worker's.
pub(super) struct Place {
    _slot: OwnedSemaphorePermit,
    _load: Arc<()>,
}

/// One worker, from here. Every clone of `load` is a connection it has.
struct Desk {
    queue: mpsc::Sender<Accepted>,
    load: Arc<()>,
}

impl Dispatcher {
    pub(super) fn new(connections: usize, shutdown: Shutdown) -> Self {
        Self { workers: Vec::new(), slots: Arc::new(Semaphore::new(connections)), shutdown }
    }

    /// Where one more worker finds its connections. The queue ends when nothing more is accepted.
    pub(super) fn add(&mut self) -> mpsc::Receiver<Accepted> {
        let (queue, connections) = mpsc::channel(QUEUE);
        self.workers.push(Desk { queue, load: Arc::default() });
        connections
    }

    /// Accepts until shutdown, and then what the kernel has accepted already: those callers have
    /// seen an open door.
    pub(super) async fn run(self, listener: TcpListener) {
        loop {
            let next = tokio::select! {
                biased;
                () = self.shutdown.begun() => break,
                next = self.next(&listener) => next,
            };
            match next {
                Ok((accepted, queue)) => {
                    if queue.send(accepted).await.is_err() {
                        tracing::error!("a worker has ended before its time: shutting down");
                        self.shutdown.begin();
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "no connection can be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        if let Ok(listener) = listener.into_std() {
            self.last(&listener).await;
        }
    }

    /// Of those who came before the door closes, as many as there are places.
    async fn last(&self, listener: &std::net::TcpListener) {
        while let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned()
            && let Ok((stream, peer)) = listener.accept()
        {
            let handed = stream.set_nonblocking(true).and_then(|()| self.hand(stream, peer, slot));
            if let Ok((accepted, queue)) = handed {
                // Only a worker that has ended takes nothing.
                drop(queue.send(accepted).await);
            }
        }
    }

    /// A place first, so that what is accepted is also served.
    async fn next(
        &self,
        listener: &TcpListener,
    ) -> io::Result<(Accepted, &mpsc::Sender<Accepted>)> {
        let slot = Arc::clone(&self.slots).acquire_owned().await.map_err(io::Error::other)?;
        let (stream, peer) = loop {
            match listener.accept().await {
                Err(error) if is_of_the_caller(&error) => {}
                accepted => break accepted?,
            }
        };
        self.hand(stream.into_std()?, peer, slot)
    }

    fn hand(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        slot: OwnedSemaphorePermit,
    ) -> io::Result<(Accepted, &mpsc::Sender<Accepted>)> {
        let least = self.workers.iter().min_by_key(|desk| Arc::strong_count(&desk.load));
        let desk = least.ok_or_else(|| io::Error::other("there is no worker"))?;
        let place = Place { _slot: slot, _load: Arc::clone(&desk.load) };
        Ok((Accepted { stream, peer, place }, &desk.queue))
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

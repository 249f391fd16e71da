//! One thread's connections, from the first to the last.

use std::sync::Arc;

use tokio::{net::TcpStream, sync::mpsc, task::JoinSet};
use tokio_util::sync::CancellationToken;

use super::{
    HttpService,
    connection::Protocol,
    dispatch::{Accepted, Place},
};
use crate::shutdown::Shutdown;

pub(super) struct Worker<S> {
    queue: mpsc::Receiver<Accepted>,
    protocol: Arc<Protocol>,
    service: S,
    shutdown: Shutdown,
    drain: CancellationToken,
    connections: JoinSet<()>,
}

impl<S: HttpService> Worker<S> {
    pub(super) fn new(
        queue: mpsc::Receiver<Accepted>,
        protocol: Protocol,
        service: S,
        shutdown: Shutdown,
    ) -> Self {
        let protocol = Arc::new(protocol);
        let drain = shutdown.drain();
        Self { queue, protocol, service, shutdown, drain, connections: JoinSet::new() }
    }

    /// Until shutdown, and then for as long as connections need, within the grace. Gives the
    /// number of those that were cut.
    pub(super) async fn run(mut self) -> usize {
        loop {
            tokio::select! {
                Some(_) = self.connections.join_next() => {}
                accepted = self.queue.recv() => match accepted {
                    Some(accepted) => self.serve(accepted),
                    None => break,
                },
            }
        }
        let finished = async { while self.connections.join_next().await.is_some() {} };
        if tokio::time::timeout(self.shutdown.grace(), finished).await.is_ok() {
            return 0;
        }
        // The set is dropped here, and what is still in it with it.
        self.connections.len()
    }

    fn serve(&mut self, Accepted { stream, peer, place }: Accepted) {
        let stream = match TcpStream::from_std(stream) {
            Ok(stream) => stream,
            Err(error) => return tracing::warn!(%error, "a connection cannot be watched"),
        };
        let protocol = Arc::clone(&self.protocol);
        let (service, drain) = (self.service.clone(), self.drain.clone());
        self.connections.spawn(async move {
            let _place: Place = place;
            protocol.serve(stream, peer, service, drain).await;
        });
    }
}

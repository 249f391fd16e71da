//! A gateway that listens, and how it ends.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    num::NonZeroUsize,
    sync::{Arc, OnceLock},
    thread,
    time::Duration,
};

use attache_config::{Config, model::ProxyListener};
use attache_net::{
    serve::{Limits, Server, Workers},
    shutdown::Shutdown,
    tls::{MutualTls, MutualTlsError},
    upstream::UpstreamClient,
};
use attache_proxy::Front;
use hyper::service::service_fn;
use tokio::{runtime::Handle, task::JoinHandle};

use crate::{
    admin::{self, Started},
    wire::{WireError, Wired, World, wire},
};

/// How long requests may go on after shutdown began.
const GRACE: Duration = Duration::from_secs(15);
/// How long refreshes and the audit may take after the last request.
const SETTLE: Duration = Duration::from_secs(20);

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error(transparent)]
    ProxyListener(#[from] MutualTlsError),
    #[error("cannot listen on {address} ({key}): {source}")]
    Listen { key: &'static str, address: SocketAddr, source: io::Error },
}

impl StartError {
    /// Whether the same start may succeed later.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Wire(WireError::Store(error)) if error.is_passing())
    }
}

/// Running: the listeners, the workers of the data plane, and the control plane's runtime.
#[derive(Debug)]
#[must_use = "a gateway that is dropped goes on without anybody to stop it"]
pub struct Gateway {
    address: SocketAddr,
    admin_address: SocketAddr,
    shutdown: Shutdown,
    workers: Vec<Workers>,
    admin: JoinHandle<io::Result<usize>>,
    wired: Wired,
}

impl Gateway {
    /// Binds first, so that a port that is taken is known before the store is touched; and answers
    /// on `admin_listen` while it waits for a store that is away.
    pub async fn start(config: &Config, world: World) -> Result<Self, StartError> {
        Self::start_within(Limits::default(), config, world).await
    }

    /// The same, with what callers may take of the listeners.
    pub async fn start_within(
        limits: Limits,
        config: &Config,
        world: World,
    ) -> Result<Self, StartError> {
        let bind = |key, address| {
            let bound = Server::bind(address, limits);
            bound.map_err(|source| StartError::Listen { key, address, source })
        };
        let server = bind("listen", config.listen)?;
        let admin_server = bind("admin_listen", config.admin_listen)?;
        let proxy_server = match &config.proxy_listener {
            None => None,
            Some(one) => {
                Some(bind("proxy_listener.listen", one.listen)?.with_tls(mutual_tls(one)?))
            }
        };
        let shutdown = Shutdown::new(GRACE);
        let started = Arc::new(OnceLock::new());
        let admin_address = admin_server.local_addr();
        let asked = admin::serve(admin_server, shutdown.clone(), Arc::clone(&started));
        let admin = Handle::current().spawn(asked);
        let resolver = Arc::clone(&world.resolver);
        let wired = wire(config, world).await.inspect_err(|_| shutdown.begin())?;
        started.get_or_init(|| Started {
            store: wired.store.clone(),
            registry: Arc::clone(&wired.registry),
        });

        let address = server.local_addr();
        let client = || {
            let resolver = Arc::clone(&resolver);
            UpstreamClient::resolving(wired.rules.clone(), &wired.trust, resolver)
        };
        let front = Front::new(wired.front.clone(), client());
        let started = server.start(worker_count(), &shutdown, |_| {
            let front = front.with_client(client());
            service_fn(move |request| {
                let front = front.clone();
                async move { Ok::<_, Infallible>(front.handle(request).await) }
            })
        });
        let failed = |key, address| move |source| StartError::Listen { key, address, source };
        let mut workers = vec![started.map_err(failed("listen", address))?];
        if let Some(server) = proxy_server {
            let address = server.local_addr();
            let started = server.start(worker_count(), &shutdown, |_| {
                let front = front.clone();
                service_fn(move |request| {
                    let front = front.clone();
                    async move { Ok::<_, Infallible>(front.answer_proxy(request).await) }
                })
            });
            workers.push(started.map_err(failed("proxy_listener.listen", address))?);
        }
        Ok(Self { address, admin_address, shutdown, workers, admin, wired })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn admin_address(&self) -> SocketAddr {
        self.admin_address
    }

    /// Stops accepting, lets requests end, then what must not be lost: refreshes and the audit.
    pub async fn stop(self) {
        self.shutdown.begin();
        for workers in self.workers {
            match workers.finished().await {
                Ok(0) => {}
                Ok(cut) => {
                    tracing::warn!(cut, "connections were cut at the end of the grace period");
                }
                Err(error) => tracing::error!(%error, "the data plane did not end cleanly"),
            }
        }
        if let Err(error) = self.admin.await {
            tracing::error!(%error, "the admin listener did not end cleanly");
        }
        self.wired.stop.cancel();
        if tokio::time::timeout(SETTLE, self.wired.tasks.drained()).await.is_err() {
            tracing::error!("some work was still under way and was given up");
        }
        if let Err(error) = self.wired.ledger.end().await {
            tracing::warn!(%error, "the audit has no end");
        }
        self.wired.store.close().await;
    }
}

fn mutual_tls(listener: &ProxyListener) -> Result<MutualTls, MutualTlsError> {
    let ProxyListener { certificate, key, client_ca, .. } = listener;
    let [certificate, key, client_ca] =
        [certificate, key, client_ca].map(|pem| pem.expose().as_bytes());
    MutualTls::new(certificate, key, client_ca)
}

/// One per core: a request stays on the core that accepted it.
fn worker_count() -> NonZeroUsize {
    thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

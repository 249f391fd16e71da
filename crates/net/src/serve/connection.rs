//! One connection: which HTTP it speaks, its timers, and what its requests are told.

use std::{
    future::pending,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use http::Request;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    HttpService, Limits,
    stall::Impatient,
    stream::{Offered, Streams},
};
use crate::{
    tls::{MutualTls, PeerCertificate},
    upgrade::Afterwards,
};

/// Bytes of a request's head, generous for tokens and cookies (what one read brings beyond is let
/// through).
const MAX_HEAD: usize = 64 * 1024;

/// After shutdown began: for the first request of a caller who had just been let in.
const FIRST_REQUEST: Duration = Duration::from_secs(1);

/// HTTP/2 requests at once on a connection.
const MAX_STREAMS: u32 = 128;

/// A silent HTTP/2 peer is asked after this long whether it is there, and has the other to say so.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_LIMIT: Duration = Duration::from_secs(10);

/// Whose end of the connection it is, in the extensions of every request. Behind a proxy it is the
/// proxy's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerAddr(pub SocketAddr);

/// Cancelled when shutdown begins, in the extensions of every request: a body without an end ends
/// then.
#[derive(Clone, Debug)]
pub struct Drain(pub CancellationToken);

/// How connections are spoken with: HTTP/1.1, or HTTP/2 when the caller begins with it.
pub(super) struct Protocol {
    limits: Limits,
    tls: Option<MutualTls>,
}

impl Protocol {
    pub(super) fn new(limits: Limits, tls: Option<MutualTls>) -> Self {
        Self { limits, tls }
    }

    fn http(&self, streams: Streams) -> auto::Builder<Streams> {
        let mut http = auto::Builder::new(streams);
        http.http1()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.head)
            .max_buf_size(MAX_HEAD);
        http.http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_LIMIT)
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(u32::try_from(MAX_HEAD).unwrap_or(u32::MAX));
        http
    }

    /// Until the caller is done, has nothing to say, or (when `drain` is cancelled) the requests
    /// under way are answered.
    pub(super) async fn serve<S: HttpService>(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        service: S,
        drain: CancellationToken,
    ) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY cannot be set");
        }
        let stream = Impatient::new(stream, self.limits.stall);
        let Some(MutualTls(tls)) = &self.tls else {
            return self.converse(stream, PeerAddr(peer), None, service, drain).await;
        };
        match timeout(self.limits.head, tls.accept(stream)).await {
            Ok(Ok(stream)) => {
                let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
                let shown = shown.map(|shown| PeerCertificate(Arc::new(shown.clone())));
                self.converse(stream, PeerAddr(peer), shown, service, drain).await;
            }
            Ok(Err(error)) => tracing::debug!(%error, "a caller proved nothing"),
            Err(_) => tracing::debug!("a caller took too long to prove anything"),
        }
    }

    async fn converse<S: HttpService>(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        peer: PeerAddr,
        certificate: Option<PeerCertificate>,
        service: S,
        drain: CancellationToken,
    ) {
        let Limits { head, stall, idle, .. } = self.limits;
        let asked = Arc::new(Asked::default());
        let afterwards = Afterwards::default();
        let told = (peer, Drain(drain.clone()), afterwards.clone());
        let noted = Arc::clone(&asked);
        let service = service_fn(move |mut request: Request<Incoming>| {
            noted.note();
            let (peer, drain, afterwards) = told.clone();
            request.extensions_mut().insert(peer);
            request.extensions_mut().insert(drain);
            request.extensions_mut().insert(afterwards);
            if let Some(certificate) = &certificate {
                request.extensions_mut().insert(certificate.clone());
            }
            let answer = service.call(request);
            async move { answer.await.map(|response| response.map(Offered::new)) }
        });
        let streams = Streams::new(stall);
        let http = self.http(streams.clone());
        let stream = TokioIo::new(stream);
        let mut connection = pin!(http.serve_connection_with_upgrades(stream, service));

        // hyper's timer begins when it knows which HTTP this is, and HTTP/2 has none.
        let mut silent = pin!(async {
            sleep(head).await;
            if asked.first.is_cancelled() {
                pending::<()>().await;
            }
        });
        // When to say that no further request is taken: HTTP/1.1 has a timer for idle connections of
        // its own. At a shutdown not before the first: its caller was let in.
        let over = async {
            tokio::select! {
                () = asked.nothing_for(idle) => {}
                () = drain.cancelled() => {
                    drop(timeout(FIRST_REQUEST, asked.first.cancelled()).await);
                }
            }
        };
        let ended = tokio::select! {
            biased;
            ended = connection.as_mut() => ended,
            () = silent.as_mut() => return,
            () = over => {
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    biased;
                    ended = connection => ended,
                    () = silent => return,
                    () = streams.forsaken() => return,
                }
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection ended early");
        }
        if let Some(work) = afterwards.take() {
            work.await;
        }
    }
}

/// What was asked on a connection.
struct Asked {
    opened: Instant,
    first: CancellationToken,
    /// Milliseconds after `opened` when a request came last.
    last: AtomicU64,
}

impl Default for Asked {
    fn default() -> Self {
        Self { opened: Instant::now(), first: CancellationToken::new(), last: AtomicU64::new(0) }
    }
}

impl Asked {
    fn note(&self) {
        self.first.cancel();
        let elapsed = u64::try_from(self.opened.elapsed().as_millis());
        self.last.store(elapsed.unwrap_or(u64::MAX), Relaxed);
    }

    /// Ends when no request came for so long.
    async fn nothing_for(&self, limit: Duration) {
        loop {
            let last = Duration::from_millis(self.last.load(Relaxed));
            let end = self.opened + last + limit;
            if Instant::now() >= end {
                return;
            }
            sleep_until(end).await;
        }
    }
}

//! A listener that serves one router, records what arrives, and can be stopped in mid-sentence.

use std::{io, net::SocketAddr, time::Duration};

use axum::{
    Router,
    body::Body,
    http::Request,
    response::{IntoResponse as _, Response},
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt as _;
use url::Url;

use crate::recorder::Recorder;

/// Open connections; more are closed at once.
const MAX_CONNECTIONS: usize = 1_000;
/// From the first byte of a request to the end of its headers.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long accepting rests after it failed: descriptors that ran out come back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// An address that is taken, so that what will be served there can know its URL.
#[derive(Debug)]
pub(crate) struct Bound {
    listener: TcpListener,
    url: Url,
}

impl Bound {
    /// Port 0 means any.
    pub(crate) async fn to(listen: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let url = format!("http://{}", listener.local_addr()?);
        Ok(Self { listener, url: Url::parse(&url).map_err(io::Error::other)? })
    }

    /// The URL without the slash at its end: `http://127.0.0.1:4001`.
    pub(crate) fn origin(&self) -> String {
        self.url.as_str().trim_end_matches('/').to_owned()
    }

    pub(crate) fn serve(self, routes: Router) -> Peer {
        let peer = Peer {
            url: self.url,
            recorder: Recorder::default(),
            connections: TaskTracker::new(),
            stopping: CancellationToken::new(),
        };
        let accepting = accept(
            self.listener,
            routes,
            peer.recorder.clone(),
            peer.connections.clone(),
            peer.stopping.clone(),
        );
        peer.connections.spawn(peer.stopping.clone().run_until_cancelled_owned(accepting));
        peer
    }
}

#[derive(Debug)]
pub(crate) struct Peer {
    url: Url,
    recorder: Recorder,
    connections: TaskTracker,
    stopping: CancellationToken,
}

impl Peer {
    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    pub(crate) fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// Stops listening and cuts every connection.
    pub(crate) async fn stop(&self) {
        self.stopping.cancel();
        self.connections.close();
        self.connections.wait().await;
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.stopping.cancel();
    }
}

async fn accept(
    listener: TcpListener,
    router: Router,
    recorder: Recorder,
    connections: TaskTracker,
    stopping: CancellationToken,
) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        if connections.len() < MAX_CONNECTIONS {
            let serving = serve(stream, router.clone(), recorder.clone());
            connections.spawn(stopping.clone().run_until_cancelled_owned(serving));
        }
    }
}

async fn serve(stream: TcpStream, router: Router, recorder: Recorder) {
    let service = service_fn(move |request: Request<Incoming>| {
        let answer = router.clone().oneshot(recorder.record(request));
        async move {
            let response = answer.await.unwrap_or_else(|never| match never {});
            if response.extensions().get::<HangUp>().is_some() {
                return Err("the sandbox hung up");
            }
            Ok(response)
        }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service)
        .await
        .ok(); // whoever hung up knows it
}

#[derive(Clone, Copy)]
struct HangUp;

/// An answer that is none: the connection is closed without a byte.
pub(crate) fn hang_up() -> Response {
    let mut response = Body::empty().into_response();
    response.extensions_mut().insert(HangUp);
    response
}

//! The admin listener: is it alive, is it ready, what did it count.

use std::{
    io,
    sync::{Arc, OnceLock},
    time::Duration,
};

use attache_core::store::StoreError;
use attache_net::{serve::Server, shutdown::Shutdown};
use attache_store::{Fault, Store};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, service::service_fn};
use prometheus_client::registry::Registry;

use crate::metrics;

/// A store that does not answer a probe in this time is away.
const PROBE_LIMIT: Duration = Duration::from_secs(3);

/// Set when the gateway is wired.
#[derive(Debug)]
pub(crate) struct Started {
    pub(crate) store: Store,
    pub(crate) registry: Arc<Registry>,
}

pub(crate) async fn serve(
    server: Server,
    shutdown: Shutdown,
    started: Arc<OnceLock<Started>>,
) -> io::Result<usize> {
    let service = service_fn(move |request: Request<Incoming>| {
        let started = Arc::clone(&started);
        async move { Ok::<_, std::convert::Infallible>(answer(&request, started.get()).await) }
    });
    server.serve(&shutdown, service).await
}

async fn answer(request: &Request<Incoming>, started: Option<&Started>) -> Response<Full<Bytes>> {
    let (&Method::GET | &Method::HEAD) = request.method() else { return nothing_here() };
    match request.uri().path() {
        "/healthz" => plain(StatusCode::OK, "alive\n"),
        "/readyz" => {
            let (status, text) = readiness(started.map(|started| &started.store)).await;
            plain(status, text)
        }
        "/metrics" => started.map_or_else(
            || plain(StatusCode::SERVICE_UNAVAILABLE, "it is starting\n"),
            |started| counted(&started.registry),
        ),
        _ => nothing_here(),
    }
}

fn counted(registry: &Registry) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(metrics::encode(registry)));
    let content_type = HeaderValue::from_static(metrics::CONTENT_TYPE);
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}

fn nothing_here() -> Response<Full<Bytes>> {
    plain(StatusCode::NOT_FOUND, "there is /healthz, /readyz and /metrics here\n")
}

fn plain(status: StatusCode, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    response
}

async fn readiness(store: Option<&Store>) -> (StatusCode, String) {
    let Some(store) = store else {
        return (StatusCode::SERVICE_UNAVAILABLE, "it is starting\n".to_owned());
    };
    match tokio::time::timeout(PROBE_LIMIT, store.ping()).await {
        // Whoever's rows can be read is served.
        Ok(Ok(())) if store.is_damaged() => {
            (StatusCode::OK, format!("ready, and yet: {}\n", Fault::Damaged))
        }
        Ok(Ok(())) => (StatusCode::OK, "ready\n".to_owned()),
        Ok(Err(StoreError::Unavailable(cause))) if cause.is::<Fault>() => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("{cause}\n"))
        }
        _ => (StatusCode::SERVICE_UNAVAILABLE, "the store does not answer\n".to_owned()),
    }
}

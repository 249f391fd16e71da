//! The admin listener: is it alive, is it ready.

use std::{
    io,
    sync::{Arc, OnceLock},
    time::Duration,
};

use attache_core::store::StoreError;
use attache_net::{serve::Server, shutdown::Shutdown};
use attache_store::{Fault, Store};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::{body::Incoming, service::service_fn};

/// A store that does not answer a probe in this time is away.
const PROBE_LIMIT: Duration = Duration::from_secs(3);

/// `store` is set when there is one.
pub(crate) async fn serve(
    server: Server,
    shutdown: Shutdown,
    store: Arc<OnceLock<Store>>,
) -> io::Result<usize> {
    let service = service_fn(move |request: Request<Incoming>| {
        let store = Arc::clone(&store);
        async move { Ok::<_, std::convert::Infallible>(answer(&request, store.get()).await) }
    });
    server.serve(&shutdown, service).await
}

async fn answer(request: &Request<Incoming>, store: Option<&Store>) -> Response<Full<Bytes>> {
    let (status, text) = match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/healthz") => (StatusCode::OK, "alive\n".to_owned()),
        (&Method::GET | &Method::HEAD, "/readyz") => readiness(store).await,
        _ => (StatusCode::NOT_FOUND, "there is /healthz and /readyz here\n".to_owned()),
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
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

//! An upstream without any defence: it takes every request, asks for no token, and remembers it.

use std::{
    net::Ipv4Addr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, StatusCode, header};
use tokio::{net::TcpListener, runtime::Handle};
use url::Url;

/// Bytes of a body; these upstreams are sent small ones.
const MAX_BODY: usize = 1024 * 1024;

/// The session id it gives to everybody: worthless unless the gateway hands it out.
pub(crate) const SESSION_ID: &str = "bare-session-7";

#[derive(Clone, Debug)]
pub(crate) struct Bare {
    pub(crate) url: Url,
    arrived: Arc<Mutex<Vec<Arrived>>>,
    refusals: Arc<AtomicUsize>,
}

#[derive(Clone, Debug)]
pub(crate) struct Arrived {
    /// Path and query.
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Arrived {
    /// Every value of a header.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect()
    }
}

impl Bare {
    pub(crate) async fn start(address: Ipv4Addr) -> Self {
        let listener = TcpListener::bind((address, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let url = Url::parse(&format!("http://{address}")).expect("a URL");
        let bare = Self { url, arrived: Arc::default(), refusals: Arc::default() };
        let routes = Router::new().fallback(take).with_state(bare.clone());
        Handle::current().spawn(async move { axum::serve(listener, routes).await });
        bare
    }

    /// Answers the next requests with 401, after reading them to their end.
    pub(crate) fn refuse_next(&self, times: usize) {
        self.refusals.store(times, Relaxed);
    }

    pub(crate) fn arrived(&self) -> Vec<Arrived> {
        self.arrived.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn mentions(&self, text: &str) -> bool {
        self.arrived().iter().any(|request| {
            request.target.contains(text)
                || request.body.contains(text)
                || request
                    .headers
                    .values()
                    .any(|value| String::from_utf8_lossy(value.as_bytes()).contains(text))
        })
    }
}

async fn take(State(bare): State<Bare>, request: Request<Body>) -> Response {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, MAX_BODY).await.unwrap_or_default();
    let arrived = Arrived {
        target: head.uri.to_string(),
        headers: head.headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    };
    bare.arrived.lock().unwrap_or_else(PoisonError::into_inner).push(arrived);
    if bare.refusals.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok() {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let headers =
        [(header::CONTENT_TYPE.as_str(), "application/json"), ("mcp-session-id", SESSION_ID)];
    (headers, r#"{"jsonrpc":"2.0","id":1,"result":{}}"#).into_response()
}

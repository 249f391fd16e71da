//! An upstream without any defence: it takes every request, asks for no token, and remembers it.

use std::{
    collections::VecDeque,
    convert::Infallible,
    net::Ipv4Addr,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use hyper::body::Frame;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{net::TcpListener, runtime::Handle};
use url::Url;

/// Bytes of a body; these upstreams are sent small ones.
const MAX_BODY: usize = 1024 * 1024;

/// The session id it gives to everybody: worthless unless the gateway hands it out.
pub(crate) const SESSION_ID: &str = "bare-session-7";

/// What it lists.
const TOOLS: [&str; 4] = ["read_a", "read_secret", "delete_all", "write"];

/// Where its list is large.
pub(crate) const LARGE: &str = "/large";

/// Asks for an answer without an end: `silent`, events of which only the first comes; `flood`,
/// bytes without a pause; `echo` changes the protocol to one that repeats; `mute` never begins.
pub(crate) const PLAY: &str = "x-play";

#[derive(Clone, Debug)]
pub(crate) struct Bare {
    pub(crate) url: Url,
    arrived: Arc<Mutex<Vec<Arrived>>>,
    refusals: Arc<Mutex<(StatusCode, usize)>>,
    open: Arc<AtomicUsize>,
    answers: Arc<Mutex<VecDeque<(&'static str, String)>>>,
    challenge: Arc<Mutex<Option<(StatusCode, HeaderValue)>>>,
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
        let bare = Self {
            url,
            arrived: Arc::default(),
            refusals: Arc::default(),
            open: Arc::default(),
            answers: Arc::default(),
            challenge: Arc::default(),
        };
        let routes = Router::new().fallback(take).with_state(bare.clone());
        Handle::current().spawn(async move { axum::serve(listener, routes).await });
        bare
    }

    /// Answers the next requests with 401, after reading them to their end.
    pub(crate) fn refuse_next(&self, times: usize) {
        self.refuse_next_with(StatusCode::UNAUTHORIZED, times);
    }

    pub(crate) fn refuse_next_with(&self, status: StatusCode, times: usize) {
        *self.refusals.lock().unwrap_or_else(PoisonError::into_inner) = (status, times);
    }

    fn refusal(&self) -> Option<StatusCode> {
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        refusals.1 = refusals.1.checked_sub(1)?;
        Some(refusals.0)
    }

    /// What it answers next, of which type.
    pub(crate) fn answer_next(&self, kind: &'static str, body: impl Into<String>) {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).push_back((kind, body.into()));
    }

    /// Answers everything from now on with this status and `WWW-Authenticate`.
    pub(crate) fn challenge(&self, status: StatusCode, challenge: &str) {
        let challenge = HeaderValue::try_from(challenge).expect("a header's value");
        *self.challenge.lock().unwrap_or_else(PoisonError::into_inner) = Some((status, challenge));
    }

    /// As [`Self::challenge`], because these scopes are missing.
    pub(crate) fn demand(&self, scopes: &str) {
        let challenge = format!("Bearer error=\"insufficient_scope\", scope=\"{scopes}\"");
        self.challenge(StatusCode::FORBIDDEN, &challenge);
    }

    /// Takes every request again.
    pub(crate) fn relent(&self) {
        *self.challenge.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(crate) fn arrived(&self) -> Vec<Arrived> {
        self.arrived.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Endless answers that somebody still listens to.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Relaxed)
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

async fn take(State(bare): State<Bare>, mut request: Request<Body>) -> Response {
    let upgraded = hyper::upgrade::on(&mut request);
    let (head, body) = request.into_parts();
    let play = head.headers.get(PLAY).and_then(|play| play.to_str().ok()).map(str::to_owned);
    let body = to_bytes(body, MAX_BODY).await.unwrap_or_default();
    let by_itself = answer(&body, head.uri.path());
    let arrived = Arrived {
        target: head.uri.to_string(),
        headers: head.headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    };
    bare.arrived.lock().unwrap_or_else(PoisonError::into_inner).push(arrived);
    if let Some(refusal) = bare.refusal() {
        return refusal.into_response();
    }
    if play.as_deref() == Some("mute") {
        return std::future::pending().await;
    }
    if play.as_deref() == Some("echo") {
        Handle::current().spawn(async move {
            let (mut reading, mut writing) =
                tokio::io::split(TokioIo::new(upgraded.await.expect("the caller changes, too")));
            tokio::io::copy(&mut reading, &mut writing).await
        });
        let headers = [(header::CONNECTION, "upgrade"), (header::UPGRADE, "websocket")];
        return (StatusCode::SWITCHING_PROTOCOLS, headers).into_response();
    }
    if let Some(play) = play {
        let floods = play == "flood";
        let content_type = if floods { "application/octet-stream" } else { "text/event-stream" };
        bare.open.fetch_add(1, Relaxed);
        let body = Endless { floods, has_begun: false, open: bare.open };
        return ([(header::CONTENT_TYPE, content_type)], Body::new(body)).into_response();
    }
    let challenge = bare.challenge.lock().unwrap_or_else(PoisonError::into_inner).clone();
    if let Some((status, challenge)) = challenge {
        return (status, [(header::WWW_AUTHENTICATE, challenge)]).into_response();
    }
    let told = bare.answers.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    let (kind, body) = told.unwrap_or(("application/json", by_itself));
    let headers = [(header::CONTENT_TYPE.as_str(), kind), ("mcp-session-id", SESSION_ID)];
    (headers, body).into_response()
}

/// What it says when it was not told: as much of MCP as lets a session begin. At [`LARGE`] its list
/// is nearly as large as one may be.
fn answer(message: &[u8], path: &str) -> String {
    let message: Value = serde_json::from_slice(message).unwrap_or_default();
    let id = message.get("id").cloned().unwrap_or(json!(1));
    let words = if path == LARGE { "word ".repeat(50_000) } else { String::new() };
    let tool = |name: &&str| json!({ "name": name, "description": words, "inputSchema": { "type": "object" } });
    let result = match message.get("method").and_then(Value::as_str) {
        Some("initialize") => json!({ "protocolVersion": "2025-11-25", "capabilities": {} }),
        Some("tools/list") => json!({ "tools": TOOLS.iter().map(tool).collect::<Vec<_>>() }),
        _ => json!({}),
    };
    json!({ "jsonrpc": "2.0", "id": id, "result": result }).to_string()
}

struct Endless {
    floods: bool,
    has_begun: bool,
    open: Arc<AtomicUsize>,
}

impl hyper::body::Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.has_begun && !self.floods {
            return Poll::Pending;
        }
        self.has_begun = true;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"data: a word\n\n")))))
    }
}

impl Drop for Endless {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Relaxed);
    }
}

//! An upstream without any defence: it takes every request, asks for no token, and remembers it.

use std::{
    collections::{HashMap, VecDeque},
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
use tokio::{net::TcpListener, runtime::Handle, sync::mpsc};
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
    /// Begun at `/sessions`, and not ended.
    sessions: Arc<Mutex<Vec<String>>>,
    /// Held at `/sse`.
    streams: Arc<Mutex<HashMap<String, mpsc::UnboundedSender<Bytes>>>>,
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
            sessions: Arc::default(),
            streams: Arc::default(),
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

    /// Ends what was begun at `/sessions`.
    pub(crate) fn forget_sessions(&self) {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).clear();
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
    let arrived_headers = head.headers.clone();
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
    match head.uri.path() {
        "/modern" => return modern(&arrived_headers, &body),
        "/sessions" => return in_session(&bare, &head.method, &arrived_headers, &body),
        "/silent" => return std::future::pending().await,
        "/sse" | "/foreign" => return stream(&bare, &head.method, head.uri.path()),
        "/sse/messages" => return in_stream(&bare, head.uri.query().unwrap_or_default(), &body),
        _ => {}
    }
    let told = bare.answers.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    let (kind, body) = told.unwrap_or(("application/json", by_itself));
    let headers = [(header::CONTENT_TYPE.as_str(), kind), ("mcp-session-id", SESSION_ID)];
    (headers, body).into_response()
}

/// At `/sse`, a server of the transport before Streamable HTTP; at `/foreign`, one that wants messages
/// to go elsewhere.
fn stream(bare: &Bare, method: &http::Method, path: &str) -> Response {
    if *method != http::Method::GET {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    let mut streams = bare.streams.lock().unwrap_or_else(PoisonError::into_inner);
    let (sender, receiver) = mpsc::unbounded_channel();
    let name = format!("stream-{}", streams.len());
    let port = bare.url.port().unwrap_or_default();
    let endpoint = match path {
        "/foreign" => format!("http://localhost:{port}/collect?{name}"),
        _ => format!("/sse/messages?{name}"),
    };
    drop(sender.send(format!("event: endpoint\ndata: {endpoint}\n\n").into()));
    streams.insert(name, sender);
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::new(Fed(receiver))).into_response()
}

fn in_stream(bare: &Bare, name: &str, body: &[u8]) -> Response {
    let message: Value = serde_json::from_slice(body).unwrap_or_default();
    let streams = bare.streams.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(stream) = streams.get(name) else { return StatusCode::NOT_FOUND.into_response() };
    if let Some(id) = message.get("id") {
        let result = if text_at(&message, "/method") == Some("tools/call") {
            json!({ "content": [{ "type": "text", "text": name }] })
        } else {
            let own: Value = serde_json::from_str(&answer(body, "/sse")).unwrap_or_default();
            own.get("result").cloned().unwrap_or_default()
        };
        let answer = json!({ "jsonrpc": "2.0", "id": id, "result": result });
        let asks = json!({ "jsonrpc": "2.0", "id": 5, "method": "roots/list" });
        for message in [asks, answer] {
            drop(stream.send(format!("event: message\ndata: {message}\n\n").into()));
        }
    }
    StatusCode::ACCEPTED.into_response()
}

struct Fed(mpsc::UnboundedReceiver<Bytes>);

impl hyper::body::Body for Fed {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|data| data.map(|data| Ok(Frame::data(data))))
    }
}

fn text_at<'a>(message: &'a Value, pointer: &str) -> Option<&'a str> {
    message.pointer(pointer).and_then(Value::as_str)
}

/// At `/modern`, a server that knows nothing but 2026-07-28, and reads it strictly.
fn modern(headers: &HeaderMap, body: &[u8]) -> Response {
    let message: Value = serde_json::from_slice(body).unwrap_or_default();
    let id = message.get("id").cloned().unwrap_or_default();
    let meta = message.pointer("/params/_meta").cloned().unwrap_or_default();
    let meta = |name: &str| meta.get(format!("io.modelcontextprotocol/{name}"));
    let says = |name: &str| headers.get(name).and_then(|said| said.to_str().ok());
    let is_modern = says("mcp-protocol-version") == Some("2026-07-28")
        && meta("protocolVersion").is_some_and(|said| said == "2026-07-28");
    let error = |status, code: i32, data: Value| {
        let error = json!({ "code": code, "message": "no", "data": data });
        let answer = json!({ "jsonrpc": "2.0", "id": id, "error": error });
        (status, axum::Json(answer)).into_response()
    };
    if !is_modern || meta("clientCapabilities").is_none() {
        return error(StatusCode::BAD_REQUEST, -32022, json!({ "supported": ["2026-07-28"] }));
    }
    let (method, name) = (text_at(&message, "/method"), text_at(&message, "/params/name"));
    if says("mcp-method") != method || says("mcp-name") != name || says("mcp-session-id").is_some()
    {
        return error(StatusCode::BAD_REQUEST, -32020, Value::Null);
    }
    let tool = |name: &&str| json!({ "name": name, "inputSchema": { "type": "object" } });
    let result = match (method, name) {
        (Some("server/discover"), _) => json!({ "supportedVersions": ["2026-07-28"],
            "capabilities": { "tools": {}, "logging": {}, "resources": { "subscribe": true } } }),
        (Some("tools/list"), _) => json!({ "tools": TOOLS.iter().map(tool).collect::<Vec<_>>() }),
        (Some("tools/call"), Some("asks")) => json!({ "resultType": "input_required" }),
        (Some("tools/call"), _) => json!({ "content": [{ "type": "text", "text": "done" }] }),
        _ => return error(StatusCode::NOT_FOUND, -32601, Value::Null),
    };
    axum::Json(json!({ "jsonrpc": "2.0", "id": id, "result": result })).into_response()
}

/// At `/sessions`, a server up to 2025-11-25 that answers in sessions only, by their names.
fn in_session(bare: &Bare, method: &http::Method, headers: &HeaderMap, body: &[u8]) -> Response {
    let message: Value = serde_json::from_slice(body).unwrap_or_default();
    let id = message.get("id").cloned().unwrap_or_default();
    let says = |name: &str| headers.get(name).and_then(|said| said.to_str().ok()).unwrap_or("");
    if says("mcp-protocol-version") == "2026-07-28" {
        return (StatusCode::BAD_REQUEST, "Unsupported protocol version").into_response();
    }
    let mut sessions = bare.sessions.lock().unwrap_or_else(PoisonError::into_inner);
    let session = says("mcp-session-id");
    if text_at(&message, "/method") == Some("initialize") {
        let session = format!("session-{}-of-many", bare.arrived().len());
        sessions.push(session.clone());
        let result = json!({ "protocolVersion": "2025-06-18",
            "capabilities": { "tools": { "listChanged": true }, "logging": {} },
            "serverInfo": { "name": "bare", "version": "1" } });
        let answer = json!({ "jsonrpc": "2.0", "id": id, "result": result });
        return ([("mcp-session-id", session)], axum::Json(answer)).into_response();
    }
    if !sessions.iter().any(|one| one == session) {
        return StatusCode::NOT_FOUND.into_response();
    }
    if *method == http::Method::DELETE {
        sessions.retain(|one| one != session);
        return StatusCode::NO_CONTENT.into_response();
    }
    if message.get("id").is_none() {
        return StatusCode::ACCEPTED.into_response();
    }
    let events = |body| ([(header::CONTENT_TYPE, "text/event-stream")], body).into_response();
    match text_at(&message, "/params/name") {
        Some("asks") => events(Body::from(
            "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"sampling/createMessage\"}\n\n",
        )),
        Some("hangs") => {
            bare.open.fetch_add(1, Relaxed);
            let open = Arc::clone(&bare.open);
            events(Body::new(Endless { floods: false, has_begun: false, open }))
        }
        _ => {
            let result = json!({ "content": [{ "type": "text", "text": session }] });
            axum::Json(json!({ "jsonrpc": "2.0", "id": id, "result": result })).into_response()
        }
    }
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
        Some("prompts/list") => json!({ "prompts": [{ "name": "greet" }] }),
        Some("resources/list") => json!({ "resources": [{ "uri": "file:///a", "name": "a" }] }),
        Some("resources/read") => json!({ "contents": [{ "uri": "file:///a", "text": "of a" }] }),
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

//! A protected plain HTTP API, for what is not MCP.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Extension, Json, Router,
    body::{Body, Bytes, to_bytes},
    extract::{DefaultBodyLimit, Path, Request, State},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse as _, Redirect, Response},
    routing::{any, get, post},
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use http_body::Body as _;
use serde_json::{Value, json};
use url::Url;

use crate::{
    notes::Notes,
    peer::{Bound, Peer},
    protect::{Guard, Holder, TokenCheck},
    recorder::Recorder,
    stream::paced,
};

/// Bytes of a body that is held in memory: notes and echoes.
const MAX_BODY: usize = 64 * 1024;
/// `/stream`: so many lines, each after this pause.
const STREAM_LINES: u32 = 10;
const STREAM_PAUSE: Duration = Duration::from_millis(100);

/// `/me`, `/notes`, `/echo`, `/stream`, `/upload`, `/status/{code}` and `/redirect`.
#[derive(Debug)]
pub struct HttpApi {
    peer: Peer,
    guard: Arc<Guard>,
    manners: Arc<Manners>,
}

impl HttpApi {
    pub async fn start(
        listen: SocketAddr,
        tokens: Arc<dyn TokenCheck>,
        notes: Arc<Notes>,
    ) -> io::Result<Self> {
        let bound = Bound::to(listen).await?;
        let guard = Arc::new(Guard::new(&bound.origin(), "", "Sandbox Notes API", tokens));
        let manners = Arc::new(Manners::default());
        let routes = routes().with_state(notes);
        let routes = guard
            .protect(routes)
            .layer(from_fn_with_state(Arc::clone(&manners), with_nasty_headers));
        Ok(Self { peer: bound.serve(routes), guard, manners })
    }

    pub fn url(&self) -> &Url {
        self.peer.url()
    }

    /// Answers the next requests with 401 although their token is good.
    pub fn refuse_next(&self, times: usize) {
        self.guard.refuse_next(times);
    }

    /// Whether every answer carries headers that a gateway must not hand on: see
    /// [`NASTY_HEADERS`].
    pub fn set_nasty(&self, nasty: bool) {
        self.manners.nasty.store(nasty, Ordering::Relaxed);
    }

    pub fn recorder(&self) -> &Recorder {
        self.peer.recorder()
    }

    pub async fn stop(&self) {
        self.peer.stop().await;
    }
}

/// What a nasty answer carries; `X-Hop` is named by `Connection` (RFC 9110 section 7.6.1).
pub const NASTY_HEADERS: [(HeaderName, HeaderValue); 8] = [
    (header::SET_COOKIE, HeaderValue::from_static("session=stolen; Path=/")),
    (header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"your password, please\"")),
    (header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")),
    (header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true")),
    (HeaderName::from_static("clear-site-data"), HeaderValue::from_static("\"*\"")),
    (HeaderName::from_static("server-timing"), HeaderValue::from_static("db;dur=53")),
    (header::CONNECTION, HeaderValue::from_static("x-hop")),
    (HeaderName::from_static("x-hop"), HeaderValue::from_static("for the next hop only")),
];

#[derive(Debug, Default)]
struct Manners {
    nasty: AtomicBool,
}

async fn with_nasty_headers(
    State(manners): State<Arc<Manners>>,
    request: Request,
    next: Next,
) -> Response {
    let mut response = next.run(request).await;
    if manners.nasty.load(Ordering::Relaxed) {
        response.headers_mut().extend(NASTY_HEADERS);
    }
    response
}

fn routes() -> Router<Arc<Notes>> {
    Router::new()
        .route("/me", get(me))
        .route("/notes", get(list_notes).post(add_note))
        .route("/echo", any(echo))
        .route("/stream", get(stream))
        .route("/upload", post(upload).put(upload).layer(DefaultBodyLimit::disable()))
        .route("/status/{code}", any(status))
        .route("/redirect", any(|| async { Redirect::temporary("/me") }))
        .layer(DefaultBodyLimit::max(MAX_BODY))
}

async fn me(Extension(holder): Extension<Holder>) -> Json<Value> {
    Json(json!({ "account": holder.account, "scopes": holder.scopes }))
}

async fn list_notes(
    State(notes): State<Arc<Notes>>,
    Extension(holder): Extension<Holder>,
) -> Json<Value> {
    Json(json!({ "account": holder.account, "notes": notes.of(&holder.account) }))
}

/// `{"text": "…"}`
async fn add_note(
    State(notes): State<Arc<Notes>>,
    Extension(holder): Extension<Holder>,
    Json(note): Json<Value>,
) -> Response {
    let Some(text) = note.get("text").and_then(Value::as_str) else {
        return StatusCode::UNPROCESSABLE_ENTITY.into_response();
    };
    let count = notes.add(&holder.account, text);
    (StatusCode::CREATED, Json(json!({ "account": holder.account, "count": count })))
        .into_response()
}

/// What arrived. The token is named, not repeated: an answer is no place for one.
async fn echo(Extension(holder): Extension<Holder>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MAX_BODY).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let told = json!({
        "method": parts.method.as_str(),
        "path": parts.uri.path(),
        "query": parts.uri.query(),
        "headers": told(&parts.headers, &holder),
        "body": String::from_utf8_lossy(&body),
    });
    Json(told).into_response()
}

fn told(headers: &HeaderMap, holder: &Holder) -> Vec<[String; 2]> {
    headers
        .iter()
        .map(|(name, value)| {
            let value = if name == header::AUTHORIZATION {
                format!("(a token of {})", holder.account)
            } else {
                String::from_utf8_lossy(value.as_bytes()).into_owned()
            };
            [name.as_str().to_owned(), value]
        })
        .collect()
}

async fn stream() -> Response {
    let lines = (1..=STREAM_LINES).map(|line| Bytes::from(format!("line {line}\n")));
    ([(header::CONTENT_TYPE, "text/plain")], paced(lines, STREAM_PAUSE)).into_response()
}

/// Counts what arrives and keeps nothing of it.
async fn upload(body: Body) -> Response {
    let mut body = std::pin::pin!(body);
    let mut bytes = 0_usize;
    while let Some(frame) = std::future::poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        let Ok(frame) = frame else { return StatusCode::BAD_REQUEST.into_response() };
        bytes = bytes.saturating_add(frame.data_ref().map_or(0, Bytes::len));
    }
    Json(json!({ "bytes": bytes })).into_response()
}

/// The status of one's choice; 1xx and what is none become 400.
async fn status(Path(code): Path<u16>) -> StatusCode {
    StatusCode::from_u16(code)
        .ok()
        .filter(|status| !status.is_informational())
        .unwrap_or(StatusCode::BAD_REQUEST)
}

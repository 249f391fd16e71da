//! A protected MCP server (Streamable HTTP, revision 2025-11-25, no sessions) whose tools know
//! whose token they were called with.

mod tools;

use std::{io, net::SocketAddr, sync::Arc};

use axum::{
    Extension, Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    response::{IntoResponse as _, Response},
    routing::post,
};
use http::{HeaderMap, StatusCode, header};
use serde_json::{Value, json};
use url::Url;

use crate::{
    notes::Notes,
    peer::{Bound, Peer},
    protect::{Guard, Holder, TokenCheck},
    recorder::Recorder,
};

const NAME: &str = "Sandbox Notes";
const PATH: &str = "/mcp";
const VERSION: &str = "2025-11-25";
/// What it also speaks; its answers are the same in all of them.
const VERSIONS: [&str; 3] = [VERSION, "2025-06-18", "2025-03-26"];
/// Bytes of one message.
const MAX_MESSAGE: usize = 1024 * 1024;

/// Tools: `whoami`, `add_note`, `list_notes`, and `slow_count`, which streams.
#[derive(Debug)]
pub struct McpServer {
    peer: Peer,
    guard: Arc<Guard>,
    endpoint: Url,
}

impl McpServer {
    pub async fn start(
        listen: SocketAddr,
        tokens: Arc<dyn TokenCheck>,
        notes: Arc<Notes>,
    ) -> io::Result<Self> {
        let bound = Bound::to(listen).await?;
        let origin = bound.origin();
        let endpoint = Url::parse(&format!("{origin}{PATH}")).map_err(io::Error::other)?;
        let guard = Arc::new(Guard::new(&origin, PATH, NAME, tokens));
        let routes = Router::new()
            .route(PATH, post(message))
            .layer(DefaultBodyLimit::max(MAX_MESSAGE))
            .with_state(notes);
        Ok(Self { peer: bound.serve(guard.protect(routes)), guard, endpoint })
    }

    /// Where messages go, and what tokens must be for: `http://127.0.0.1:4001/mcp`.
    pub fn endpoint(&self) -> &Url {
        &self.endpoint
    }

    pub fn url(&self) -> &Url {
        self.peer.url()
    }

    /// Answers the next requests with 401 although their token is good.
    pub fn refuse_next(&self, times: usize) {
        self.guard.refuse_next(times);
    }

    pub fn recorder(&self) -> &Recorder {
        self.peer.recorder()
    }

    pub async fn stop(&self) {
        self.peer.stop().await;
    }
}

/// JSON-RPC 2.0 section 5.1.
#[derive(Clone, Copy, Debug)]
enum RpcError {
    ParseError,
    InvalidRequest,
    MethodNotFound,
    InvalidParams,
}

async fn message(
    State(notes): State<Arc<Notes>>,
    Extension(holder): Extension<Holder>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if !accepts_both(&headers) {
        return StatusCode::NOT_ACCEPTABLE.into_response();
    }
    let spoken = headers.get("mcp-protocol-version").map(|value| value.to_str().unwrap_or(""));
    if spoken.is_some_and(|version| !VERSIONS.contains(&version)) {
        return refused(&Value::Null, RpcError::InvalidRequest);
    }
    let Ok(message) = serde_json::from_slice::<Value>(&body) else {
        return refused(&Value::Null, RpcError::ParseError);
    };
    let Some(method) = message.get("method").and_then(Value::as_str) else {
        // A response, or a batch: this server asks nothing, and batches are gone from MCP.
        return refused(&Value::Null, RpcError::InvalidRequest);
    };
    let Some(id) = message.get("id") else { return StatusCode::ACCEPTED.into_response() };
    let none = json!({});
    let params = message.get("params").unwrap_or(&none);
    match method {
        "initialize" => result(id, &initialized(params)),
        "ping" => result(id, &json!({})),
        "tools/list" => result(id, &tools::list()),
        "tools/call" => tools::call(id, params, &holder.account, &notes),
        _ => failed(id, RpcError::MethodNotFound),
    }
}

/// A client must take either form of answer (Streamable HTTP, "Sending Messages to the Server").
fn accepts_both(headers: &HeaderMap) -> bool {
    let accepted = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("");
    accepted.contains("application/json") && accepted.contains("text/event-stream")
}

fn initialized(params: &Value) -> Value {
    let wanted = params.get("protocolVersion").and_then(Value::as_str);
    let version = wanted.filter(|version| VERSIONS.contains(version)).unwrap_or(VERSION);
    json!({
        "protocolVersion": version,
        "capabilities": { "tools": {} },
        "serverInfo": { "name": "sandbox-notes", "title": NAME, "version": env!("CARGO_PKG_VERSION") },
        "instructions": "Notes of whoever's token arrives. A sandbox: nothing leaves your machine.",
    })
}

fn result(id: &Value, result: &Value) -> Response {
    Json(json!({ "jsonrpc": "2.0", "id": id, "result": result })).into_response()
}

/// An error of the method: the HTTP exchange itself went well.
fn failed(id: &Value, error: RpcError) -> Response {
    let (code, message) = error.code();
    let error = json!({ "code": code, "message": message });
    Json(json!({ "jsonrpc": "2.0", "id": id, "error": error })).into_response()
}

/// An error of the transport: 400.
fn refused(id: &Value, error: RpcError) -> Response {
    (StatusCode::BAD_REQUEST, failed(id, error)).into_response()
}

impl RpcError {
    fn code(self) -> (i32, &'static str) {
        match self {
            Self::ParseError => (-32700, "this is not JSON"),
            Self::InvalidRequest => (-32600, "this is not a request that can be answered"),
            Self::MethodNotFound => (-32601, "no such method"),
            Self::InvalidParams => (-32602, "no such tool, or not with these arguments"),
        }
    }
}

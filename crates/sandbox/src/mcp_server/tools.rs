//! The tools and what they do.

use std::time::Duration;

use axum::{
    body::Bytes,
    response::{IntoResponse as _, Response},
};
use http::header;
use serde_json::{Value, json};

use super::{RpcError, failed, result};
use crate::{notes::Notes, stream::paced};

/// How far `slow_count` counts at most.
const MAX_COUNT: u64 = 100;
/// How long it rests at most before each number.
const MAX_PAUSE_MS: u64 = 5_000;

pub(super) fn list() -> Value {
    let nothing = json!({ "type": "object", "properties": {}, "additionalProperties": false });
    let text = json!({ "type": "string", "description": "What to write down" });
    json!({ "tools": [
        {
            "name": "whoami",
            "description": "Says whose account this call was made with",
            "inputSchema": nothing,
            "annotations": { "readOnlyHint": true },
        },
        {
            "name": "add_note",
            "description": "Adds a note to the account",
            "inputSchema": { "type": "object", "properties": { "text": text }, "required": ["text"] },
        },
        {
            "name": "list_notes",
            "description": "Lists the account's notes",
            "inputSchema": nothing,
            "annotations": { "readOnlyHint": true },
        },
        {
            "name": "slow_count",
            "description": "Counts slowly, in a stream, reporting progress",
            "inputSchema": { "type": "object", "properties": {
                "to": { "type": "integer", "minimum": 1, "maximum": MAX_COUNT, "default": 5 },
                "pause_ms": { "type": "integer", "minimum": 0, "maximum": MAX_PAUSE_MS, "default": 200 },
            } },
            "annotations": { "readOnlyHint": true },
        },
    ] })
}

pub(super) fn call(id: &Value, params: &Value, account: &str, notes: &Notes) -> Response {
    let argument = |name: &str| params.get("arguments").and_then(|all| all.get(name));
    match params.get("name").and_then(Value::as_str) {
        Some("whoami") => result(id, &text(&format!("You are {account} at Sandbox Notes"))),
        Some("add_note") => match argument("text").and_then(Value::as_str) {
            Some(note) => {
                let count = notes.add(account, note);
                result(id, &text(&format!("Written down; {account} has {count} now")))
            }
            None => failed(id, RpcError::InvalidParams),
        },
        Some("list_notes") => result(id, &text(&notes.of(account).join("\n"))),
        Some("slow_count") => {
            let number = |name: &str| argument(name).and_then(Value::as_u64);
            let to = number("to").unwrap_or(5).min(MAX_COUNT);
            let pause = Duration::from_millis(number("pause_ms").unwrap_or(200).min(MAX_PAUSE_MS));
            let progress_token = params.pointer("/_meta/progressToken");
            count(id, to, pause, progress_token.cloned())
        }
        _ => failed(id, RpcError::InvalidParams),
    }
}

/// One progress notification a number, if the caller wants any, and the result at the end.
fn count(id: &Value, to: u64, pause: Duration, progress_token: Option<Value>) -> Response {
    let counting = (1..=to).map(move |number| match &progress_token {
        Some(token) => event(&json!({
            "jsonrpc": "2.0",
            "method": "notifications/progress",
            "params": { "progressToken": token, "progress": number, "total": to },
        })),
        None => Bytes::from_static(b": counting\n\n"),
    });
    let done = text(&format!("Counted to {to}"));
    let done = event(&json!({ "jsonrpc": "2.0", "id": id, "result": done }));
    let events = paced(counting.chain(std::iter::once(done)), pause);
    let headers =
        [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-cache")];
    (headers, events).into_response()
}

fn event(message: &Value) -> Bytes {
    Bytes::from(format!("event: message\ndata: {message}\n\n"))
}

fn text(text: &str) -> Value {
    json!({ "content": [{ "type": "text", "text": text }], "isError": false })
}

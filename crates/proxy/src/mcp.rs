//! As much of MCP as a gateway must speak for an upstream that cannot be asked, because the person
//! has no credential for it yet.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

/// Of the revisions without per-request metadata the newest; offered when the client's is unknown.
pub(crate) const LATEST_LEGACY: &str = "2025-11-25";
pub(crate) const LEGACY: [&str; 4] = [LATEST_LEGACY, "2025-06-18", "2025-03-26", "2024-11-05"];
pub(crate) const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
/// The first stateless revision.
pub(crate) const MODERN: &str = "2026-07-28";

/// A JSON-RPC message as far as we look into one.
#[derive(Debug, Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Option<Cow<'a, str>>,
    params: Option<Params>,
}

#[derive(Debug, Default, Deserialize)]
struct Params {
    #[serde(rename = "protocolVersion")]
    protocol_version: Option<String>,
}

/// What the gateway answers in an upstream's place.
#[derive(Debug, PartialEq)]
pub(crate) enum Answer {
    Message(StatusCode, Value),
    /// To a notification or a response (202).
    Accepted,
}

/// Whether a request is of a stateless revision, where results say what they are.
pub(crate) fn is_modern(headers: &HeaderMap) -> bool {
    headers.get(PROTOCOL_VERSION).is_some_and(|version| version == MODERN)
}

/// The revision of this name, if it is one in which sessions are begun.
pub(crate) fn legacy(version: &str) -> Option<&'static str> {
    LEGACY.into_iter().find(|known| *known == version)
}

/// The tool that a not-connected person's client finds in place of the upstream's.
pub(crate) struct Prompt<'a> {
    pub upstream: &'a str,
    /// Plain words with the URL: most clients show nothing else (A6).
    pub text: &'a str,
    /// Whether the person can mend it: then the client is kept, with one tool that says how.
    pub connectable: bool,
    pub modern: bool,
}

impl Prompt<'_> {
    /// Answers `body` so that the client stays connected and its user learns where to go.
    pub(crate) fn answer(&self, body: &[u8]) -> Answer {
        let Ok(message) = serde_json::from_slice::<Message<'_>>(body) else {
            let error = json!({ "code": -32600, "message": "not one JSON-RPC message" });
            let answer = json!({ "jsonrpc": "2.0", "id": null, "error": error });
            return Answer::Message(StatusCode::BAD_REQUEST, answer);
        };
        let (Some(id), Some(method)) = (message.id, message.method) else {
            return Answer::Accepted;
        };
        let mut result = match &*method {
            "tools/call" => {
                json!({ "isError": true, "content": [{ "type": "text", "text": self.text }] })
            }
            "initialize" if self.connectable => {
                self.initialized(&message.params.unwrap_or_default())
            }
            "ping" if self.connectable => json!({}),
            "tools/list" if self.connectable => self.tools(),
            _ => return Answer::Message(StatusCode::OK, self.error(id)),
        };
        if let (true, Some(result)) = (self.modern, result.as_object_mut()) {
            result.insert("resultType".to_owned(), json!("complete"));
            if method == "tools/list" {
                result.insert("ttlMs".to_owned(), json!(0));
                result.insert("cacheScope".to_owned(), json!("private"));
            }
        }
        let answer = json!({ "jsonrpc": "2.0", "id": id, "result": result });
        Answer::Message(StatusCode::OK, answer)
    }

    fn initialized(&self, asked: &Params) -> Value {
        let version = asked.protocol_version.as_deref().and_then(legacy);
        json!({
            "protocolVersion": version.unwrap_or(LATEST_LEGACY),
            "capabilities": { "tools": {} },
            "serverInfo": { "name": "attache", "version": env!("CARGO_PKG_VERSION") },
            "instructions": self.text,
        })
    }

    fn tools(&self) -> Value {
        json!({ "tools": [{
            "name": format!("connect_{}", self.upstream),
            "description": self.text,
            "inputSchema": { "type": "object", "properties": {} },
        }] })
    }

    /// For everything that has no way to carry words in its result.
    fn error(&self, id: &RawValue) -> Value {
        // -32000 to -32099 are for servers (JSON-RPC 2.0 section 5.1).
        json!({ "jsonrpc": "2.0", "id": id, "error": { "code": -32001, "message": self.text } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROMPT: Prompt<'_> = Prompt {
        upstream: "notes",
        text: "Open https://gw.example.com/connect/notes",
        connectable: true,
        modern: false,
    };

    fn answer(body: &Value) -> Answer {
        PROMPT.answer(body.to_string().as_bytes())
    }

    fn result(body: &Value) -> Value {
        let Answer::Message(StatusCode::OK, answer) = answer(body) else { panic!("no answer") };
        assert_eq!(answer.get("id"), body.get("id"));
        answer
    }

    #[test]
    fn a_tool_call_is_answered_with_where_to_connect() {
        let call = json!({ "jsonrpc": "2.0", "id": "a-7", "method": "tools/call",
            "params": { "name": "whoami", "arguments": {} } });
        let answer = result(&call);
        assert_eq!(answer["result"]["isError"], true);
        assert_eq!(answer["result"]["content"][0]["text"], PROMPT.text);
    }

    #[test]
    fn a_client_can_sign_on_and_finds_the_connect_tool() {
        for (asked, given) in [("2025-06-18", "2025-06-18"), ("1999-01-01", LATEST_LEGACY)] {
            let initialize = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize",
                "params": { "protocolVersion": asked, "capabilities": {} } });
            assert_eq!(result(&initialize)["result"]["protocolVersion"], given);
        }
        let list = json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/list" });
        assert_eq!(result(&list)["result"]["tools"][0]["name"], "connect_notes");
        let initialized = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        assert_eq!(answer(&initialized), Answer::Accepted);
    }

    #[test]
    fn what_cannot_carry_words_is_an_error_with_words() {
        let read = json!({ "jsonrpc": "2.0", "id": 3, "method": "resources/read",
            "params": { "uri": "x:y" } });
        assert_eq!(result(&read)["error"]["message"], PROMPT.text);
        for not_a_message in [&b"[]"[..], b"", b"{\"id\":", b"7"] {
            let answer = PROMPT.answer(not_a_message);
            assert!(matches!(answer, Answer::Message(StatusCode::BAD_REQUEST, _)), "{answer:?}");
        }
    }
}

//! What the gateway answers where all upstreams are one server.

use std::collections::BTreeMap;

use attache_core::ConnectionName;
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json, value::RawValue};

use super::kind::Kind;
use crate::{
    body::ResponseBody,
    gather::{Gathered, Place},
    mcp::{LATEST_LEGACY, MODERN, legacy},
    refusal::json_response,
};

/// JSON-RPC 2.0 section 5.1.
const NO_METHOD: i32 = -32601;
const UNKNOWN: i32 = -32602;

/// What is asked of the upstreams that have it. Nobody is told of changes.
fn capabilities() -> Value {
    json!({ "tools": {}, "prompts": {}, "resources": {}, "completions": {} })
}

const INSTRUCTIONS: &str = "Tools, prompts and resources of several servers. The name of each begins \
    with its server's, and two underscores; a resource's address with attache:// and its server's. Where a server has one tool alone, called connect_ and its \
    name, its user has to connect it first: call the tool to be told where.";

/// To the message of this id.
pub(super) struct Answer<'a> {
    pub(super) id: &'a RawValue,
    /// Of a stateless revision, where results say what they are (PX-10).
    pub(super) modern: bool,
}

#[derive(Serialize)]
struct Message<'a, T> {
    jsonrpc: &'static str,
    id: &'a RawValue,
    result: T,
}

#[derive(Serialize)]
struct Listed<'a> {
    #[serde(flatten)]
    list: BTreeMap<&'static str, &'a RawValue>,
    #[serde(flatten)]
    hold: Option<Hold>,
}

/// A result of a stateless revision that could be kept: it is for one person, and not for long.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Hold {
    result_type: &'static str,
    ttl_ms: u32,
    cache_scope: &'static str,
}

const UNKEPT: Hold = Hold { result_type: "complete", ttl_ms: 0, cache_scope: "private" };

#[derive(Deserialize)]
struct Initialize<'a> {
    #[serde(borrow)]
    params: Params<'a>,
}

#[derive(Deserialize)]
struct Params<'a> {
    #[serde(borrow, rename = "protocolVersion")]
    protocol_version: std::borrow::Cow<'a, str>,
}

impl Answer<'_> {
    /// In the revision that `asked` is for, where it is known here.
    pub(super) fn initialized(&self, asked: &[u8]) -> Response<ResponseBody> {
        let asked: Option<Initialize<'_>> = serde_json::from_slice(asked).ok();
        let version = asked.and_then(|asked| legacy(&asked.params.protocol_version));
        self.result(&json!({
            "protocolVersion": version.unwrap_or(LATEST_LEGACY),
            "capabilities": capabilities(),
            "serverInfo": { "name": "attache", "version": env!("CARGO_PKG_VERSION") },
            "instructions": INSTRUCTIONS,
        }))
    }

    /// What `initialize` says, for those who do not begin (`server/discover`).
    pub(super) fn discovered(&self) -> Response<ResponseBody> {
        self.result(&json!({
            "supportedVersions": [MODERN],
            "capabilities": capabilities(),
            "instructions": INSTRUCTIONS,
            "resultType": UNKEPT.result_type,
            "ttlMs": UNKEPT.ttl_ms,
            "cacheScope": UNKEPT.cache_scope,
            "_meta": { "io.modelcontextprotocol/serverInfo":
                { "name": "attache", "version": env!("CARGO_PKG_VERSION") } },
        }))
    }

    pub(super) fn done(&self) -> Response<ResponseBody> {
        self.result(&json!({}))
    }

    /// `list` is a JSON array; `place`, what it takes if it is large.
    pub(super) fn listed(
        &self,
        kind: Kind,
        list: &RawValue,
        place: Option<Place>,
    ) -> Response<ResponseBody> {
        let list = BTreeMap::from([(kind.member(), list)]);
        let bytes = self.message(&Listed { list, hold: self.modern.then_some(UNKEPT) });
        answered(Gathered { bytes, place }.into_bytes())
    }

    /// The result of a call that somebody can do something about.
    pub(super) fn failed(&self, words: &str) -> Response<ResponseBody> {
        self.result(&self.text(words, true))
    }

    pub(super) fn connected(&self, name: &ConnectionName) -> Response<ResponseBody> {
        let words = format!("{name}: It is connected. List the tools again to find its tools.");
        self.result(&self.text(&words, false))
    }

    /// What has no way to carry words in its result.
    pub(super) fn refused(&self, words: &str) -> Response<ResponseBody> {
        // -32000 to -32099 are for servers (JSON-RPC 2.0 section 5.1).
        let error = json!({ "code": -32001, "message": words });
        let answer = json!({ "jsonrpc": "2.0", "id": self.id, "error": error });
        json_response(StatusCode::OK, "application/json", &answer)
    }

    /// A prompt or a resource that is not there, or not for this person: the two look the same.
    pub(super) fn unknown(&self) -> Response<ResponseBody> {
        let error = json!({ "code": UNKNOWN, "message": "There is nothing of this name here." });
        let answer = json!({ "jsonrpc": "2.0", "id": self.id, "error": error });
        json_response(StatusCode::OK, "application/json", &answer)
    }

    /// PX-6.
    pub(super) fn no_method(&self) -> Response<ResponseBody> {
        let status = if self.modern { StatusCode::NOT_FOUND } else { StatusCode::OK };
        let error = json!({ "code": NO_METHOD, "message": "There is no such method here." });
        let answer = json!({ "jsonrpc": "2.0", "id": self.id, "error": error });
        json_response(status, "application/json", &answer)
    }

    fn result(&self, result: &impl Serialize) -> Response<ResponseBody> {
        answered(self.message(result))
    }

    fn message(&self, result: &impl Serialize) -> Bytes {
        let message = Message { jsonrpc: "2.0", id: self.id, result };
        serde_json::to_vec(&message).unwrap_or_default().into()
    }

    fn text(&self, words: &str, is_error: bool) -> Value {
        let mut result =
            json!({ "content": [{ "type": "text", "text": words }], "isError": is_error });
        if let (true, Some(result)) = (self.modern, result.as_object_mut()) {
            result.insert("resultType".to_owned(), json!(UNKEPT.result_type));
        }
        result
    }
}

fn answered(message: Bytes) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::from(message));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

//! In which revision of MCP a caller speaks, and whether they do (PX-4, PX-6, PX-14).

use http::{HeaderMap, HeaderName, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use crate::{
    mcp::{LEGACY, MODERN, PROTOCOL_VERSION, is_modern, legacy},
    refusal::json_response,
};

const METHOD: HeaderName = HeaderName::from_static("mcp-method");
const NAME: HeaderName = HeaderName::from_static("mcp-name");

/// Requests whose headers say what they name.
const NAMED: [&str; 3] = ["tools/call", "resources/read", "prompts/get"];

/// What is wrong with a request, as JSON-RPC says it; always 400.
#[derive(Debug, PartialEq)]
pub(crate) struct Misspoken {
    code: i32,
    message: &'static str,
    data: Option<Value>,
}

impl Misspoken {
    const fn new(code: i32, message: &'static str) -> Self {
        Self { code, message, data: None }
    }

    /// `id`: of the message, where it could be read.
    pub(crate) fn answer(
        &self,
        id: Option<&RawValue>,
    ) -> http::Response<crate::body::ResponseBody> {
        let mut error = json!({ "code": self.code, "message": self.message });
        if let (Some(data), Some(error)) = (&self.data, error.as_object_mut()) {
            error.insert("data".to_owned(), data.clone());
        }
        let answer = json!({ "jsonrpc": "2.0", "id": id, "error": error });
        json_response(StatusCode::BAD_REQUEST, "application/json", &answer)
    }
}

pub(crate) const MISMATCH: Misspoken =
    Misspoken::new(-32020, "The headers and the message do not say the same.");
pub(crate) const NO_REQUEST: Misspoken =
    Misspoken::new(-32600, "This server asks nothing, so there is nothing to answer.");
/// Where the caller could be asked for something that only sessions have a way back for.
pub(crate) fn only_legacy() -> Misspoken {
    let data = Some(json!({ "supported": LEGACY, "requested": MODERN }));
    Misspoken {
        data,
        ..Misspoken::new(-32022, "This server asks its clients in sessions only (initialize).")
    }
}

const NO_META: Misspoken =
    Misspoken::new(-32602, "params._meta lacks io.modelcontextprotocol/protocolVersion.");

#[derive(Default, Deserialize)]
struct Message {
    #[serde(default)]
    params: Params,
}

#[derive(Default, Deserialize)]
struct Params {
    #[serde(rename = "_meta")]
    meta: Option<Meta>,
}

#[derive(Deserialize)]
struct Meta {
    #[serde(rename = "io.modelcontextprotocol/protocolVersion")]
    version: Option<String>,
}

/// Whether the request is of a stateless revision; `method` is the message's.
pub(crate) fn spoken(headers: &HeaderMap, body: &[u8], method: &str) -> Result<bool, Misspoken> {
    let said = headers.get(PROTOCOL_VERSION).map(|said| said.to_str().unwrap_or_default());
    if let Some(said) = said.filter(|said| *said != MODERN && legacy(said).is_none()) {
        let known: Vec<&str> = [MODERN].into_iter().chain(LEGACY).collect();
        let data = Some(json!({ "supported": known, "requested": said }));
        return Err(Misspoken {
            data,
            ..Misspoken::new(-32022, "This revision of MCP is not known here.")
        });
    }
    let message: Message = serde_json::from_slice(body).unwrap_or_default();
    let within = message.params.meta.and_then(|meta| meta.version);
    if !is_modern(headers) {
        return if within.is_none() { Ok(false) } else { Err(MISMATCH) };
    }
    let is_named = !NAMED.contains(&method) || headers.contains_key(NAME);
    match within {
        None => Err(NO_META),
        Some(within) if within != MODERN => Err(MISMATCH),
        Some(_) if !headers.contains_key(METHOD) || !is_named => Err(MISMATCH),
        Some(_) => Ok(true),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn headers_and_message_are_of_one_revision() {
        let meta = r#"{"params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"?"}}}"#;
        let of = |version: &str| meta.replace('?', version);
        let called = [("mcp-method", "tools/call"), ("mcp-name", "a__b")];
        for (version, more, body, expected) in [
            (None, &[][..], "{}", Ok(false)),
            (Some("2025-03-26"), &[], "{}", Ok(false)),
            (Some("2025-11-25"), &[], r#"{"params":{"_meta":{"progressToken":1}}}"#, Ok(false)),
            (None, &called, &of(MODERN), Err(-32020)),
            (Some("2025-11-25"), &called, &of(MODERN), Err(-32020)),
            (Some(MODERN), &called, &of(MODERN), Ok(true)),
            (Some(MODERN), &called[..1], &of(MODERN), Err(-32020)),
            (Some(MODERN), &called[1..], &of(MODERN), Err(-32020)),
            (Some(MODERN), &called, &of("2025-11-25"), Err(-32020)),
            (Some(MODERN), &called, "{}", Err(-32602)),
            (Some("2027-01-01"), &called, &of("2027-01-01"), Err(-32022)),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in more {
                headers.insert(*name, HeaderValue::from_static(value));
            }
            if let Some(version) = version {
                headers.insert(PROTOCOL_VERSION, HeaderValue::from_static(version));
            }
            let spoken = spoken(&headers, body.as_bytes(), "tools/call");
            assert_eq!(spoken.map_err(|wrong| wrong.code), expected, "{version:?} {body}");
        }
    }
}

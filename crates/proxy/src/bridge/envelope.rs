//! What a modern request says of itself, in `params._meta` and in headers (PX-4, PX-5).

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::{
    mcp::{MODERN, PROTOCOL_VERSION},
    members::Members,
    session::MCP_SESSION_ID,
};

const VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const CLIENT: &str = "io.modelcontextprotocol/clientInfo";
const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";

/// It is not so of a session in which an upstream gets the request.
const ENVELOPE: [&str; 4] = [VERSION, CLIENT, CAPABILITIES, LOG_LEVEL];

const METHOD: HeaderName = HeaderName::from_static("mcp-method");
const NAME: HeaderName = HeaderName::from_static("mcp-name");
/// What a tool's arguments are repeated in.
const PARAMETER: &str = "mcp-param-";
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// What a request says of its client.
#[derive(Default, Deserialize)]
struct Said {
    #[serde(default, rename = "_meta")]
    meta: Meta,
}

#[derive(Default, Deserialize)]
pub(super) struct Meta {
    #[serde(default, rename = "io.modelcontextprotocol/clientCapabilities")]
    capabilities: Capabilities,
    #[serde(rename = "io.modelcontextprotocol/logLevel")]
    log_level: Option<String>,
}

/// What a client could be asked for.
#[derive(Default, Deserialize)]
struct Capabilities {
    elicitation: Option<serde::de::IgnoredAny>,
    sampling: Option<serde::de::IgnoredAny>,
    roots: Option<serde::de::IgnoredAny>,
}

impl Meta {
    pub(super) fn of(body: &[u8]) -> Self {
        #[derive(Default, Deserialize)]
        struct Message {
            #[serde(default)]
            params: Said,
        }
        serde_json::from_slice::<Message>(body).unwrap_or_default().params.meta
    }

    /// Whether it can be asked for something during a request.
    pub(super) fn can_be_asked(&self) -> bool {
        let Capabilities { elicitation, sampling, roots } = &self.capabilities;
        elicitation.is_some() || sampling.is_some() || roots.is_some()
    }

    /// Whether it wants to hear what a server logs.
    pub(super) fn wants_log(&self) -> bool {
        self.log_level.is_some()
    }
}

/// What is left of `params._meta` in a session; `None` where there is none.
pub(crate) fn unwrapped(params: &Members<'_>) -> Option<Box<RawValue>> {
    let mut meta: Members<'_> = serde_json::from_str(params.get("_meta")?.get()).ok()?;
    meta.retain(|key| !ENVELOPE.contains(&key));
    to_raw_value(&meta).ok()
}

/// The request `body` in a session, with an id of the gateway's own: those of its callers are not
/// told apart there (PX-15).
pub(super) fn legacy(body: &[u8], id: &str) -> Option<Vec<u8>> {
    let mut message: Members<'_> = serde_json::from_slice(body).ok()?;
    let id = to_raw_value(id).ok()?;
    message.set("id", &id);
    let Some(params) = message.get("params") else { return serde_json::to_vec(&message).ok() };
    let mut params: Members<'_> = serde_json::from_str(params.get()).ok()?;
    let meta = unwrapped(&params);
    if let Some(meta) = &meta {
        params.set("_meta", meta);
    }
    let params = to_raw_value(&params).ok()?;
    message.set("params", &params);
    serde_json::to_vec(&message).ok()
}

/// The request `body` of a session by itself, and what its headers repeat. `client` is the raw JSON
/// of who asks. Nothing can be asked of them: the way back would lead nowhere.
pub(super) fn modern(body: &[u8], client: &RawValue) -> Option<(Vec<u8>, Repeated)> {
    let mut message: Members<'_> = serde_json::from_slice(body).ok()?;
    let method: String = serde_json::from_str(message.get("method")?.get()).ok()?;
    let mut params: Members<'_> = match message.get("params") {
        Some(params) => serde_json::from_str(params.get()).ok()?,
        None => Members::default(),
    };
    let named = match method.as_str() {
        "tools/call" | "prompts/get" => params.get("name"),
        "resources/read" => params.get("uri"),
        _ => None,
    };
    let named = named.and_then(|name| serde_json::from_str::<String>(name.get()).ok());
    let mut meta: Members<'_> = match params.get("_meta") {
        Some(meta) => serde_json::from_str(meta.get()).ok()?,
        None => Members::default(),
    };
    let (version, nothing) = (to_raw_value(MODERN).ok()?, to_raw_value(&Members::default()).ok()?);
    meta.put(VERSION, &version);
    meta.put(CLIENT, client);
    meta.put(CAPABILITIES, &nothing);
    let meta = to_raw_value(&meta).ok()?;
    params.put("_meta", &meta);
    let params = to_raw_value(&params).ok()?;
    message.put("params", &params);
    Some((serde_json::to_vec(&message).ok()?, Repeated { method, named }))
}

/// What of a message its headers say, too.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Repeated {
    pub(super) method: String,
    named: Option<String>,
}

impl Repeated {
    /// `None` for a method that fits no header.
    pub(super) fn write(&self, headers: &mut HeaderMap) -> Option<()> {
        headers.insert(METHOD, HeaderValue::from_str(&self.method).ok()?);
        if let Some(named) = &self.named {
            headers.insert(NAME, encoded(named)?);
        }
        headers.insert(PROTOCOL_VERSION, HeaderValue::from_static(MODERN));
        Some(())
    }
}

/// Without what is about another message than the one that will be sent.
pub(super) fn bared(headers: &mut HeaderMap) {
    let parameters: Vec<HeaderName> =
        headers.keys().filter(|name| name.as_str().starts_with(PARAMETER)).cloned().collect();
    let ours = [header::CONTENT_LENGTH, PROTOCOL_VERSION, MCP_SESSION_ID, METHOD, NAME];
    for name in parameters.iter().chain(&ours).chain(&[LAST_EVENT_ID]) {
        headers.remove(name);
    }
    // What comes back is read.
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    let both = HeaderValue::from_static("application/json, text/event-stream");
    headers.insert(header::ACCEPT, both);
}

const SENTINEL: (&str, &str) = ("=?base64?", "?=");

/// As a header says it (2026-07-28, Streamable HTTP, "Value Encoding").
pub(super) fn encoded(value: &str) -> Option<HeaderValue> {
    let is_plain = value.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t'))
        && value.trim() == value
        && !(value.starts_with(SENTINEL.0) && value.ends_with(SENTINEL.1));
    if is_plain {
        return HeaderValue::from_str(value).ok();
    }
    let (begin, end) = SENTINEL;
    HeaderValue::try_from(format!("{begin}{}{end}", STANDARD.encode(value))).ok()
}

/// What a header says; `None` for what is neither plain nor encoded well.
pub(crate) fn decoded(value: &HeaderValue) -> Option<String> {
    let said = value.to_str().ok()?;
    let (begin, end) = SENTINEL;
    match said.strip_prefix(begin).and_then(|rest| rest.strip_suffix(end)) {
        Some(encoded) => String::from_utf8(STANDARD.decode(encoded).ok()?).ok(),
        None => Some(said.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_goes_there_and_back_with_everything_else_as_it_came() {
        let client = RawValue::from_string(r#"{"name":"c"}"#.to_owned()).unwrap();
        let sent = r#"{"id":"attache-1","method":"tools/call","params":{"name":"t","arguments":{"n":1e400},"_meta":{"progressToken":7}}}"#;
        let (there, repeated) = modern(sent.as_bytes(), &client).unwrap();
        assert_eq!(repeated.named.as_deref(), Some("t"));
        let text = String::from_utf8(there.clone()).unwrap();
        for part in [r#""progressToken":7,"#, r#"clientInfo":{"name":"c"}"#, r#"Capabilities":{}"#]
        {
            assert!(text.contains(part), "{text}");
        }
        assert_eq!(legacy(&there, "attache-1").unwrap(), sent.as_bytes());
        let (bare, repeated) = modern(br#"{"id":1,"method":"tools/list"}"#, &client).unwrap();
        assert_eq!(repeated, Repeated { method: "tools/list".to_owned(), named: None });
        let back = legacy(&bare, "x").unwrap();
        assert_eq!(back, br#"{"id":"x","method":"tools/list","params":{"_meta":{}}}"#);
    }

    #[test]
    fn what_fits_no_header_is_encoded() {
        for (value, header) in [
            ("us-west1", "us-west1"),
            ("file:///a b", "file:///a b"),
            ("Hello, 世界", "=?base64?SGVsbG8sIOS4lueVjA==?="),
            (" padded ", "=?base64?IHBhZGRlZCA=?="),
            ("=?base64?literal?=", "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="),
        ] {
            let said = encoded(value).unwrap();
            assert_eq!(said, header);
            assert_eq!(decoded(&said).as_deref(), Some(value));
        }
        assert_eq!(decoded(&HeaderValue::from_static("=?base64?%?=")), None);
    }
}

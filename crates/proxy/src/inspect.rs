//! What a JSON-RPC message asks for, where that decides whether it may pass.
//!
//! Whoever writes a message must not be able to show the gateway one thing and the upstream
//! another. So everything that two parsers could read differently is refused: a key twice, a key
//! that a parser may take for another (Go's compares in any case, with Unicode's idea of it), more
//! than one message, an encoding other than UTF-8.

use std::{borrow::Cow, fmt};

use http::{HeaderMap, HeaderName, header};
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::bridge::decoded;

/// A message as far as it decides anything.
#[derive(Debug)]
pub(crate) struct Message<'a> {
    pub(crate) id: Option<&'a RawValue>,
    /// `None`: an answer to something the upstream asked.
    pub(crate) method: Option<Cow<'a, str>>,
    /// What `tools/call` calls.
    pub(crate) tool: Option<Cow<'a, str>>,
}

/// Two readers may not agree about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unclear {
    #[error("it is sent with a content coding, or is not application/json in UTF-8")]
    Encoding,
    #[error("it is not one JSON-RPC message in which each key is there once and spelt as it is")]
    Message,
    #[error("its headers say another method or tool than it does")]
    Headers,
}

/// Bytes of a message's id, which is remembered for as long as its answer takes; clients count.
const MAX_ID: usize = 256;

pub(crate) const TOOLS_CALL: &str = "tools/call";
pub(crate) const TOOLS_LIST: &str = "tools/list";
const METHOD: HeaderName = HeaderName::from_static("mcp-method");
const NAME: HeaderName = HeaderName::from_static("mcp-name");

impl<'a> Message<'a> {
    pub(crate) fn parse(headers: &HeaderMap, body: &'a [u8]) -> Result<Self, Unclear> {
        if !is_plain_json(headers) {
            return Err(Unclear::Encoding);
        }
        let text = str::from_utf8(body).map_err(|_| Unclear::Encoding)?;
        let envelope: Envelope<'_> = serde_json::from_str(text).map_err(|_| Unclear::Message)?;
        let method = envelope.method;
        let tool = match method.as_deref() {
            Some(TOOLS_CALL) => {
                let params = envelope.params.ok_or(Unclear::Message)?.get();
                let call: Call<'_> = serde_json::from_str(params).map_err(|_| Unclear::Message)?;
                Some(call.name)
            }
            // What a careless server may take for it.
            Some(method)
                if method.eq_ignore_ascii_case(TOOLS_CALL)
                    || !method.bytes().all(|byte| byte.is_ascii_graphic()) =>
            {
                return Err(Unclear::Message);
            }
            _ => None,
        };
        if envelope.id.is_some_and(|id| id.get().len() > MAX_ID) {
            return Err(Unclear::Message);
        }
        let message = Self { id: envelope.id, method, tool };
        if message.agrees_with(headers) { Ok(message) } else { Err(Unclear::Headers) }
    }

    /// `Mcp-Method` and `Mcp-Name` repeat the message for whoever does not read it.
    fn agrees_with(&self, headers: &HeaderMap) -> bool {
        let all = |name: &HeaderName, said: Option<&str>| {
            headers.get_all(name).iter().all(|value| said.is_some_and(|said| value == said))
        };
        // Encoded where it fits no header (PX-4).
        let is_its = |value| {
            decoded(value).as_deref().is_some_and(|said| self.tool.as_deref() == Some(said))
        };
        let named = self.tool.is_none() || headers.get_all(&NAME).iter().all(is_its);
        all(&METHOD, self.method.as_deref()) && named
    }
}

fn is_plain_json(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(Ok(kind)), None) = (types.next().map(http::HeaderValue::to_str), types.next()) else {
        return false;
    };
    let mut parts = kind.split(';').map(str::trim);
    let is_json = parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("application/json"));
    let utf8 = |part: &str| {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let value = value.trim_matches('"');
        !name.eq_ignore_ascii_case("charset") || value.eq_ignore_ascii_case("utf-8")
    };
    is_json && parts.all(utf8) && !headers.contains_key(header::CONTENT_ENCODING)
}

#[derive(Default)]
struct Envelope<'a> {
    id: Option<&'a RawValue>,
    method: Option<Cow<'a, str>>,
    params: Option<&'a RawValue>,
}

impl<'de> Deserialize<'de> for Envelope<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EnvelopeVisitor)
    }
}

struct EnvelopeVisitor;

impl<'de> Visitor<'de> for EnvelopeVisitor {
    type Value = Envelope<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("one JSON-RPC message")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Envelope<'de>, M::Error> {
        let mut envelope = Envelope::default();
        let mut keys = Keys::of(&["jsonrpc", "id", "method", "params", "result", "error"]);
        while let Some(Text(key)) = map.next_key()? {
            keys.check(&key)?;
            match &*key {
                "id" => envelope.id = Some(map.next_value()?),
                "method" => envelope.method = Some(map.next_value::<Text<'_>>()?.0),
                "params" => envelope.params = Some(map.next_value()?),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(envelope)
    }
}

/// Borrowed where nothing in it is escaped.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// The parameters of `tools/call`.
struct Call<'a> {
    name: Cow<'a, str>,
}

impl<'de> Deserialize<'de> for Call<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(CallVisitor)
    }
}

struct CallVisitor;

impl<'de> Visitor<'de> for CallVisitor {
    type Value = Call<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("parameters by name")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Call<'de>, M::Error> {
        let mut name = None;
        let mut keys = Keys::of(&["name"]);
        while let Some(Text(key)) = map.next_key()? {
            keys.check(&key)?;
            if key == "name" {
                name = Some(map.next_value::<Text<'_>>()?.0);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        name.map(|name| Call { name }).ok_or_else(|| M::Error::missing_field("name"))
    }
}

/// The keys of one object: each of ours once, in its own spelling.
struct Keys {
    ours: &'static [&'static str],
    seen: Vec<&'static str>,
}

impl Keys {
    fn of(ours: &'static [&'static str]) -> Self {
        Self { ours, seen: Vec::new() }
    }

    fn check<E: serde::de::Error>(&mut self, key: &str) -> Result<(), E> {
        let Some(resembled) = self.ours.iter().find(|ours| resembles(key, ours)) else {
            return Ok(());
        };
        if key != *resembled || self.seen.contains(resembled) {
            return Err(E::custom("a key that may be taken for another"));
        }
        self.seen.push(resembled);
        Ok(())
    }
}

/// Whether the most generous comparison takes `key` for one of ours: without case (`ſ` is an `s`, and
/// the Kelvin sign a `k`) and without what cannot be seen.
fn resembles(key: &str, ours: &str) -> bool {
    if key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return key.eq_ignore_ascii_case(ours);
    }
    key.chars()
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
        .filter(|one| !one.is_control() && !one.is_whitespace())
        .eq(ours.chars())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        headers
    }

    const JSON: (&str, &str) = ("content-type", "application/json");

    #[test]
    fn what_is_clear_is_read() {
        for (body, method, tool) in [
            (r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#, Some("ping"), None),
            (r#"{"method":"tools/call","params":{"name":"a"}}"#, Some(TOOLS_CALL), Some("a")),
            (
                r#"{"params":{"arguments":{"NAME":1,"name":2},"name":"\u0061"},"m":0,"method":"tools\/call"}"#,
                Some(TOOLS_CALL),
                Some("a"),
            ),
            (r#" {"id":"x","result":{"method":"tools/call"}} "#, None, None),
        ] {
            let message = Message::parse(&headers(&[JSON]), body.as_bytes()).unwrap();
            assert_eq!((message.method.as_deref(), message.tool.as_deref()), (method, tool));
        }
    }

    #[test]
    fn what_two_parsers_could_read_differently_is_not() {
        for body in [
            "",
            "[]",
            "\u{feff}{}",
            r#"[{"method":"ping"}]"#,
            r#"{"method":"ping"}{"method":"ping"}"#,
            r#"{"method":"ping","method":"tools/call"}"#,
            r#"{"method":"ping","m\u0065thod":"tools/call"}"#,
            r#"{"method":"ping","Method":"tools/call"}"#,
            r#"{"method":"ping","paramſ":{}}"#,
            r#"{"METHOD":"tools/call"}"#,
            r#"{"method\u0000":"tools/call"}"#,
            r#"{"method":["tools/call"]}"#,
            r#"{"method":"Tools/Call"}"#,
            r#"{"method":" tools/call"}"#,
            r#"{"method":"tools/call\u200b"}"#,
            r#"{"method":"toolſ/call"}"#,
            r#"{"method":"tools/call"}"#,
            r#"{"method":"tools/call","params":["a"]}"#,
            r#"{"method":"tools/call","params":{}}"#,
            r#"{"method":"tools/call","params":{"name":7}}"#,
            r#"{"method":"tools/call","params":{"name":"a","name":"b"}}"#,
            r#"{"method":"tools/call","params":{"name":"a","Name":"b"}}"#,
            r#"{"method":"tools/call","params":{"name":"a","name ":"b"}}"#,
            r#"{"method":"tools/call","params":{"name":"a"},"Params":{"name":"b"}}"#,
            r#"{"method":"tools/call","params":{"name":"a"},}"#,
            r#"{"method":"tools/call",/**/"params":{"name":"a"}}"#,
        ] {
            let parsed = Message::parse(&headers(&[JSON]), body.as_bytes());
            assert_eq!(parsed.unwrap_err(), Unclear::Message, "{body}");
        }
        assert_eq!(Message::parse(&headers(&[JSON]), b"\xff").unwrap_err(), Unclear::Encoding);
    }

    #[test]
    fn an_id_is_no_place_to_keep_things() {
        for (length, fits) in [(MAX_ID - 2, true), (MAX_ID - 1, false)] {
            let body = format!(r#"{{"id":"{}","method":"ping"}}"#, "i".repeat(length));
            assert_eq!(Message::parse(&headers(&[JSON]), body.as_bytes()).is_ok(), fits);
        }
    }

    #[test]
    fn what_is_around_it_agrees() {
        let call = br#"{"method":"tools/call","params":{"name":"a"}}"#;
        for (lines, expected) in [
            (&[JSON][..], Ok(())),
            (&[("content-type", "Application/JSON; charset=\"UTF-8\"")], Ok(())),
            (&[JSON, ("mcp-method", "tools/call"), ("mcp-name", "a")], Ok(())),
            (&[], Err(Unclear::Encoding)),
            (&[("content-type", "text/plain")], Err(Unclear::Encoding)),
            (&[JSON, JSON], Err(Unclear::Encoding)),
            (&[("content-type", "application/json; charset=utf-16")], Err(Unclear::Encoding)),
            (&[JSON, ("content-encoding", "gzip")], Err(Unclear::Encoding)),
            (&[JSON, ("mcp-method", "ping")], Err(Unclear::Headers)),
            (&[JSON, ("mcp-name", "=?base64?YQ==?=")], Ok(())),
            (&[JSON, ("mcp-name", "=?base64?Yg==?=")], Err(Unclear::Headers)),
            (&[JSON, ("mcp-name", "b")], Err(Unclear::Headers)),
            (&[JSON, ("mcp-name", "a"), ("mcp-name", "b")], Err(Unclear::Headers)),
        ] {
            let parsed = Message::parse(&headers(lines), call).map(|_| ());
            assert_eq!(parsed, expected, "{lines:?}");
        }
    }
}

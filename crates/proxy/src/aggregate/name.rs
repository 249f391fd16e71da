//! What tools are called where all upstreams are one: `{upstream}__{tool}`.
//!
//! The first `__` divides. No upstream here has one in its name or ends where it could begin, so
//! that no two tools can be called the same.

use attache_core::UpstreamName;
use serde_json::value::to_raw_value;

use crate::members::Members;

const BETWEEN: &str = "__";
/// Of MCP's tool names (2025-11-25, tools, "Tool Names").
const LONGEST: usize = 128;
const CONNECT: &str = "connect_";

/// Whether its tools can be told from others'; where not, it has its own route alone.
pub(super) fn is_plain(upstream: &UpstreamName) -> bool {
    let name = upstream.as_str();
    !name.contains(BETWEEN) && !name.ends_with('_')
}

/// `None` for what is longer than a tool's name may be.
pub(super) fn outward(upstream: &UpstreamName, tool: &str) -> Option<String> {
    let name = format!("{upstream}{BETWEEN}{tool}");
    (name.len() <= LONGEST).then_some(name)
}

/// The upstream and what it calls the tool.
pub(super) fn split(name: &str) -> Option<(&str, &str)> {
    name.split_once(BETWEEN)
}

/// The tool that says where to connect an upstream.
pub(super) fn of_connect(upstream: &UpstreamName) -> String {
    format!("{CONNECT}{upstream}")
}

pub(super) fn to_connect(name: &str) -> Option<&str> {
    name.strip_prefix(CONNECT).filter(|upstream| !upstream.contains(BETWEEN))
}

/// What a caller of a stateless revision says with each request, in `params._meta`. It is not so of
/// the session in which the upstream gets it.
const ENVELOPE: [&str; 4] = [
    "io.modelcontextprotocol/protocolVersion",
    "io.modelcontextprotocol/clientInfo",
    "io.modelcontextprotocol/clientCapabilities",
    "io.modelcontextprotocol/logLevel",
];

/// The call `body` for the tool that the upstream calls `tool`; all else as it came.
pub(super) fn renamed(body: &[u8], tool: &str) -> Option<Vec<u8>> {
    let mut message: Members<'_> = serde_json::from_slice(body).ok()?;
    let mut params: Members<'_> = serde_json::from_str(message.get("params")?.get()).ok()?;
    let tool = to_raw_value(tool).ok()?;
    params.set("name", &tool);
    let meta = params.get("_meta").and_then(|meta| serde_json::from_str(meta.get()).ok());
    let meta = meta.and_then(|mut meta: Members<'_>| {
        meta.retain(|key| !ENVELOPE.contains(&key));
        to_raw_value(&meta).ok()
    });
    if let Some(meta) = &meta {
        params.set("_meta", meta);
    }
    let params = to_raw_value(&params).ok()?;
    message.set("params", &params);
    serde_json::to_vec(&message).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_tools_are_called_the_same() {
        let upstreams = ["a", "a-b", "a_b", "connect_a", "a__b", "a_", "a__"];
        let upstreams = upstreams.map(|name| UpstreamName::parse(name).unwrap());
        let plain: Vec<_> = upstreams.iter().filter(|name| is_plain(name)).collect();
        assert_eq!(plain.len(), 4, "{plain:?}");
        for upstream in plain {
            for tool in ["t", "_t", "__t", "b__t", "connect_a", ""] {
                let name = outward(upstream, tool).unwrap();
                assert_eq!(split(&name), Some((upstream.as_str(), tool)));
                assert_eq!(to_connect(&name), None, "{name}");
            }
            assert_eq!(to_connect(&of_connect(upstream)), Some(upstream.as_str()));
            assert_eq!(split(&of_connect(upstream)), None);
        }
        assert_eq!(outward(&upstreams[0], &"t".repeat(LONGEST - 2)), None);
    }

    #[test]
    fn a_call_keeps_everything_but_its_tools_name() {
        let sent = r#"{"id":1.0,"params":{"_meta":{"progressToken":7},"name":"a__\u0062","arguments":{"name":1e400}},"method":"tools/call"}"#;
        let called = sent.replace(r"a__\u0062", "b");
        assert_eq!(renamed(sent.as_bytes(), "b").unwrap(), called.as_bytes());
        let envelope = ENVELOPE.map(|key| format!(r#""{key}":{{}},"#)).concat();
        let sent = sent.replace(r#""progressToken""#, &format!(r#"{envelope}"progressToken""#));
        assert_eq!(renamed(sent.as_bytes(), "b").unwrap(), called.as_bytes());
    }
}

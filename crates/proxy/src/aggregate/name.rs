//! What tools, prompts and resources are called where all upstreams are one: `{upstream}__{tool}`,
//! `attache://{upstream}/{uri}`.
//!
//! The first `__` divides, and the first slash. No upstream here has one of them in its name or ends
//! where it could begin, so that no two can be called the same.

use attache_core::UpstreamName;
use serde_json::value::to_raw_value;

use crate::{bridge::unwrapped, members::Members};

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

const URI: &str = "attache://";
/// Of a resource's address, as clients keep them.
const LONGEST_URI: usize = 8 * 1024;

/// `None` for what is too long.
pub(super) fn outward_uri(upstream: &UpstreamName, uri: &str) -> Option<String> {
    let name = format!("{URI}{upstream}/{uri}");
    (name.len() <= LONGEST_URI).then_some(name)
}

/// The upstream and what it calls the resource.
pub(super) fn split_uri(uri: &str) -> Option<(&str, &str)> {
    uri.strip_prefix(URI)?.split_once('/')
}

/// The tool that says where to connect an upstream.
pub(super) fn of_connect(upstream: &UpstreamName) -> String {
    format!("{CONNECT}{upstream}")
}

pub(super) fn to_connect(name: &str) -> Option<&str> {
    name.strip_prefix(CONNECT).filter(|upstream| !upstream.contains(BETWEEN))
}

/// What the parameters of `body` have as text under `key`, or within `of` there.
pub(super) fn named(body: &[u8], of: Option<&str>, key: &str) -> Option<String> {
    let message: Members<'_> = serde_json::from_slice(body).ok()?;
    let mut params: Members<'_> = serde_json::from_str(message.get("params")?.get()).ok()?;
    if let Some(of) = of {
        params = serde_json::from_str(params.get(of)?.get()).ok()?;
    }
    serde_json::from_str(params.get(key)?.get()).ok()
}

/// The request `body` for what the upstream calls `own`; all else as it came. It is named by `key` of
/// the parameters, or within `of` there.
pub(super) fn renamed(body: &[u8], of: Option<&str>, key: &str, own: &str) -> Option<Vec<u8>> {
    let mut message: Members<'_> = serde_json::from_slice(body).ok()?;
    let mut params: Members<'_> = serde_json::from_str(message.get("params")?.get()).ok()?;
    let own = to_raw_value(own).ok()?;
    let inner = match of {
        None => None,
        Some(of) => {
            let mut inner: Members<'_> = serde_json::from_str(params.get(of)?.get()).ok()?;
            inner.set(key, &own);
            Some(to_raw_value(&inner).ok()?)
        }
    };
    match (of, &inner) {
        (Some(of), Some(inner)) => params.set(of, inner),
        _ => params.set(key, &own),
    }
    let meta = unwrapped(&params);
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
    fn no_two_resources_are_called_the_same() {
        let upstreams = ["a", "a-b", "a_b"].map(|name| UpstreamName::parse(name).unwrap());
        for upstream in &upstreams {
            for uri in ["file:///a/b?c#d", "/x", "attache://a/x", "", "test://{id}/data"] {
                let name = outward_uri(upstream, uri).unwrap();
                assert_eq!(split_uri(&name), Some((upstream.as_str(), uri)));
            }
        }
        assert_eq!(outward_uri(&upstreams[0], &"x".repeat(LONGEST_URI)), None);
        assert_eq!(split_uri("file:///a/b"), None);
        let sent = r#"{"id":1,"method":"completion/complete","params":{"ref":{"type":"ref/prompt","name":"a__p"},"argument":{"name":"n"}}}"#;
        assert_eq!(named(sent.as_bytes(), Some("ref"), "name").as_deref(), Some("a__p"));
        let there = renamed(sent.as_bytes(), Some("ref"), "name", "p").unwrap();
        assert_eq!(String::from_utf8(there).unwrap(), sent.replace("a__p", "p"));
    }

    #[test]
    fn a_call_keeps_everything_but_its_tools_name() {
        let sent = r#"{"id":1.0,"params":{"_meta":{"progressToken":7},"name":"a__\u0062","arguments":{"name":1e400}},"method":"tools/call"}"#;
        let called = sent.replace(r"a__\u0062", "b");
        assert_eq!(renamed(sent.as_bytes(), None, "name", "b").unwrap(), called.as_bytes());
    }
}

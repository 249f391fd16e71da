//! Where an upstream says that messages go.

use http::{Uri, uri::PathAndQuery};
use url::Url;

use crate::events::Parts;

/// Of what an upstream names; theirs have a session id in them.
const LONGEST: usize = 2048;

/// The address in the first event of a stream at `asked`. `None` unless it is of the same origin: to
/// another the credential would follow it (2024-11-05, transports, HTTP with SSE).
pub(super) fn endpoint(asked: &Uri, event: &[u8]) -> Option<PathAndQuery> {
    let parts = Parts::of(event)?;
    if parts.kind() != "endpoint" || parts.data.len() > LONGEST {
        return None;
    }
    let base = Url::parse(&asked.to_string()).ok()?;
    let named = base.join(parts.data.trim()).ok()?;
    let is_ours = named.origin() == base.origin()
        && base.origin().is_tuple()
        && named.username().is_empty()
        && named.password().is_none();
    let path = is_ours.then(|| &named[url::Position::BeforePath..url::Position::AfterQuery])?;
    path.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_go_nowhere_else() {
        let asked: Uri = "https://mcp.example.com:8443/v1/sse?team=a".parse().unwrap();
        for (data, expected) in [
            ("/messages?session=1", Some("/messages?session=1")),
            ("messages", Some("/v1/messages")),
            ("?session=1#x", Some("/v1/sse?session=1")),
            ("https://mcp.example.com:8443/m", Some("/m")),
            ("https://mcp.example.com/m", None),
            ("http://mcp.example.com:8443/m", None),
            ("https://evil.example.com:8443/m", None),
            ("//evil.example.com/m", None),
            ("\\\\evil.example.com/m", None),
            ("https://mcp.example.com:8443@evil.example.com/m", None),
            ("https://u:p@mcp.example.com:8443/m", None),
            ("file:///etc/passwd", None),
            ("data:text/plain,x", None),
        ] {
            let event = format!("event: endpoint\ndata: {data}\n\n");
            let path = endpoint(&asked, event.as_bytes());
            assert_eq!(path.as_ref().map(PathAndQuery::as_str), expected, "{data}");
        }
        assert_eq!(endpoint(&asked, b"data: /messages\n\n"), None);
        let long = format!("event: endpoint\ndata: /{}\n\n", "a".repeat(LONGEST));
        assert_eq!(endpoint(&asked, long.as_bytes()), None);
    }
}

//! From a request's path to an upstream and the path there.

use attache_core::ConnectionName;
use http::{Uri, uri::PathAndQuery};

use crate::snapshot::{Protocol, Target};

/// What a path asks for, before anybody looked whether it exists.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Asked<'a> {
    pub protocol: Protocol,
    /// `None`: no name that an upstream, or an account there, could have.
    pub name: Option<ConnectionName>,
    /// Below `/http/{name}`, with its slash; empty under `/mcp/`.
    pub rest: &'a str,
}

impl<'a> Asked<'a> {
    /// `None` for every path that is not the data plane's.
    pub(crate) fn parse(path: &'a str) -> Option<Self> {
        if let Some(name) = path.strip_prefix("/mcp/") {
            // Claude Code sometimes appends a slash to a resource it was given.
            let name = name.strip_suffix('/').unwrap_or(name).parse().ok();
            return Some(Self { protocol: Protocol::Mcp, name, rest: "" });
        }
        let below = path.strip_prefix("/http/")?;
        let (name, rest) = below.split_at(below.find('/').unwrap_or(below.len()));
        Some(Self { protocol: Protocol::Http, name: name.parse().ok(), rest })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the path would leave the upstream's base path")]
pub(crate) struct Escapes;

impl Target {
    /// The URL of an MCP endpoint: as configured, whatever the client appended.
    pub(crate) fn endpoint(&self) -> Uri {
        self.uri(self.exact.clone())
    }

    /// The URL of `path` where it is.
    pub(crate) fn at(&self, path: &PathAndQuery) -> Uri {
        self.uri(path.clone())
    }

    /// The URL of `rest` below the base path, byte for byte, with the client's query.
    pub(crate) fn below(&self, rest: &str, query: Option<&str>) -> Result<Uri, Escapes> {
        if has_dot_segment(rest) {
            return Err(Escapes);
        }
        let mut path = format!("{}{rest}", self.base_path);
        if path.is_empty() {
            path.push('/');
        }
        if let Some(query) = query {
            path.push('?');
            path.push_str(query);
        }
        path.parse().map(|path| self.uri(path)).map_err(|_| Escapes)
    }

    fn uri(&self, path: PathAndQuery) -> Uri {
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(path);
        #[expect(clippy::expect_used, reason = "scheme, authority and path are all there")]
        Uri::from_parts(parts).expect("an absolute URI")
    }
}

/// How often an upstream, and whoever is in front of it, may decode a path.
const DECODERS: usize = 3;

/// Whether an upstream could leave a base path on such a path.
pub(crate) fn has_dot_segment(path: &str) -> bool {
    path.split('/').any(climbs)
}

/// Whether an upstream that decodes this segment, and perhaps takes `\` or an encoded `/` for a
/// slash, could see a dot segment in it, or the end of a line.
fn climbs(segment: &str) -> bool {
    let mut seen = segment.to_owned();
    for _ in 0..=DECODERS {
        if is_unsafe(&seen) {
            return true;
        }
        if !seen.contains('%') {
            return false;
        }
        seen = decode(&seen);
    }
    is_unsafe(&seen)
}

fn is_unsafe(decoded: &str) -> bool {
    decoded.contains(|c: char| c.is_ascii_control())
        || decoded.split(['/', '\\']).any(|piece| {
            // `..;x` is a dot segment to servers that strip path parameters.
            let piece = piece.split(';').next().unwrap_or_default();
            piece == "." || piece == ".."
        })
}

fn decode(segment: &str) -> String {
    let mut decoded = Vec::with_capacity(segment.len());
    let mut bytes = segment.bytes();
    while let Some(byte) = bytes.next() {
        let escape = (byte == b'%').then(|| {
            let digits: Vec<u8> = bytes.clone().take(2).collect();
            std::str::from_utf8(&digits).ok().and_then(|hex| u8::from_str_radix(hex, 16).ok())
        });
        if let Some(Some(value)) = escape {
            decoded.push(value);
            bytes.nth(1);
        } else {
            decoded.push(byte);
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;

    fn target(url: &str) -> Target {
        Target::parse(&Url::parse(url).unwrap()).unwrap()
    }

    #[test]
    fn paths_name_an_upstream() {
        let name = |name: &str| name.parse().ok();
        let asked = |protocol, name, rest| Some(Asked { protocol, name, rest });
        assert_eq!(Asked::parse("/mcp/notes"), asked(Protocol::Mcp, name("notes"), ""));
        assert_eq!(Asked::parse("/mcp/notes/"), asked(Protocol::Mcp, name("notes"), ""));
        assert_eq!(Asked::parse("/mcp/notes/x"), asked(Protocol::Mcp, None, ""));
        assert_eq!(Asked::parse("/http/api"), asked(Protocol::Http, name("api"), ""));
        assert_eq!(Asked::parse("/http/api/a//b"), asked(Protocol::Http, name("api"), "/a//b"));
        assert_eq!(Asked::parse("/http/%61pi/x"), asked(Protocol::Http, None, "/x"));
        let work = || name("notes@work");
        assert_eq!(Asked::parse("/mcp/notes@work"), asked(Protocol::Mcp, work(), ""));
        assert_eq!(Asked::parse("/mcp/notes@work/"), asked(Protocol::Mcp, work(), ""));
        assert_eq!(Asked::parse("/http/notes@work/@a"), asked(Protocol::Http, work(), "/@a"));
        assert_eq!(Asked::parse("/http/api/@work"), asked(Protocol::Http, name("api"), "/@work"));
        for forged in ["@", "@work@home", "@Work", "%40work", "@w%6frk", "@.."] {
            let path = format!("/mcp/notes{forged}");
            assert_eq!(Asked::parse(&path), asked(Protocol::Mcp, None, ""), "{forged}");
        }
        assert_eq!(Asked::parse("/connect/notes"), None);
        assert_eq!(Asked::parse("/mcp"), None);
    }

    #[test]
    fn the_rest_arrives_byte_for_byte() {
        let api = target("https://api.example.com/v1/");
        for (rest, query, seen) in [
            ("", None, "https://api.example.com/v1"),
            ("/", None, "https://api.example.com/v1/"),
            ("/a%2Fb/c", Some("q=%20"), "https://api.example.com/v1/a%2Fb/c?q=%20"),
            ("//x", None, "https://api.example.com/v1//x"),
            ("/...", None, "https://api.example.com/v1/..."),
            ("/100%25", None, "https://api.example.com/v1/100%25"),
        ] {
            assert_eq!(api.below(rest, query).unwrap().to_string(), seen);
        }
        assert_eq!(target("http://h:1").below("", None).unwrap().to_string(), "http://h:1/");
    }

    #[test]
    fn nothing_climbs_out_of_the_base_path() {
        let api = target("https://api.example.com/v1");
        for rest in [
            "/..",
            "/../admin",
            "/a/../../b",
            "/%2e%2e/x",
            "/.%2E/x",
            "/..%2fadmin",
            "/..%5cx",
            "/..\\x",
            "/./x",
            "/%2e",
            "/..;v=1/x",
            "/a/..%2f..%2fb",
            "/%252e%252e/x",
            "/%25252e./x",
            "/..%255cx",
            "/x%0d%0aHost: evil",
            "/x%00",
        ] {
            assert_eq!(api.below(rest, None), Err(Escapes), "{rest}");
        }
    }
}

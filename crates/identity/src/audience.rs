//! What a token is for, as its `aud` says, and so how far it reaches (RS-9).

use std::collections::BTreeSet;

use attache_core::{ConnectionName, PublicOrigin, Reach};

use crate::claims::Claims;

/// What one issuer may call us.
///
/// - The gateway's own URL, or any other name of the operator's choice, is the whole gateway.
/// - A route's URL is that route, and `/mcp` all MCP servers by that way alone. An issuer that may
///   name the whole gateway may name each of these, as clients ask it to (RFC 8707).
#[derive(Clone, Debug)]
pub(crate) struct Audiences {
    origin: PublicOrigin,
    configured: Vec<String>,
}

impl Audiences {
    pub(crate) fn new(origin: PublicOrigin) -> Self {
        Self { origin, configured: Vec::new() }
    }

    pub(crate) fn insert(&mut self, audience: String) {
        self.configured.push(audience);
    }

    /// `None`: the token is not for this gateway. Of several names that are ours all count.
    pub(crate) fn reach(&self, claims: Claims<'_>) -> Option<Reach> {
        let whole = |audience: &&String| self.part(audience).is_none();
        if self.configured.iter().filter(whole).any(|ours| claims.lists("aud", ours)) {
            return Some(Reach::everything());
        }
        let named = claims.texts("aud").filter(|audience| self.may_name(audience));
        let parts: Vec<Part> = named.filter_map(|name| self.part(name)).collect();
        let routes: BTreeSet<ConnectionName> =
            parts.iter().filter_map(|part| part.route.clone()).collect();
        let reach = Reach::only(routes);
        let is_together = parts.iter().any(|part| part.route.is_none());
        let reach = if is_together { reach.and_together() } else { reach };
        (!parts.is_empty()).then_some(reach)
    }

    fn may_name(&self, audience: &str) -> bool {
        self.configured.iter().any(|ours| ours == audience || ours == self.origin.as_str())
    }

    /// What this is the URL of: as our metadata writes it (RS-2), or with a slash at the end, as
    /// some clients do.
    fn part(&self, audience: &str) -> Option<Part> {
        let path = audience.strip_prefix(self.origin.as_str())?;
        let path = path.strip_suffix('/').unwrap_or(path);
        if path == "/mcp" {
            return Some(Part { route: None });
        }
        let name = path.strip_prefix("/mcp/").or_else(|| path.strip_prefix("/http/"))?;
        Some(Part { route: Some(name.parse().ok()?) })
    }
}

/// Something less than the whole gateway.
struct Part {
    /// An upstream's, or an account's there; `None`: all MCP servers together.
    route: Option<ConnectionName>,
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};
    use url::Url;

    use super::*;

    const GATEWAY: &str = "https://gw.example.com";

    fn reach(configured: &[&str], aud: Value) -> Option<Reach> {
        let mut audiences = Audiences::new(PublicOrigin::new(&Url::parse(GATEWAY).unwrap()));
        for audience in configured {
            audiences.insert((*audience).to_owned());
        }
        let claims: Map<String, Value> = [("aud".to_owned(), aud)].into_iter().collect();
        audiences.reach(Claims(&claims))
    }

    #[test]
    fn a_token_reaches_what_its_audience_names() {
        let only = |names: &[&str]| {
            Some(Reach::only(names.iter().map(|name| name.parse::<ConnectionName>().unwrap())))
        };
        let all = Some(Reach::everything());
        let (a, b) = ("https://gw.example.com/mcp/a", "https://gw.example.com/http/b");
        let mcp = "https://gw.example.com/mcp";
        for (configured, aud, expected) in [
            (&[GATEWAY][..], json!(GATEWAY), all.clone()),
            (&[GATEWAY], json!([a, GATEWAY]), all.clone()),
            (&["api://attache"], json!("api://attache"), all),
            (&[GATEWAY], json!(a), only(&["a"])),
            (&[GATEWAY], json!([a, b, "https://else.example"]), only(&["a", "b"])),
            (&[GATEWAY], json!("https://gw.example.com/mcp/a/"), only(&["a"])),
            (&[a], json!([a, b]), only(&["a"])),
            (&[a, b], json!([a, b]), only(&["a", "b"])),
            (&[GATEWAY], json!("https://gw.example.com/mcp/a@work"), only(&["a@work"])),
            (&[GATEWAY], json!(mcp), Some(Reach::together())),
            (&[GATEWAY], json!("https://gw.example.com/mcp/"), Some(Reach::together())),
            (&[mcp], json!(mcp), Some(Reach::together())),
            (&[mcp], json!(a), None),
            (&[a], json!(mcp), None),
            (&[GATEWAY], json!([a, mcp]), only(&["a"]).map(Reach::and_together)),
            (&[GATEWAY], json!("https://gw.example.com/http"), None),
            (&[GATEWAY], json!("https://gw.example.com/mcp/a@"), None),
            (&[a], json!("https://gw.example.com/mcp/a@work"), None),
            (&[a], json!(GATEWAY), None),
            (&[a], json!(b), None),
            // Who may only say a word of the operator's may say nothing else.
            (&["api://attache"], json!(a), None),
            (&[GATEWAY], json!("https://gw.example.com/"), None),
            (&[GATEWAY], json!("https://gw.example.com/mcp/a//"), None),
            (&[GATEWAY], json!("https://gw.example.com/mcp/A"), None),
            (&[GATEWAY], json!("https://gw.example.com.evil.example/mcp/a"), None),
            (&[GATEWAY], json!("https://gw.example.com/connect/a"), None),
            (&[GATEWAY], json!({ "aud": a }), None),
            (&[GATEWAY], json!(null), None),
        ] {
            assert_eq!(reach(configured, aud.clone()), expected, "{configured:?} {aud}");
        }
    }
}

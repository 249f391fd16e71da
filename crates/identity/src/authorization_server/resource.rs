//! What tokens are for (RFC 8707, AS-7): one route of the gateway, all MCP servers together, its
//! API or, where the operator says so, all of it.

use attache_core::{ConnectionName, PublicOrigin, Reach};

use super::client::Client;

/// Where the API is, below the origin.
pub const API: &str = "/api/v1";

/// The `aud` of a token: an address of ours, byte for byte as its metadata has it (RS-2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Resource {
    pub(crate) url: String,
    pub(crate) opens: Opens,
}

/// What a client may do with its token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opens {
    Upstream(ConnectionName),
    /// `/mcp`: every MCP server of the person's, by that way alone.
    Together,
    /// Where a person's connections are; no upstream. For clients that the operator vouches for.
    Api,
    Everything,
}

impl Opens {
    /// If it is one.
    pub fn upstream(&self) -> Option<&ConnectionName> {
        match self {
            Self::Upstream(upstream) => Some(upstream),
            Self::Together | Self::Api | Self::Everything => None,
        }
    }

    pub(crate) fn reach(self) -> Reach {
        match self {
            Self::Upstream(upstream) => Reach::only([upstream]),
            Self::Together => Reach::together(),
            Self::Api => Reach::api(),
            Self::Everything => Reach::everything(),
        }
    }
}

/// What tokens are given for. Whether there is such an upstream, and whom it is for, is not asked
/// here: strangers would be told.
#[derive(Clone, Debug)]
pub(crate) struct Resources {
    pub(crate) origin: PublicOrigin,
    /// Whether a token may be for the whole gateway.
    pub(crate) whole: bool,
    /// Whether any client may have several servers at once.
    pub(crate) several_for_anybody: bool,
    /// Of the only upstream, where there is one: clients that name no resource mean it.
    pub(crate) only: Option<String>,
}

impl Resources {
    /// `None` for what is not ours, or when nothing is named and it is not clear what is meant: who
    /// does not say so is never given everything.
    pub(crate) fn asked(&self, named: Option<&str>) -> Option<Resource> {
        match named {
            Some(named) => self.parse(named.strip_suffix('/').unwrap_or(named)),
            None => self.parse(self.only.as_deref()?),
        }
    }

    /// Whether the client may have this, if a person lets it in: the API is for clients that the
    /// operator answers for, and so may several servers at once be, or for those chosen otherwise.
    pub(super) fn are_for(&self, client: &Client, opens: &Opens) -> bool {
        let is_open = match opens {
            Opens::Upstream(_) => true,
            Opens::Together | Opens::Everything => self.several_for_anybody || client.is_chosen,
            Opens::Api => client.is_trusted(),
        };
        is_open && client.only.as_ref().is_none_or(|only| only == opens)
    }

    /// Of an `aud` that is ours.
    pub(crate) fn parse(&self, url: &str) -> Option<Resource> {
        let path = url.strip_prefix(self.origin.as_str())?;
        let opens = match path {
            "" => self.whole.then_some(Opens::Everything)?,
            "/mcp" => Opens::Together,
            API => Opens::Api,
            path => {
                let name = path.strip_prefix("/mcp/").or_else(|| path.strip_prefix("/http/"))?;
                Opens::Upstream(name.parse().ok()?)
            }
        };
        Some(Resource { url: url.to_owned(), opens })
    }
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;

    #[test]
    fn only_what_is_ours_is_given_tokens_for() {
        let origin = PublicOrigin::new(&Url::parse("https://gw.example.com").unwrap());
        let routes = Resources { origin, whole: false, several_for_anybody: true, only: None };
        let whole = Resources { whole: true, ..routes.clone() };
        let only = Some("https://gw.example.com/mcp/notes".to_owned());
        let one = Resources { only, ..routes.clone() };
        for (named, of_routes, of_whole) in [
            (Some("https://gw.example.com/mcp/notes"), Some("/mcp/notes"), Some("/mcp/notes")),
            (Some("https://gw.example.com/mcp/notes/"), Some("/mcp/notes"), Some("/mcp/notes")),
            (Some("https://gw.example.com/http/api"), Some("/http/api"), Some("/http/api")),
            (Some("https://gw.example.com/mcp/notes//"), None, None),
            (Some("https://gw.example.com/mcp/Notes"), None, None),
            (Some("https://gw.example.com/mcp"), Some("/mcp"), Some("/mcp")),
            (Some("https://gw.example.com/mcp/"), Some("/mcp"), Some("/mcp")),
            (Some("https://gw.example.com/mcp//"), None, None),
            (Some("https://gw.example.com/http"), None, None),
            (Some("https://gw.example.com/mcp/a/b"), None, None),
            (Some("https://gw.example.com/mcp/../http/api"), None, None),
            (Some("https://gw.example.com/mcp/notes?x"), None, None),
            (Some("https://gw.example.com.evil.test/mcp/notes"), None, None),
            (Some("https://GW.example.com/mcp/notes"), None, None),
            (Some("https://gw.example.com/api/v1"), Some("/api/v1"), Some("/api/v1")),
            (Some("https://gw.example.com/api/v1/user"), None, None),
            (Some("https://gw.example.com"), None, Some("")),
            (Some("https://gw.example.com/"), None, Some("")),
            (None, None, None),
        ] {
            let full = |path: &str| format!("https://gw.example.com{path}");
            let url = |resources: &Resources| resources.asked(named).map(|one| one.url);
            assert_eq!(url(&routes), of_routes.map(full), "{named:?}");
            assert_eq!(url(&whole), of_whole.map(full), "{named:?}");
        }
        assert_eq!(one.asked(None).unwrap().url, "https://gw.example.com/mcp/notes");
    }
}

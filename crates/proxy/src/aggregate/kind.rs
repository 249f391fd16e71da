//! What servers list, and what it is called where all upstreams are one.

use attache_core::UpstreamName;

use super::name;

/// What is listed by a method of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Tools,
    Prompts,
    Resources,
    Templates,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Tools, Self::Prompts, Self::Resources, Self::Templates];

    pub(super) fn listed_by(method: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.method() == method)
    }

    pub(super) fn method(self) -> &'static str {
        match self {
            Self::Tools => "tools/list",
            Self::Prompts => "prompts/list",
            Self::Resources => "resources/list",
            Self::Templates => "resources/templates/list",
        }
    }

    /// The member of a result that has the list.
    pub(super) fn member(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Prompts => "prompts",
            Self::Resources => "resources",
            Self::Templates => "resourceTemplates",
        }
    }

    /// The member of what is listed that tells it from others.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::Tools | Self::Prompts => "name",
            Self::Resources => "uri",
            Self::Templates => "uriTemplate",
        }
    }

    /// What the upstream's is called here; `None` for what would be too long.
    pub(super) fn outward(self, upstream: &UpstreamName, own: &str) -> Option<String> {
        match self {
            Self::Tools | Self::Prompts => name::outward(upstream, own),
            Self::Resources | Self::Templates => name::outward_uri(upstream, own),
        }
    }
}

/// What a request of a caller is about.
pub(super) enum Wanted {
    Prompt,
    Resource,
}

impl Wanted {
    pub(super) fn by(method: &str) -> Option<Self> {
        match method {
            "prompts/get" => Some(Self::Prompt),
            "resources/read" => Some(Self::Resource),
            _ => None,
        }
    }

    /// The member of its parameters that says which.
    pub(super) fn key(&self) -> &'static str {
        match self {
            Self::Prompt => "name",
            Self::Resource => "uri",
        }
    }

    /// The upstream, and what it calls it.
    pub(super) fn split<'a>(&self, named: &'a str) -> Option<(&'a str, &'a str)> {
        match self {
            Self::Prompt => name::split(named),
            Self::Resource => name::split_uri(named),
        }
    }
}

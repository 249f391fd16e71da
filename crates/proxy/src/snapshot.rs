//! What the data plane knows of the configuration: built whole, swapped whole, never edited.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use attache_broker::Brokered;
use attache_core::{
    Access, ConnectionName, PublicOrigin, UpstreamName, policy::Policy, tools::ToolRules,
    traffic::Traffic,
};
use http::{HeaderName, HeaderValue, Uri};
use url::Url;

use crate::{
    breaker::Breaker,
    bridge::Eras,
    crowd::Crowd,
    forward_auth::{Proxies, Proxy},
    metrics::{Metrics, RouteMetrics},
    rest::Rests,
};

#[derive(Debug)]
pub struct Snapshot {
    pub(crate) origin: PublicOrigin,
    /// Whether each request is a line in the log.
    pub(crate) access_log: bool,
    pub(crate) proxies: Proxies,
    routes: HashMap<UpstreamName, Arc<Route>>,
}

/// One upstream, ready to be called.
#[derive(Debug)]
pub struct Route {
    pub name: UpstreamName,
    pub protocol: Protocol,
    /// Of an MCP server.
    pub transport: Transport,
    pub target: Target,
    pub access: Access,
    /// Of an MCP server.
    pub tools: ToolRules,
    /// What is closed, of what is open.
    pub policy: Policy,
    /// Static and not secret; written before the credential, which nothing can override.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Without one the upstream gets no per-user credential.
    pub broker: Option<Arc<Brokered>>,
    pub traffic: Traffic,
    pub live: Live,
}

impl Route {
    /// Whether what may pass depends on the tool that is called.
    pub(crate) fn has_tool_rules(&self) -> bool {
        !self.tools.is_empty() || self.policy.is_about_tools()
    }
}

/// What of a route changes while it is used; shared by all workers.
#[derive(Debug)]
pub struct Live {
    pub(crate) crowd: Arc<Crowd>,
    pub(crate) breaker: Breaker,
    pub(crate) rests: Rests,
    pub(crate) metrics: RouteMetrics,
    /// The revision of MCP in which it gave no session id when one was begun last.
    pub(crate) sessionless: Sessionless,
    pub(crate) eras: Eras,
}

/// Whoever has no sessions need not be asked to begin one.
#[derive(Debug, Default)]
pub(crate) struct Sessionless(Mutex<Option<&'static str>>);

impl Sessionless {
    pub(crate) fn version(&self) -> Option<&'static str> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn note(&self, version: Option<&'static str>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = version;
    }
}

impl Live {
    pub fn new(upstream: &UpstreamName, traffic: &Traffic, metrics: &Metrics) -> Self {
        let metrics = metrics.of(upstream);
        let crowd = Crowd::new(traffic.limits, metrics.under_way.clone());
        Self {
            crowd,
            breaker: Breaker::default(),
            rests: Rests::default(),
            metrics,
            sessionless: Sessionless::default(),
            eras: Eras::default(),
        }
    }
}

/// How messages reach an MCP server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// 2025-03-26 and later.
    StreamableHttp,
    /// HTTP+SSE, of 2024-11-05: on one stream everything comes, and to another address it is sent.
    Sse,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// MCP Streamable HTTP, under `/mcp/{name}`.
    Mcp,
    /// A plain API, under `/http/{name}/…`.
    Http,
}

impl Protocol {
    /// `/mcp/notes`
    pub(crate) fn path(self, name: &ConnectionName) -> String {
        match self {
            Self::Mcp => format!("/mcp/{name}"),
            Self::Http => format!("/http/{name}"),
        }
    }
}

/// Where requests go: the configured authority (PX-20), unless a person's credential is for another
/// host that its provider's template allows.
#[derive(Debug)]
pub struct Target {
    pub(crate) scheme: http::uri::Scheme,
    pub(crate) authority: http::uri::Authority,
    pub(crate) host: HeaderValue,
    /// The configured path without a slash at its end.
    pub(crate) base_path: String,
    /// The configured path and query as they stand.
    pub(crate) exact: http::uri::PathAndQuery,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an http or https URL with a host")]
pub struct InvalidTarget;

impl Target {
    pub fn parse(url: &Url) -> Result<Self, InvalidTarget> {
        let uri: Uri = url.as_str().parse().map_err(|_| InvalidTarget)?;
        let parts = uri.into_parts();
        let (Some(scheme), Some(authority), Some(exact)) =
            (parts.scheme, parts.authority, parts.path_and_query)
        else {
            return Err(InvalidTarget);
        };
        let host = HeaderValue::from_str(authority.as_str()).map_err(|_| InvalidTarget)?;
        let base_path = exact.path().trim_end_matches('/').to_owned();
        Ok(Self { scheme, authority, host, base_path, exact })
    }
}

impl Snapshot {
    /// `public_url` is an origin: scheme, host and port.
    pub fn new(
        public_url: &Url,
        access_log: bool,
        routes: Vec<Route>,
        proxies: Vec<Proxy>,
    ) -> Self {
        let routes =
            routes.into_iter().map(|route| (route.name.clone(), Arc::new(route))).collect();
        let (origin, proxies) = (PublicOrigin::new(public_url), Proxies(proxies));
        Self { origin, access_log, proxies, routes }
    }

    pub(crate) fn routes(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.routes.values()
    }

    /// Whatever its protocol.
    pub(crate) fn upstream(&self, name: &UpstreamName) -> Option<&Arc<Route>> {
        self.routes.get(name)
    }

    pub(crate) fn route(&self, name: &UpstreamName, protocol: Protocol) -> Option<&Arc<Route>> {
        self.routes.get(name).filter(|route| route.protocol == protocol)
    }
}

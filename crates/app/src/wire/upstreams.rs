//! The upstreams of a configuration, each as the broker and the data plane know it.

mod api_key;
mod connect;
mod id_jag;
mod subject_tokens;
mod token_exchange;

pub(crate) use self::{
    connect::is_public,
    token_exchange::{exchanged, is_exchanged},
};

use std::sync::Arc;

use attache_broker::{Brokered, HeaderForm, Metrics, Mode, ServiceKey, SigningKeys, SubjectTokens};
use attache_config::{
    Config,
    model::{Allow, AuthBroker, Identity, Mode as Acquired, Protocol as Configured, Upstream},
};
use attache_core::{Access, UpstreamName, outbound::Outbound, store::Stores};
use attache_proxy::{
    Protocol, Route, Transport,
    snapshot::{Live, Target},
};
use url::Url;

use super::World;

/// What is well-formed and yet beyond this version; it says what to write instead.
#[derive(Debug, thiserror::Error)]
#[error("upstream {upstream}: {what}")]
pub struct UpstreamError {
    upstream: UpstreamName,
    what: &'static str,
}

pub(crate) struct Upstreams {
    /// Those with an `auth_broker` block.
    pub(crate) brokered: Vec<Arc<Brokered>>,
    pub(crate) routes: Vec<Route>,
    /// Of browser sign-in, where they are kept.
    pub(crate) subject_tokens: Option<Arc<SubjectTokens>>,
}

/// What upstreams have in common.
pub(crate) struct Common<'a> {
    pub(crate) public_url: &'a Url,
    pub(crate) identity: &'a Identity,
    pub(crate) outbound: Arc<dyn Outbound>,
    pub(crate) world: &'a World,
    pub(crate) stores: &'a Stores,
    /// Seals our registrations.
    pub(crate) registration_key: Arc<ServiceKey>,
    pub(crate) assertion_keys: Arc<SigningKeys>,
    pub(crate) metrics: Metrics,
    pub(crate) data_plane: &'a attache_proxy::Metrics,
}

pub(crate) fn wire(config: &Config, common: &Common<'_>) -> Result<Upstreams, UpstreamError> {
    let sign_in = subject_tokens::wire(common).map(Arc::new);
    let routes = config.upstreams.iter().map(|upstream| route(upstream, sign_in.as_ref(), common));
    let routes = routes.collect::<Result<Vec<_>, _>>()?;
    Ok(Upstreams {
        brokered: routes.iter().filter_map(|r| r.broker.clone()).collect(),
        routes,
        subject_tokens: sign_in,
    })
}

fn route(
    upstream: &Upstream,
    sign_in: Option<&Arc<SubjectTokens>>,
    common: &Common<'_>,
) -> Result<Route, UpstreamError> {
    let refuse = |what| UpstreamError { upstream: upstream.name.clone(), what };
    let broker = upstream.broker.as_ref().map(|broker| {
        Ok(Arc::new(Brokered {
            origin: upstream.url.origin().ascii_serialization(),
            name: upstream.name.clone(),
            access: access(upstream.allow.as_ref()),
            form: HeaderForm {
                name: broker.header.clone(),
                prefix: broker.header_format.prefix.clone(),
                suffix: broker.header_format.suffix.clone(),
            },
            mode: mode(upstream, broker, sign_in, common).map_err(refuse)?,
        }))
    });
    Ok(Route {
        name: upstream.name.clone(),
        protocol: match upstream.protocol {
            Configured::StreamableHttp | Configured::Sse => Protocol::Mcp,
            Configured::Http => Protocol::Http,
        },
        transport: match upstream.protocol {
            Configured::StreamableHttp | Configured::Http => Transport::StreamableHttp,
            Configured::Sse => Transport::Sse,
        },
        target: Target::parse(&upstream.url)
            .map_err(|_| refuse("url is not an http or https URL with a host"))?,
        access: access(upstream.allow.as_ref()),
        tools: upstream.tools.clone(),
        policy: upstream.policy.clone(),
        headers: upstream.headers.clone(),
        broker: broker.transpose()?,
        traffic: upstream.traffic.clone(),
        live: Live::new(&upstream.name, &upstream.traffic, common.data_plane),
    })
}

fn mode(
    upstream: &Upstream,
    broker: &AuthBroker,
    sign_in: Option<&Arc<SubjectTokens>>,
    common: &Common<'_>,
) -> Result<Mode, &'static str> {
    Ok(match broker.mode {
        Acquired::OauthConnect => {
            Mode::OauthConnect(Arc::new(connect::wire(upstream, broker, common)?))
        }
        Acquired::ApiKey => Mode::ApiKey(api_key::wire(upstream, broker, common)?),
        Acquired::TokenExchange | Acquired::EntraObo => {
            Mode::TokenExchange(Arc::new(token_exchange::wire(broker, common)?))
        }
        Acquired::IdJag => {
            Mode::TokenExchange(Arc::new(id_jag::wire(upstream, broker, sign_in, common)?))
        }
    })
}

pub(super) fn access(allow: Option<&Allow>) -> Access {
    allow.map_or(Access::Everyone, |allow| Access::Only {
        groups: allow.groups.clone(),
        emails: allow.emails.clone(),
    })
}

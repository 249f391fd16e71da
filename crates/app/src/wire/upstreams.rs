//! The upstreams of a configuration, each as the broker and the data plane know it.

use std::sync::Arc;

use attache_broker::{
    Brokered, HeaderForm,
    authority::{Authority, Terms},
    connect::OauthConnect,
};
use attache_config::{
    Config,
    model::{Allow, AuthBroker, ClientAuth, Mode, Protocol as Configured, Upstream},
};
use attache_core::{Access, Clock, PublicOrigin, UpstreamName, outbound::Outbound};
use attache_oauth::{
    client_auth::{Client, ClientAuthentication},
    token::TokenEndpoint,
};
use attache_proxy::{Protocol, Route, snapshot::Target};

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
}

pub(crate) fn wire(
    config: &Config,
    outbound: &Arc<dyn Outbound>,
    clock: &Arc<dyn Clock>,
) -> Result<Upstreams, UpstreamError> {
    let routes = config.upstreams.iter().map(|upstream| route(config, upstream, outbound, clock));
    let routes = routes.collect::<Result<Vec<_>, _>>()?;
    Ok(Upstreams { brokered: routes.iter().filter_map(|r| r.broker.clone()).collect(), routes })
}

fn route(
    config: &Config,
    upstream: &Upstream,
    outbound: &Arc<dyn Outbound>,
    clock: &Arc<dyn Clock>,
) -> Result<Route, UpstreamError> {
    let refuse = |what| UpstreamError { upstream: upstream.name.clone(), what };
    let broker = upstream.broker.as_ref().map(|broker| {
        let callback = format!("/api/v1/user/credentials/{}/callback", upstream.name);
        let redirect_uri = PublicOrigin::new(&config.public_url).url(&callback);
        let connect = oauth_connect(broker, redirect_uri, outbound, clock).map_err(refuse)?;
        Ok(Arc::new(Brokered {
            name: upstream.name.clone(),
            access: access(upstream.allow.as_ref()),
            form: HeaderForm {
                name: broker.header.clone(),
                prefix: broker.header_format.prefix.clone(),
                suffix: broker.header_format.suffix.clone(),
            },
            connect: Arc::new(connect),
        }))
    });
    Ok(Route {
        name: upstream.name.clone(),
        protocol: match upstream.protocol {
            Configured::StreamableHttp => Protocol::Mcp,
            Configured::Http => Protocol::Http,
            Configured::Sse => {
                return Err(refuse("this version does not support protocol \"sse\""));
            }
        },
        target: Target::parse(&upstream.url)
            .map_err(|_| refuse("url is not an http or https URL with a host"))?,
        access: access(upstream.allow.as_ref()),
        headers: upstream.headers.clone(),
        broker: broker.transpose()?,
    })
}

fn oauth_connect(
    broker: &AuthBroker,
    redirect_uri: String,
    outbound: &Arc<dyn Outbound>,
    clock: &Arc<dyn Clock>,
) -> Result<OauthConnect, &'static str> {
    if broker.mode != Mode::OauthConnect {
        return Err("this version knows auth_broker.mode \"oauth_connect\" only");
    }
    let (Some(authorization_endpoint), Some(token_endpoint), Some(client_id)) =
        (&broker.authorization_endpoint, &broker.token_endpoint, &broker.client_id)
    else {
        return Err("this version does not discover authorization servers: set \
                    auth_broker.authorization_endpoint, token_endpoint and client_id");
    };
    let authentication = match (broker.client_auth, &broker.client_secret) {
        (ClientAuth::None, _) => ClientAuthentication::None,
        (ClientAuth::Basic, Some(secret)) => ClientAuthentication::Basic(secret.clone()),
        (ClientAuth::Post, Some(secret)) => ClientAuthentication::Post(secret.clone()),
        (ClientAuth::Basic | ClientAuth::Post, None) => {
            return Err("auth_broker.client_secret is required for this client_auth");
        }
        (ClientAuth::PrivateKeyJwt, _) => {
            return Err("this version does not support client_auth \"private_key_jwt\"");
        }
    };
    let dialect = Arc::new(broker.dialect.clone());
    let terms = Terms {
        issuer: broker.issuer.clone(),
        iss_parameter_supported: false,
        authorization_endpoint: authorization_endpoint.clone(),
        push_to: None,
        token: TokenEndpoint {
            url: token_endpoint.clone(),
            client: Client { id: client_id.clone(), authentication },
            dialect: Arc::clone(&dialect),
        },
        revocation_endpoint: broker.revocation_endpoint.clone(),
        scopes: broker.scopes.clone(),
        resource: broker.resource.clone(),
    };
    Ok(OauthConnect {
        authority: Authority::Fixed(Arc::new(terms)),
        dialect,
        redirect_uri,
        outbound: Arc::clone(outbound),
        clock: Arc::clone(clock),
    })
}

fn access(allow: Option<&Allow>) -> Access {
    allow.map_or(Access::Everyone, |allow| Access::Only {
        groups: allow.groups.clone(),
        emails: allow.emails.clone(),
    })
}

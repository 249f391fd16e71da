//! Makes a gateway of a configuration: everything that can fail fails here, before anything
//! listens.

pub(crate) mod keys;

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use attache_broker::{
    Broker, Brokered, Connections, HeaderForm, Parts, Tasks,
    audit::{Audit, Ledger},
    connect::OauthConnect,
    vault::Vault,
};
use attache_config::{
    Config,
    model::{self, ClientAuth, Mode, StoreUrl},
};
use attache_core::{Access, Clock, PublicOrigin, outbound::Outbound, store::Stores};
use attache_crypto::random::Random;
use attache_identity::{Identity, IdentitySettings, JwtSettings, OidcSettings};
use attache_net::{
    address::EgressRules,
    outbound::ControlClient,
    tls::{Trust, TrustError},
};
use attache_oauth::{
    client_auth::{Client, ClientAuthentication},
    token::TokenEndpoint,
};
use attache_proxy::{
    FrontParts, Protocol, Route, Snapshot,
    body::{BodyError, ResponseBody},
    snapshot::Target,
};
use attache_store::{Location, OpenError, Store};
use attache_web::Web;
use axum::Router;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, combinators::UnsyncBoxBody};
use hyper::body::Incoming;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use self::keys::{KeyRingError, Keys};

/// What a process brings to a gateway; tests bring their own.
#[derive(Clone, Debug)]
pub struct World {
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
}

/// Everything, put together and not yet listening.
#[derive(Debug)]
pub struct Wired {
    pub store: Store,
    pub front: FrontParts,
    pub rules: Arc<EgressRules>,
    pub trust: Trust,
    /// Ended last, when everything else is written.
    pub ledger: Arc<Ledger>,
    pub tasks: Tasks,
    /// Ends the audit's writer, after the last request.
    pub stop: CancellationToken,
}

/// Why a configuration, though well-formed, does not make a gateway: each says what to change.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    #[error(transparent)]
    Keys(#[from] KeyRingError),
    #[error("upstream {upstream}: {what}")]
    Upstream { upstream: String, what: &'static str },
    #[error(transparent)]
    Trust(#[from] TrustError),
    #[error(transparent)]
    Store(#[from] OpenError),
}

/// Opens the store and connects every part.
pub async fn wire(config: &Config, world: World) -> Result<Wired, WireError> {
    let rules = Arc::new(EgressRules { allow_private: config.egress.allow_private.clone() });
    let trust = Trust::load(None)?;
    let Keys { ring, transits } = keys::wire(config, &trust).await?;
    let outbound: Arc<dyn Outbound> = Arc::new(ControlClient::new(Arc::clone(&rules), &trust));
    let brokered = brokered(config, &outbound, &world.clock)?;
    let routes = routes(config, &brokered)?;

    let store = Store::open(&location(&config.store)).await?;
    let tasks = Tasks::new(Handle::current());
    let stop = CancellationToken::new();
    let ledger = Arc::new(Ledger::new(
        store.trail(),
        ring.clone(),
        Arc::clone(&world.clock),
        Arc::clone(&world.random),
    ));
    ledger.keep(config.audit.retention, &tasks, stop.clone());
    let stores = Stores { audit: ledger.clone(), ..store.stores() };
    let audit =
        Audit::start(Arc::clone(&stores.audit), Arc::clone(&world.clock), &tasks, stop.clone());
    for transit in transits {
        tasks.spawn(keys::stay_signed_in(transit, stop.clone()));
    }
    let vault = Arc::new(Vault::new(
        ring,
        Arc::clone(&stores.data_keys),
        Arc::clone(&world.clock),
        Arc::clone(&world.random),
    ));
    let broker = Broker::new(Parts {
        store: Arc::clone(&stores.credentials),
        vault,
        audit,
        tasks: tasks.clone(),
        clock: Arc::clone(&world.clock),
        random: Arc::clone(&world.random),
    });
    let connections =
        Arc::new(Connections::new(Arc::clone(&broker), Arc::clone(&stores.connects), brokered));
    let identity = Arc::new(Identity::new(
        identity_settings(config),
        &stores,
        &outbound,
        &world.clock,
        &world.random,
    ));
    let web = attache_web::router(Web {
        connections,
        public_url: config.public_url.clone(),
        clock: Arc::clone(&world.clock),
        random: Arc::clone(&world.random),
        identity: Arc::clone(&identity),
    });
    let snapshot = Snapshot::new(&config.public_url, routes);
    let front = FrontParts {
        snapshot: Arc::new(ArcSwap::from_pointee(snapshot)),
        authenticator: identity.data_plane(),
        broker,
        clock: world.clock,
        random: world.random,
        control: Handle::current(),
        fallback: fallback(web, &Handle::current()),
    };
    Ok(Wired { store, front, rules, trust, ledger, tasks, stop })
}

pub(crate) fn location(url: &StoreUrl) -> Location {
    match url {
        StoreUrl::Sqlite(file) => Location::Sqlite(file.clone()),
        StoreUrl::Postgres(url) => Location::Postgres(url.clone()),
    }
}

/// The upstreams with an `auth_broker` block.
fn brokered(
    config: &Config,
    outbound: &Arc<dyn Outbound>,
    clock: &Arc<dyn Clock>,
) -> Result<Vec<Arc<Brokered>>, WireError> {
    let origin = PublicOrigin::new(&config.public_url);
    config
        .upstreams
        .iter()
        .filter_map(|upstream| upstream.broker.as_ref().map(|broker| (upstream, broker)))
        .map(|(upstream, broker)| {
            let redirect_uri =
                origin.url(&format!("/api/v1/user/credentials/{}/callback", upstream.name));
            let unsupported =
                |what| WireError::Upstream { upstream: upstream.name.to_string(), what };
            let connect = oauth_connect(broker, redirect_uri, outbound, clock);
            Ok(Arc::new(Brokered {
                name: upstream.name.clone(),
                access: access(upstream.allow.as_ref()),
                form: HeaderForm {
                    name: broker.header.clone(),
                    prefix: broker.header_format.prefix.clone(),
                    suffix: broker.header_format.suffix.clone(),
                },
                connect: Arc::new(connect.map_err(unsupported)?),
            }))
        })
        .collect()
}

fn oauth_connect(
    broker: &model::AuthBroker,
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
    if broker.provider.is_some() {
        return Err("this version has no provider templates: write the endpoints out instead of \
                    auth_broker.provider");
    }
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
    Ok(OauthConnect {
        authorization_endpoint: authorization_endpoint.clone(),
        token: TokenEndpoint {
            url: token_endpoint.clone(),
            client: Client { id: client_id.clone(), authentication },
        },
        revocation_endpoint: broker.revocation_endpoint.clone(),
        issuer: broker.issuer.clone(),
        redirect_uri,
        scopes: broker.scopes.clone(),
        resource: broker.resource.clone(),
        outbound: Arc::clone(outbound),
        clock: Arc::clone(clock),
    })
}

fn access(allow: Option<&model::Allow>) -> Access {
    allow.map_or(Access::Everyone, |allow| Access::Only {
        groups: allow.groups.clone(),
        emails: allow.emails.clone(),
    })
}

fn routes(config: &Config, brokered: &[Arc<Brokered>]) -> Result<Vec<Route>, WireError> {
    config
        .upstreams
        .iter()
        .map(|upstream| {
            let refuse = |what| WireError::Upstream { upstream: upstream.name.to_string(), what };
            Ok(Route {
                name: upstream.name.clone(),
                protocol: match upstream.protocol {
                    model::Protocol::StreamableHttp => Protocol::Mcp,
                    model::Protocol::Http => Protocol::Http,
                    model::Protocol::Sse => {
                        return Err(refuse("this version does not support protocol \"sse\""));
                    }
                },
                target: Target::parse(&upstream.url)
                    .map_err(|_| refuse("url is not an http or https URL with a host"))?,
                access: access(upstream.allow.as_ref()),
                headers: upstream.headers.clone(),
                broker: brokered.iter().find(|one| one.name == upstream.name).cloned(),
            })
        })
        .collect()
}

fn identity_settings(config: &Config) -> IdentitySettings {
    let identity = &config.identity;
    IdentitySettings {
        public_url: config.public_url.clone(),
        session_ttl: identity.session_ttl,
        allowed_email_domains: identity.allowed_email_domains.clone(),
        oidc: identity.oidc.as_ref().map(|oidc| OidcSettings {
            issuer: oidc.issuer.clone(),
            client: Client {
                id: oidc.client_id.clone(),
                // OpenID Connect's default (Core section 9).
                authentication: oidc
                    .client_secret
                    .clone()
                    .map_or(ClientAuthentication::None, ClientAuthentication::Basic),
            },
            scopes: oidc.scopes.clone(),
            subject_claim: oidc.subject_claim.clone(),
        }),
        jwt: identity
            .jwt
            .iter()
            .map(|jwt| JwtSettings {
                issuer: jwt.issuer.clone(),
                audience: jwt.audience.clone(),
                jwks_uri: None,
                subject_claim: jwt.subject_claim.clone(),
            })
            .collect(),
    }
}

/// A page or an API call may take this long, consent redemptions included.
const WEB_LIMIT: Duration = Duration::from_mins(1);

/// The pages and the API, run to their end on the control runtime even when the caller leaves: a
/// code is redeemed, or a credential revoked, once.
fn fallback(web: Router, control: &Handle) -> attache_proxy::front::Fallback {
    let control = control.clone();
    Arc::new(move |request: Request<Incoming>| {
        let (web, control) = (web.clone(), control.clone());
        let answered = async move {
            let answer = control.spawn(tokio::time::timeout(WEB_LIMIT, web.oneshot(request)));
            match answer.await {
                Ok(Ok(Ok(response))) => response.map(|body| {
                    let body = body.map_err(|error| -> BodyError { Box::new(error) });
                    ResponseBody::Web(UnsyncBoxBody::new(body))
                }),
                Ok(Ok(Err(never))) => match never {},
                Ok(Err(_)) => plain(StatusCode::GATEWAY_TIMEOUT, "This took too long. Try again."),
                Err(_) => plain(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "Something broke in the gateway. Whoever runs it finds more in its log.",
                ),
            }
        };
        Box::pin(answered) as Pin<Box<dyn Future<Output = Response<ResponseBody>> + Send>>
    })
}

fn plain(status: StatusCode, text: &str) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::from(text.to_owned()));
    *response.status_mut() = status;
    response
}

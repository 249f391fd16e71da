//! Makes a gateway of a configuration: everything that can fail fails here, before anything
//! listens.

mod authorization_server;
mod changes;
mod client_address;
pub(crate) mod keys;
mod notices;
mod store;
pub(crate) mod upstreams;

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use attache_broker::{
    Broker, Brokered, Connections, Metrics, Offboarding, Overview, Parts, ServiceKey, Tasks,
    audit::{Audit, Ledger},
    signing_keys::{CLIENT_ASSERTIONS, SigningKeys},
    vault::Vault,
};
use attache_config::{
    Config,
    model::{Assertion, ForwardAuth, Introspection, Oidc, ProxyProof, ScimMatch},
};
use attache_core::{Clock, changes::Memory, outage::Outage, outbound::Outbound, store::Stores};
use attache_crypto::{keyring::KeyRing, random::Random};
use attache_identity::{
    AssertionSettings, Identity, IdentitySettings, IntrospectionSettings, JwtSettings,
    OidcSettings,
    scim::{Matched, ScimSettings},
};
use attache_net::{
    address::EgressRules,
    outbound::ControlClient,
    resolve::Resolver,
    tls::{Trust, TrustError},
};
use attache_oauth::client_auth::{Client, ClientAuthentication};
use attache_proxy::{
    FrontParts, Proof, Protocol, Proxy, Route, SESSION_KEY, Snapshot,
    body::{BodyError, ResponseBody},
};
use attache_store::{OpenError, Store};
use attache_web::{Served, Web};
use axum::Router;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, combinators::UnsyncBoxBody};
use hyper::body::Incoming;
use ipnet::IpNet;
use prometheus_client::registry::Registry;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

pub(crate) use self::store::location;
use self::{
    authorization_server::ClientRedirectError,
    keys::{KeyRingError, Keys},
    notices::WebhookError,
    upstreams::{Common, UpstreamError, Upstreams},
};
use crate::metrics;

/// What a process brings to a gateway; tests bring their own.
#[derive(Clone, Debug)]
pub struct World {
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
    /// Where names lead.
    pub resolver: Arc<dyn Resolver>,
}

/// Everything, put together and not yet listening.
#[derive(Debug)]
pub struct Wired {
    pub store: Store,
    /// What every part counts.
    pub registry: Arc<Registry>,
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
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    #[error(transparent)]
    Notices(#[from] WebhookError),
    #[error(transparent)]
    Trust(#[from] TrustError),
    #[error(transparent)]
    Client(#[from] ClientRedirectError),
    #[error(transparent)]
    Store(#[from] OpenError),
}

/// Opens the store, for which it may have to wait, and connects every part.
pub async fn wire(config: &Config, world: World) -> Result<Wired, WireError> {
    let rules = Arc::new(EgressRules { allow_private: config.egress.allow_private.clone() });
    let trust = Trust::load(None)?;
    let Keys { ring, transits } = keys::wire(config, &trust).await?;
    let outbound = client(&rules, &trust, &world);
    // Nothing private for addresses that strangers name.
    let strangers = client(&Arc::default(), &trust, &world);

    let mut registry = metrics::registry();
    let metrics = Metrics::register(&mut registry);
    let store = store::open(&location(&config.store)).await?;
    let outage = Arc::new(Outage::default());
    let (tasks, stop) = (Tasks::new(Handle::current()), CancellationToken::new());
    let ledger = ledger(&store, &ring, &world);
    ledger.keep(config.audit.retention, &tasks, stop.clone());
    let stores = Stores { audit: ledger.clone(), ..store.stores() };
    tasks.spawn(keys::complain_of_missing(Arc::clone(&stores.wrapped_keys), ring.clone()));
    let audit = Audit::start(
        Arc::clone(&stores.audit),
        Arc::clone(&world.clock),
        metrics.clone(),
        &tasks,
        stop.clone(),
    );
    for transit in transits {
        tasks.spawn(keys::stay_signed_in(transit, stop.clone()));
    }
    let service_key = |name: &str| keys::service_key(name, &ring, &stores, &world, &tasks);
    let session_key = Arc::new(ServiceKey::new(service_key(SESSION_KEY)));
    let assertion_keys =
        Arc::new(SigningKeys::new(service_key(keys::CLIENT_ASSERTION), CLIENT_ASSERTIONS));
    let common = Common {
        public_url: &config.public_url,
        identity: &config.identity,
        outbound: Arc::clone(&outbound),
        world: &world,
        stores: &stores,
        registration_key: Arc::new(ServiceKey::new(service_key(keys::REGISTRATION))),
        assertion_keys: Arc::clone(&assertion_keys),
        metrics: metrics.clone(),
        data_plane: &attache_proxy::Metrics::register(&mut registry),
    };
    let Upstreams { brokered, routes, subject_tokens } = upstreams::wire(config, &common)?;
    let vault = Arc::new(vault(&ring, &stores, &world, metrics.clone()));
    let agenda = notices::wire(config, &common, &brokered, &audit, &tasks, &stop)?;
    let broker = Broker::new(Parts {
        store: Arc::clone(&stores.credentials),
        demands: Arc::clone(&stores.demands),
        ends: Arc::clone(&stores.ends),
        vault,
        audit,
        tasks: tasks.clone(),
        clock: Arc::clone(&world.clock),
        random: Arc::clone(&world.random),
        metrics,
        outage: Arc::clone(&outage),
        agenda,
        subject_tokens,
    });
    let offboarding = Arc::new(Offboarding::new(Arc::clone(&broker), &stores, brokered.clone()));
    let overview = Overview::new(&stores, store.trail(), ring.clone(), brokered.clone());
    let connections = connections(&broker, &stores, brokered, &tasks, &stop);
    let counted = attache_identity::Metrics::register(&mut registry);
    let authorization_server =
        authorization_server::settings(config, &outbound, strangers, counted, service_key)?;
    let identity = Arc::new(Identity::new(
        IdentitySettings { authorization_server, ..identity_settings(config) },
        &stores,
        &outbound,
        &world.clock,
        &world.random,
        Arc::clone(&outage),
        Some(broker.clone()),
    ));
    if let Some(feed) = store.changes() {
        let memories: Vec<Arc<dyn Memory>> = vec![broker.clone(), identity.clone()];
        tasks.spawn(changes::heed(feed, memories, outage, stop.clone()));
    }
    let web = attache_web::router(Web {
        connections,
        offboarding,
        overview: Arc::new(overview),
        served: routes.iter().map(served).collect(),
        assertion_keys,
        public_url: config.public_url.clone(),
        clock: Arc::clone(&world.clock),
        random: Arc::clone(&world.random),
        identity: Arc::clone(&identity),
    });
    let front = FrontParts {
        assertions: config.identity.assertions.iter().map(|proxy| proxy.header.clone()).collect(),
        snapshot: Arc::new(ArcSwap::from_pointee(snapshot(config, routes))),
        authenticator: Arc::new(told_by(&identity, config)),
        broker,
        session_key,
        clock: world.clock,
        random: world.random,
        control: Handle::current(),
        fallback: fallback(web, tasks.clone(), config.trusted_proxies.clone()),
    };
    Ok(Wired { store, registry: Arc::new(registry), front, rules, trust, ledger, tasks, stop })
}

/// Of them those are ended that are over, until `stop`.
fn connections(
    broker: &Arc<Broker>,
    stores: &Stores,
    upstreams: Vec<Arc<Brokered>>,
    tasks: &Tasks,
    stop: &CancellationToken,
) -> Arc<Connections> {
    let flows = Arc::clone(&stores.connects);
    let connections = Arc::new(Connections::new(Arc::clone(broker), flows, upstreams));
    tasks.spawn(Arc::clone(&connections).end_terms(stop.clone()));
    connections
}

fn client(rules: &Arc<EgressRules>, trust: &Trust, world: &World) -> Arc<dyn Outbound> {
    let resolver = Arc::clone(&world.resolver);
    Arc::new(ControlClient::resolving(Arc::clone(rules), trust, resolver))
}

fn ledger(store: &Store, ring: &KeyRing, world: &World) -> Arc<Ledger> {
    let (clock, random) = (Arc::clone(&world.clock), Arc::clone(&world.random));
    Arc::new(Ledger::new(store.trail(), ring.clone(), clock, random))
}

fn vault(ring: &KeyRing, stores: &Stores, world: &World, metrics: Metrics) -> Vault {
    let (clock, random) = (Arc::clone(&world.clock), Arc::clone(&world.random));
    Vault::new(ring.clone(), Arc::clone(&stores.data_keys), clock, random, metrics)
}

fn snapshot(config: &Config, routes: Vec<Route>) -> Snapshot {
    let proxies = config.forward_auth.iter().map(proxy).collect();
    Snapshot::new(&config.public_url, config.access_log, routes, proxies)
}

/// Who is calling, and from where.
fn told_by(identity: &Identity, config: &Config) -> client_address::Telling {
    let trusted_proxies = config.trusted_proxies.clone();
    client_address::Telling { authenticator: identity.data_plane(), trusted_proxies }
}

fn served(route: &Route) -> Served {
    Served {
        name: route.name.clone(),
        protocol: match route.protocol {
            Protocol::Mcp => attache_web::Protocol::Mcp,
            Protocol::Http => attache_web::Protocol::Http,
        },
        access: route.access.clone(),
    }
}

fn proxy(proxy: &ForwardAuth) -> Proxy {
    let proof = match &proxy.proof {
        ProxyProof::Secret(secret) => Proof::secret(secret),
        ProxyProof::Certificate(name) => Proof::Certificate(name.clone()),
    };
    Proxy::new(proxy.name.clone(), proof, proxy.upstreams.clone(), proxy.rate)
}

fn identity_settings(config: &Config) -> IdentitySettings {
    let identity = &config.identity;
    IdentitySettings {
        public_url: config.public_url.clone(),
        session_ttl: identity.session_ttl,
        reauthenticate_after: identity.reauthenticate_after,
        admins: upstreams::access(Some(&identity.admins)),
        allowed_email_domains: identity.allowed_email_domains.clone(),
        oidc: identity.oidc.as_ref().map(|oidc| OidcSettings {
            issuer: oidc.issuer.clone(),
            client: identity_client(oidc),
            scopes: oidc.scopes.clone(),
            subject_claim: oidc.subject_claim.clone(),
            groups_claim: oidc.groups_claim.clone(),
            hosted_domains: oidc.hosted_domains.clone(),
        }),
        jwt: identity
            .jwt
            .iter()
            .map(|jwt| JwtSettings {
                is_exchanged: upstreams::is_exchanged(config, &jwt.issuer),
                issuer: jwt.issuer.clone(),
                audience: jwt.audience.clone(),
                jwks_uri: None,
                subject_claim: jwt.subject_claim.clone(),
                groups_claim: jwt.groups_claim.clone(),
            })
            .collect(),
        assertions: identity.assertions.iter().map(assertion).collect(),
        introspection: identity.introspection.as_ref().map(|asked| introspection(config, asked)),
        scim: identity.scim.as_ref().map(|scim| ScimSettings {
            token: scim.token.clone(),
            matched: match scim.matched {
                ScimMatch::ExternalId => Matched::ExternalId,
                ScimMatch::UserName => Matched::UserName,
            },
            tenant: scim.tenant.clone(),
            offboards: scim.offboard,
        }),
        authorization_server: None,
    }
}

fn assertion(proxy: &Assertion) -> AssertionSettings {
    AssertionSettings {
        header: proxy.header.clone(),
        issuer: proxy.issuer.clone(),
        audience: proxy.audience.clone(),
        jwks_uri: proxy.jwks_uri.clone(),
        subject_claim: proxy.subject_claim.clone(),
        groups_claim: proxy.groups_claim.clone(),
        trust_email: proxy.trust_email,
    }
}

fn introspection(config: &Config, asked: &Introspection) -> IntrospectionSettings {
    let Introspection { issuer, endpoint, client_id, client_secret } = asked;
    let authentication = ClientAuthentication::Basic(client_secret.clone());
    IntrospectionSettings {
        is_exchanged: upstreams::is_exchanged(config, &issuer.issuer),
        issuer: issuer.issuer.clone(),
        endpoint: endpoint.clone(),
        client: Client { id: client_id.clone(), authentication },
        audience: issuer.audience.clone(),
        subject_claim: issuer.subject_claim.clone(),
        groups_claim: issuer.groups_claim.clone(),
    }
}

/// Who we are to the identity provider.
pub(crate) fn identity_client(oidc: &Oidc) -> Client {
    // OpenID Connect's default (Core section 9).
    let secret = oidc.client_secret.clone();
    let authentication = secret.map_or(ClientAuthentication::None, ClientAuthentication::Basic);
    Client { id: oidc.client_id.clone(), authentication }
}

/// How long a caller waits for a page or an API call, consent redemptions included.
const WEB_LIMIT: Duration = Duration::from_mins(1);

/// The pages and the API. What they do is the process's work and not the caller's: it goes on when
/// they leave or have waited long enough, and shutdown waits for it. Everything in it has a bound of
/// its own. A code is redeemed, or a credential revoked, once.
fn fallback(
    web: Router,
    tasks: Tasks,
    trusted_proxies: Vec<IpNet>,
) -> attache_proxy::front::Fallback {
    Arc::new(move |mut request: Request<Incoming>| {
        client_address::tell(&mut request, &trusted_proxies);
        let (web, tasks) = (web.clone(), tasks.clone());
        let answered = async move {
            let answer = tasks.finish(web.oneshot(request));
            match tokio::time::timeout(WEB_LIMIT, answer).await {
                Ok(Ok(Ok(response))) => response.map(|body| {
                    let body = body.map_err(|error| -> BodyError { Box::new(error) });
                    ResponseBody::Web(UnsyncBoxBody::new(body))
                }),
                Ok(Ok(Err(never))) => match never {},
                Err(_) => plain(StatusCode::GATEWAY_TIMEOUT, "This took too long. Try again."),
                Ok(Err(_)) => plain(
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

//! One `[upstream.auth_broker]` in mode `oauth_connect`.

use std::sync::Arc;

use attache_broker::{
    Rotation,
    authority::{
        Authority, ByHand, Finder, OurClient, Profile, Registrar, ResourceParameter, Server, Terms,
        Wishes,
    },
    connect::OauthConnect,
};
use attache_config::model::{AuthBroker, ClientAuth, Mode, Protocol, Upstream};
use attache_core::{Dialect, PublicOrigin, dialect::Pkce};
use attache_net::address::EgressRules;
use attache_oauth::{
    auth_method::AuthMethod,
    client_auth::{Client, ClientAuthentication},
    discover::{AuthorizationServer, ChallengeSource, Found, Leniency},
    token::TokenEndpoint,
};
use attache_web::oauth_client::{KEYS_PATH, document_path};
use url::{Host, Url};

use super::Common;

/// # Errors
/// What this version cannot do, or what no configuration that was checked contains.
pub(super) fn wire(
    upstream: &Upstream,
    broker: &AuthBroker,
    common: &Common<'_>,
) -> Result<OauthConnect, &'static str> {
    let origin = PublicOrigin::new(common.public_url);
    let path = format!("/api/v1/user/credentials/{}/callback", upstream.name);
    let redirect_uri = origin.url(&path);
    let dialect = Arc::new(broker.dialect.clone());
    let wiring = Wiring { upstream, broker, common, origin: &origin };
    let authority = match (&broker.authorization_endpoint, &broker.token_endpoint) {
        (Some(authorization), Some(token)) => wiring.written(authorization, token, &dialect)?,
        _ => wiring.published(&redirect_uri, &dialect)?,
    };
    let second = broker.client_secret.as_ref().and_then(|secret| secret.second.clone());
    Ok(OauthConnect {
        authority,
        rotation: second
            .map(|second| Rotation::new(upstream.name.clone(), second, common.metrics.clone())),
        dialect,
        redirect_uri,
        step_up: broker.step_up,
        longest: broker.longest_connection,
        outbound: Arc::clone(&common.outbound),
        clock: Arc::clone(&common.world.clock),
    })
}

/// Whom the upstream names, and us as the client that the operator registered there.
///
/// # Errors
/// What no configuration that was checked contains.
pub(super) fn discovered(
    upstream: &Upstream,
    broker: &AuthBroker,
    common: &Common<'_>,
) -> Result<Authority, &'static str> {
    let id = broker.client_id.as_ref().ok_or("auth_broker.client_id is required")?;
    let origin = PublicOrigin::new(common.public_url);
    let wiring = Wiring { upstream, broker, common, origin: &origin };
    let client = OurClient::ByHand(wiring.by_hand(id));
    Ok(wiring.discovered(client, &Arc::new(broker.dialect.clone())))
}

struct Wiring<'a> {
    upstream: &'a Upstream,
    broker: &'a AuthBroker,
    common: &'a Common<'a>,
    origin: &'a PublicOrigin,
}

impl Wiring<'_> {
    /// Terms that never change, but for the key that a client signs with.
    fn written(
        &self,
        authorization_endpoint: &Url,
        token_endpoint: &Url,
        dialect: &Arc<Dialect>,
    ) -> Result<Authority, &'static str> {
        let broker = self.broker;
        let Some(id) = &broker.client_id else {
            return Err("auth_broker.client_id is required with a static token_endpoint");
        };
        let secret = broker.client_secret.as_ref().map(|secret| &secret.first);
        let authentication = match (broker.client_auth, secret) {
            (Some(ClientAuth::Basic), Some(secret)) => ClientAuthentication::Basic(secret.clone()),
            (Some(ClientAuth::Post), Some(secret)) => ClientAuthentication::Post(secret.clone()),
            (Some(ClientAuth::None), _) => ClientAuthentication::None,
            (Some(ClientAuth::PrivateKeyJwt), _) => {
                let server = AuthorizationServer {
                    issuer: broker.issuer.clone().ok_or("auth_broker.issuer is required")?,
                    authorization_endpoint: authorization_endpoint.clone(),
                    token_endpoint: token_endpoint.clone(),
                    jwks_uri: None,
                    registration_endpoint: None,
                    revocation_endpoint: broker.revocation_endpoint.clone(),
                    pushed_authorization_request_endpoint: None,
                    require_pushed_authorization_requests: false,
                    scopes_supported: Vec::new(),
                    token_endpoint_auth_methods_supported: vec![AuthMethod::PrivateKeyJwt],
                    code_challenge_methods_supported: Vec::new(),
                    iss_parameter_supported: false,
                    client_id_metadata_document_supported: false,
                };
                let found = Found {
                    resource: broker.resource.clone().unwrap_or_default(),
                    server,
                    challenged_scopes: Vec::new(),
                    resource_scopes: Vec::new(),
                };
                let wishes = Wishes {
                    resource: match &broker.resource {
                        Some(resource) => ResourceParameter::Configured(resource.clone()),
                        None => ResourceParameter::Omitted,
                    },
                    ..self.wishes(dialect)
                };
                let client = OurClient::ByHand(self.by_hand(id));
                let server = Server::Written(Box::new(found));
                return Ok(Authority::Found(Box::new(Finder::new(server, client, wishes))));
            }
            _ => return Err("auth_broker.client_secret is required for this client_auth"),
        };
        Ok(Authority::Fixed(Arc::new(Terms {
            is_found: false,
            issuer: broker.issuer.clone(),
            iss_parameter_supported: false,
            authorization_endpoint: authorization_endpoint.clone(),
            push_to: None,
            token: TokenEndpoint {
                url: token_endpoint.clone(),
                client: Client { id: id.clone(), authentication },
                dialect: Arc::clone(dialect),
            },
            revocation_endpoint: broker.revocation_endpoint.clone(),
            scopes: broker.scopes.clone(),
            resource: broker.resource.clone(),
        })))
    }

    fn published(
        &self,
        redirect_uri: &str,
        dialect: &Arc<Dialect>,
    ) -> Result<Authority, &'static str> {
        let client = match &self.broker.client_id {
            Some(id) => OurClient::ByHand(self.by_hand(id)),
            None => OurClient::Registrar(Box::new(self.registrar(redirect_uri)?)),
        };
        Ok(self.discovered(client, dialect))
    }

    fn discovered(&self, client: OurClient, dialect: &Arc<Dialect>) -> Authority {
        let leniency = self.broker.leniency;
        // Where no code is on its way, nothing has to protect it.
        let without_code = self.broker.mode == Mode::IdJag;
        let server = Server::Published {
            upstream: self.upstream.url.clone(),
            challenge: match self.upstream.protocol {
                Protocol::StreamableHttp | Protocol::Sse => ChallengeSource::AskMcp,
                Protocol::Http => ChallengeSource::AskHttp,
            },
            issuer: self.broker.issuer.clone(),
            leniency: Leniency {
                unadvertised_pkce: leniency.pkce || without_code || dialect.pkce != Pkce::S256,
                no_resource_metadata: leniency.resource_metadata,
            },
        };
        let finder = Finder::new(server, client, self.wishes(dialect));
        Authority::Found(Box::new(finder))
    }

    fn wishes(&self, dialect: &Arc<Dialect>) -> Wishes {
        let broker = self.broker;
        Wishes {
            dialect: Arc::clone(dialect),
            scopes: (!broker.scopes.is_empty()).then(|| broker.scopes.clone()),
            resource: match &broker.resource {
                Some(resource) => ResourceParameter::Configured(resource.clone()),
                None => ResourceParameter::AsFound,
            },
            revocation_endpoint: broker.revocation_endpoint.clone(),
        }
    }

    fn by_hand(&self, id: &str) -> ByHand {
        ByHand {
            id: id.to_owned(),
            secret: self.broker.client_secret.as_ref().map(|secret| secret.first.clone()),
            method: self.broker.client_auth.map(|method| match method {
                ClientAuth::Basic => AuthMethod::ClientSecretBasic,
                ClientAuth::Post => AuthMethod::ClientSecretPost,
                ClientAuth::None => AuthMethod::None,
                ClientAuth::PrivateKeyJwt => AuthMethod::PrivateKeyJwt,
            }),
            keys: Arc::clone(&self.common.assertion_keys),
            clock: Arc::clone(&self.common.world.clock),
            random: Arc::clone(&self.common.world.random),
        }
    }

    fn registrar(&self, redirect_uri: &str) -> Result<Registrar, &'static str> {
        let ours = |text: &str| Url::parse(text).map_err(|_| "public_url is not a URL");
        Ok(Registrar {
            upstream: self.upstream.name.clone(),
            profile: Profile {
                client_name: format!("attache ({})", self.upstream.name),
                redirect_uri: ours(redirect_uri)?,
                document: ours(&self.origin.url(&document_path(&self.upstream.name)))?,
                jwks_uri: ours(&self.origin.url(KEYS_PATH))?,
                is_public: is_public(self.common.public_url),
                prefers_registration: self.broker.prefer_registration,
            },
            registrations: Arc::clone(&self.common.stores.registrations),
            credentials: Arc::clone(&self.common.stores.credentials),
            seal: Arc::clone(&self.common.registration_key),
            keys: Arc::clone(&self.common.assertion_keys),
            clock: Arc::clone(&self.common.world.clock),
            random: Arc::clone(&self.common.world.random),
        })
    }
}

/// Whether a server elsewhere can fetch what is below `url`, as far as a name tells.
pub(crate) fn is_public(url: &Url) -> bool {
    let addresses = EgressRules::default();
    url.scheme() == "https"
        && match url.host() {
            Some(Host::Domain(name)) => {
                let private = [".localhost", ".local", ".internal", ".lan", ".home.arpa"];
                name.contains('.') && !private.iter().any(|suffix| name.ends_with(suffix))
            }
            Some(Host::Ipv4(address)) => addresses.permits(address.into()),
            Some(Host::Ipv6(address)) => addresses.permits(address.into()),
            None => false,
        }
}

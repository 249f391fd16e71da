//! The part of a gateway between a bearer token and the header that goes upstream, in this process.

use std::{fmt, hint::black_box, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use attache_broker::{
    Broker, Brokered, HeaderForm, Injection, Metrics, Mode, Parts, Tasks,
    audit::Audit,
    authority::{Authority, Terms},
    connect::OauthConnect,
    notices::Agenda,
    vault::Vault,
};
use attache_core::{
    Access, ClaimName, Clock, IssuerId, SystemClock, Timestamp, UpstreamName,
    authenticator::Authenticator,
    outage::Outage,
    outbound::{FetchError, Limits, Outbound},
};
use attache_crypto::{
    jose::SigningKey,
    keyring::KeyRing,
    random::{Random, SystemRandom},
    wrap::local::LocalKey,
};
use attache_identity::{Identity, IdentitySettings, JwtSettings};
use attache_oauth::{
    client_auth::{Client, ClientAuthentication},
    token::TokenEndpoint,
};
use attache_store::Store;
use bytes::Bytes;
use http::{Request, Response, header, request};
use serde_json::json;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::people::{IDP, ORIGIN, PROVIDER, Someone, UPSTREAM};

const PUBLIC_URL: &str = "https://gw.example.com";

#[derive(Debug)]
pub struct Gateway {
    pub authenticator: Arc<dyn Authenticator>,
    pub broker: Arc<Broker>,
    pub upstream: Arc<Brokered>,
    pub clock: Arc<dyn Clock>,
    idp: Arc<Idp>,
}

/// One fresh key.
pub fn key_ring() -> Result<KeyRing> {
    let key = LocalKey::from_base64(&LocalKey::generate(&SystemRandom))?;
    Ok(KeyRing { active: Arc::new(key), retired: Vec::new() })
}

impl Gateway {
    /// With nothing in memory, as after a start.
    pub fn start(store: &Store, ring: &KeyRing) -> Result<Self> {
        let stores = store.stores();
        let clock: Arc<dyn Clock> = Arc::new(Still(SystemClock.now()));
        let random: Arc<dyn Random> = Arc::new(SystemRandom);
        let idp = Arc::new(Idp { key: SigningKey::generate(&*random) });
        let outbound: Arc<dyn Outbound> = idp.clone();
        let outage = Arc::new(Outage::default());
        let tasks = Tasks::new(Handle::current());
        let audit = Audit::start(
            stores.audit.clone(),
            Arc::clone(&clock),
            Metrics::default(),
            &tasks,
            CancellationToken::new(),
        );
        let vault = Vault::new(
            ring.clone(),
            stores.data_keys.clone(),
            Arc::clone(&clock),
            Arc::clone(&random),
            Metrics::default(),
        );
        let broker = Broker::new(Parts {
            store: stores.credentials.clone(),
            demands: stores.demands.clone(),
            ends: stores.ends.clone(),
            vault: Arc::new(vault),
            audit,
            tasks,
            clock: Arc::clone(&clock),
            random: Arc::clone(&random),
            metrics: Metrics::default(),
            outage: Arc::clone(&outage),
            agenda: Agenda::default(),
            subject_tokens: None,
        });
        let settings = IdentitySettings {
            introspection: None,
            assertions: Vec::new(),
            authorization_server: None,
            scim: None,
            public_url: Url::parse(PUBLIC_URL)?,
            reauthenticate_after: Duration::from_hours(30 * 24),
            session_ttl: Duration::from_hours(24),
            admins: Access::nobody(),
            allowed_email_domains: Vec::new(),
            oidc: None,
            jwt: vec![JwtSettings {
                is_exchanged: false,
                issuer: IssuerId::new(IDP),
                audience: PUBLIC_URL.to_owned(),
                jwks_uri: Some(Url::parse(IDP)?.join("keys")?),
                subject_claim: "sub".to_owned(),
                groups_claim: ClaimName::parse("groups")?,
            }],
        };
        let identity = Identity::new(settings, &stores, &outbound, &clock, &random, outage, None);
        let upstream = Arc::new(upstream(&outbound, &clock)?);
        Ok(Self { authenticator: identity.data_plane(), broker, upstream, clock, idp })
    }

    /// A request of `someone`, as it arrives.
    pub fn request(&self, someone: Someone) -> Result<request::Parts> {
        let token = self.idp.access_token(someone, &*self.clock)?;
        let request = Request::post(format!("/mcp/{UPSTREAM}"))
            .header(header::HOST, "gw.example.com")
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::AUTHORIZATION, format!("Bearer {token}"));
        Ok(request.body(())?.into_parts().0)
    }

    /// From a request to what is written on it, as the data plane goes about it: from memory, and
    /// nothing else.
    pub fn recall(&self, request: &request::Parts) -> Option<Arc<Injection>> {
        let who = self.authenticator.recall(request, self.clock.now())?;
        self.broker.ready(&who, &self.upstream, None, self.clock.now())
    }

    /// The same for somebody whom memory does not know.
    pub async fn resolve(&self, request: &request::Parts) -> Result<Arc<Injection>> {
        let who = self.authenticator.authenticate(request).await?;
        Ok(self.broker.obtain(&who, &self.upstream, None).await?)
    }
}

fn upstream(outbound: &Arc<dyn Outbound>, clock: &Arc<dyn Clock>) -> Result<Brokered> {
    let provider = Url::parse(PROVIDER)?;
    let client = Client { id: "attache".to_owned(), authentication: ClientAuthentication::None };
    let terms = Terms {
        issuer: Some(IssuerId::new(PROVIDER)),
        is_found: false,
        iss_parameter_supported: true,
        authorization_endpoint: provider.join("authorize")?,
        token: TokenEndpoint { url: provider.join("token")?, client, dialect: Arc::default() },
        push_to: None,
        revocation_endpoint: None,
        scopes: Vec::new(),
        resource: None,
    };
    let connect = OauthConnect {
        authority: Authority::Fixed(Arc::new(terms)),
        rotation: None,
        dialect: Arc::default(),
        redirect_uri: format!("{PUBLIC_URL}/api/v1/user/credentials/{UPSTREAM}/callback"),
        step_up: true,
        longest: None,
        outbound: Arc::clone(outbound),
        clock: Arc::clone(clock),
    };
    let form = HeaderForm {
        name: header::AUTHORIZATION,
        prefix: "Bearer ".to_owned(),
        suffix: String::new(),
    };
    let name = UpstreamName::parse(UPSTREAM)?;
    Ok(Brokered {
        origin: ORIGIN.to_owned(),
        name,
        access: Access::Everyone,
        form,
        mode: Mode::OauthConnect(Arc::new(connect)),
    })
}

/// Looks at the machine's clock, which is part of the cost, and goes on saying the same: what is in
/// memory stays there, however slow the machine.
#[derive(Debug)]
struct Still(Timestamp);

impl Clock for Still {
    fn now(&self) -> Timestamp {
        black_box(SystemClock.now());
        self.0
    }
}

/// An identity provider that has a key set, and is all of the network there is.
struct Idp {
    key: SigningKey,
}

impl Idp {
    fn access_token(&self, someone: Someone, clock: &dyn Clock) -> Result<String> {
        let now = clock.now();
        let claims = json!({
            "iss": IDP, "aud": PUBLIC_URL, "sub": someone.subject(), "client_id": "some-client",
            "iat": now.as_seconds(), "exp": now.plus(Duration::from_hours(1)).as_seconds(),
            "jti": someone.id(), "scope": "mcp:tools",
        });
        Ok(self.key.sign("at+jwt", claims.as_object().context("an object")?))
    }
}

#[async_trait::async_trait]
impl Outbound for Idp {
    async fn fetch(
        &self,
        request: Request<Bytes>,
        _limits: Limits,
    ) -> Result<Response<Bytes>, FetchError> {
        if request.uri().path() != "/keys" {
            return Err(FetchError::Blocked);
        }
        Ok(Response::new(json!({ "keys": [self.key.jwk()] }).to_string().into()))
    }
}

impl fmt::Debug for Idp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Idp")
    }
}

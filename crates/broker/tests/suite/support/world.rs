use std::{sync::Arc, time::Duration};

use attache_broker::{
    Act, BrowserSession, ConnectError, Connection, Connections, Finished, Injection, Metrics,
    ObtainError, Offboarding, Parts, Tasks,
    audit::Audit,
    authority::{Authority, Terms},
    broker::Broker,
    connect::OauthConnect,
    connections::Revocation,
    injection::HeaderForm,
    notices::Agenda,
    offboarding::Receipt,
    upstream::{Brokered, Mode},
    vault::Vault,
};
use attache_core::{
    Access, Clock as _, ConnectionName, CredentialKey, IssuerId, Principal, Reach, Secret,
    Timestamp, UserId,
    audit::{Action, Outcome},
    principal::{AuthenticatedBy, SessionDigest},
    store::{Profile, StoreError, Stored, Stores, Version},
};
use attache_crypto::{
    digest::sha256, keyring::KeyRing, random::SystemRandom, wrap::local::LocalKey,
};
use attache_oauth::{
    client_auth::{Client, ClientAuthentication},
    token::TokenEndpoint,
};
use attache_store::{Location, Store};
use http::header;
use prometheus_client::{encoding::text, registry::Registry};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::{AuthorizationServer, clock::FakeClock, faulty_store::FaultyStore};

pub(crate) const START: Timestamp = Timestamp(1_795_435_200_000);

/// Everything that outlives a gateway's process.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) clock: Arc<FakeClock>,
    pub(crate) provider: Arc<AuthorizationServer>,
    /// As whoever has the database open sees it.
    pub(crate) stores: Stores,
    /// As the gateways see it.
    pub(crate) faulty: Arc<FaultyStore>,
    pub(crate) ring: KeyRing,
    registry: Registry,
    metrics: Metrics,
    /// Of `notes`, as configured.
    pub(crate) issuer: IssuerId,
    pub(crate) scopes: Vec<String>,
    /// Of every upstream, as configured.
    pub(crate) origin: String,
    /// Of every upstream, as configured.
    pub(crate) step_up: bool,
    pub(crate) longest: Option<Duration>,
    pub(crate) ada: Someone,
    pub(crate) grace: Someone,
}

/// A person, signed in to one browser.
#[derive(Clone, Debug)]
pub(crate) struct Someone {
    pub(crate) who: Principal,
    pub(crate) browser: BrowserSession,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::on(&Location::Memory).await
    }

    pub(crate) async fn on(location: &Location) -> Self {
        let stores = Store::open(location).await.expect("a store").stores();
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        let clock = Arc::new(FakeClock::at(START));
        Self {
            faulty: Arc::new(FaultyStore::new(&stores, clock.clone())),
            clock,
            provider: Arc::default(),
            ring: key_ring(),
            registry,
            metrics,
            issuer: IssuerId::new("https://as.example.com"),
            scopes: vec!["read".to_owned(), "write".to_owned()],
            origin: "https://notes.example.com".to_owned(),
            step_up: true,
            longest: None,
            ada: someone(&stores, "ada", &["engineering"]).await,
            grace: someone(&stores, "grace", &[]).await,
            stores,
        }
    }

    /// Starts a process: calling it again makes a replica, or a restart.
    pub(crate) fn gateway(&self) -> Gateway {
        self.gateway_at(self.clock.clone())
    }

    /// On a machine whose clock stands still, that much ahead of the database's.
    pub(crate) fn gateway_ahead(&self, by: Duration) -> Gateway {
        self.gateway_at(Arc::new(FakeClock::at(self.now().plus(by))))
    }

    fn gateway_at(&self, clock: Arc<FakeClock>) -> Gateway {
        let (tasks, stop) = (Tasks::new(Handle::current()), CancellationToken::new());
        let audit = Audit::start(
            self.faulty.clone(),
            clock.clone(),
            self.metrics.clone(),
            &tasks,
            stop.clone(),
        );
        let random = Arc::new(SystemRandom);
        let vault = Arc::new(Vault::new(
            self.ring.clone(),
            self.faulty.clone(),
            clock.clone(),
            random.clone(),
            self.metrics.clone(),
        ));
        let broker = Broker::new(Parts {
            store: self.faulty.clone(),
            demands: Arc::clone(&self.stores.demands),
            ends: Arc::clone(&self.stores.ends),
            vault: Arc::clone(&vault),
            audit,
            tasks: tasks.clone(),
            clock,
            random,
            metrics: self.metrics.clone(),
            outage: Arc::default(),
            agenda: Agenda::new(self.stores.notices.clone()),
            subject_tokens: None,
        });
        let upstreams = vec![self.notes(), self.tickets()];
        let connections =
            Connections::new(broker.clone(), self.stores.connects.clone(), upstreams.clone());
        Gateway {
            broker,
            connections,
            vault,
            upstreams,
            tasks,
            stop,
            provider: self.provider.clone(),
        }
    }

    /// What all gateways counted of `family`, a line each.
    pub(crate) fn counted(&self, family: &str) -> Vec<String> {
        let mut page = String::new();
        text::encode(&mut page, &self.registry).expect("a String takes any text");
        page.lines().filter(|line| line.starts_with(family)).map(str::to_owned).collect()
    }

    /// One more person, of no group.
    pub(crate) async fn person(&self, name: &str) -> Someone {
        someone(&self.stores, name, &[]).await
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// What the database holds of a person.
    pub(crate) async fn stored(&self, person: &Someone, name: &str) -> Option<Stored> {
        self.stores.credentials.find(&person.key(name)).await.expect("the store answers")
    }

    pub(crate) async fn version(&self, person: &Someone, name: &str) -> Version {
        self.stored(person, name).await.expect("a record").record.version
    }

    /// The audit of everybody, oldest first.
    pub(crate) async fn audited(&self) -> Vec<(Action, Outcome)> {
        let events = self.stores.audit.list(None, 1_000).await.expect("the store answers");
        events.iter().rev().map(|event| (event.action, event.outcome)).collect()
    }

    /// For everyone; its issuer is known, and it revokes.
    fn notes(&self) -> Arc<Brokered> {
        self.brokered("notes", Access::Everyone, |terms| {
            terms.issuer = Some(self.issuer.clone());
            terms.revocation_endpoint = Some(url("https://as.example.com/revoke"));
            terms.resource = Some("https://notes.example.com/mcp".to_owned());
            terms.scopes.clone_from(&self.scopes);
        })
    }

    /// For engineers; all that is known of it are its two endpoints.
    fn tickets(&self) -> Arc<Brokered> {
        let engineers = Access::Only { groups: vec!["engineering".to_owned()], emails: Vec::new() };
        self.brokered("tickets", engineers, |_| {})
    }

    fn brokered(
        &self,
        name: &str,
        access: Access,
        detail: impl FnOnce(&mut Terms),
    ) -> Arc<Brokered> {
        let client = Client {
            id: "attache".to_owned(),
            authentication: ClientAuthentication::Basic(Secret::new("client-secret")),
        };
        let mut terms = Terms {
            is_found: false,
            issuer: None,
            iss_parameter_supported: false,
            authorization_endpoint: url("https://as.example.com/authorize?tenant=7"),
            token: TokenEndpoint {
                url: url("https://as.example.com/token"),
                client,
                dialect: Arc::default(),
            },
            push_to: None,
            revocation_endpoint: None,
            scopes: Vec::new(),
            resource: None,
        };
        detail(&mut terms);
        let connect = OauthConnect {
            authority: Authority::Fixed(Arc::new(terms)),
            rotation: None,
            dialect: Arc::default(),
            redirect_uri: format!("https://gw.example.com/api/v1/user/credentials/{name}/callback"),
            step_up: self.step_up,
            longest: self.longest,
            outbound: self.provider.clone(),
            clock: self.clock.clone(),
        };
        let form = HeaderForm {
            name: header::AUTHORIZATION,
            prefix: "Bearer ".to_owned(),
            suffix: String::new(),
        };
        let mode = Mode::OauthConnect(Arc::new(connect));
        let origin = self.origin.clone();
        Arc::new(Brokered { name: server(name).upstream, origin, access, form, mode })
    }
}

/// One process.
#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) broker: Arc<Broker>,
    pub(crate) connections: Connections,
    pub(crate) vault: Arc<Vault>,
    pub(crate) tasks: Tasks,
    pub(crate) stop: CancellationToken,
    upstreams: Vec<Arc<Brokered>>,
    provider: Arc<AuthorizationServer>,
}

impl Gateway {
    pub(crate) fn upstream(&self, name: &str) -> &Arc<Brokered> {
        let server = server(name);
        self.upstreams.iter().find(|one| one.name == server.upstream).expect("an upstream")
    }

    /// Begins, consents and comes back, as a person does.
    pub(crate) async fn connect(&self, person: &Someone, name: &str) {
        let query = self.consent(person, name).await;
        let finished = self.callback(person, name, &query).await;
        assert_eq!(finished, Ok(Finished::Connected));
    }

    /// Begins and consents; gives back the query with which the browser returns.
    pub(crate) async fn consent(&self, person: &Someone, name: &str) -> String {
        let begun = self.connections.begin(&person.who, &person.browser, &server(name), None).await;
        self.provider.consent(&begun.expect("begun"))
    }

    pub(crate) async fn callback(
        &self,
        person: &Someone,
        name: &str,
        query: &str,
    ) -> Result<Finished, ConnectError> {
        // The redirect URI is one for all accounts.
        let act = Act { server: server(name).upstream.into(), ..person.act(name) };
        let ended = self.connections.callback(act, &person.browser, query).await;
        assert!(ended.outcome.is_err() || ended.server == server(name), "{ended:?}");
        ended.outcome
    }

    /// As whoever runs it does to `person`.
    pub(crate) async fn offboard(
        &self,
        world: &World,
        person: &Someone,
    ) -> Result<Vec<Receipt>, StoreError> {
        let (broker, upstreams) = (Arc::clone(&self.broker), self.upstreams.clone());
        let found = world.stores.people.find(&person.who.user).await?.expect("a person");
        Offboarding::new(broker, &world.stores, upstreams).offboard(&found).await
    }

    /// `None` where nothing was connected, as the broker says it.
    pub(crate) async fn disconnect(
        &self,
        person: &Someone,
        name: &str,
    ) -> Result<Option<Option<Revocation>>, StoreError> {
        self.connections.disconnect(&person.act(name)).await
    }

    pub(crate) async fn obtain(&self, person: &Someone, name: &str) -> Result<String, ObtainError> {
        let account = server(name).account;
        let upstream = self.upstream(name);
        let obtained = self.broker.obtain(&person.who, upstream, account.as_ref()).await;
        obtained.map(|injection| bearer(&injection))
    }

    /// The same, on a task of its own.
    pub(crate) fn obtain_beside(
        &self,
        person: &Someone,
        name: &str,
    ) -> impl Future<Output = Result<String, ObtainError>> + Send + use<> {
        let (broker, upstream) = (Arc::clone(&self.broker), Arc::clone(self.upstream(name)));
        let who = person.who.clone();
        async move { broker.obtain(&who, &upstream, None).await.map(|injection| bearer(&injection)) }
    }

    /// Tells the broker that the upstream answered 401 to what it is serving now.
    pub(crate) async fn reject(&self, person: &Someone, name: &str) {
        let (upstream, account) = (self.upstream(name), server(name).account);
        let served = self.broker.obtain(&person.who, upstream, account.as_ref()).await;
        let version = served.expect("something to reject").version;
        self.broker.rejected(&person.who, upstream, account.as_ref(), version);
    }

    pub(crate) async fn connection(&self, person: &Someone, name: &str) -> Connection {
        let found = self.connections.find(&person.who, &server(name)).await;
        found.expect("the store answers").expect("an upstream for this person")
    }
}

impl Someone {
    pub(crate) fn key(&self, name: &str) -> CredentialKey {
        CredentialKey::upstream(self.who.user.clone(), server(name))
    }

    pub(crate) fn act(&self, name: &str) -> Act {
        Act { who: Arc::new(self.who.clone()), server: server(name), request_id: None }
    }

    /// The same person, signed in once more elsewhere.
    pub(crate) fn in_another_browser(&self) -> Self {
        Self { browser: browser("another cookie"), ..self.clone() }
    }
}

pub(crate) fn server(name: &str) -> ConnectionName {
    name.parse().expect("a name")
}

/// The token as the upstream would see it.
pub(crate) fn bearer(injection: &Injection) -> String {
    assert!(injection.value.is_sensitive());
    let value = injection.value.to_str().expect("visible ASCII");
    value.strip_prefix("Bearer ").expect("the configured form").to_owned()
}

/// A key ring of one fresh key.
pub(crate) fn key_ring() -> KeyRing {
    let key = LocalKey::from_base64(&LocalKey::generate(&SystemRandom)).expect("a key");
    KeyRing { active: Arc::new(key), retired: Vec::new() }
}

async fn someone(stores: &Stores, name: &str, groups: &[&str]) -> Someone {
    let issuer = IssuerId::new("https://idp.example.com");
    let groups: Vec<_> = groups.iter().map(|group| (*group).to_owned()).collect();
    let profile = Profile { groups: groups.clone(), ..Profile::default() };
    let fresh = UserId::new(format!("user-{name}"));
    let made = stores.people.upsert(&issuer, name, &profile, fresh, START).await;
    let browser = browser(name);
    let who = Principal {
        user: made.expect("a person").id,
        issuer,
        subject: name.to_owned(),
        email: None,
        name: None,
        groups,
        authenticated_by: AuthenticatedBy::Session(browser.digest),
        reach: Reach::everything(),
        expires_at: START.plus(Duration::from_hours(24)),
    };
    Someone { who, browser }
}

fn browser(cookie: &str) -> BrowserSession {
    BrowserSession { digest: SessionDigest(sha256(cookie.as_bytes())), secret: Secret::new(cookie) }
}

fn url(text: &str) -> Url {
    Url::parse(text).expect("a URL")
}

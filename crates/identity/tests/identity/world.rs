//! A gateway's identity, its clock and its store, and what a browser does with them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering::Relaxed},
    },
    time::Duration,
};

use attache_core::{
    Access, ClaimName, Clock, IssuerId, Principal, Secret, Timestamp, UserId,
    authenticator::{Authenticator, AuthnError},
    outbound::Outbound,
    principal::SessionDigest,
    store::{
        Person, PersonStore, Profile, Result as StoreResult, Session, SessionStore, SignIn,
        SignedOut, StoreError, Stores,
    },
};
use attache_crypto::random::{Random, SystemRandom};
use attache_identity::{
    Identity, IdentitySettings, JwtSettings, LoginError, OidcSettings, SignedIn,
};
use attache_oauth::client_auth::{Client, ClientAuthentication};
use attache_store::{Location, Store};
use http::{HeaderMap, HeaderValue, Request, header, request::Parts};
use url::Url;

use crate::idp::{CLIENT, ISSUER, Idp};

pub(crate) const AUDIENCE: &str = "https://gw.example.com";
pub(crate) const NOW: i64 = 1_795_435_200;

pub(crate) struct World {
    pub(crate) idp: Arc<Idp>,
    pub(crate) clock: Arc<FakeClock>,
    pub(crate) stores: Stores,
    pub(crate) identity: Identity,
    switches: Arc<Switches>,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(|_| ()).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut IdentitySettings)) -> Self {
        attache_crypto::install_provider();
        let mut settings = IdentitySettings {
            introspection: None,
            assertions: Vec::new(),
            authorization_server: None,
            scim: None,
            public_url: Url::parse("https://gw.example.com").unwrap(),
            session_ttl: Duration::from_hours(24),
            reauthenticate_after: Duration::from_hours(30 * 24),
            admins: Access::nobody(),
            allowed_email_domains: vec![],
            oidc: Some(OidcSettings {
                issuer: IssuerId::new(ISSUER),
                client: Client {
                    id: CLIENT.to_owned(),
                    authentication: ClientAuthentication::Basic(Secret::new("s")),
                },
                scopes: vec!["openid".to_owned(), "email".to_owned()],
                subject_claim: "sub".to_owned(),
                groups_claim: ClaimName::parse("groups").unwrap(),
                hosted_domains: vec![],
            }),
            jwt: vec![JwtSettings {
                is_exchanged: false,
                issuer: IssuerId::new(ISSUER),
                audience: AUDIENCE.to_owned(),
                jwks_uri: None,
                subject_claim: "sub".to_owned(),
                groups_claim: ClaimName::parse("groups").unwrap(),
            }],
        };
        change(&mut settings);
        let mut stores = Store::open(&Location::Memory).await.unwrap().stores();
        let switches = Arc::new(Switches::default());
        let people = Switched { switches: Arc::clone(&switches), store: stores.people };
        let sessions = Switched { switches: Arc::clone(&switches), store: stores.sessions };
        (stores.people, stores.sessions) = (Arc::new(people), Arc::new(sessions));
        let idp = Arc::new(Idp::new(NOW));
        let clock = Arc::new(FakeClock(AtomicI64::new(NOW * 1000)));
        let identity = Identity::new(
            settings,
            &stores,
            &(Arc::clone(&idp) as Arc<dyn Outbound>),
            &(Arc::clone(&clock) as Arc<dyn Clock>),
            &(Arc::new(SystemRandom) as Arc<dyn Random>),
            Arc::default(),
            None,
        );
        Self { idp, clock, stores, identity, switches }
    }

    /// Nobody may come in any more.
    pub(crate) fn switch_off(&self) {
        self.switches.disabled.store(true, Relaxed);
    }

    /// The store does not answer, or does again.
    pub(crate) fn store_away(&self, away: bool) {
        self.switches.away.store(away, Relaxed);
    }

    /// From `/login` to the end, in one browser.
    pub(crate) async fn sign_in(&self) -> Result<SignedIn, LoginError> {
        let begun = self.identity.begin(Some("/connect/github"), &HeaderMap::new()).await?;
        let query = self.idp.approve(&begun.url);
        self.identity.callback(&query, &browser(&[&begun.cookie])).await
    }

    pub(crate) async fn call(
        &self,
        door: &dyn Authenticator,
        token: &str,
    ) -> Result<Arc<Principal>, AuthnError> {
        let parts = parts(&[(header::AUTHORIZATION, &format!("Bearer {token}"))]);
        door.authenticate(&parts).await
    }
}

#[derive(Debug, Default)]
struct Switches {
    /// Everybody is.
    disabled: AtomicBool,
    away: AtomicBool,
}

/// A store that can be disturbed.
#[derive(Debug)]
struct Switched<S: ?Sized> {
    switches: Arc<Switches>,
    store: Arc<S>,
}

impl<S: ?Sized> Switched<S> {
    fn apply(&self, person: Person) -> Person {
        Person { disabled: self.switches.disabled.load(Relaxed), ..person }
    }

    fn answers(&self) -> StoreResult<()> {
        let away = self.switches.away.load(Relaxed);
        if away { Err(StoreError::Unavailable("away".into())) } else { Ok(()) }
    }
}

#[async_trait::async_trait]
impl PersonStore for Switched<dyn PersonStore> {
    async fn upsert(
        &self,
        issuer: &IssuerId,
        subject: &str,
        profile: &Profile,
        fresh: UserId,
        now: Timestamp,
    ) -> StoreResult<Person> {
        let person = self.store.upsert(issuer, subject, profile, fresh, now).await?;
        Ok(self.apply(person))
    }

    async fn find(&self, id: &UserId) -> StoreResult<Option<Person>> {
        Ok(self.store.find(id).await?.map(|person| self.apply(person)))
    }

    async fn remove(&self, id: &UserId) -> StoreResult<bool> {
        self.store.remove(id).await
    }

    async fn find_by_subject(
        &self,
        issuer: &IssuerId,
        subject: &str,
    ) -> StoreResult<Option<Person>> {
        self.answers()?;
        let found = self.store.find_by_subject(issuer, subject).await?;
        Ok(found.map(|person| self.apply(person)))
    }
}

#[async_trait::async_trait]
impl SessionStore for Switched<dyn SessionStore> {
    async fn insert(&self, session: &Session, sign_in: &SignIn) -> StoreResult<()> {
        self.store.insert(session, sign_in).await
    }

    async fn find(
        &self,
        digest: SessionDigest,
        now: Timestamp,
    ) -> StoreResult<Option<(Session, Person)>> {
        let found = self.store.find(digest, now).await?;
        Ok(found.map(|(session, person)| (session, self.apply(person))))
    }

    async fn remove(&self, digest: SessionDigest) -> StoreResult<()> {
        self.store.remove(digest).await
    }

    async fn list(&self, user: &UserId, now: Timestamp) -> StoreResult<Vec<Session>> {
        self.store.list(user, now).await
    }

    async fn remove_of(&self, user: &UserId, digest: SessionDigest) -> StoreResult<bool> {
        self.store.remove_of(user, digest).await
    }

    async fn remove_signed_out(
        &self,
        issuer: &IssuerId,
        signed_out: &SignedOut,
    ) -> StoreResult<Vec<UserId>> {
        self.store.remove_signed_out(issuer, signed_out).await
    }
}

/// What a browser sends that was told to keep these cookies.
pub(crate) fn browser(set_cookie: &[&HeaderValue]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in set_cookie {
        let (pair, _) = line.to_str().unwrap().split_once(';').unwrap();
        headers.append(header::COOKIE, HeaderValue::from_str(pair).unwrap());
    }
    headers
}

pub(crate) fn parts(headers: &[(header::HeaderName, &str)]) -> Parts {
    let mut request = Request::get("/mcp/github");
    for (name, value) in headers {
        request = request.header(name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

/// Stands still until it is told to go on.
#[derive(Debug)]
pub(crate) struct FakeClock(AtomicI64);

impl FakeClock {
    pub(crate) fn advance(&self, span: Duration) {
        self.0.store(self.now().plus(span).0, Relaxed);
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Relaxed))
    }
}

//! The gateway as it runs, among peers that can be bent, on a clock that can be moved.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use attache::{
    gateway::{Gateway, StartError},
    wire,
};
use attache_config::{Config, Source, load};
use attache_core::{Clock, Secret, Timestamp};
use attache_crypto::{random::SystemRandom, wrap::local::LocalKey};
use attache_net::{
    resolve::{Resolver, SystemResolver},
    serve::Limits,
};
use attache_sandbox::{
    Ambient, AuthorizationServer, Browser, Client, HttpApi, IdentityProvider, MARKER, McpServer,
    Notes, Person,
    people::{ADA, GRACE},
};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};
use url::Url;

use crate::{
    bare::Bare,
    configuration,
    forge::Forge,
    program::Program,
    visitor::Visitor,
    witness::{self, Witness},
};

pub(crate) const CLIENT_SECRET: &str = "the-gateway's-own-secret";
/// Ports are picked before they are used; somebody else may be faster.
const START_TRIES: u32 = 5;

/// Ends with [`World::end`], which says what no attack may ever achieve.
#[must_use = "an attack is over when the world has ended"]
pub(crate) struct World {
    pub(crate) clock: Arc<FakeClock>,
    pub(crate) idp: IdentityProvider,
    /// Behind `notes`, `api`, `keyed`, `rooms` and the two `vip`s.
    pub(crate) notes: AuthorizationServer,
    /// Of another company, behind `mail`.
    pub(crate) mail: AuthorizationServer,
    /// `notes`, and `vip` for engineers only: for Ada.
    pub(crate) mcp: McpServer,
    /// `api`, and `vip-api` for engineers only.
    pub(crate) api: HttpApi,
    /// `keyed` at `/base` (a header of its own), `rooms` (MCP with sessions) and `mail`.
    pub(crate) bare: Bare,
    /// An issuer of access tokens whose key is ours to abuse.
    pub(crate) forge: Forge,
    pub(crate) origin: Url,
    pub(crate) home: Home,
    /// `store.url`.
    pub(crate) store: String,
    pub(crate) surroundings: Surroundings,
    witness: Witness,
    gateway: Option<Gateway>,
}

/// Where a world is.
#[derive(Clone, Debug)]
pub(crate) struct Surroundings {
    /// Of every peer, and all that the egress rules let through.
    pub(crate) address: Ipv4Addr,
    pub(crate) resolver: Arc<dyn Resolver>,
    /// At the end of the configuration; `{origin}` stands for the gateway's, `{mcp}` for the
    /// address of `notes`, `{notes}` for its issuer and `{broker}` for all that is said of it,
    /// `{bare}` for the bare upstream's.
    pub(crate) more: String,
    /// At the end of `[identity.oidc]`.
    pub(crate) oidc: String,
    /// Of the world, and of peers that are there before it.
    pub(crate) clock: Arc<FakeClock>,
    pub(crate) limits: Limits,
}

impl Default for Surroundings {
    fn default() -> Self {
        let resolver = Arc::new(SystemResolver);
        let (more, oidc, clock) = (String::new(), String::new(), Arc::default());
        let limits = Limits::default();
        Self { address: Ipv4Addr::LOCALHOST, resolver, more, oidc, clock, limits }
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::on("sqlite:attache.db").await
    }

    pub(crate) async fn on(store: &str) -> Self {
        Self::among(store, Surroundings::default()).await
    }

    pub(crate) async fn among(store: &str, surroundings: Surroundings) -> Self {
        attache_crypto::install_provider();
        witness::listen();
        let clock = Arc::clone(&surroundings.clock);
        let ambient = Ambient { clock: clock.clone(), random: Arc::new(SystemRandom) };
        let anywhere = SocketAddr::from((surroundings.address, 0));
        let idp = IdentityProvider::start(anywhere, ambient.clone()).await.expect("a free port");
        let notes =
            AuthorizationServer::start(anywhere, ambient.clone()).await.expect("a free port");
        let mail = AuthorizationServer::start(anywhere, ambient).await.expect("a free port");
        let kept = Arc::new(Notes::default());
        let mcp = McpServer::start(anywhere, notes.tokens(), kept.clone()).await;
        let api = HttpApi::start(anywhere, notes.tokens(), kept).await;

        let home = Home::new();
        fs::write(home.key_file(), LocalKey::generate(&SystemRandom).expose()).expect("a disk");
        let mut world = Self {
            clock,
            idp,
            notes,
            mail,
            mcp: mcp.expect("a free port"),
            api: api.expect("a free port"),
            bare: Bare::start(surroundings.address).await,
            forge: Forge::start(surroundings.address).await,
            origin: Url::parse("http://127.0.0.1").expect("a URL"),
            home,
            store: store.to_owned(),
            surroundings,
            witness: Witness::default(),
            gateway: None,
        };
        world.start_anywhere().await;
        world.register();
        world
    }

    pub(crate) fn later(&self, by: Duration) {
        let millis = i64::try_from(by.as_millis()).expect("no test waits that long");
        self.clock.0.fetch_add(millis, Relaxed);
    }

    /// In seconds, as a JWT says it.
    pub(crate) fn now(&self) -> i64 {
        self.clock.now().as_seconds()
    }

    /// A browser in which nobody is signed in yet.
    pub(crate) fn stranger(&self, person: Person) -> Visitor {
        Visitor::new(person, &self.origin, &self.witness)
    }

    pub(crate) async fn visitor(&self, person: Person) -> Visitor {
        let mut visitor = self.stranger(person);
        assert_eq!(visitor.visit("/ui/connections").await.status, 200);
        visitor
    }

    pub(crate) async fn ada(&self) -> Visitor {
        self.visitor(ADA).await
    }

    pub(crate) async fn grace(&self) -> Visitor {
        self.visitor(GRACE).await
    }

    /// A program with an access token of this person, good for an hour.
    pub(crate) fn program(&self, person: Person) -> Program {
        self.program_at(person, &self.origin)
    }

    /// The same, for the gateway at `origin`.
    pub(crate) fn program_at(&self, person: Person, origin: &Url) -> Program {
        let audience = origin.origin().ascii_serialization();
        let token = self.idp.access_token(person.id, &audience, Duration::from_hours(1));
        let token = token.expect("the identity provider knows everybody");
        Program { origin: origin.clone(), ..self.program_with(&token) }
    }

    pub(crate) fn program_with(&self, token: &str) -> Program {
        self.witness.keep_proof(token);
        let (origin, witness) = (self.origin.clone(), self.witness.clone());
        Program { token: token.to_owned(), origin, witness }
    }

    /// What people bring themselves, and upstreams may see.
    pub(crate) fn keep_secret(&self, secret: &str) {
        self.witness.keep_secret(secret);
    }

    /// What the API says about a connection: `connected`, `unavailable: unreadable`.
    pub(crate) async fn status(&self, person: Person, upstream: &str) -> String {
        let one = self.credential(person, upstream).await;
        let says = |key| one.get(key).and_then(Value::as_str);
        let status = says("status").expect("a status");
        says("reason").map_or(status.to_owned(), |reason| format!("{status}: {reason}"))
    }

    /// What the API says of what is connected.
    pub(crate) async fn health(&self, person: Person, upstream: &str) -> String {
        let one = self.credential(person, upstream).await;
        one.get("health").and_then(Value::as_str).expect("something is connected").to_owned()
    }

    async fn credential(&self, person: Person, upstream: &str) -> Value {
        let listed = self.program(person).get("/api/v1/user/credentials").await;
        assert_eq!(listed.status, 200, "{}", listed.body);
        let listed = listed.json().expect("JSON");
        let all = listed.get("credentials").and_then(Value::as_array).expect("a list");
        let one = all.iter().find(|one| one.get("server").is_some_and(|name| name == upstream));
        one.expect("an upstream that is open to this person").clone()
    }

    /// What `/metrics` says of `family`, a line each.
    pub(crate) async fn counted(&self, family: &str) -> Vec<String> {
        let address = self.gateway.as_ref().expect("it runs").admin_address();
        let url = Url::parse(&format!("http://{address}/metrics")).expect("a URL");
        let page = Browser::new().visit(&url).await.expect("the admin listener answers");
        self.witness.hear(&page);
        page.body.lines().filter(|line| line.starts_with(family)).map(str::to_owned).collect()
    }

    /// Nothing is stored, and the API says so.
    pub(crate) async fn nobody_is_connected(&self) {
        assert_eq!(self.count("credential").await, 0);
        for person in [ADA, GRACE] {
            for upstream in ["notes", "mail"] {
                assert_eq!(self.status(person, upstream).await, "not_connected", "{}", person.id);
            }
        }
    }

    pub(crate) async fn count(&self, table: &str) -> i64 {
        let sql = AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        let mut database = self.home.database().await;
        let counted = sqlx::query_scalar(sql).fetch_one(&mut database).await;
        database.close().await.expect("it closes");
        counted.expect("a table of this name")
    }

    /// Writes behind the gateway's back, as somebody with the file can.
    pub(crate) async fn tamper(&self, sql: &str) {
        let mut database = self.home.database().await;
        let sql = AssertSqlSafe(sql.to_owned());
        sqlx::query(sql).execute(&mut database).await.expect("good SQL");
        database.close().await.expect("it closes");
    }

    /// A second gateway with the same key and store, known by an address of its own.
    pub(crate) async fn replica(&self) -> (Gateway, Url) {
        for _ in 0..START_TRIES {
            let origin = Url::parse(&format!("http://127.0.0.1:{}", free_port())).expect("a URL");
            match self.start(&self.config_of(&origin)).await {
                Ok(gateway) => return (gateway, origin),
                Err(StartError::Listen { .. }) => {}
                Err(error) => unreachable!("the replica does not start: {error}"),
            }
        }
        unreachable!("no port is free");
    }

    /// Stops the gateway and starts it again on the same address and store.
    pub(crate) async fn restart(&mut self) {
        self.stop().await;
        let config = self.config();
        self.gateway = Some(self.start(&config).await.expect("it starts again"));
    }

    /// Ends everything and says what holds after every attack: no answer, no log line and no byte
    /// of the store has a code, a token or a cookie in it, nor a word that an attacker wrote; and
    /// no upstream or authorization server ever saw what a caller proves themselves with.
    pub(crate) async fn end(mut self) {
        self.stop().await;
        let log = witness::log();
        let store = self.home.store_bytes();
        let given =
            [self.idp.secrets(), self.notes.secrets(), self.mail.secrets(), self.witness.secrets()]
                .concat();
        let proofs = self.witness.proofs();
        let ours = [MARKER.to_owned(), CLIENT_SECRET.to_owned()];
        for secret in given.iter().chain(&ours) {
            assert!(!self.witness.heard(secret), "an answer gave {secret} away");
        }
        for secret in given.iter().chain(&ours).chain(&proofs) {
            assert!(!log.contains(secret.as_str()), "the log has {secret}");
            assert!(!store.contains(secret.as_str()), "the store has {secret} in clear");
        }
        for proof in &proofs {
            assert!(!self.witness.heard(proof), "an answer repeated {proof}");
            let recorders = [
                self.mcp.recorder(),
                self.api.recorder(),
                self.notes.recorder(),
                self.mail.recorder(),
            ];
            let leaked = recorders.iter().any(|recorder| recorder.mentions(proof));
            assert!(!leaked && !self.bare.mentions(proof), "{proof} was sent on");
        }
        assert_eq!(self.notes.stats().trapped + self.mail.stats().trapped, 0);
    }

    async fn stop(&mut self) {
        if let Some(gateway) = self.gateway.take() {
            gateway.stop().await;
        }
    }

    async fn start_anywhere(&mut self) {
        for _ in 0..START_TRIES {
            self.origin = Url::parse(&format!("http://127.0.0.1:{}", free_port())).expect("a URL");
            let config = self.config();
            match self.start(&config).await {
                Ok(gateway) => {
                    self.gateway = Some(gateway);
                    return;
                }
                Err(StartError::Listen { .. }) => {}
                Err(error) => unreachable!("the gateway does not start: {error}"),
            }
        }
        unreachable!("no port is free");
    }

    async fn start(&self, config: &Config) -> Result<Gateway, StartError> {
        let world = wire::World {
            clock: self.clock.clone(),
            random: Arc::new(SystemRandom),
            resolver: Arc::clone(&self.surroundings.resolver),
        };
        Gateway::start_within(self.surroundings.limits, config, world).await
    }

    fn config(&self) -> Config {
        self.config_of(&self.origin)
    }

    fn config_of(&self, origin: &Url) -> Config {
        let text = configuration::text_of(self, origin);
        let source = Source::new(&self.home.config_file(), text).expect("TOML");
        let (config, _) = load(&source, &|_| None).accept().expect("a configuration");
        config
    }

    fn register(&self) {
        let client = Client {
            id: "attache".to_owned(),
            secret: Some(Secret::new(CLIENT_SECRET)),
            redirect_prefix: self.origin.to_string(),
        };
        self.idp.register(client.clone());
        self.mail.register(client.clone());
        self.notes.register(client);
    }
}

/// A folder of its own, removed in the end.
pub(crate) struct Home(PathBuf);

impl Home {
    fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!("attache-attacks-{}-{}", process::id(), NEXT.fetch_add(1, Relaxed));
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).expect("a temporary folder");
        Self(folder)
    }

    pub(crate) fn key_file(&self) -> PathBuf {
        self.0.join("attache.key")
    }

    /// Used beside the other, when it is there.
    pub(crate) fn retired_key_file(&self) -> PathBuf {
        self.0.join("retired.key")
    }

    pub(crate) fn config_file(&self) -> PathBuf {
        self.0.join("attache.toml")
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    async fn database(&self) -> SqliteConnection {
        let options = SqliteConnectOptions::new()
            .filename(self.0.join("attache.db"))
            .busy_timeout(Duration::from_secs(5));
        SqliteConnection::connect_with(&options).await.expect("the store's file")
    }

    /// The file and its write-ahead log, as far as it is text.
    pub(crate) fn store_bytes(&self) -> String {
        let read = |name: &str| fs::read(self.0.join(name)).unwrap_or_default();
        String::from_utf8_lossy(&[read("attache.db"), read("attache.db-wal")].concat()).into_owned()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // What stays is in the temporary folder.
        drop(fs::remove_dir_all(&self.0));
    }
}

#[derive(Debug)]
pub(crate) struct FakeClock(AtomicI64);

impl Default for FakeClock {
    fn default() -> Self {
        Self(AtomicI64::new(1_795_435_200_000))
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Relaxed))
    }
}

pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("a bound socket has an address").port()
}

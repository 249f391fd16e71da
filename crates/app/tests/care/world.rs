//! The program among peers, with a store of its own to be cruel to.

use std::{
    collections::HashMap,
    fs,
    io::Read as _,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{self, Child, Command, Output, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use attache_core::{Secret, SystemClock};
use attache_crypto::random::SystemRandom;
use attache_sandbox::{
    Ambient, AuthorizationServer, Browser, Client, HttpApi, IdentityProvider, Notes, Page, Person,
};
use sqlx::{
    AssertSqlSafe, Connection as _, Row as _, SqliteConnection, sqlite::SqliteConnectOptions,
};
use url::Url;

use crate::{program::Program, visitor::Visitor, witness::Witness};

const CLIENT_SECRET: &str = "the-gateway's-own-secret";
/// For whatever comes by itself.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct World {
    pub(crate) notes: AuthorizationServer,
    pub(crate) folder: Folder,
    idp: IdentityProvider,
    api: HttpApi,
    origin: Url,
    admin: Url,
    witness: Witness,
    tokens: Mutex<HashMap<&'static str, String>>,
    gateway: Option<Gateway>,
}

impl World {
    /// A gateway that serves from `attache.db`.
    pub(crate) async fn new() -> Self {
        let mut world = Self::stopped().await;
        world.start().await;
        world
    }

    /// Configured, and not started.
    pub(crate) async fn stopped() -> Self {
        attache_crypto::install_provider();
        let ambient = Ambient { clock: Arc::new(SystemClock), random: Arc::new(SystemRandom) };
        let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let idp = IdentityProvider::start(anywhere, ambient.clone()).await.expect("a free port");
        let notes = AuthorizationServer::start(anywhere, ambient).await.expect("a free port");
        let api = HttpApi::start(anywhere, notes.tokens(), Arc::new(Notes::default())).await;
        let world = Self {
            notes,
            folder: Folder::new(),
            idp,
            api: api.expect("a free port"),
            origin: loopback(),
            admin: loopback(),
            witness: Witness::default(),
            tokens: Mutex::default(),
            gateway: None,
        };
        let client = Client {
            id: "attache".to_owned(),
            secret: Some(Secret::new(CLIENT_SECRET)),
            redirect_prefix: world.origin.to_string(),
        };
        world.idp.register(client.clone());
        world.notes.register(client);
        assert!(world.attache(&["keys", "generate", "attache.key"]).status.success());
        world.configure("sqlite:attache.db");
        world
    }

    pub(crate) fn configure(&self, store: &str) {
        let server = self.notes.issuer();
        let origin = self.origin.origin().ascii_serialization();
        let text = format!(
            r#"
public_url = "{origin}"
listen = "{listen}"
admin_listen = "{admin}"
store.url = "{store}"
keys.active = "file:attache.key"
egress.allow_private = ["127.0.0.1/32"]

[identity.oidc]
issuer = "{idp}"
client_id = "attache"
client_secret = "{CLIENT_SECRET}"

[[identity.jwt]]
issuer = "{idp}"
audience = "{origin}"

[[upstream]]
name = "api"
url = "{api}"
protocol = "http"
[upstream.auth_broker]
mode = "oauth_connect"
authorization_endpoint = "{server}/authorize"
token_endpoint = "{server}/token"
issuer = "{server}"
client_id = "attache"
client_secret = "{CLIENT_SECRET}"
"#,
            listen = self.origin.authority(),
            admin = self.admin.authority(),
            idp = self.idp.issuer(),
            api = self.api.url(),
        );
        fs::write(self.folder.path("attache.toml"), text).expect("a disk");
    }

    /// Starts the program and waits until it is ready.
    pub(crate) async fn start(&mut self) {
        self.gateway = Some(Gateway::spawn(&self.folder));
        self.until_ready(|status, _| status == 200).await;
    }

    /// SIGKILL: nothing is flushed.
    pub(crate) fn kill(&mut self) {
        let mut gateway = self.gateway.take().expect("it runs");
        gateway.child.kill().expect("it runs");
        gateway.child.wait().expect("it was ours");
    }

    /// SIGTERM, and a clean end.
    pub(crate) fn stop(&mut self) {
        let mut gateway = self.gateway.take().expect("it runs");
        let pid = gateway.child.id().to_string();
        assert!(Command::new("kill").arg(&pid).status().expect("kill").success());
        let ended = gateway.child.wait().expect("it was ours");
        assert!(ended.success(), "{ended}: {}", gateway.said());
    }

    /// The most bytes that a file may have from now on; `None` for no limit.
    pub(crate) fn limit_files(&self, bytes: Option<u64>) {
        let limit = bytes.map_or("unlimited".to_owned(), |bytes| bytes.to_string());
        let pid = self.gateway.as_ref().expect("it runs").child.id().to_string();
        let set = Command::new("prlimit")
            .args(["--pid", &pid, &format!("--fsize={limit}:unlimited")])
            .status();
        assert!(set.expect("prlimit, of util-linux").success());
    }

    /// What the running gateway logged.
    pub(crate) fn log(&self) -> String {
        self.gateway.as_ref().expect("it runs").said()
    }

    /// Asks `/readyz` until the answer is as wanted; its text.
    pub(crate) async fn until_ready(&mut self, wanted: impl Fn(u16, &str) -> bool) -> String {
        let url = self.admin.join("readyz").expect("a URL");
        let start = Instant::now();
        loop {
            let seen = match Browser::new().open(&url).await {
                Ok(page) if wanted(page.status.as_u16(), &page.body) => return page.body,
                Ok(page) => page.body,
                Err(_) => "nobody listens".to_owned(),
            };
            let gateway = self.gateway.as_mut().expect("it was started");
            let ended = gateway.child.try_wait().expect("it is ours");
            let late = start.elapsed() > PATIENCE;
            assert!(ended.is_none() && !late, "{ended:?}, {seen}: {}", gateway.said());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// A command in the gateway's folder.
    pub(crate) fn attache(&self, arguments: &[&str]) -> Output {
        attache(&self.folder).args(arguments).output().expect("the program runs")
    }

    /// It fails with this code; what it said.
    pub(crate) fn refused(&self, arguments: &[&str], code: i32) -> String {
        let output = self.attache(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        said
    }

    /// It succeeds; its data.
    pub(crate) fn does(&self, arguments: &[&str]) -> String {
        let output = self.attache(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    pub(crate) fn url(&self, path: &str) -> Url {
        self.origin.join(path).expect("a path")
    }

    pub(crate) fn visitor(&self, person: Person) -> Visitor {
        Visitor::new(person, &self.origin, &self.witness)
    }

    /// Signs in and connects; the browser.
    pub(crate) async fn connect(&self, person: Person) -> Visitor {
        let mut visitor = self.visitor(person);
        visitor.visit("/ui/connections").await;
        assert_eq!(visitor.connect("api").await.outcome, "connected");
        visitor
    }

    /// Always with the same access token of theirs.
    pub(crate) fn program(&self, person: Person) -> Program {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let token = tokens.entry(person.id).or_insert_with(|| {
            let audience = self.origin.origin().ascii_serialization();
            let token = self.idp.access_token(person.id, &audience, Duration::from_hours(1));
            token.expect("the identity provider knows everybody")
        });
        Program { token: token.clone(), origin: self.origin.clone(), witness: self.witness.clone() }
    }

    /// Calls the upstream as this person.
    pub(crate) async fn call(&self, person: Person) -> Page {
        self.program(person).get("/http/api/me").await
    }

    /// They get through, as themselves.
    pub(crate) async fn gets_through(&self, person: Person) {
        let page = self.call(person).await;
        assert_eq!(page.status, 200, "{}: {}", page.body, self.log());
        assert!(page.body.contains(person.id), "{}", page.body);
    }

    /// Nobody is sent to connect, or told that they are not connected, because of our disk.
    pub(crate) async fn is_told_of_the_store(&self, person: Person) {
        let page = self.call(person).await;
        assert_eq!(page.status, 503, "{}", page.body);
        assert!(page.body.contains("own storage"), "{}", page.body);
        assert!(!page.body.contains("/connect/"), "{}", page.body);
    }

    /// What the API says of the connection.
    pub(crate) async fn status(&self, person: Person) -> String {
        let page = self.program(person).get("/api/v1/user/credentials").await;
        assert_eq!(page.status, 200, "{}", page.body);
        let listed = page.json().expect("JSON");
        let one = listed.pointer("/credentials/0/status").expect("one upstream").clone();
        one.as_str().expect("a word").to_owned()
    }

    /// Writes behind everybody's back.
    pub(crate) async fn tamper(&self, sql: &str) {
        let mut raw = self.folder.database().await;
        let sql = AssertSqlSafe(sql.to_owned());
        sqlx::query(sql).execute(&mut raw).await.expect("good SQL");
        raw.close().await.expect("it closes");
    }
}

struct Gateway {
    child: Child,
    said: Arc<Mutex<Vec<u8>>>,
}

impl Gateway {
    /// Its log goes through a pipe: no limit on files applies to that.
    fn spawn(folder: &Folder) -> Self {
        let mut child = attache(folder)
            .args(["-v", "serve"])
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program runs");
        let (said, mut pipe) = (Arc::default(), child.stderr.take().expect("a pipe"));
        let kept: Arc<Mutex<Vec<u8>>> = Arc::clone(&said);
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = pipe.read(&mut buffer) {
                let heard = buffer.get(..read).unwrap_or_default();
                kept.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(heard);
            }
        });
        Self { child, said }
    }

    fn said(&self) -> String {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&said).into_owned()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // Either may fail only because it has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A folder of its own, removed in the end.
pub(crate) struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!("attache-care-{}-{}", process::id(), NEXT.fetch_add(1, Relaxed));
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).expect("a temporary folder");
        Self(folder)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    async fn database(&self) -> SqliteConnection {
        let options = SqliteConnectOptions::new().filename(self.path("attache.db"));
        SqliteConnection::connect_with(&options).await.expect("the store's file")
    }

    /// Overwrites the pages where a table and its indexes begin.
    pub(crate) async fn spoil(&self, table: &str) {
        let mut raw = self.database().await;
        let asked = sqlx::query(
            "SELECT rootpage, (SELECT page_size FROM pragma_page_size) FROM sqlite_schema
             WHERE tbl_name = $1 AND rootpage > 0",
        );
        let rows = asked.bind(table).fetch_all(&mut raw).await.expect("pages");
        raw.close().await.expect("it closes");
        let file = self.path("attache.db");
        let mut bytes = fs::read(&file).expect("the store's file");
        for row in rows {
            let (number, size): (i64, i64) = (row.get(0), row.get(1));
            let [start, end] = [(number - 1) * size, number * size]
                .map(|offset| usize::try_from(offset).expect("an offset"));
            bytes.get_mut(start..end).expect("a page").fill(0xa5);
        }
        fs::write(file, bytes).expect("a disk");
    }

    /// As the manual says it.
    pub(crate) fn restore(&self, backup: &Path) {
        for name in ["attache.db", "attache.db-wal", "attache.db-shm"] {
            // It may not be there.
            drop(fs::remove_file(self.path(name)));
        }
        fs::copy(backup, self.path("attache.db")).expect("a disk");
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What stays is in the temporary folder.
        drop(fs::remove_dir_all(&self.0));
    }
}

/// What the surroundings configure is not part of the test.
fn attache(folder: &Folder) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_attache"));
    command.env_clear().current_dir(&folder.0);
    command
}

fn loopback() -> Url {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = listener.local_addr().expect("a bound socket has an address");
    Url::parse(&format!("http://{address}")).expect("a URL")
}

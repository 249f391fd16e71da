//! A rotation as the manual describes it, of two replicas on one PostgreSQL, under 2,000 calls a
//! second: no call fails, and each gets the answer to its own person's token.

use std::{
    fmt::Write as _,
    fs::{self, File},
    io::Write as _,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, atomic::Ordering::SeqCst},
    time::{Duration, Instant},
};

use attache_core::{Clock as _, Secret, SystemClock, store::Version};
use attache_crypto::wrap::local::LocalKey;
use attache_store::{Location, Store};
use serde_json::json;
use tokio::task::spawn_blocking;

use crate::{
    forge::Forge,
    load::{Call, Load, RATE},
    postgres::Cluster,
    props::{
        Directory, attache, credential_key, people_of, ring_of, seal, status, succeeds, vault,
    },
    upstream,
};

const PEOPLE: usize = 300;
/// How long calls go on before and after everything.
const QUIET: Duration = Duration::from_secs(2);
/// For a start on a machine that is busy with everything else.
const START_LIMIT: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn no_call_fails_while_keys_rotate_under_load() {
    let (cluster, forge, upstream) =
        (Cluster::start(), Forge::start(Ipv4Addr::LOCALHOST).await, upstream::start().await);
    let mut deployment = Deployment::new(&cluster.url(), &forge.issuer, &upstream);
    let calls = Arc::new(connected_people(&deployment, &cluster.url(), &forge, &upstream).await);

    deployment.configure("old.key", &[]);
    deployment.start().await;
    let load = Load::start(deployment.addresses(), &calls);
    let began = Instant::now();
    tokio::time::sleep(QUIET).await;
    let session = deployment.replicas[0].mcp(&calls[0], None).await;

    deployment.configure("old.key", &["new.key"]);
    deployment.replace().await;
    load.tally.check();
    deployment.configure("new.key", &["old.key"]);
    deployment.replace().await;
    load.tally.check();
    let words = succeeds(&deployment.command(&["keys", "rotate"]).await);
    assert!(words.contains("can leave keys.retired: local:"), "{words}");
    fs::remove_file(deployment.directory.path("old.key")).unwrap();
    deployment.configure("new.key", &[]);
    deployment.replace().await;

    tokio::time::sleep(QUIET).await;
    let took = began.elapsed();
    let tally = load.stop().await;
    tally.check();
    let answered = tally.answered.load(SeqCst);
    let rate = u128::from(answered) * 1000 / took.as_millis();
    writeln!(
        std::io::stderr(),
        "{answered} calls in {took:.1?}: {rate} a second of {RATE}, {} passed on to the other \
         replica, the slowest took {} ms",
        tally.passed_on.load(SeqCst),
        tally.slowest.load(SeqCst),
    )
    .unwrap();
    assert!(answered > 1_000, "that is no load: {answered}");

    // What was begun at one replica, before everything, goes on at the other.
    let (_, answer) = deployment.replicas[1].mcp(&calls[0], Some(&session.0)).await;
    assert_eq!((session.1.as_str(), answer.as_str()), ("new", "known"));
    deployment.stop().await;
    let words = succeeds(&deployment.command(&["audit", "verify"]).await);
    assert!(words.contains("by 8 writers, are proved"), "{words}");
    assert_eq!(status(&deployment.config(0)).0, Some(0));
}

/// Everybody with their token for the gateway, and their credential stored under the old key.
async fn connected_people(
    deployment: &Deployment,
    url: &Secret,
    forge: &Forge,
    upstream: &str,
) -> Vec<Call> {
    for name in ["old.key", "new.key"] {
        succeeds(&attache(&["keys", "generate", &deployment.directory.text(name)]));
    }
    let text = Secret::new(fs::read_to_string(deployment.directory.path("old.key")).unwrap());
    let ring = ring_of(Arc::new(LocalKey::from_base64(&text).unwrap()));
    let store = Store::open(&Location::postgres(url.clone())).await.unwrap();
    let stores = store.stores();
    let names: Vec<String> = (0..PEOPLE).map(|number| format!("person-{number:04}")).collect();
    let users = people_of(&forge.issuer, &stores, &ring, &names).await;
    let vault = vault(&stores, &ring);
    let now = SystemClock.now().0 / 1000;
    let mut calls = Vec::new();
    for user in &users {
        let record = seal(&vault, user, Version(1), upstream).await;
        stores.credentials.put(&credential_key(user), &record, None).await.unwrap();
        let token = forge.sign(
            "at+jwt",
            &json!({
                "iss": forge.issuer, "aud": deployment.origin(), "sub": user.as_str(),
                "client_id": "load", "iat": now, "exp": now + 3600,
            }),
        );
        let host = &deployment.host;
        let request = format!(
            "GET /http/notes/{user} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\r\n"
        );
        calls.push(Call { request, answer: upstream::answer(user.as_str()) });
    }
    store.close().await;
    calls
}

/// Two replicas behind one name.
struct Deployment {
    directory: Directory,
    host: String,
    /// What does not change in the configuration.
    settings: String,
    replicas: [Replica; 2],
}

struct Replica {
    number: usize,
    listen: u16,
    admin: u16,
    process: Option<Child>,
}

impl Deployment {
    fn new(store: &Secret, issuer: &str, upstream: &str) -> Self {
        let host = format!("127.0.0.1:{}", free_port());
        let settings = format!(
            "public_url = \"http://{host}\"\nstore.url = \"{}\"\n\
             egress.allow_private = [\"127.0.0.1/32\"]\n\
             [identity.oidc]\nissuer = \"{issuer}\"\nclient_id = \"attache\"\n\
             [[identity.jwt]]\nissuer = \"{issuer}\"\naudience = \"http://{host}\"\n\
             [[upstream]]\nname = \"rooms\"\nurl = \"{upstream}/mcp\"\n\
             protocol = \"streamable-http\"\n\
             [[upstream]]\nname = \"notes\"\nurl = \"{upstream}\"\nprotocol = \"http\"\n\
             [upstream.auth_broker]\nmode = \"oauth_connect\"\nclient_id = \"attache\"\n\
             client_secret = \"s\"\nauthorization_endpoint = \"{issuer}/authorize\"\n\
             token_endpoint = \"{issuer}/token\"\n",
            store.expose()
        );
        let replica =
            |number| Replica { number, listen: free_port(), admin: free_port(), process: None };
        Self {
            directory: Directory::new("rotation"),
            host,
            settings,
            replicas: [replica(0), replica(1)],
        }
    }

    fn origin(&self) -> String {
        format!("http://{}", self.host)
    }

    fn addresses(&self) -> [SocketAddr; 2] {
        [0, 1].map(|number| self.replicas[number].address())
    }

    fn config(&self, replica: usize) -> String {
        self.directory.text(&format!("{replica}.toml"))
    }

    fn configure(&self, active: &str, retired: &[&str]) {
        for replica in &self.replicas {
            let Replica { number, listen, admin, .. } = replica;
            let mut text = format!(
                "listen = \"127.0.0.1:{listen}\"\nadmin_listen = \"127.0.0.1:{admin}\"\n\
                 keys.active = \"file:{active}\"\nkeys.retired = ["
            );
            for one in retired {
                write!(text, "\"file:{one}\",").unwrap();
            }
            write!(text, "]\n{}", self.settings).unwrap();
            fs::write(self.config(*number), text).unwrap();
        }
    }

    async fn start(&mut self) {
        for number in [0, 1] {
            let (config, log) = (self.config(number), self.log(number));
            self.replicas[number].start(&config, &log).await;
        }
    }

    /// One after the other, so that one is always there.
    async fn replace(&mut self) {
        for number in [0, 1] {
            let (config, log) = (self.config(number), self.log(number));
            self.replicas[number].stop().await;
            self.replicas[number].start(&config, &log).await;
        }
    }

    async fn stop(&mut self) {
        for replica in &mut self.replicas {
            replica.stop().await;
        }
    }

    async fn command(&self, words: &[&str]) -> std::process::Output {
        let mut words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
        words.extend(["--config".to_owned(), self.config(0)]);
        let run = move || attache(&words.iter().map(String::as_str).collect::<Vec<_>>());
        spawn_blocking(run).await.unwrap()
    }

    fn log(&self, number: usize) -> PathBuf {
        self.directory.path(&format!("{number}.log"))
    }
}

impl Replica {
    fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.listen).into()
    }

    async fn start(&mut self, config: &str, log: &Path) {
        let written = File::options().create(true).append(true).open(log).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_attache"));
        command.args(["serve", "--config", config]).env_remove("ATTACHE_KEY");
        let process = command.stdin(Stdio::null()).stderr(written).spawn().unwrap();
        self.process = Some(process);
        let began = Instant::now();
        while !ask(self.admin, "GET /readyz HTTP/1.0\r\n\r\n").await.contains("ready") {
            let log = || fs::read_to_string(log).unwrap();
            let ended = self.process.as_mut().is_none_or(|one| one.try_wait().unwrap().is_some());
            assert!(!ended && began.elapsed() < START_LIMIT, "not ready: {}", log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// SIGTERM, and the clean end it asks for.
    async fn stop(&mut self) {
        let Some(mut process) = self.process.take() else { return };
        let kill = format!("kill -TERM {}", process.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
        let ended = spawn_blocking(move || process.wait()).await.unwrap().unwrap();
        assert!(ended.success(), "{ended}");
    }

    /// The session id that the answer gives, and what it says, with the token of `call`.
    async fn mcp(&self, call: &Call, session: Option<&str>) -> (String, String) {
        let (_, headers) = call.request.split_once("\r\n").unwrap();
        let headers = headers.trim_end();
        let session = session.map(|id| format!("mcp-session-id: {id}\r\n")).unwrap_or_default();
        let request = format!(
            "POST /mcp/rooms HTTP/1.1\r\n{headers}\r\n{session}content-type: application/json\r\n\
             content-length: 2\r\nconnection: close\r\n\r\n{{}}"
        );
        let answer = ask(self.listen, &request).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let id = head.lines().find_map(|line| line.strip_prefix("mcp-session-id: "));
        (id.expect(&answer).to_owned(), body.to_owned())
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // Either may fail only because it has ended already.
            drop(process.kill());
            drop(process.wait());
        }
    }
}

/// All that is answered to `request`, up to the end of the connection.
async fn ask(port: u16, request: &str) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let Ok(mut stream) = tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else {
        return String::new();
    };
    let mut answer = String::new();
    if stream.write_all(request.as_bytes()).await.is_ok() {
        drop(stream.read_to_string(&mut answer).await);
    }
    answer
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

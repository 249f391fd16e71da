//! A company with three gateways on one database.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    brokered,
    cable::Cable,
    database::Database,
    front,
    gateway::Gateway,
    http::{http, json},
    ledger::{Ledger, Life},
    mirror,
    peers::{Browser, Peer, free_port, run},
    people::Person,
    postgres::Cluster,
    toll::{self, Trap},
};

pub(crate) const REPLICAS: usize = 3;
/// All people are signed in for as long as the longest of these tests.
const SIGNED_IN: Duration = Duration::from_hours(1);

/// Of Debian's package `libfaketime`: moves the clock of one process.
const FAKETIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";

/// What differs between the tests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    /// How long an upstream access token lives.
    pub(crate) access_token: Duration,
    /// How long the upstream's token endpoint thinks.
    pub(crate) token_delay: Duration,
}

pub(crate) struct Site {
    pub(crate) url: String,
    pub(crate) replicas: Vec<Replica>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) trap: Trap,
    pub(crate) database: Database,
    pub(crate) cluster: Cluster,
    idp: Peer,
    authorization_server: Peer,
    #[expect(dead_code, reason = "it runs as long as this lives")]
    server: Peer,
    browser: Browser,
    /// One at a time: the ledger knows whose code is redeemed.
    approving: Mutex<()>,
    last_death: Mutex<Option<Instant>>,
}

pub(crate) struct Replica {
    pub(crate) url: String,
    /// To the database.
    pub(crate) cable: Cable,
    gateway: Mutex<Gateway>,
}

impl Site {
    pub(crate) fn new(setting: Setting) -> Self {
        let (port, server_port) = (free_port(), free_port());
        let url = format!("http://127.0.0.1:{port}");
        let cluster = Cluster::start();
        let idp = Peer::start(
            "idp.mjs",
            &json!({
                "redirect_uris": [format!("{url}/login/callback")],
                "resources": [url],
                "access_token_ttl": SIGNED_IN.as_secs(),
            }),
        );
        let callback = |upstream| format!("{url}/api/v1/user/credentials/{upstream}/callback");
        let authorization_server = Peer::start(
            "upstream-as.mjs",
            &json!({
                "redirect_uris": [callback("notes"), callback("api")],
                "resources": [format!("http://127.0.0.1:{server_port}/mcp")],
                "access_token_ttl": setting.access_token.as_secs(),
                "token_delay": setting.token_delay.as_millis(),
            }),
        );
        let issuer = authorization_server.says("url");
        let server = "mcp-server-ts.mjs";
        let server = Peer::start(
            server,
            &json!({ "port": server_port, "issuer": issuer, "sessions": true }),
        );

        let (ledger, trap) = (Arc::new(Ledger::default()), Trap::default());
        let (mirror, key) = (mirror::start(issuer), Gateway::key());
        let identity = brokered::identity(&idp, &url);
        let (_, database) = cluster.url().expose().rsplit_once('@').map(owned).expect("a URL");
        let (database, _) = database.split_once('/').expect("a host and a database");
        let database: SocketAddr = database.parse().expect("on loopback");
        let ports: Vec<u16> = (0..REPLICAS).map(|_| free_port()).collect();
        front::start(port, ports.clone());
        let start = |(number, port): (usize, &u16)| {
            let cable = Cable::to(database);
            let tokens = toll::start(number, issuer, &ledger, &trap);
            let resource = server.says("resource");
            let broker = brokered::broker(&authorization_server, &tokens, resource);
            let database = cable.address();
            let configuration = format!(
                r#"
[store]
url = "postgres://attache@{database}/postgres"
{identity}
[[upstream]]
name = "notes"
url = "{resource}"
protocol = "streamable-http"
{broker}
[[upstream]]
name = "api"
url = "{mirror}"
protocol = "http"
limits.person = 1000
{broker}
"#
            );
            let environment = brokered::secrets(&idp, &authorization_server);
            let gateway = Gateway::replica(&url, *port, &key, &configuration, environment);
            let url = format!("http://127.0.0.1:{port}");
            Replica { url, cable, gateway: Mutex::new(gateway) }
        };
        let replicas = ports.iter().enumerate().map(start).collect();
        let (database, browser) = (Database::at(cluster.url()), Browser::start());
        Self {
            url,
            replicas,
            ledger,
            trap,
            database,
            cluster,
            idp,
            authorization_server,
            server,
            browser,
            approving: Mutex::default(),
            last_death: Mutex::default(),
        }
    }

    /// Members of the company, each with a browser and an access token for the gateway.
    pub(crate) fn people(&self, names: &[&'static str]) -> Vec<Person> {
        let tokens = run(
            "sign-in.mjs",
            &json!({ "issuer": self.idp.says("url"), "resource": self.url, "people": names }),
        );
        let tokens = tokens.as_array().expect("those of each");
        let people = names
            .iter()
            .zip(tokens)
            .map(|(name, tokens)| Person::with(tokens, name, self.browser.of(name), &self.url));
        people.collect()
    }

    /// Connects through whatever replicas the requests come to.
    pub(crate) fn connect(&self, person: &mut Person, upstream: &str) {
        self.try_connect(person, upstream).expect("nobody dies");
    }

    /// As [`Self::connect`], where replicas may die meanwhile.
    pub(crate) fn try_connect(&self, person: &mut Person, upstream: &str) -> Result<(), String> {
        let _turn = self.approving.lock().expect("nobody panicked");
        self.ledger.connecting(Some(person.name));
        let connected = person.try_connect(upstream);
        self.ledger.connecting(None);
        connected
    }

    /// The MCP endpoint of `notes`, as a client knows it.
    pub(crate) fn notes(&self) -> String {
        format!("{}/mcp/notes", self.url)
    }

    /// How the gateway says `upstream` stands for somebody, and why.
    pub(crate) fn status(&self, bearer: &str, upstream: &str) -> Option<(String, String)> {
        let url = format!("{}/api/v1/user/credentials", self.url);
        let listed = http().get(url).bearer_auth(bearer).send().ok()?;
        let listed = listed.status().is_success().then(|| json(listed))?;
        let all = listed["credentials"].as_array().expect("a list");
        let one = all.iter().find(|one| one["server"] == upstream).expect("it is listed");
        let word = |name: &str| one[name].as_str().unwrap_or_default().to_owned();
        Some((word("status"), word("reason")))
    }

    /// A member of the authorization server's counters, by JSON pointer.
    pub(crate) fn count(&self, pointer: &str) -> u64 {
        let stats = self.authorization_server.page("/stats");
        stats.pointer(pointer).and_then(Value::as_u64).expect("it counts that")
    }

    /// SIGKILL; the life that ended.
    pub(crate) fn kill(&self, replica: usize) -> Life {
        self.replicas[replica].gateway().kill();
        self.note_death();
        self.ledger.died(replica)
    }

    /// Whether a call that began then may have lost its replica.
    pub(crate) fn somebody_died_since(&self, then: Instant) -> bool {
        self.last_death.lock().expect("nobody panicked").is_some_and(|death| death > then)
    }

    fn note_death(&self) {
        *self.last_death.lock().expect("nobody panicked") = Some(Instant::now());
    }

    pub(crate) fn start_again(&self, replica: usize) {
        self.replicas[replica].cable.mend();
        self.ledger.begins(replica);
        self.replicas[replica].gateway().start_again();
    }

    /// Ends a replica cleanly and starts it on a machine whose clock is `seconds` off.
    pub(crate) fn move_clock(&self, replica: usize, seconds: i32) {
        let mut gateway = self.replicas[replica].gateway();
        gateway.stop();
        gateway.tell("LD_PRELOAD", FAKETIME);
        gateway.tell("FAKETIME", &format!("{seconds:+}"));
        gateway.tell("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        gateway.tell("DONT_FAKE_MONOTONIC", "1");
        gateway.start_again();
    }

    /// `attache audit verify` over what all replicas wrote.
    pub(crate) fn assert_audit_is_whole(&self) {
        let said = self.replicas[0].gateway().command(&["audit", "verify"]);
        assert!(said.status.success(), "{said:?}");
    }

    /// Ends the replicas cleanly.
    pub(crate) fn end(self) {
        for replica in self.replicas {
            let mut gateway = replica.gateway.into_inner().expect("nobody panicked");
            gateway.stop();
            gateway.forget();
        }
    }
}

impl Replica {
    pub(crate) fn gateway(&self) -> MutexGuard<'_, Gateway> {
        self.gateway.lock().expect("nobody panicked")
    }
}

fn owned((before, after): (&str, &str)) -> (String, String) {
    (before.to_owned(), after.to_owned())
}

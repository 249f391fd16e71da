//! Everything one journey needs: the company's identity provider, an upstream with its
//! authorization server, a gateway between, and a list of secrets that must not be found in it.

use std::{cell::RefCell, time::Duration};

use reqwest::blocking::RequestBuilder;
use serde_json::{Value, json};

pub(crate) use super::http::{http, json};
use super::{
    brokered, edge,
    gateway::Gateway,
    leaks,
    peers::{Browser, Peer, free_port, run},
    people::Person,
    relay::Relay,
    upstream,
};

/// What differs between journeys.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    /// The MCP server's script.
    pub server: &'static str,
    /// How long an upstream access token lives.
    pub access_token: Duration,
    /// How long the upstream's token endpoint thinks.
    pub token_delay: Duration,
    /// As the gateway is told of `notes`.
    pub protocol: &'static str,
    /// What else is said to the MCP server's script.
    pub how: &'static [&'static str],
}

impl Setting {
    /// Nothing expires.
    pub(crate) const CALM: Self = Self {
        server: "mcp-server-ts.mjs",
        access_token: Duration::from_mins(10),
        token_delay: Duration::ZERO,
        protocol: "streamable-http",
        how: &[],
    };
    /// Every access token expires soon.
    pub(crate) const EXPIRING: Self = Self { access_token: Duration::from_secs(5), ..Self::CALM };
}

#[derive(Debug)]
pub(crate) struct Stage {
    pub url: String,
    pub idp: Peer,
    pub authorization_server: Peer,
    /// The gateway's only way to the token endpoint.
    pub token_endpoint: Relay,
    /// The upstreams `notes` (MCP) and `api` (the same server as a plain HTTP API).
    pub server: Peer,
    pub gateway: Gateway,
    /// Where proxies show certificates.
    pub proxy_port: u16,
    store_is_a_file: bool,
    secrets: RefCell<Vec<String>>,
}

/// Plays a journey, then ends the gateway and looks for secrets in all that it wrote.
pub(crate) fn journey(setting: Setting, play: impl FnOnce(&mut Stage)) {
    journey_on("sqlite:attache.db", setting, play);
}

/// The same on another store.
pub(crate) fn journey_on(store: &str, setting: Setting, play: impl FnOnce(&mut Stage)) {
    let mut stage = Stage::new(store, setting);
    play(&mut stage);
    stage.gateway.stop();
    stage.look_for_secrets();
    stage.gateway.forget();
}

impl Person {
    pub(crate) fn new(stage: &Stage, name: &'static str) -> Self {
        stage.person(name)
    }
}

impl Stage {
    fn new(store: &str, setting: Setting) -> Self {
        let (port, server_port, proxy_port) = (free_port(), free_port(), free_port());
        let (url, server_url) =
            (format!("http://127.0.0.1:{port}"), format!("http://127.0.0.1:{server_port}"));
        let idp = Peer::start(
            "idp.mjs",
            &json!({
                "redirect_uris": [format!("{url}/login/callback")],
                "resources": [url],
                "backchannel_logout_uri": format!("{url}/logout/backchannel"),
            }),
        );
        let callback = |upstream| format!("{url}/api/v1/user/credentials/{upstream}/callback");
        let authorization_server = Peer::start(
            "upstream-as.mjs",
            &json!({
                "redirect_uris": [callback("notes"), callback("api")],
                "resources": [format!("{server_url}/mcp")],
                "access_token_ttl": setting.access_token.as_secs(),
                "token_delay": setting.token_delay.as_millis(),
            }),
        );
        let issuer = authorization_server.says("url");
        let mut options = json!({ "port": server_port, "issuer": issuer });
        for option in setting.how {
            options[*option] = json!(true);
        }
        let server = Peer::start(setting.server, &options);
        let token_endpoint = Relay::to(issuer);

        let mut environment = brokered::secrets(&idp, &authorization_server);
        environment.extend(edge::SECRETS.map(|(name, secret)| (name, secret.to_owned())));
        let secrets = environment.iter().map(|(_, secret)| secret.clone()).collect();
        environment.push(("STORE_URL", store.to_owned()));
        let configuration =
            configuration(&url, &idp, &authorization_server, &token_endpoint, &server, setting)
                + &edge::known_by_certificate(proxy_port);
        let gateway = Gateway::start(port, &configuration, environment);
        let secrets = RefCell::new(secrets);
        let store_is_a_file = store.starts_with("sqlite:");
        Self {
            url,
            idp,
            authorization_server,
            token_endpoint,
            server,
            gateway,
            proxy_port,
            store_is_a_file,
            secrets,
        }
    }

    /// A member of the company, with a browser and an access token for the gateway.
    fn person(&self, name: &'static str) -> Person {
        let tokens = run(
            "sign-in.mjs",
            &json!({ "issuer": self.idp.says("url"), "resource": self.url, "person": name }),
        );
        for token in ["access_token", "id_token", "refresh_token"] {
            self.keep_secret(tokens[token].as_str().expect("the provider gives all three"));
        }
        Person::with(&tokens, name, Browser::start().of(name), &self.url)
    }

    /// The MCP endpoint of `notes`, as a client knows it.
    pub(crate) fn notes(&self) -> String {
        format!("{}/mcp/notes", self.url)
    }

    /// `whoami` by the way of a plain HTTP API.
    pub(crate) fn api(&self, bearer: &str) -> RequestBuilder {
        whoami_at(&format!("{}/http/api/mcp", self.url)).bearer_auth(bearer)
    }

    /// What [`Self::api`] says when all is well.
    pub(crate) fn whoami_by_api(&self, bearer: &str) -> String {
        said_by(self.api(bearer))
    }

    /// A member of the authorization server's counters, by JSON pointer.
    pub(crate) fn count(&self, pointer: &str) -> u64 {
        let stats = self.authorization_server.page("/stats");
        stats.pointer(pointer).and_then(Value::as_u64).expect("it counts that")
    }

    /// How the gateway says `upstream` stands for somebody.
    pub(crate) fn status(&self, bearer: &str, upstream: &str) -> String {
        let listed =
            http().get(format!("{}/api/v1/user/credentials", self.url)).bearer_auth(bearer);
        let listed = json(listed.send().expect("the gateway answers"));
        let all = listed["credentials"].as_array().expect("a list");
        let one = all.iter().find(|one| one["server"] == upstream).expect("it is listed");
        one["status"].as_str().expect("a word").to_owned()
    }

    /// From now on nothing the gateway writes may contain it.
    pub(crate) fn keep_secret(&self, secret: &str) {
        self.secrets.borrow_mut().push(secret.to_owned());
    }

    /// Of `text`, which came from the gateway by another way than its files.
    pub(crate) fn assert_no_secret_in(&self, what: &str, text: &[u8]) {
        let mut secrets = self.secrets.borrow().clone();
        secrets.extend(leaks::secrets_in(&self.token_endpoint.passed()));
        let found = secrets.iter().find(|secret| leaks::contains(text, secret));
        assert!(found.is_none(), "{what} contains the secret {found:?}");
    }

    fn look_for_secrets(&self) {
        let files = self.gateway.written();
        let has =
            |name| files.iter().any(|(path, bytes)| path.ends_with(name) && !bytes.is_empty());
        let searched = has("log") && (has("attache.db") || !self.store_is_a_file);
        assert!(searched, "there is nothing to look through");
        for (path, bytes) in &files {
            self.assert_no_secret_in(&path.display().to_string(), bytes);
        }
    }
}

/// A call of the tool `whoami`, which the upstream answers to anybody's HTTP client.
pub(crate) fn whoami_at(url: &str) -> RequestBuilder {
    let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": { "name": "whoami", "arguments": {} } });
    http()
        .post(url)
        .header("accept", "application/json, text/event-stream")
        .header("content-type", "application/json")
        .body(call.to_string())
}

/// Whose token the upstream saw.
pub(crate) fn said_by(call: RequestBuilder) -> String {
    let answer = call.send().expect("the gateway answers");
    assert!(answer.status().is_success(), "{answer:?}");
    let events = answer.text().expect("a whole answer");
    let message = events.lines().find_map(|line| line.strip_prefix("data: "));
    let message: Value = serde_json::from_str(message.expect("an event")).expect("JSON");
    message["result"]["content"][0]["text"].as_str().expect("words").to_owned()
}

fn configuration(
    url: &str,
    idp: &Peer,
    authorization_server: &Peer,
    token_endpoint: &Relay,
    server: &Peer,
    Setting { protocol, .. }: Setting,
) -> String {
    let resource = server.says("resource");
    let identity = brokered::identity(idp, url);
    let broker = brokered::broker(authorization_server, &token_endpoint.url(), resource);
    let (server, files) = (server.says("url"), upstream::start());
    format!(
        r#"
[store]
url = {{ env = "STORE_URL" }}
{identity}
[[upstream]]
name = "notes"
url = "{resource}"
protocol = "{protocol}"
{broker}
[[upstream]]
name = "api"
url = "{server}"
protocol = "http"
{broker}
[[upstream]]
name = "found"
url = "{resource}"
[upstream.auth_broker]
mode = "oauth_connect"

[[upstream]]
name = "dead"
url = "http://127.0.0.1:9/mcp"

[[upstream]]
name = "events"
url = "{files}/events"
protocol = "streamable-http"

[[upstream]]
name = "files"
url = "{files}"
protocol = "http"

[[forward_auth]]
name = "edge"
secret = {{ env = "EDGE_SECRET" }}
upstreams = ["api"]

[[forward_auth]]
name = "slow"
secret = {{ env = "SLOW_SECRET" }}
upstreams = ["api"]
rate = 1
"#
    )
}

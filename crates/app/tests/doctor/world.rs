//! A gateway that runs, everybody it needs, and the program that looks at them.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::unix::fs::OpenOptionsExt as _,
    path::PathBuf,
    process::Command,
    sync::Arc,
};

use attache::{gateway::Gateway, wire};
use attache_config::{Source, load};
use attache_core::{Secret, SystemClock};
use attache_crypto::{
    random::{self, SystemRandom},
    wrap::local::LocalKey,
};
use attache_net::resolve::SystemResolver;
use attache_sandbox::{Ambient, AuthorizationServer, Client, IdentityProvider, McpServer, Notes};
use serde_json::Value;

use crate::puppet::Puppet;

pub(crate) const CLIENT_SECRET: &str = "the-gateway's-own-secret";

pub(crate) struct World {
    pub(crate) notes: AuthorizationServer,
    pub(crate) puppet: Puppet,
    /// `public_url`.
    pub(crate) origin: String,
    folder: PathBuf,
    configuration: String,
    gateway: Gateway,
    idp: IdentityProvider,
    mcp: McpServer,
}

/// What the program said to a program.
pub(crate) struct Report {
    pub(crate) code: i32,
    /// Every finding that is not fine: `bent pkce warning`.
    pub(crate) troubles: Vec<String>,
    pub(crate) text: String,
}

impl World {
    pub(crate) async fn new() -> Self {
        attache_crypto::install_provider();
        let ambient = Ambient { clock: Arc::new(SystemClock), random: Arc::new(SystemRandom) };
        let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let idp = IdentityProvider::start(anywhere, ambient.clone()).await.expect("a free port");
        let notes = AuthorizationServer::start(anywhere, ambient).await.expect("a free port");
        let mcp = McpServer::start(anywhere, notes.tokens(), Arc::new(Notes::default())).await;
        let mcp = mcp.expect("a free port");
        let puppet = Puppet::start().await;
        let listen = free_address();
        let origin = format!("http://{listen}");
        let client = Client {
            id: "attache".to_owned(),
            secret: Some(Secret::new(CLIENT_SECRET)),
            redirect_prefix: format!("{origin}/"),
        };
        idp.register(client.clone());
        notes.register(client);

        let folder = folder();
        for name in ["attache.key", "other.key"] {
            let key = LocalKey::generate(&SystemRandom);
            let file =
                OpenOptions::new().create_new(true).mode(0o600).write(true).open(folder.join(name));
            file.and_then(|mut file| file.write_all(key.expose().as_bytes())).expect("a disk");
        }
        let configuration = configuration(&listen, &idp, &notes, &mcp, &puppet);
        let source = Source::new(&folder.join("attache.toml"), configuration.clone());
        let config = load(&source.expect("TOML"), &|_| None).config.expect("a configuration");
        let parts = wire::World {
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom),
            resolver: Arc::new(SystemResolver),
        };
        let gateway = Gateway::start(&config, parts).await.expect("it starts");
        Self { notes, puppet, origin, folder, configuration, gateway, idp, mcp }
    }

    /// Everybody, as they should.
    pub(crate) fn behave(&self) {
        self.puppet.behave();
        self.notes.token_answers().clear();
    }

    /// With other words in some places of the configuration.
    pub(crate) fn doctor(&self, instead: &[(String, String)], arguments: &[&str]) -> Report {
        let (code, text) = self.told(instead, &[arguments, &["-o", "json"]].concat());
        let report: Value = serde_json::from_str(&text).unwrap_or_default();
        let sections = report["sections"].as_array().into_iter().flatten();
        let troubles = sections.flat_map(|section| {
            let part = match section["part"].as_str() {
                Some("upstream") => section["name"].as_str(),
                part => part,
            };
            let findings = section["findings"].as_array().into_iter().flatten();
            findings.filter_map(move |finding| {
                let (check, outcome) = (finding["check"].as_str()?, finding["outcome"].as_str()?);
                let fine = matches!(outcome, "ok" | "not_looked_at");
                (!fine).then(|| format!("{} {check} {outcome}", part.unwrap_or_default()))
            })
        });
        Report { code, troubles: troubles.collect(), text }
    }

    /// The exit code and what went to stdout.
    pub(crate) fn told(&self, instead: &[(String, String)], arguments: &[&str]) -> (i32, String) {
        let mut text = self.configuration.clone();
        for (from, to) in instead {
            assert!(text.contains(from.as_str()), "{from} is not in {text}");
            text = text.replacen(from.as_str(), to, 1);
        }
        let file = self.folder.join("attache.toml");
        fs::write(&file, text).expect("a disk");
        let mut command = Command::new(env!("CARGO_BIN_EXE_attache"));
        for name in ["ATTACHE_CONFIG", "ATTACHE_KEY", "ATTACHE_OUTPUT", "MCPPROXY_CRED_KEY"] {
            command.env_remove(name);
        }
        command.arg("doctor").args(arguments).arg("--config").arg(&file).current_dir(&self.folder);
        let output = tokio::task::block_in_place(|| command.output()).expect("attache runs");
        let stdout = String::from_utf8(output.stdout).expect("text");
        (output.status.code().expect("it ends by itself"), stdout)
    }

    pub(crate) async fn end(self) {
        self.gateway.stop().await;
        self.idp.stop().await;
        self.mcp.stop().await;
        fs::remove_dir_all(&self.folder).expect("it is ours");
    }
}

/// `notes` is the sandbox's, `bent` the puppet's.
fn configuration(
    listen: &str,
    idp: &IdentityProvider,
    notes: &AuthorizationServer,
    mcp: &McpServer,
    puppet: &Puppet,
) -> String {
    format!(
        r#"
public_url = "http://{listen}"
listen = "{listen}"
admin_listen = "127.0.0.1:0"
store.url = "sqlite:attache.db"
keys.active = "file:attache.key"

[identity.oidc]
issuer = "{idp}"
client_id = "attache" # idp
client_secret = "{CLIENT_SECRET}" # idp

[[identity.jwt]]
issuer = "{idp}"
audience = "http://{listen}"

[egress]
allow_private = ["127.0.0.1/32"]

[[upstream]] # notes
name = "notes"
url = "{mcp}"
[upstream.auth_broker]
mode = "oauth_connect"
authorization_endpoint = "{notes}/authorize"
token_endpoint = "{notes}/token"
revocation_endpoint = "{notes}/revoke"
issuer = "{notes}"
client_id = "attache"
client_secret = "{CLIENT_SECRET}" # notes
scopes = ["notes", "offline_access"]
resource = "{mcp}"

[[upstream]] # bent
name = "bent"
url = "{bent}/mcp"
[upstream.auth_broker]
mode = "oauth_connect"
authorization_endpoint = "{bent}/as/authorize"
token_endpoint = "{bent}/as/token"
revocation_endpoint = "{bent}/as/revoke"
issuer = "{bent}/as"
client_id = "attache"
client_secret = "{CLIENT_SECRET}"
scopes = ["notes", "offline_access"] # bent
resource = "{bent}/mcp"
"#,
        idp = idp.issuer(),
        notes = notes.issuer(),
        mcp = mcp.endpoint(),
        bent = puppet.url(""),
    )
}

fn folder() -> PathBuf {
    let name = format!("attache-doctor-{}", random::token(&SystemRandom));
    let folder = std::env::temp_dir().join(name);
    fs::create_dir_all(&folder).expect("a temporary folder");
    folder
}

/// Picked before it is used; somebody else may be faster.
fn free_address() -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("a bound socket has an address").to_string()
}

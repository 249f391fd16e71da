//! A company on this machine: two people, an identity provider, and upstreams of every kind that
//! people connect.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use attache_core::{Secret, SystemClock};
use attache_crypto::random::SystemRandom;
use attache_sandbox::{
    Ambient, AuthorizationServer, Client, HttpApi, IdentityProvider, McpServer, Notes,
};
use axum::{Router, routing::get};
use http::{HeaderMap, StatusCode};
use serde_json::json;
use tokio::{
    net::TcpListener,
    runtime::{self, Handle, Runtime},
};

use super::{
    gateway::Gateway,
    peers::{Peer, free_port},
};

const SECRET: &str = "the-gateway's-own-secret";
/// The only one that `weather` takes.
const KEY: &str = "sunny";

pub(crate) struct Company {
    pub(crate) url: String,
    pub(crate) gateway: Gateway,
    _peers: Peers,
    _wiki: Peer,
    _runtime: Runtime,
}

/// Of the sandbox: each ends when it is dropped.
struct Peers {
    idp: IdentityProvider,
    provider: AuthorizationServer,
    mcp: McpServer,
    api: HttpApi,
    weather: String,
}

impl Company {
    pub(crate) fn start() -> Self {
        let port = free_port();
        let url = format!("http://127.0.0.1:{port}");
        let wiki = Peer::start(
            "upstream-as.mjs",
            &json!({
                "redirect_uris": [format!("{url}/api/v1/user/credentials/wiki/callback")],
                "access_token_ttl": 600,
            }),
        );
        let runtime = runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let peers = runtime.block_on(Peers::start(&url));
        let secrets = [("SECRET", SECRET), ("WIKI_SECRET", wiki.says("client_secret"))];
        let secrets = secrets.map(|(name, secret)| (name, secret.to_owned())).into();
        let gateway = Gateway::start(port, &configuration(&peers, wiki.says("url")), secrets);
        Self { url, gateway, _peers: peers, _wiki: wiki, _runtime: runtime }
    }
}

impl Peers {
    /// For the gateway at `url`.
    async fn start(url: &str) -> Self {
        attache_crypto::install_provider();
        let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let ambient = Ambient { clock: Arc::new(SystemClock), random: Arc::new(SystemRandom) };
        let idp = IdentityProvider::start(anywhere, ambient.clone()).await.expect("a free port");
        let provider = AuthorizationServer::start(anywhere, ambient).await.expect("a free port");
        let client = Client {
            id: "attache".to_owned(),
            secret: Some(Secret::new(SECRET)),
            redirect_prefix: format!("{url}/"),
        };
        idp.register(client.clone());
        provider.register(client);
        let notes = Arc::new(Notes::default());
        let mcp = McpServer::start(anywhere, provider.tokens(), Arc::clone(&notes)).await;
        let api = HttpApi::start(anywhere, provider.tokens(), notes).await;
        let (mcp, api) = (mcp.expect("a free port"), api.expect("a free port"));
        Self { idp, provider, mcp, api, weather: weather().await }
    }
}

fn configuration(peers: &Peers, wiki: &str) -> String {
    let (idp, provider) = (peers.idp.issuer(), peers.provider.issuer());
    let (mcp, api, weather) = (peers.mcp.endpoint(), peers.api.url(), &peers.weather);
    let broker = format!(
        r#"[upstream.auth_broker]
mode = "oauth_connect"
authorization_endpoint = "{provider}/authorize"
token_endpoint = "{provider}/token"
revocation_endpoint = "{provider}/revoke"
issuer = "{provider}"
client_id = "attache"
client_secret = {{ env = "SECRET" }}
scopes = ["notes", "offline_access"]"#
    );
    format!(
        r#"
[keys]
active = "file:attache.key"

[identity]
admins = {{ groups = ["engineering"] }}

[identity.oidc]
issuer = "{idp}"
client_id = "attache"
client_secret = {{ env = "SECRET" }}

[egress]
allow_private = ["127.0.0.0/8"]

[[upstream]]
name = "notes"
url = "{mcp}"
{broker}

[[upstream]]
name = "notes-api"
url = "{api}"
protocol = "http"
{broker}

[[upstream]]
name = "weather"
url = "{weather}"
protocol = "http"
[upstream.auth_broker]
mode = "api_key"
header = "X-Api-Key"
header_format = "{{token}}"

[[upstream]]
name = "wiki"
url = "{mcp}"
[upstream.auth_broker]
mode = "oauth_connect"
issuer = "{wiki}"
authorization_endpoint = "{wiki}/auth"
token_endpoint = "{wiki}/token"
revocation_endpoint = "{wiki}/token/revocation"
client_id = "attache-gateway"
client_secret = {{ env = "WIKI_SECRET" }}
client_auth = "basic"
scopes = ["openid", "offline_access"]
"#
    )
}

/// An API that knows one key.
async fn weather() -> String {
    let answer = async |headers: HeaderMap| match headers.get("x-api-key") {
        Some(key) if key == KEY => StatusCode::OK,
        _ => StatusCode::UNAUTHORIZED,
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let routes = Router::new().fallback(get(answer));
    Handle::current().spawn(async move { axum::serve(listener, routes).await });
    format!("http://{address}/")
}

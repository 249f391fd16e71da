//! Who takes part: an identity provider, a note-taking service with its authorization server, and
//! the gateway, configured by the very file a reader can look at.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use attache_config::Source;
use attache_core::{Secret, SystemClock};
use attache_crypto::{
    random::{self, SystemRandom},
    wrap::local::LocalKey,
};
use attache_net::resolve::SystemResolver;
use attache_sandbox::{
    Ambient, AuthorizationServer, Client, HttpApi, IdentityProvider, McpServer, Notes, Person,
    people::EVERYBODY,
};
use url::Url;

use crate::{Failure, gateway::Gateway, wire::World};

/// A demo's day is short.
const TOKEN_LIFE: Duration = Duration::from_hours(8);

pub(super) struct Cast {
    pub idp: IdentityProvider,
    pub provider: AuthorizationServer,
    pub mcp: McpServer,
    pub api: HttpApi,
    pub gateway_url: Url,
    /// Configuration, key and store; deleted at the end.
    pub folder: PathBuf,
}

impl Cast {
    /// Everybody in their place, and the gateway running.
    pub(super) async fn start(listen: SocketAddr) -> Result<(Self, Gateway), Failure> {
        let ambient = Ambient { clock: Arc::new(SystemClock), random: Arc::new(SystemRandom) };
        let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let notes = Arc::new(Notes::default());
        let failed = |error: io::Error| Failure::failed(error);
        let idp = IdentityProvider::start(anywhere, ambient.clone()).await.map_err(failed)?;
        let provider =
            AuthorizationServer::start(anywhere, ambient.clone()).await.map_err(failed)?;
        let mcp = McpServer::start(anywhere, provider.tokens(), Arc::clone(&notes)).await;
        let mcp = mcp.map_err(failed)?;
        let api = HttpApi::start(anywhere, provider.tokens(), notes).await.map_err(failed)?;

        let gateway_url = Url::parse(&format!("http://{listen}")).map_err(Failure::failed)?;
        let client = Client {
            id: "attache".to_owned(),
            secret: Some(Secret::new(random::token(&SystemRandom))),
            redirect_prefix: gateway_url.to_string(),
        };
        idp.register(client.clone());
        provider.register(client.clone());

        let folder = private_folder().map_err(failed)?;
        let file = folder.join("attache.toml");
        let admin = TcpListener::bind(anywhere).and_then(|bound| bound.local_addr());
        let text = configuration(&Addresses {
            gateway: &gateway_url,
            listen,
            admin: admin.map_err(failed)?,
            idp: &idp,
            provider: &provider,
            mcp: &mcp,
            api: &api,
        });
        fs::write(&file, &text).map_err(failed)?;
        let key = LocalKey::generate(&SystemRandom);
        // What the file names `{ env = … }`; nothing secret is written to disk.
        let variable = |name: &str| match name {
            "ATTACHE_KEY" => Some(key.expose().to_owned()),
            "SANDBOX_SECRET" => client.secret.as_ref().map(|secret| secret.expose().to_owned()),
            _ => None,
        };
        let source = Source::new(&file, text).map_err(Failure::failed)?;
        let accepted = attache_config::load(&source, &variable).accept();
        let (config, _) =
            accepted.map_err(|diagnostics| Failure::Failed(diagnostics.render(false)))?;
        let world = World {
            clock: ambient.clock,
            random: ambient.random,
            resolver: Arc::new(SystemResolver),
        };
        let gateway = Gateway::start(&config, world).await.map_err(Failure::failed)?;
        let cast = Self { idp, provider, mcp, api, gateway_url, folder };
        for person in EVERYBODY {
            write_private(&cast.token_file(person), &cast.bearer(person)).map_err(failed)?;
        }
        Ok((cast, gateway))
    }

    /// The token that this person's MCP client got from the company's identity provider.
    pub(super) fn bearer(&self, person: Person) -> Secret {
        let audience = self.gateway_url.origin().ascii_serialization();
        let token = self.idp.access_token(person.id, &audience, TOKEN_LIFE);
        Secret::new(token.unwrap_or_default())
    }

    /// Where this person's token is, for their other programs.
    pub(super) fn token_file(&self, person: Person) -> PathBuf {
        self.folder.join(format!("{}.token", person.id))
    }

    pub(super) fn url(&self, path: &str) -> Url {
        let mut url = self.gateway_url.clone();
        url.set_path(path);
        url
    }

    pub(super) async fn stop(&self) {
        self.mcp.stop().await;
        self.api.stop().await;
        self.provider.stop().await;
        self.idp.stop().await;
        drop(fs::remove_dir_all(&self.folder));
    }
}

struct Addresses<'a> {
    gateway: &'a Url,
    listen: SocketAddr,
    admin: SocketAddr,
    idp: &'a IdentityProvider,
    provider: &'a AuthorizationServer,
    mcp: &'a McpServer,
    api: &'a HttpApi,
}

/// What an operator would write.
fn configuration(at: &Addresses<'_>) -> String {
    let (gateway, idp, provider) =
        (at.gateway.origin().ascii_serialization(), at.idp.issuer(), at.provider.issuer());
    let (listen, admin, mcp) = (at.listen, at.admin, at.mcp.endpoint());
    let api = at.api.url().origin().ascii_serialization();
    format!(
        r#"# The demo's gateway. Its key comes from ATTACHE_KEY.
public_url = "{gateway}"
listen = "{listen}"
admin_listen = "{admin}"

# The company's identity provider: where people sign in …
[identity.oidc]
issuer = "{idp}"
client_id = "attache"
client_secret = {{ env = "SANDBOX_SECRET" }}

# … and whose access tokens their MCP clients send.
[[identity.jwt]]
issuer = "{idp}"
audience = "{gateway}"

# Everything here is on this machine; a real gateway has no need for this.
[egress]
allow_private = ["127.0.0.0/8"]

# A note-taking service that speaks MCP. Each person connects their own account.
[[upstream]]
name = "notes"
url = "{mcp}"

[upstream.auth_broker]
mode = "oauth_connect"
authorization_endpoint = "{provider}/authorize"
token_endpoint = "{provider}/token"
revocation_endpoint = "{provider}/revoke"
issuer = "{provider}"
client_id = "attache"
client_secret = {{ env = "SANDBOX_SECRET" }}
scopes = ["notes", "offline_access"]
resource = "{mcp}"

# The same service's plain HTTP API.
[[upstream]]
name = "notes-api"
url = "{api}"
protocol = "http"

[upstream.auth_broker]
mode = "oauth_connect"
authorization_endpoint = "{provider}/authorize"
token_endpoint = "{provider}/token"
revocation_endpoint = "{provider}/revoke"
issuer = "{provider}"
client_id = "attache"
client_secret = {{ env = "SANDBOX_SECRET" }}
scopes = ["notes", "offline_access"]
resource = "{api}"
"#
    )
}

fn write_private(file: &Path, text: &Secret) -> io::Result<()> {
    let mut opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    opened.write_all(text.expose().as_bytes())
}

/// Readable by nobody else.
fn private_folder() -> io::Result<PathBuf> {
    let folder =
        std::env::temp_dir().join(format!("attache-demo-{}", random::token(&SystemRandom)));
    fs::DirBuilder::new().mode(0o700).create(&folder)?;
    Ok(folder)
}

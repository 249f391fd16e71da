//! A gateway in a process of its own, with one person who has connected the upstream.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use attache_benches::processor::Meter;
use attache_core::{Secret, SystemClock};
use attache_crypto::{random::SystemRandom, wrap::local::LocalKey};
use attache_sandbox::{
    Ambient, AuthorizationServer, Browser, Client, IdentityProvider, people::ADA,
};
use url::Url;

use crate::nginx::wait_for;

pub(crate) struct Cast {
    gateway: Child,
    folder: PathBuf,
    url: String,
    bearer: Secret,
    /// Kept: the gateway asks them.
    _idp: IdentityProvider,
    _provider: AuthorizationServer,
}

impl Cast {
    pub(crate) async fn start(upstream: SocketAddr) -> Result<Self> {
        let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let ambient = Ambient { clock: Arc::new(SystemClock), random: Arc::new(SystemRandom) };
        let idp = IdentityProvider::start(anywhere, ambient.clone()).await?;
        let provider = AuthorizationServer::start(anywhere, ambient).await?;
        let free = || TcpListener::bind(anywhere).and_then(|bound| bound.local_addr());
        let (listen, admin) = (free()?, free()?);
        let url = format!("http://{listen}");
        let client = Client {
            id: "attache".to_owned(),
            secret: Some(Secret::new("bench")),
            redirect_prefix: format!("{url}/"),
        };
        idp.register(client.clone());
        provider.register(client);

        let folder = std::env::temp_dir().join(format!("attache-bench-gw-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        let (idp_url, provider_url) = (idp.issuer(), provider.issuer());
        let config = folder.join("attache.toml");
        fs::write(&config, configuration(&url, listen, admin, idp_url, provider_url, upstream))?;
        let binary = std::env::current_exe()?.with_file_name("attache");
        ensure!(binary.exists(), "build the gateway first: cargo build --release");
        let gateway = Command::new(binary)
            .arg("serve")
            .arg("--config")
            .arg(&config)
            .env("ATTACHE_KEY", LocalKey::generate(&SystemRandom).expose())
            .stdin(Stdio::null())
            .spawn()?;
        wait_for(listen)?;

        let bearer = idp.access_token(ADA.id, &url, Duration::from_hours(1));
        let cast = Self {
            gateway,
            folder,
            bearer: Secret::new(bearer.context("ada lives in the sandbox")?),
            url,
            _idp: idp,
            _provider: provider,
        };
        cast.connect().await?;
        Ok(cast)
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("{}/mcp/notes", self.url)
    }

    pub(crate) fn bearer(&self) -> Secret {
        self.bearer.clone()
    }

    pub(crate) fn meter(&self) -> Meter {
        Meter { processes: vec![self.gateway.id()] }
    }

    async fn connect(&self) -> Result<()> {
        let mut browser = Browser::of(ADA);
        let page = browser.visit(&Url::parse(&format!("{}/connect/notes", self.url))?).await?;
        let form = page.forms().into_iter().find(|form| form.action.path() == "/connect/notes");
        let form = form.context("the connect page has a form")?;
        let page = browser.submit(&page, &form, form.buttons.first()).await?;
        let page = browser.follow(page).await?;
        let connected =
            page.url.query().is_some_and(|query| query.contains("credential_connected"));
        ensure!(connected, "ada could not connect: {}", page.url);
        Ok(())
    }
}

impl Drop for Cast {
    fn drop(&mut self) {
        drop(self.gateway.kill());
        drop(self.gateway.wait());
        drop(fs::remove_dir_all(&self.folder));
    }
}

fn configuration(
    url: &str,
    listen: SocketAddr,
    admin: SocketAddr,
    idp: &str,
    provider: &str,
    upstream: SocketAddr,
) -> String {
    format!(
        r#"
public_url = "{url}"
listen = "{listen}"
admin_listen = "{admin}"
[identity.oidc]
issuer = "{idp}"
client_id = "attache"
client_secret = "bench"
[[identity.jwt]]
issuer = "{idp}"
audience = "{url}"
[egress]
allow_private = ["127.0.0.0/8"]
[[upstream]]
name = "notes"
url = "http://{upstream}/mcp"
[upstream.auth_broker]
mode = "oauth_connect"
authorization_endpoint = "{provider}/authorize"
token_endpoint = "{provider}/token"
client_id = "attache"
client_secret = "bench"
"#
    )
}

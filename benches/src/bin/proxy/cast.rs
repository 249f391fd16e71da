//! A thousand people, and every server that they are known to.

use std::{fmt::Write as _, fs, net::SocketAddr, path::PathBuf, sync::Arc};

use anyhow::{Context as _, Result};
use attache_benches::{
    folder::Folder,
    people::{self, Home, Someone},
};
use attache_core::Secret;
use attache_crypto::{keyring::KeyRing, random::SystemRandom, wrap::local::LocalKey};
use attache_store::{Location, Store};

use crate::{
    issuer::Issuer,
    nginx::{self, Person},
    server::{Server, beside, free},
};

pub(crate) const PEOPLE: usize = 1_000;

pub(crate) struct Cast {
    /// A line for each person: name, bearer token and upstream token, with tabs between them.
    pub(crate) people: PathBuf,
    pub(crate) upstream: Server,
    pub(crate) proxies: Vec<Server>,
    _folder: Folder,
}

impl Cast {
    pub(crate) async fn start() -> Result<Self> {
        let folder = Folder::make("bench")?;
        let issuer = Issuer::start().await?;
        let (attache, admin, reference) = (free()?, free()?, free()?);
        let public_url = format!("http://{attache}");
        let person = |number| {
            let someone = Someone(number);
            let bearer = issuer.access_token(someone, &public_url);
            Person { name: someone.subject(), bearer, token: someone.access_token() }
        };
        let everybody: Vec<Person> = (0..PEOPLE).map(person).collect();
        let people = folder.file("people");
        let mut table = String::new();
        for Person { name, bearer, token } in &everybody {
            writeln!(table, "{name}\t{bearer}\t{token}")?;
        }
        fs::write(&people, table)?;
        let upstream = nginx::upstream(&folder, &everybody)?;

        let key = LocalKey::generate(&SystemRandom);
        let origin = format!("http://{}", upstream.at);
        seed(&folder, &key, &issuer.url, &origin).await?;
        let file = folder.file("attache.toml");
        fs::write(&file, configuration(&public_url, attache, admin, &issuer.url, &upstream.url))?;
        let mut gateway = beside("attache")?;
        gateway.arg("serve").arg("--config").arg(&file).env("ATTACHE_KEY", key.expose());
        let mut yardstick = beside("reference")?;
        yardstick.args([reference.to_string(), upstream.at.to_string()]).arg(&people);
        let proxies = vec![
            nginx::proxy(&folder, upstream.at, &everybody)?,
            Server::start("reference", yardstick, reference, "/mcp")?,
            Server::start("attache", gateway, attache, "/mcp/notes")?,
        ];
        Ok(Self { people, upstream, proxies, _folder: folder })
    }

    pub(crate) fn gateway(&self) -> Result<&Server> {
        self.proxies.iter().find(|one| one.name == "attache").context("it is among them")
    }
}

/// Everybody has connected the upstream.
pub(crate) async fn seed(folder: &Folder, key: &Secret, issuer: &str, origin: &str) -> Result<()> {
    let home = Home { issuer, origin };
    let active = Arc::new(LocalKey::from_base64(key)?);
    let location = Location::Sqlite(folder.file("attache.db"));
    Store::open(&location).await?.close().await;
    people::store(&location, &KeyRing { active, retired: Vec::new() }, 0..PEOPLE, home).await
}

/// Everything that costs something is on: identity, policy, metrics, audit, access log.
pub(crate) fn configuration(
    public_url: &str,
    listen: SocketAddr,
    admin: SocketAddr,
    issuer: &str,
    upstream: &str,
) -> String {
    format!(
        r#"
public_url = "{public_url}"
listen = "{listen}"
admin_listen = "{admin}"
access_log = true
[identity.oidc]
issuer = "{issuer}"
client_id = "attache"
client_secret = "bench"
[[identity.jwt]]
issuer = "{issuer}"
audience = "{public_url}"
[egress]
allow_private = ["127.0.0.0/8"]
[[upstream]]
name = "notes"
url = "{upstream}"
[[upstream.tools]]
deny = ["delete"]
[upstream.auth_broker]
mode = "oauth_connect"
authorization_endpoint = "{issuer}/authorize"
token_endpoint = "{issuer}/token"
client_id = "attache"
client_secret = "bench"
"#
    )
}

//! `attache credential`: a person's own connections, over the REST API.

use std::{
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use attache_core::{
    ConnectionName,
    outbound::{Limits, Outbound as _},
};
use attache_net::{address::EgressRules, outbound::ControlClient, tls::Trust};
use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use serde_json::{Value, json};
use url::Url;

use crate::{
    Failure,
    cli::{Credential, Global},
    terminal::Terminal,
};

const LIMITS: Limits = Limits { timeout: Duration::from_secs(30), max_body: 1024 * 1024 };
/// How often, and how long, `connect` looks whether the person is done: as long as a flow lives.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const LOOKS: u32 = 600;

pub(crate) async fn run(
    command: &Credential,
    global: &Global,
    terminal: Terminal,
) -> Result<(), Failure> {
    let gateway = Gateway::new(global)?;
    match command {
        Credential::List => {
            let listed = gateway.credentials().await?;
            terminal.data(&json!({ "credentials": listed }), || table(&listed));
        }
        Credential::Status { server } => {
            let connection = gateway.credential(server).await?;
            terminal.data(&connection, || table(std::slice::from_ref(&connection)));
        }
        Credential::Connect { server } => connect(&gateway, server, terminal).await?,
        Credential::Rm { server } => {
            let path = format!("/api/v1/user/credentials/{server}");
            let receipt = gateway.call(Method::DELETE, &path).await?;
            if terminal.is_machine() {
                terminal.data(&receipt, Vec::new);
            } else {
                let revoked = receipt.get("revoked").and_then(Value::as_bool).unwrap_or_default();
                let told = match (revoked, field(&receipt, "reason")) {
                    (true, _) => " and revoked at the provider",
                    (false, "-" | "revocation_unsupported") => {
                        "; the provider has no way to be told"
                    }
                    (false, _) => "; the provider could not be told: look there, too",
                };
                terminal.message(format_args!("{server} is disconnected{told}"));
            }
        }
    }
    Ok(())
}

async fn connect(
    gateway: &Gateway,
    server: &ConnectionName,
    terminal: Terminal,
) -> Result<(), Failure> {
    let before = gateway.credential_if_any(server).await?;
    if before.is_none() {
        // An account that is new: nothing is listed of it yet, but of its upstream.
        gateway.credential(&server.upstream.clone().into()).await?;
    }
    let before = before.unwrap_or_default();
    let page = gateway.url(&format!("/connect/{server}"))?;
    terminal.message(format_args!("Opening {page}"));
    if !open_browser(&page) {
        terminal.message("There is no browser here: open the address yourself, signed in as you.");
    }
    for _ in 0..LOOKS {
        tokio::time::sleep(LOOK_EVERY).await;
        let now = gateway.credential_if_any(server).await?.unwrap_or_default();
        let fresh = now.get("updated_at") != before.get("updated_at");
        if fresh && field(&now, "status") == "connected" {
            terminal.message(format_args!("{server} is connected"));
            return Ok(());
        }
    }
    Err(Failure::Failed(format!("{server} was not connected within ten minutes: try again")))
}

/// The program gets the address as one argument; no shell reads it (CVE-2025-6514).
pub(super) fn open_browser(page: &Url) -> bool {
    let opener = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let quiet = Command::new(opener)
        .arg(page.as_str())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    quiet.is_ok()
}

fn table(credentials: &[Value]) -> Vec<Vec<String>> {
    let header = ["SERVER", "STATUS", "ACCOUNT", "SCOPES", "EXPIRES", "UPDATED"];
    let row = |one: &Value| {
        let scopes = one.get("scopes").and_then(Value::as_array);
        let scopes: Vec<&str> = scopes.into_iter().flatten().filter_map(Value::as_str).collect();
        vec![
            field(one, "server").to_owned(),
            field(one, "status").to_owned(),
            one.get("account").map_or("-", |account| field(account, "label")).to_owned(),
            scopes.join(" "),
            field(one, "expires_at").to_owned(),
            field(one, "updated_at").to_owned(),
        ]
    };
    std::iter::once(header.map(str::to_owned).to_vec()).chain(credentials.iter().map(row)).collect()
}

pub(super) fn field<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or("-")
}

/// The gateway that is meant.
pub(super) fn gateway_url(global: &Global) -> Result<Url, Failure> {
    let url = global.url.clone().ok_or_else(|| {
        missing("which gateway? Name it with --url or ATTACHE_URL, as in https://gw.example.com")
    })?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(missing("the gateway's URL begins with https:// (or http:// on this machine)"));
    }
    Ok(url)
}

fn missing(what: &str) -> Failure {
    Failure::Usage(what.to_owned())
}

/// Somebody's gateway, and the person's token for it.
pub(super) struct Gateway {
    url: Url,
    token: attache_core::Secret,
    client: ControlClient,
}

impl Gateway {
    pub(super) fn new(global: &Global) -> Result<Self, Failure> {
        let url = gateway_url(global)?;
        let token = global
            .token
            .as_deref()
            .ok_or_else(|| missing("who are you? Put an access token of yours in ATTACHE_TOKEN"))?;
        // Where their own gateway is, is the person's to say.
        let anywhere = ["0.0.0.0/0", "::/0"].map(str::parse).into_iter().flatten();
        let rules = Arc::new(EgressRules { allow_private: anywhere.collect() });
        let client = ControlClient::new(rules, &Trust::load(None).map_err(Failure::failed)?);
        Ok(Self { url, token: attache_core::Secret::new(token), client })
    }

    async fn credentials(&self) -> Result<Vec<Value>, Failure> {
        let answer = self.call(Method::GET, "/api/v1/user/credentials").await?;
        Ok(answer.get("credentials").and_then(Value::as_array).cloned().unwrap_or_default())
    }

    async fn credential(&self, server: &ConnectionName) -> Result<Value, Failure> {
        self.credential_if_any(server).await?.ok_or_else(|| {
            let what = match server.account {
                None => format!("there is no server {server} that you may connect"),
                Some(_) => format!("you have not connected an account {server}"),
            };
            Failure::Failed(format!("{what}: see `attache credential list`"))
        })
    }

    async fn credential_if_any(&self, server: &ConnectionName) -> Result<Option<Value>, Failure> {
        let name = server.to_string();
        let listed = self.credentials().await?;
        Ok(listed.into_iter().find(|one| field(one, "server") == name))
    }

    pub(super) async fn call(&self, method: Method, path: &str) -> Result<Value, Failure> {
        let mut bearer = http::HeaderValue::try_from(format!("Bearer {}", self.token.expose()))
            .map_err(|_| Failure::Usage("the token has characters no token has".to_owned()))?;
        bearer.set_sensitive(true);
        let request = Request::builder()
            .method(method)
            .uri(self.url(path)?.as_str())
            .header(header::AUTHORIZATION, bearer)
            .header(header::ACCEPT, "application/json")
            .body(Bytes::new())
            .map_err(Failure::failed)?;
        let answer = self.client.fetch(request, LIMITS).await.map_err(Failure::failed)?;
        let body: Value = serde_json::from_slice(answer.body()).unwrap_or(Value::Null);
        match answer.status() {
            status if status.is_success() => Ok(body),
            StatusCode::UNAUTHORIZED => Err(Failure::Failed(
                "the gateway does not accept this token: get a new one from your identity provider"
                    .to_owned(),
            )),
            status => {
                let detail = body.get("detail").and_then(Value::as_str);
                Err(Failure::Failed(format!(
                    "the gateway answered {status}: {}",
                    detail.unwrap_or("no more is known")
                )))
            }
        }
    }

    fn url(&self, path: &str) -> Result<Url, Failure> {
        self.url.join(path).map_err(Failure::usage)
    }
}

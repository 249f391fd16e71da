//! `attache credential`: a person's own connections, over the REST API.

use std::time::Duration;

use attache_core::ConnectionName;
use http::Method;
use serde_json::{Value, json};

use super::{
    gateway::{Gateway, field},
    remote::open_browser,
};
use crate::{
    Failure,
    cli::{Credential, Global},
    terminal::Terminal,
};

/// How often, and how long, `connect` looks whether the person is done: as long as a flow lives.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const LOOKS: u32 = 600;

pub(crate) async fn run(
    command: &Credential,
    global: &Global,
    terminal: Terminal,
) -> Result<(), Failure> {
    let gateway = Gateway::of(global)?;
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
    let page = gateway.url(&format!("/connect/{server}"));
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

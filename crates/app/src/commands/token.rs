//! `attache token`: a person's personal access tokens, over the REST API; made in their browser.

use http::Method;
use serde_json::{Value, json};
use url::Url;

use super::{
    gateway::{Gateway, field, gateway_url},
    remote::open_browser,
};
use crate::{
    Failure,
    cli::{Global, NewToken, Token},
    terminal::Terminal,
};

const PATH: &str = "/api/v1/user/tokens";

pub(crate) async fn run(
    command: &Token,
    global: &Global,
    terminal: Terminal,
) -> Result<(), Failure> {
    match command {
        Token::Create(asked) => {
            let page = page(&gateway_url(global)?, asked)?;
            terminal.message(format_args!("Opening {page}"));
            if !open_browser(page.as_str()) {
                terminal.message("There is no browser here: open the address yourself.");
            }
            terminal.message("Make the token there; it is shown once, and only there.");
        }
        Token::List => {
            let listed = Gateway::of(global)?.call(Method::GET, PATH).await?;
            terminal.data(&listed, || table(&listed));
        }
        Token::Revoke { id } => {
            if !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) {
                return Err(Failure::Usage("no token has such an id".to_owned()));
            }
            let path = format!("{PATH}/{id}");
            let revoked = Gateway::of(global)?.call(Method::DELETE, &path).await?;
            if terminal.is_machine() {
                terminal.data(&json!({ "revoked": id, "answer": revoked }), Vec::new);
            } else {
                terminal.message(format_args!("{id} is revoked"));
            }
        }
    }
    Ok(())
}

/// The form, filled in: a person makes tokens, so that one that leaked makes no other.
fn page(gateway: &Url, asked: &NewToken) -> Result<Url, Failure> {
    let mut page = gateway.join("/ui/tokens").map_err(Failure::usage)?;
    let mut query = page.query_pairs_mut();
    query.append_pair("name", &asked.name).append_pair("days", &asked.days.to_string());
    if asked.upstream.is_empty() {
        query.append_pair("reach", "everything");
    }
    for upstream in &asked.upstream {
        query.append_pair("server", upstream.as_str());
    }
    query.append_pair("access", if asked.read_only { "look" } else { "act" });
    drop(query);
    page.set_fragment(Some("new"));
    Ok(page)
}

fn table(listed: &Value) -> Vec<Vec<String>> {
    let header = ["ID", "NAME", "SERVERS", "ACCESS", "EXPIRES", "USED"].map(str::to_owned);
    let row = |one: &Value| {
        let servers = one
            .get("servers")
            .and_then(Value::as_array)
            .map(|names| names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "));
        let reads = one.get("read_only").and_then(Value::as_bool).unwrap_or_default();
        vec![
            field(one, "id").to_owned(),
            field(one, "name").to_owned(),
            servers.unwrap_or_else(|| "everything".to_owned()),
            if reads { "look" } else { "act" }.to_owned(),
            field(one, "expires_at").to_owned(),
            field(one, "last_used_at").to_owned(),
        ]
    };
    let tokens = listed.get("tokens").and_then(Value::as_array).into_iter().flatten();
    std::iter::once(header.to_vec()).chain(tokens.map(row)).collect()
}

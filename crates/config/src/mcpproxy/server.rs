//! One of mcpproxy's servers as an `[[upstream]]`.

use attache_core::UpstreamName;
use serde_json::Value;
use toml::{Table, Value as Toml};
use url::Url;

use super::{
    Fields,
    draft::{Draft, env_reference, variable},
};

/// A header with one of these in its name may be a credential; its value is not copied.
const SUSPECT: &[&str] =
    &["auth", "cookie", "cred", "key", "pass", "secret", "session", "sig", "token"];

/// Longest name that leaves room for a number.
const LONGEST_NAME: usize = 60;

pub(super) struct Server<'a> {
    name: String,
    fields: Fields<'a>,
}

/// mcpproxy writes a list of objects with names, everybody else a table by name.
pub(super) fn servers(source: &Value) -> Option<Vec<Server<'_>>> {
    match source {
        Value::Array(list) => Some(list.iter().map(|server| server_of(None, server)).collect()),
        Value::Object(table) => Some(
            table.iter().map(|(name, server)| server_of(Some(name.as_str()), server)).collect(),
        ),
        _ => None,
    }
}

fn server_of<'a>(name: Option<&'a str>, source: &'a Value) -> Server<'a> {
    let mut fields = Fields::of(source).unwrap_or_default();
    let name = name.or_else(|| fields.take_text("name")).unwrap_or("unnamed").to_owned();
    Server { name, fields }
}

/// Its broker needs a token of the person's identity provider.
pub(super) fn exchanges(server: &Server<'_>) -> bool {
    let modes = ["token_exchange", "entra_obo"];
    server.fields.0.iter().any(|(name, value)| {
        *name == "auth_broker"
            && value.get("mode").and_then(Value::as_str).is_some_and(|mode| modes.contains(&mode))
    })
}

pub(super) fn write_all(servers: Vec<Server<'_>>, draft: &mut Draft) {
    let mut taken: Vec<String> = Vec::new();
    for server in servers {
        let name = path_segment(&server.name, &taken);
        taken.push(name.clone());
        draft.gap();
        write(server, &name, draft);
        draft.suggest(false);
    }
}

fn write(server: Server<'_>, name: &str, draft: &mut Draft) {
    let Server { name: given, mut fields } = server;
    let protocol = fields.take_text("protocol").or_else(|| fields.take_text("type"));
    let url = fields.take_text("url");
    let command = fields.take("command").is_some();
    let Some(url) = url.filter(|_| protocol != Some("stdio")) else {
        let what = if command { "runs a local process" } else { "has no url" };
        draft.comment(&format!(
            "Not carried over: {given:?} {what}. Serve it over HTTP (streamable-http) and add it \
             as an [[upstream]]."
        ));
        return;
    };
    if command {
        draft.comment(&format!("mcpproxy started {given:?} itself; here it must be running."));
    }
    if given != name {
        draft.comment(&format!("Was {given:?}; a name here is a path segment."));
    }
    let url = without_secrets(url, draft);
    suspend(&mut fields, draft);

    draft.section("[[upstream]]");
    draft.entry("name", name);
    draft.entry("url", url);
    draft.entry("protocol", if protocol == Some("sse") { "sse" } else { "streamable-http" });
    let broker = fields.take_fields("auth_broker");
    let oauth = fields.take_fields("oauth");
    headers(name, fields.take_fields("headers"), broker.is_some() || oauth.is_some(), draft);
    for moment in ["created", "updated"] {
        fields.take(moment);
    }
    fields.report_rest("settings of this server", draft);
    match (broker, oauth) {
        (Some(broker), oauth) => {
            if oauth.is_some() {
                draft.comment("Not carried over: its oauth block. auth_broker takes its place.");
            }
            auth_broker(name, broker, draft);
        }
        (None, Some(oauth)) => shared_oauth(name, oauth, draft),
        (None, None) => {}
    }
}

/// A URL is no place for a secret: it is in logs.
fn without_secrets(url: &str, draft: &mut Draft) -> String {
    let Ok(mut parsed) = Url::parse(url) else { return url.to_owned() };
    let suspect = |name: &str| SUSPECT.iter().any(|word| name.to_ascii_lowercase().contains(word));
    let in_query = parsed.query_pairs().any(|(name, _)| suspect(&name));
    let has_user = !parsed.username().is_empty() || parsed.password().is_some();
    if !in_query && !has_user {
        return url.to_owned();
    }
    draft.comment(
        "CHANGE: the URL held a credential (a user or a query), which was left out. Let each \
         person bring their own: auth_broker with mode = \"api_key\".",
    );
    if has_user {
        let removed = parsed.set_username("").and_then(|()| parsed.set_password(None));
        if removed.is_err() {
            return String::new();
        }
    }
    if in_query {
        parsed.set_query(None);
    }
    parsed.into()
}

/// What was switched off stays off: as comments.
fn suspend(fields: &mut Fields<'_>, draft: &mut Draft) {
    let disabled = fields.take_flag("enabled") == Some(false);
    let quarantined = fields.take_flag("quarantined") == Some(true);
    if disabled || quarantined {
        let why = if disabled { "disabled" } else { "quarantined" };
        draft.comment(&format!("Was {why}: remove the # to have it."));
        draft.suggest(true);
    }
}

fn headers(name: &str, source: Option<Fields<'_>>, brokered: bool, draft: &mut Draft) {
    let mut headers = Table::new();
    for (header, value) in source.unwrap_or_default().0 {
        let text = value.as_str().unwrap_or_default();
        let lower = header.to_ascii_lowercase();
        let suspect = SUSPECT.iter().any(|word| lower.contains(word));
        if suspect && brokered {
            draft.comment(&format!(
                "Left out: the static header {header:?}. Each caller's own credential takes its place."
            ));
        } else if let Some(variable) = env_reference(text) {
            headers.insert(header.to_owned(), Draft::reference(variable));
        } else if suspect || text.contains("${") {
            let variable = variable(&[name, header]);
            draft.comment(&format!(
                "The value of header {header:?} was not copied: set {variable} to it."
            ));
            headers.insert(header.to_owned(), Draft::reference(&variable));
        } else {
            headers.insert(header.to_owned(), Toml::from(text));
        }
    }
    if !headers.is_empty() {
        draft.entry("headers", headers);
    }
}

fn auth_broker(name: &str, mut broker: Fields<'_>, draft: &mut Draft) {
    draft.section("[upstream.auth_broker]");
    let mut is_static = false;
    for key in ["mode", "authorization_endpoint", "token_endpoint", "client_id"] {
        if let Some(text) = broker.take_text(key) {
            is_static |= key == "token_endpoint";
            draft.entry(key, text);
        }
    }
    if client_secret(name, &mut broker, draft) && !is_static {
        issuer_of_the_secret(draft);
    }
    scopes(&mut broker, draft);
    for key in ["resource", "header", "header_format"] {
        if let Some(text) = broker.take_text(key) {
            draft.entry(key, text);
        }
    }
    broker.report_rest("settings of its auth_broker", draft);
}

/// mcpproxy signs in once for everybody; here each person connects.
fn shared_oauth(name: &str, mut oauth: Fields<'_>, draft: &mut Draft) {
    draft.comment("Was one OAuth sign-in shared by all. Here each person connects their own.");
    draft.section("[upstream.auth_broker]");
    draft.entry("mode", "oauth_connect");
    if let Some(client_id) = oauth.take_text("client_id") {
        draft.entry("client_id", client_id);
    }
    if client_secret(name, &mut oauth, draft) {
        issuer_of_the_secret(draft);
    }
    scopes(&mut oauth, draft);
    for ours in ["redirect_uri", "pkce_enabled"] {
        oauth.take(ours);
    }
    if let Some(mut parameters) = oauth.take_fields("extra_params") {
        if let Some(resource) = parameters.take_text("resource") {
            draft.entry("resource", resource);
        }
        parameters.report_rest("extra OAuth parameters", draft);
    }
    oauth.report_rest("settings of its oauth", draft);
}

/// mcpproxy shows it to whatever server it finds.
fn issuer_of_the_secret(draft: &mut Draft) {
    draft.comment("CHANGE: the authorization server that gave the secret. No other is shown it.");
    draft.entry("issuer", "https://issuer.example.com");
}

/// Whether there is one.
fn client_secret(name: &str, fields: &mut Fields<'_>, draft: &mut Draft) -> bool {
    let Some(secret) = fields.take_text("client_secret") else { return false };
    if let Some(variable) = env_reference(secret) {
        draft.entry("client_secret", Draft::reference(variable));
        return true;
    }
    let variable = variable(&[name, "CLIENT_SECRET"]);
    draft.comment(&format!("The secret was not copied: set {variable} to it."));
    draft.entry("client_secret", Draft::reference(&variable));
    true
}

fn scopes(fields: &mut Fields<'_>, draft: &mut Draft) {
    let scopes = fields.take_texts("scopes");
    if !scopes.is_empty() {
        draft.entry("scopes", scopes);
    }
}

/// The nearest name that is one here, with a number when it is taken.
fn path_segment(given: &str, taken: &[String]) -> String {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || c == '_' { c.to_ascii_lowercase() } else { '-' }
    };
    let slug: String = given.chars().map(plain).take(LONGEST_NAME).collect();
    let slug = slug.trim_start_matches(['-', '_']);
    let slug = if UpstreamName::parse(slug).is_ok() { slug } else { "upstream" };
    let numbered = (2..).map(|number| format!("{slug}-{number}"));
    std::iter::once(slug.to_owned())
        .chain(numbered)
        .find(|name| !taken.contains(name))
        .unwrap_or_default()
}

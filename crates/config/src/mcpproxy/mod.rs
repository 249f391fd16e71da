//! `attache import`: mcpproxy's `mcp_config.json` as an `attache.toml`.
//!
//! Nothing is lost in silence: what has no place here becomes a comment. Secrets are not copied:
//! the new file is likely to be shown to others, so they become references to environment
//! variables, each with a comment that says where the value is.

mod draft;
mod identity;
mod server;

use std::net::SocketAddr;

use serde_json::Value;

use self::draft::Draft;

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    #[error("this is not JSON: line {line}, column {column}")]
    NotJson { line: usize, column: usize },
    #[error("there is no mcpServers in this file, neither a list nor a table")]
    NoServers,
}

/// The text of an `attache.toml` that does what `json` says, as far as it can.
///
/// # Errors
/// [`ImportError`] when `json` is not a `mcp_config.json`.
pub fn import(json: &str) -> Result<String, ImportError> {
    let source: Value = serde_json::from_str(json)
        .map_err(|error| ImportError::NotJson { line: error.line(), column: error.column() })?;
    let mut source = Fields::of(&source).ok_or(ImportError::NoServers)?;
    let servers =
        source.take("mcpServers").and_then(server::servers).ok_or(ImportError::NoServers)?;

    let mut draft = Draft::default();
    draft.comment("Made by `attache import`. Look at every comment, then run `attache check`.");
    addresses(&mut source, &mut draft);
    draft.comment(
        "Credentials are sealed with the key in the environment variable ATTACHE_KEY or \
         MCPPROXY_CRED_KEY; `attache keys generate` makes one.",
    );
    let edition = source.take_fields("server_edition").or_else(|| source.take_fields("teams"));
    let exchanges = servers.iter().any(server::exchanges);
    identity::identity(edition, exchanges, &mut draft);
    source.report_rest("settings", &mut draft);
    server::write_all(servers, &mut draft);
    Ok(draft.finish())
}

/// mcpproxy has no public URL: it believed the `Host` header.
fn addresses(source: &mut Fields<'_>, draft: &mut Draft) {
    let listen = source.take_text("listen").unwrap_or_default();
    // Go's ":8080" is every address.
    let spelled = if listen.starts_with(':') { format!("0.0.0.0{listen}") } else { listen.into() };
    let listen: Option<SocketAddr> = spelled.parse().ok();
    match listen {
        Some(listen) if listen.ip().is_loopback() => {
            draft.comment("Once others reach it: the https URL they use.");
            draft.entry("public_url", format!("http://{listen}"));
        }
        _ => {
            draft.comment("CHANGE: the https URL people reach the gateway at.");
            draft.entry("public_url", "https://gateway.example.com");
        }
    }
    if let Some(listen) = listen {
        draft.entry("listen", listen.to_string());
    }
}

/// The fields of an object that nobody has taken yet.
#[derive(Default)]
struct Fields<'a>(Vec<(&'a str, &'a Value)>);

impl<'a> Fields<'a> {
    fn of(value: &'a Value) -> Option<Self> {
        let fields = value.as_object()?.iter();
        Some(Self(fields.map(|(name, value)| (name.as_str(), value)).collect()))
    }

    /// Takes a field that `read` can read; any other stays, to be reported. `null` is absent.
    fn take_as<T>(&mut self, name: &str, read: impl FnOnce(&'a Value) -> Option<T>) -> Option<T> {
        let position = self.0.iter().position(|(given, _)| *given == name)?;
        let (_, value) = self.0.get(position)?;
        let taken = read(value);
        if taken.is_some() || value.is_null() {
            self.0.remove(position);
        }
        taken
    }

    fn take(&mut self, name: &str) -> Option<&'a Value> {
        self.take_as(name, |value| Some(value).filter(|value| !value.is_null()))
    }

    fn take_fields(&mut self, name: &str) -> Option<Self> {
        self.take_as(name, Self::of)
    }

    fn take_flag(&mut self, name: &str) -> Option<bool> {
        self.take_as(name, Value::as_bool)
    }

    fn take_text(&mut self, name: &str) -> Option<&'a str> {
        self.take_as(name, Value::as_str).filter(|text| !text.is_empty())
    }

    /// A list of texts; empty when there is none.
    fn take_texts(&mut self, name: &str) -> Vec<String> {
        let text = |item: &Value| item.as_str().map(str::to_owned);
        let texts = |list: &Vec<Value>| list.iter().map(text).collect::<Option<_>>();
        self.take_as(name, |value| value.as_array().and_then(texts)).unwrap_or_default()
    }

    /// By name only: the values may be secrets.
    fn report_rest(self, what: &str, draft: &mut Draft) {
        if !self.0.is_empty() {
            let names: Vec<String> = self.0.iter().map(|(name, _)| format!("{name:?}")).collect();
            draft.comment(&format!("Not carried over, these {what}: {}.", names.join(", ")));
        }
    }
}

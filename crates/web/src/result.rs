//! How a connect or disconnect ended, on its way to the page through the address bar.

use std::fmt;

use attache_core::{ConnectionName, audit::Reason};
use url::form_urlencoded;

/// Written as the path and query of the page that shows it; no part needs escaping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectResult {
    pub server: ConnectionName,
    pub ending: Ending,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Connected,
    /// Another account was approved, and the connected one stays.
    Kept,
    Failed(Reason),
    /// Deleted here; why the provider does not know of it, if so.
    Disconnected(Option<Reason>),
}

impl ConnectResult {
    /// Anybody can write a link, so only our own words are read, and the page holds them against
    /// what is really connected.
    pub fn parse(query: &str) -> Option<Self> {
        let value = |name: &str| {
            form_urlencoded::parse(query.as_bytes())
                .find(|(key, _)| key == name)
                .map(|(_, value)| value)
        };
        let server = value("credential_server")?.parse().ok()?;
        let reason = value("credential_error").and_then(|word| Reason::parse(&word));
        let ending = if value("credential_disconnected").is_some() {
            Ending::Disconnected(reason)
        } else if let Some(reason) = reason {
            Ending::Failed(reason)
        } else if value("credential_kept").is_some() {
            Ending::Kept
        } else {
            value("credential_connected").map(|_| Ending::Connected)?
        };
        Some(Self { server, ending })
    }
}

impl fmt::Display for ConnectResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/ui/connections?credential_server={}", self.server)?;
        let mut error = |reason: Reason| write!(f, "&credential_error={}", reason.as_str());
        match self.ending {
            Ending::Connected => f.write_str("&credential_connected=1"),
            Ending::Kept => f.write_str("&credential_kept=1"),
            Ending::Failed(reason) => error(reason),
            Ending::Disconnected(reason) => {
                reason.map_or(Ok(()), &mut error)?;
                f.write_str("&credential_disconnected=1")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survives_the_address_bar() {
        for (server, ending) in [
            ("github@work", Ending::Connected),
            ("github", Ending::Connected),
            ("github", Ending::Kept),
            ("github", Ending::Failed(Reason::AccessDenied)),
            ("github", Ending::Disconnected(None)),
            ("github", Ending::Disconnected(Some(Reason::RevocationUnsupported))),
        ] {
            let result = ConnectResult { server: server.parse().unwrap(), ending };
            let path = result.to_string();
            let (_, query) = path.split_once('?').unwrap();
            assert_eq!(ConnectResult::parse(query), Some(result), "{path}");
        }
    }

    #[test]
    fn a_written_link_says_nothing_of_its_own() {
        for query in [
            "",
            "credential_server=github",
            "credential_server=GitHub&credential_connected=1",
            "credential_server=github&credential_error=your+account+is+locked",
        ] {
            assert_eq!(ConnectResult::parse(query), None, "{query}");
        }
    }
}

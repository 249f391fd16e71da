//! Whether a server has the scopes that it will be asked for.

use super::report::{Check, Finding};

/// Where they come from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wanted<'a> {
    /// From this key of the configuration.
    Written(&'static str, &'a [String]),
    /// From another server, whose words are not repeated.
    Published(&'a [String]),
}

pub(super) fn examine(wanted: Wanted<'_>, supported: &[String]) -> Finding {
    if supported.is_empty() {
        return Finding::not_looked_at(Check::Scopes, "it does not say which scopes it has");
    }
    let (Wanted::Written(_, scopes) | Wanted::Published(scopes)) = wanted;
    let unknown: Vec<&str> =
        scopes.iter().filter(|scope| !supported.contains(scope)).map(String::as_str).collect();
    match wanted {
        _ if unknown.is_empty() => {
            Finding::ok(Check::Scopes, "it has every scope that is asked for")
        }
        Wanted::Written(key, _) => {
            Finding::warning(Check::Scopes, format!("it does not list {}", unknown.join(", ")))
                .write(key, "correct them; a server need not list all it has")
        }
        Wanted::Published(_) => {
            let found = "it does not list every scope that the upstream asks for";
            Finding::warning(Check::Scopes, found)
                .write("upstream.auth_broker.scopes", "write those that it has")
        }
    }
}

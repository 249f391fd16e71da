//! `[store]`

mod postgres;

use std::{num::NonZeroU32, path::Path};

use crate::{diagnose::Place, model::StoreUrl, rules::secret, schema::Store, secrets::Secrets};

/// A relative path begins where the configuration file is.
pub(super) fn store(section: &Store, secrets: &Secrets<'_>, place: &Place<'_>) -> Option<StoreUrl> {
    let max_connections = NonZeroU32::new(section.max_connections);
    if max_connections.is_none() {
        place.key("max_connections").error(
            "without a connection nothing can be stored",
            "write 1 or more; the default is 10",
        );
    }
    let place = place.key("url");
    let url = secret(&section.url, secrets, &place)?;
    let text = url.expose();
    if text.starts_with("postgres://") || text.starts_with("postgresql://") {
        let url = postgres::url(text, secrets, &place)?;
        return Some(StoreUrl::Postgres { url, max_connections: max_connections? });
    }
    let path = text.strip_prefix("sqlite:").map(|rest| rest.strip_prefix("//").unwrap_or(rest));
    match path {
        Some(path) if !path.is_empty() && !path.starts_with(':') => {
            Some(StoreUrl::Sqlite(secrets.base.join(Path::new(path))))
        }
        _ => {
            place.error(
                "this is not a store",
                "write \"sqlite:attache.db\" or \"postgres://user@host/db\"",
            );
            None
        }
    }
}

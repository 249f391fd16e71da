//! `[store]`

use std::path::Path;

use crate::{
    diagnose::Place, model::StoreUrl, rules::secret, schema::SecretSource, secrets::Secrets,
};

/// A relative path begins where the configuration file is.
pub(super) fn url(
    source: &SecretSource,
    secrets: &Secrets<'_>,
    place: &Place<'_>,
) -> Option<StoreUrl> {
    let url = secret(source, secrets, place)?;
    let text = url.expose();
    if text.starts_with("postgres://") || text.starts_with("postgresql://") {
        return Some(StoreUrl::Postgres(url));
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

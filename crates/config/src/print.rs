//! The configuration in effect, for `attache check --print`.

use serde::{Serialize, Serializer, ser::Error as _};
use url::Url;

use crate::schema::{File, SecretSource};

/// Every key with the value in effect, secrets masked.
#[derive(Clone, Debug)]
pub struct Effective(File);

impl Effective {
    pub(crate) fn new(file: File) -> Self {
        Self(file)
    }

    /// As TOML. References to secrets are shown, secrets are not.
    ///
    /// # Errors
    /// Only for a value that TOML cannot hold; this shape has none.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        toml::to_string(&self.0)
    }
}

/// References to secrets are shown, secrets are not; an absent key is absent, not null.
impl Serialize for Effective {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        toml::Table::try_from(&self.0).map_err(S::Error::custom)?.serialize(serializer)
    }
}

/// A store's URL says which store it is, so it is shown; its password and options are not.
pub(crate) fn store_url<S: Serializer>(
    source: &SecretSource,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let SecretSource::Text(url) = source else { return source.serialize(serializer) };
    if url.expose().starts_with("sqlite:") {
        return serializer.serialize_str(url.expose());
    }
    let shown = Url::parse(url.expose()).ok().and_then(|mut url| {
        if url.password().is_some() {
            url.set_password(Some("***")).ok()?;
        }
        url.set_query(None);
        Some(url)
    });
    match shown {
        Some(url) => serializer.serialize_str(url.as_str()),
        None => source.serialize(serializer),
    }
}

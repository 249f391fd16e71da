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

/// A query may hold a secret: its names are shown, its values are not.
#[expect(clippy::ref_option, reason = "serde hands over the field as it is")]
pub(crate) fn url<S: Serializer>(text: &Option<String>, serializer: S) -> Result<S::Ok, S::Error> {
    let parsed = text.as_deref().and_then(|text| Url::parse(text).ok());
    match parsed.filter(|url| url.query().is_some()) {
        Some(url) => serializer.serialize_some(without_values(url).as_str()),
        None => text.serialize(serializer),
    }
}

fn without_values(mut url: Url) -> Url {
    let names: Vec<String> = url
        .query_pairs()
        // `?secret` is a name that has no value.
        .map(|(name, value)| if value.is_empty() { "***".into() } else { name.into_owned() })
        .collect();
    url.query_pairs_mut().clear().extend_pairs(names.iter().map(|name| (name, "***")));
    url
}

//! A query or a form, each name at most once (RFC 6749 section 3.1).

use url::form_urlencoded;

/// Parameters of one request.
const MAX_PARAMS: usize = 50;

#[derive(Debug, Default)]
pub(crate) struct Params(Vec<(String, String)>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MalformedParams;

impl Params {
    /// Refuses a name that occurs twice, and more than 50 of them.
    pub(crate) fn parse(encoded: &[u8]) -> Result<Self, MalformedParams> {
        let mut known: Vec<(String, String)> = Vec::new();
        for (name, value) in form_urlencoded::parse(encoded) {
            if known.len() >= MAX_PARAMS || known.iter().any(|(other, _)| *other == name) {
                return Err(MalformedParams);
            }
            known.push((name.into_owned(), value.into_owned()));
        }
        Ok(Self(known))
    }

    pub(crate) fn names(&self) -> Vec<&str> {
        self.0.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// A parameter without a value counts as left out.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(known, _)| known == name)?;
        (!value.is_empty()).then_some(value)
    }
}

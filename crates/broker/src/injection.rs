//! A credential rendered to the bytes of one header.

use attache_core::{Credential, Secret, Timestamp, store::Version};
use http::{HeaderName, HeaderValue};

/// Which header carries the token, and what stands around it: `Authorization`, `Bearer {token}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderForm {
    pub name: HeaderName,
    pub prefix: String,
    pub suffix: String,
}

impl HeaderForm {
    /// `None` when the token has bytes that no header may carry. They were refused when the token
    /// arrived (OC-22); this is the second lock on that door.
    fn render(&self, token: &Secret) -> Option<HeaderValue> {
        let text = format!("{}{}{}", self.prefix, token.expose(), self.suffix);
        let mut value = HeaderValue::try_from(text).ok()?;
        value.set_sensitive(true); // kept out of HPACK tables and of `Debug`
        Some(value)
    }
}

/// What the data plane writes on a request, and how long it may.
#[derive(Debug)]
pub struct Injection {
    pub name: HeaderName,
    /// Marked sensitive.
    pub value: HeaderValue,
    /// The stored version this came from: what an upstream's 401 is reported against.
    pub version: Version,
    /// From here on it is renewed in the background while it still serves.
    pub refresh_at: Option<Timestamp>,
    pub expires_at: Option<Timestamp>,
}

impl Injection {
    pub(crate) fn new(
        form: &HeaderForm,
        credential: &Credential,
        version: Version,
        refresh_at: Option<Timestamp>,
    ) -> Option<Self> {
        let token = credential.access_token.as_ref()?;
        Some(Self {
            name: form.name.clone(),
            value: form.render(token)?,
            version,
            refresh_at,
            expires_at: credential.expires_at,
        })
    }

    pub fn is_live(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|end| now < end)
    }

    pub fn wants_refresh(&self, now: Timestamp) -> bool {
        self.refresh_at.is_some_and(|at| now >= at)
    }
}

//! Who is calling.

use crate::{IssuerId, Timestamp, UserId};

/// A person whose identity was proved for this request.
///
/// They are known by `(issuer, subject)` and, behind it, by our own [`UserId`]. E-mail and name
/// are for showing; nothing is looked up by them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    pub user: UserId,
    pub issuer: IssuerId,
    pub subject: String,
    /// Only when the issuer says it verified it.
    pub email: Option<String>,
    pub name: Option<String>,
    pub groups: Vec<String>,
    pub authenticated_by: AuthenticatedBy,
    /// After this the proof is worth nothing.
    pub expires_at: Timestamp,
}

impl Principal {
    /// What a page calls this person.
    pub fn label(&self) -> &str {
        self.name.as_deref().or(self.email.as_deref()).unwrap_or(&self.subject)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthenticatedBy {
    /// A browser session, by the digest of its cookie: connect flows are bound to it.
    Session(SessionDigest),
    /// A bearer access token of a configured issuer.
    AccessToken,
}

/// SHA-256 of a session cookie's value: what the store keys sessions by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionDigest(pub [u8; 32]);

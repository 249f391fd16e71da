//! Who is calling.

use std::{fmt, str::FromStr, sync::Arc};

use crate::{GrantId, IssuerId, Reach, Secret, Timestamp, TokenId, UserId};

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
    /// What the proof opens, of what the person may use.
    pub reach: Reach,
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
    /// A bearer access token of a configured issuer, or what a proxy in front signed; with the token itself only where it may be
    /// exchanged for one of an upstream's.
    AccessToken(Option<Arc<Presented>>),
    /// An access token that this gateway gave to a client they let in: good while the grant is.
    Client(GrantId),
    /// A token that they made for a program of theirs.
    PersonalToken(TokenId),
}

/// An access token that a caller brought, of its issuer for this gateway. It is shown to nobody but
/// that issuer (TX-4).
#[derive(Clone, Debug)]
pub struct Presented {
    pub issuer: IssuerId,
    /// Its `tid`: the directory that gave it, of an issuer that has such.
    pub tenant: Option<String>,
    pub token: Secret,
    /// SHA-256 of it.
    pub digest: [u8; 32],
}

impl PartialEq for Presented {
    fn eq(&self, other: &Self) -> bool {
        (&self.issuer, self.digest) == (&other.issuer, other.digest)
    }
}

impl Eq for Presented {}

/// SHA-256 of a session cookie's value: what the store keys sessions by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionDigest(pub [u8; 32]);

/// 64 hexadecimal digits.
impl fmt::Display for SessionDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for SessionDigest {
    type Err = InvalidSessionDigest;

    fn from_str(text: &str) -> Result<Self, InvalidSessionDigest> {
        let mut digest = [0; 32];
        let pairs = text.as_bytes().chunks_exact(2);
        let is_whole = text.len() == 2 * digest.len();
        for (byte, pair) in digest.iter_mut().zip(pairs) {
            let pair = str::from_utf8(pair).map_err(|_| InvalidSessionDigest)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| InvalidSessionDigest)?;
        }
        let digest = Self(digest);
        if is_whole && digest.to_string() == text { Ok(digest) } else { Err(InvalidSessionDigest) }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not 64 hexadecimal digits")]
pub struct InvalidSessionDigest;

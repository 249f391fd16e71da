//! What is kept for a person, and what it is for.

use std::{fmt, str::FromStr, time::Duration};

use url::Url;

use crate::{
    Account, ConnectionName, IssuerId, Secret, Timestamp, UserId, principal::SessionDigest,
};

/// What a stored secret is *for*.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Slot {
    /// The person's credential for one of their accounts at an upstream.
    Upstream(ConnectionName),
    /// A credential for another account than the connected one, until the person decides which to
    /// keep, in the browser that brought it.
    Undecided(ConnectionName, SessionDigest),
    /// The person's token from their identity provider, kept to be exchanged.
    SubjectToken(IssuerId),
}

/// `upstream:NAME`, `undecided:NAME:SESSION` or `subject:ISSUER`; the first colon is the delimiter,
/// and no kind and no name contains one.
impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Upstream(name) => write!(f, "upstream:{name}"),
            Self::Undecided(name, session) => write!(f, "undecided:{name}:{session}"),
            Self::SubjectToken(issuer) => write!(f, "subject:{issuer}"),
        }
    }
}

impl FromStr for Slot {
    type Err = InvalidSlot;

    fn from_str(text: &str) -> Result<Self, InvalidSlot> {
        match text.split_once(':') {
            Some(("upstream", name)) => name.parse().map(Self::Upstream).map_err(|_| InvalidSlot),
            Some(("undecided", rest)) => {
                let (name, session) = rest.split_once(':').ok_or(InvalidSlot)?;
                let name = name.parse().map_err(|_| InvalidSlot)?;
                Ok(Self::Undecided(name, session.parse().map_err(|_| InvalidSlot)?))
            }
            Some(("subject", issuer)) => Ok(Self::SubjectToken(IssuerId::new(issuer))),
            _ => Err(InvalidSlot),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a slot this version knows")]
pub struct InvalidSlot;

/// One person, one purpose: the key of every stored credential. There is no shared one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CredentialKey {
    pub user: UserId,
    pub slot: Slot,
}

impl CredentialKey {
    pub fn upstream(user: UserId, connection: impl Into<ConnectionName>) -> Self {
        Self { user, slot: Slot::Upstream(connection.into()) }
    }

    /// `None`: what does not serve requests.
    pub fn connection(&self) -> Option<&ConnectionName> {
        match &self.slot {
            Slot::Upstream(connection) => Some(connection),
            Slot::Undecided(..) | Slot::SubjectToken(_) => None,
        }
    }
}

/// A credential in the clear. Lives only in `broker` and the crates below it; `Debug` redacts the
/// tokens.
#[derive(Clone, Debug)]
pub struct Credential {
    /// Absent once the provider said the grant is over: what stays is who was connected and how.
    pub access_token: Option<Secret>,
    pub refresh_token: Option<Secret>,
    /// As the provider wrote it, usually `Bearer`.
    pub token_type: String,
    pub scopes: Vec<String>,
    /// The `resource` (RFC 8707) the tokens were asked for.
    pub audience: Option<String>,
    /// Whose tokens these are: never sent to another issuer (SEP-2352).
    pub issuer: Option<IssuerId>,
    pub obtained_at: Timestamp,
    /// `None` when the provider gave no lifetime: then the upstream's 401 is the truth.
    pub expires_at: Option<Timestamp>,
    /// From its issue to its end, when the provider says how long the refresh token lives.
    pub refresh_validity: Option<Validity>,
    /// Whose it is at the provider, as far as the provider says.
    pub account: Option<Account>,
    /// Where this person's requests go, when the provider said so as they connected.
    pub base_url: Option<Url>,
    /// Of the upstream's URL when it was obtained: to another origin it is never sent (OC-7).
    /// `None` is no origin, and so sent nowhere.
    pub origin: Option<String>,
    /// Of a sign-in that is kept: who the identity provider says that they are.
    pub id_token: Option<Secret>,
    /// For how long its person wanted it to last, when that is not until they disconnect.
    pub term: Option<Validity>,
}

impl Credential {
    /// Whether the time is up that its person gave it: whatever its tokens say.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.term.is_some_and(|term| now >= term.until)
    }
}

/// For how long something was promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    pub from: Timestamp,
    pub until: Timestamp,
}

impl Validity {
    pub fn of(from: Timestamp, life: Duration) -> Self {
        Self { from, until: from.plus(life) }
    }
}

/// How a credential came to us. The words are part of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObtainedVia {
    ConnectFlow,
    TokenExchange,
    EntraObo,
    IdJag,
    ApiKey,
}

impl ObtainedVia {
    const ALL: [Self; 5] =
        [Self::ConnectFlow, Self::TokenExchange, Self::EntraObo, Self::IdJag, Self::ApiKey];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::ConnectFlow => "connect_flow",
            Self::TokenExchange => "token_exchange",
            Self::EntraObo => "entra_obo",
            Self::IdJag => "id_jag",
            Self::ApiKey => "api_key",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|via| via.as_str() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_survives_the_database() {
        let waiting = format!("undecided:github@work:{}", "ab".repeat(32));
        let slots = [
            (Slot::Upstream("github".parse().unwrap()), "upstream:github"),
            (Slot::Upstream("github@work".parse().unwrap()), "upstream:github@work"),
            (Slot::Undecided("github@work".parse().unwrap(), SessionDigest([0xab; 32])), &waiting),
            (
                Slot::SubjectToken(IssuerId::new("https://idp.example.com/a:b")),
                "subject:https://idp.example.com/a:b",
            ),
        ];
        for (slot, text) in slots {
            assert_eq!(slot.to_string(), text);
            assert_eq!(text.parse(), Ok(slot));
        }
        let upper = format!("undecided:github:{}", "AB".repeat(32));
        let signed = format!("undecided:github:{}", "+b".repeat(32));
        let long = format!("undecided:github:{}", "ab".repeat(33));
        for bad in [
            "",
            "upstream",
            "upstream:",
            "upstream:A/B",
            "upstream:github@",
            "other:x",
            "undecided:github",
            "undecided:github:ab",
            &upper,
            &signed,
            &long,
        ] {
            assert_eq!(bad.parse::<Slot>(), Err(InvalidSlot), "{bad}");
        }
    }
}

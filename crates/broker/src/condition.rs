//! How a connection is, by who has to do something about it.

use crate::broker::ObtainError;

/// The failure classes of OC-26 as whoever is connected meets them. The words are part of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Nobody has to do anything.
    Connected,
    /// It will end at an hour that is known, unless the person connects again before.
    Expiring,
    /// The person connects again.
    NeedsReconnect,
    /// Nobody's move: what would renew it, or open it, does not answer just now. A token that is
    /// still good serves on.
    ProviderUnavailable,
    /// The operator's move.
    Misconfigured,
}

impl Condition {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::Expiring => "expiring",
            Self::NeedsReconnect => "needs_reconnect",
            Self::ProviderUnavailable => "provider_unavailable",
            Self::Misconfigured => "misconfigured",
        }
    }
}

impl From<ObtainError> for Condition {
    fn from(error: ObtainError) -> Self {
        match error {
            ObtainError::NotConnected { .. } => Self::NeedsReconnect,
            ObtainError::Unavailable { .. } => Self::ProviderUnavailable,
            ObtainError::Operator { .. } => Self::Misconfigured,
        }
    }
}

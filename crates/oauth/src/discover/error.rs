//! Why there is no metadata, and whose move that is.

use attache_core::{audit::Reason, outbound::FetchError};

/// No variant can hold text of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DiscoveryError {
    /// The operator's move: an issuer is an http(s) URL without query, fragment or password
    /// (RFC 8414 section 2).
    #[error("the issuer is not an http(s) URL without query, fragment and credentials")]
    InvalidIssuer,
    /// The operator's move.
    #[error("there is no metadata document where it should be")]
    NotFound,
    /// The document speaks for somebody else: none of it may be used (OC-4).
    #[error("the metadata document names another issuer, or none")]
    WrongIssuer,
    /// The document speaks for another server: none of it may be used (OC-2).
    #[error("the metadata document is about another resource, or none")]
    WrongResource,
    /// The operator's move: the upstream trusts others than the issuer we are known at (OC-6).
    #[error("the upstream does not name the issuer that is set up")]
    IssuerChanged,
    /// The operator's move: they may know better (OC-5).
    #[error("the authorization server does not say that it checks PKCE with S256")]
    NoPkce,
    /// The text says what is wrong, in our words.
    #[error("the metadata document has {0}")]
    Malformed(&'static str),
    /// Nobody's move: later.
    #[error("the metadata document cannot be fetched right now")]
    Unavailable,
    /// The operator's move.
    #[error("the address of the metadata document is not allowed by the egress rules")]
    Blocked,
}

impl DiscoveryError {
    /// The word for logs, answers and the audit.
    pub fn reason(self) -> Reason {
        match self {
            Self::NotFound => Reason::MetadataMissing,
            Self::WrongIssuer | Self::WrongResource => Reason::MetadataMismatch,
            Self::IssuerChanged => Reason::IssuerChanged,
            Self::NoPkce => Reason::PkceUnsupported,
            Self::Malformed(_) => Reason::MalformedResponse,
            Self::Unavailable => Reason::ProviderUnavailable,
            Self::InvalidIssuer | Self::Blocked => Reason::Misconfigured,
        }
    }
}

impl From<FetchError> for DiscoveryError {
    fn from(error: FetchError) -> Self {
        match error {
            FetchError::Blocked | FetchError::Insecure => Self::Blocked,
            FetchError::Unreachable(_) | FetchError::Transport(_) | FetchError::Timeout(_) => {
                Self::Unavailable
            }
            FetchError::TooLarge(_) => Self::Malformed("too many bytes"),
        }
    }
}

//! What a provider is told that cannot have what it asked for (RFC 7644 section 3.12).

use attache_core::store::StoreError;
use http::StatusCode;

/// The sentences are ours; nothing of the request is repeated.
#[derive(Debug, thiserror::Error)]
pub enum ScimError {
    #[error("the token is not the one that is configured here")]
    Unauthenticated,
    #[error("this was tried too often: wait a minute")]
    TooOften,
    #[error("this is not a message of SCIM 2.0 that this gateway reads")]
    InvalidSyntax,
    #[error("only userName, externalId and id can be searched for, by eq and a text")]
    InvalidFilter,
    #[error("{0}")]
    InvalidValue(&'static str),
    #[error("what a person is known by does not change: create another one")]
    Mutability,
    #[error("somebody is here already under this name")]
    Uniqueness,
    #[error("there is no such resource here")]
    NotFound,
    #[error("the message is larger than what this gateway reads")]
    TooLarge,
    #[error("this gateway cannot reach its own storage right now")]
    Unavailable(#[source] StoreError),
}

impl ScimError {
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::TooOften => StatusCode::TOO_MANY_REQUESTS,
            Self::InvalidSyntax
            | Self::InvalidFilter
            | Self::InvalidValue(_)
            | Self::Mutability => StatusCode::BAD_REQUEST,
            Self::Uniqueness => StatusCode::CONFLICT,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// `scimType` (RFC 7644 table 9).
    pub fn scim_type(&self) -> Option<&'static str> {
        match self {
            Self::InvalidSyntax => Some("invalidSyntax"),
            Self::InvalidFilter => Some("invalidFilter"),
            Self::InvalidValue(_) => Some("invalidValue"),
            Self::Mutability => Some("mutability"),
            Self::Uniqueness => Some("uniqueness"),
            Self::Unauthenticated
            | Self::TooOften
            | Self::NotFound
            | Self::TooLarge
            | Self::Unavailable(_) => None,
        }
    }
}

/// Two that are created at once, or under one name.
impl From<StoreError> for ScimError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict => Self::Uniqueness,
            error => Self::Unavailable(error),
        }
    }
}

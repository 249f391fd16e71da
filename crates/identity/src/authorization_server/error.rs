//! What a client is told that cannot have what it asks for (RFC 6749 section 5.2, RFC 7591 section
//! 3.2.2). Every word is ours.

use attache_core::{audit::Reason, store::StoreError};
use http::StatusCode;

use super::{client::ClientError, document::DocumentError, keys::KeysUnavailable};

#[derive(Debug, thiserror::Error)]
pub enum OAuthError {
    #[error("{0}")]
    InvalidRequest(&'static str),
    /// `header`: it authenticated in the `Authorization` header, and is challenged there.
    #[error("there is no such client, or it did not prove that it is")]
    InvalidClient { header: bool },
    #[error("{0}")]
    InvalidGrant(&'static str),
    /// The client may not do this at all.
    #[error("this is for clients that the operator of the gateway set up")]
    UnauthorizedClient,
    #[error("the person did not decide yet")]
    AuthorizationPending,
    #[error("asked too soon: wait five seconds longer between two tries")]
    SlowDown,
    #[error("nobody let the device in within ten minutes")]
    ExpiredToken,
    #[error("the person did not let the device in")]
    AccessDenied,
    #[error("the grant types are authorization_code, refresh_token and device_code")]
    UnsupportedGrantType,
    #[error("the scope is more than was approved")]
    InvalidScope,
    #[error("the resource is not one that this client may have, or not the one that was approved")]
    InvalidTarget,
    #[error(
        "a redirect URI is https, or http on a loopback address, without fragment or credentials"
    )]
    InvalidRedirectUri,
    #[error("{0}")]
    InvalidClientMetadata(&'static str),
    #[error("too many at once; try again later")]
    Busy,
    #[error("not possible right now; try again")]
    Unavailable,
}

impl OAuthError {
    pub fn code(&self) -> &'static str {
        match self {
            Self::InvalidRequest(_) => "invalid_request",
            Self::InvalidClient { .. } => "invalid_client",
            Self::InvalidGrant(_) => "invalid_grant",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::AuthorizationPending => "authorization_pending",
            Self::SlowDown => "slow_down",
            Self::ExpiredToken => "expired_token",
            Self::AccessDenied => "access_denied",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::InvalidScope => "invalid_scope",
            Self::InvalidTarget => "invalid_target",
            Self::InvalidRedirectUri => "invalid_redirect_uri",
            Self::InvalidClientMetadata(_) => "invalid_client_metadata",
            Self::Busy | Self::Unavailable => "temporarily_unavailable",
        }
    }

    /// A refresh token that is no good is a 400 and not a 401, whatever MCP clients are told
    /// elsewhere (AS-19).
    pub fn status(&self) -> StatusCode {
        match self {
            Self::InvalidClient { .. } => StatusCode::UNAUTHORIZED,
            Self::Busy => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// The word for the audit.
    pub(super) fn reason(&self) -> Reason {
        match self {
            Self::InvalidRequest(_) | Self::InvalidRedirectUri | Self::InvalidClientMetadata(_) => {
                Reason::InvalidRequest
            }
            Self::InvalidClient { .. } => Reason::InvalidClient,
            Self::UnauthorizedClient => Reason::UnauthorizedClient,
            Self::AccessDenied => Reason::AccessDenied,
            Self::InvalidGrant(_)
            | Self::AuthorizationPending
            | Self::SlowDown
            | Self::ExpiredToken => Reason::InvalidGrant,
            Self::UnsupportedGrantType => Reason::UnsupportedGrantType,
            Self::InvalidScope => Reason::InvalidScope,
            Self::InvalidTarget => Reason::InvalidTarget,
            Self::Busy => Reason::TemporarilyUnavailable,
            Self::Unavailable => Reason::StoreUnavailable,
        }
    }
}

/// The log has the cause.
impl From<StoreError> for OAuthError {
    fn from(error: StoreError) -> Self {
        let cause = &error as &dyn std::error::Error;
        tracing::error!(cause, "the store failed the authorization server");
        Self::Unavailable
    }
}

impl From<KeysUnavailable> for OAuthError {
    fn from(error: KeysUnavailable) -> Self {
        let cause = &error as &dyn std::error::Error;
        tracing::error!(cause, "no token can be made");
        Self::Unavailable
    }
}

impl From<ClientError> for OAuthError {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Store(error) => error.into(),
            ClientError::Busy => Self::Busy,
            ClientError::Document(DocumentError::Unreachable) => Self::Unavailable,
            ClientError::Unknown | ClientError::Document(_) => {
                Self::InvalidClient { header: false }
            }
        }
    }
}

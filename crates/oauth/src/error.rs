//! What an authorization server says when it does not do what was asked, and whose move it is.

use std::time::Duration;

use attache_core::{audit::Reason, outbound::FetchError};

/// Why the token or revocation endpoint gave nothing. No variant can hold text of the server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It said no, with a code of RFC 6749 section 5.2. `InvalidGrant` is the person's move, the
    /// rest the operator's (OC-26).
    #[error("the authorization server refused: {}", .0.as_str())]
    Refused(Reason),
    /// Nobody's move: the same request may succeed later. It was not processed: what it holds
    /// stays good.
    #[error("the authorization server is unavailable")]
    Unavailable {
        /// What its `Retry-After` asked for, at most an hour.
        retry_after: Option<Duration>,
    },
    /// Nobody's move. It may have been processed, and its answer was lost: what it holds may be
    /// spent (OC-27).
    #[error("the authorization server's answer was lost")]
    Lost,
    /// It answered with something else than OAuth; the text says what, in our words.
    #[error("the authorization server answered with {0}")]
    Malformed(&'static str),
    /// The operator's move: the endpoint's address is none that may be fetched.
    #[error("the endpoint's address is not allowed by the egress rules")]
    Blocked,
}

impl TokenError {
    /// The word for logs, answers and the audit.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Refused(reason) => *reason,
            Self::Unavailable { .. } | Self::Lost => Reason::ProviderUnavailable,
            Self::Malformed(_) => Reason::MalformedResponse,
            Self::Blocked => Reason::Misconfigured,
        }
    }
}

impl From<FetchError> for TokenError {
    fn from(error: FetchError) -> Self {
        match error {
            FetchError::Blocked | FetchError::Insecure => Self::Blocked,
            FetchError::Unreachable(_) => Self::Unavailable { retry_after: None },
            FetchError::Transport(_) | FetchError::Timeout(_) => Self::Lost,
            FetchError::TooLarge(_) => Self::Malformed("too large a response"),
        }
    }
}

/// Maps an `error` code from outside onto the closed list: RFC 6749 sections 4.1.2.1 and 5.2,
/// RFC 7009, RFC 8707, and the words GitHub and `OpenID` Connect have for the same. Our own words
/// are not among them: a server cannot say `not_connected`.
pub fn reason(code: &str) -> Reason {
    match code {
        "access_denied" => Reason::AccessDenied,
        // GitHub's two; and OpenID Connect's, when a refresh token alone does not suffice any more
        "invalid_grant"
        // of a token that is exchanged, though RFC 8693 section 2.2.2 has no word of its own for it
        | "invalid_token"
        | "bad_refresh_token"
        | "bad_verification_code"
        | "consent_required"
        | "interaction_required"
        | "login_required" => Reason::InvalidGrant,
        "invalid_client" | "incorrect_client_credentials" => Reason::InvalidClient,
        "unauthorized_client" => Reason::UnauthorizedClient,
        "invalid_scope" => Reason::InvalidScope,
        "invalid_request" | "redirect_uri_mismatch" => Reason::InvalidRequest,
        "invalid_target" => Reason::InvalidTarget,
        "unsupported_grant_type" => Reason::UnsupportedGrantType,
        "unsupported_response_type" => Reason::UnsupportedResponseType,
        "unsupported_token_type" => Reason::RevocationUnsupported,
        "server_error" => Reason::ServerError,
        "temporarily_unavailable" => Reason::TemporarilyUnavailable,
        _ => Reason::Other,
    }
}

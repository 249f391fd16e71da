//! The closed list of what the web surface refuses, and what it says about each.

use attache_core::authenticator::AuthnError;
use http::StatusCode;

/// Each has a page at `/problems/{slug}`, which is also its `type` in RFC 9457.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    Unauthenticated,
    InvalidToken,
    MalformedCredentials,
    NotFound,
    MethodNotAllowed,
    NotConnected,
    ForeignOrigin,
    ForeignHost,
    Unavailable,
    Internal,
}

/// What a [`Refusal`] says.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    pub slug: &'static str,
    pub status: StatusCode,
    pub title: &'static str,
    pub happened: &'static str,
    pub next: &'static str,
}

impl Refusal {
    pub const ALL: [Self; 10] = [
        Self::Unauthenticated,
        Self::InvalidToken,
        Self::MalformedCredentials,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::NotConnected,
        Self::ForeignOrigin,
        Self::ForeignHost,
        Self::Unavailable,
        Self::Internal,
    ];

    pub fn facts(self) -> Facts {
        let (slug, status, title, happened, next) = match self {
            Self::Unauthenticated => (
                "unauthenticated",
                StatusCode::UNAUTHORIZED,
                "You are not signed in",
                "This needs to know who you are, and your session is over or was never begun.",
                "Sign in, then do it again.",
            ),
            Self::InvalidToken => (
                "invalid-token",
                StatusCode::UNAUTHORIZED,
                "These credentials prove nothing",
                "What was presented is expired, revoked, or not for this gateway.",
                "Sign in again, or present another token.",
            ),
            Self::MalformedCredentials => (
                "malformed-credentials",
                StatusCode::BAD_REQUEST,
                "This request cannot be read",
                "It says the same thing twice, or in a place where it must not be said.",
                "Correct the program that sent it.",
            ),
            Self::NotFound => (
                "not-found",
                StatusCode::NOT_FOUND,
                "There is nothing here",
                "No such page, or no such server that is open to you.",
                "Look at your connections. If a server is missing, ask whoever runs this gateway.",
            ),
            Self::MethodNotAllowed => (
                "method-not-allowed",
                StatusCode::METHOD_NOT_ALLOWED,
                "That cannot be done here",
                "This address exists, but not for this method.",
                "Begin from your connections.",
            ),
            Self::NotConnected => (
                "not-connected",
                StatusCode::NOT_FOUND,
                "You are not connected",
                "There is no credential of yours for this server.",
                "Connect it first.",
            ),
            Self::ForeignOrigin => (
                "foreign-origin",
                StatusCode::FORBIDDEN,
                "This came from another site",
                "Another site asked your browser to do this in your name. Nothing was done.",
                "If you meant it, do it from your connections.",
            ),
            Self::ForeignHost => (
                "foreign-host",
                StatusCode::FORBIDDEN,
                "This is not the address of this gateway",
                "The request was for a host name that this gateway does not answer for.",
                "Use the address you were given. If it is this one, whoever runs this gateway sets \
                 public_url to it, and the proxy in front passes Host on unchanged.",
            ),
            Self::Unavailable => (
                "unavailable",
                StatusCode::SERVICE_UNAVAILABLE,
                "Not possible just now",
                "Something this gateway needs does not answer: its storage, its keys, or the \
                 identity provider.",
                "Try again in a few minutes. Nothing you have is lost.",
            ),
            Self::Internal => (
                "internal",
                StatusCode::INTERNAL_SERVER_ERROR,
                "That went wrong here",
                "This gateway made a mistake.",
                "Tell whoever runs it, with the id of the request.",
            ),
        };
        Facts { slug, status, title, happened, next }
    }
}

impl From<&AuthnError> for Refusal {
    fn from(error: &AuthnError) -> Self {
        match error {
            AuthnError::Missing => Self::Unauthenticated,
            AuthnError::Rejected(_) => Self::InvalidToken,
            AuthnError::Malformed(_) => Self::MalformedCredentials,
            AuthnError::Unavailable(_) => Self::Unavailable,
        }
    }
}

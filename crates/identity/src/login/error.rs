//! Why somebody was not signed in.

use attache_core::{audit::Reason, store::StoreError};
use attache_oauth::{error::TokenError, id_token::IdTokenError, issuer::IssuerError};

/// Shown as it is: sentences of ours, to the person who wanted to sign in.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    #[error("Signing in with a browser is not set up here. Tell whoever runs this gateway.")]
    NotConfigured,
    #[error("The answer of your identity provider cannot be read. Sign in again.")]
    MalformedCallback,
    #[error("This sign-in was already finished, or it took too long. Sign in again.")]
    FlowUnknown,
    #[error(
        "This sign-in was begun in another browser, or too long ago. If you came here by a link \
         that somebody sent you, do not use it again; else sign in again."
    )]
    WrongBrowser,
    #[error("The answer came from an identity provider that was not asked. Sign in again.")]
    WrongIssuer,
    #[error("Your identity provider did not sign you in. Sign in again, or ask whoever runs it.")]
    Refused(Reason),
    #[error("Your identity provider cannot be asked who you are right now. Try again later.")]
    Issuer(#[from] IssuerError),
    #[error("Your identity provider did not confirm the sign-in. Sign in again.")]
    Token(#[from] TokenError),
    #[error("Your identity provider did not say who you are. Tell whoever runs this gateway.")]
    NoIdToken,
    #[error("What your identity provider says about you cannot be trusted. Sign in again.")]
    IdToken(#[from] IdTokenError),
    /// The configured `subject_claim` is not in the ID token.
    #[error("Your identity provider did not say who you are. Tell whoever runs this gateway.")]
    NoSubject,
    #[error("Your identity provider cannot be asked about you right now. Try again later.")]
    UserinfoUnavailable,
    /// It answered about somebody else (OIDC Core section 5.3.2).
    #[error("What your identity provider says about you does not fit together. Sign in again.")]
    UserinfoMismatch,
    /// A header that proves nobody.
    #[error(
        "What the proxy in front of this gateway says about you cannot be trusted. Tell whoever \
         runs this gateway."
    )]
    Assertion,
    #[error(
        "What the proxy in front of this gateway says about you cannot be checked right now. \
             Try again later."
    )]
    AssertionUnavailable,
    #[error("Your account has no verified e-mail address of a domain that is allowed here.")]
    NotAdmitted,
    #[error("Your account is not one of an organization that signs in here. Use the one of yours.")]
    NotHosted,
    #[error("Your access was switched off. Ask whoever runs this gateway.")]
    Disabled,
    #[error("This gateway cannot reach its own storage right now. Try again later.")]
    Store(#[from] StoreError),
}

impl LoginError {
    /// The word for logs and the audit.
    pub fn reason(&self) -> Reason {
        match self {
            Self::NotConfigured | Self::NoSubject => Reason::Misconfigured,
            Self::MalformedCallback => Reason::MalformedCallback,
            Self::FlowUnknown => Reason::FlowUnknown,
            Self::WrongBrowser => Reason::WrongBrowser,
            Self::WrongIssuer | Self::IdToken(IdTokenError::WrongIssuer) => Reason::WrongIssuer,
            Self::Refused(reason) => *reason,
            Self::Issuer(error) => error.reason(),
            Self::Token(error) => error.reason(),
            Self::NoIdToken | Self::Assertion | Self::IdToken(_) | Self::UserinfoMismatch => {
                Reason::MalformedResponse
            }
            Self::UserinfoUnavailable | Self::AssertionUnavailable => Reason::ProviderUnavailable,
            Self::NotAdmitted | Self::NotHosted | Self::Disabled => Reason::AccessDenied,
            Self::Store(_) => Reason::StoreUnavailable,
        }
    }
}

//! The identity provider says that somebody left (`OpenID` Connect Back-Channel Logout 1.0).

use attache_core::{
    UserId,
    audit::Reason,
    store::{SignedOut, StoreError},
};
use attache_crypto::jose::JwtError;
use attache_oauth::{
    issuer::IssuerError,
    logout_token::{LogoutToken, LogoutTokenError, LogoutTokenExpectations, verify_logout_token},
};

use super::{Login, SPENT};

/// Why nobody was signed out. The provider is told no more than that; the rest is for the log.
#[derive(Debug, thiserror::Error)]
pub enum LogoutError {
    #[error("signing in with a browser is not set up here")]
    NotConfigured,
    #[error(transparent)]
    Token(#[from] LogoutTokenError),
    #[error("the logout token was brought before")]
    Replayed,
    #[error(transparent)]
    Issuer(#[from] IssuerError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl LogoutError {
    /// The word for logs.
    pub fn reason(&self) -> Reason {
        match self {
            Self::NotConfigured => Reason::Misconfigured,
            Self::Token(LogoutTokenError::WrongIssuer) => Reason::WrongIssuer,
            Self::Token(_) | Self::Replayed => Reason::InvalidRequest,
            Self::Issuer(error) => error.reason(),
            Self::Store(_) => Reason::StoreUnavailable,
        }
    }
}

impl Login {
    /// Ends the sessions that `logout_token` names, and with them what was kept to be exchanged, as
    /// signing out here does. Whose they were.
    pub(crate) async fn sign_out(&self, logout_token: &str) -> Result<Vec<UserId>, LogoutError> {
        let LogoutToken { signed_out, digest, over_at } = self.verify_logout(logout_token).await?;
        if !self.spent.spend(digest, over_at, SPENT, self.clock.now()).await? {
            return Err(LogoutError::Replayed);
        }
        let issuer = &self.issuer.id;
        let mut people = self.sessions.store.remove_signed_out(issuer, &signed_out).await?;
        // Also who has no session any more may have left something to be exchanged.
        if let (SignedOut::Everywhere { subject }, "sub") =
            (&signed_out, self.oidc.subject_claim.as_str())
        {
            let known = self.people.find_by_subject(issuer, subject).await?;
            people.extend(known.map(|person| person.id).filter(|id| !people.contains(id)));
        }
        for user in &people {
            self.sessions.ended(user.clone()).await?;
        }
        Ok(people)
    }

    async fn verify_logout(&self, token: &str) -> Result<LogoutToken, LogoutError> {
        let expect = LogoutTokenExpectations {
            issuer: &self.issuer.id,
            client_id: &self.oidc.client.id,
            now: self.clock.now(),
        };
        let keys = self.issuer.keys().await?;
        match verify_logout_token(token, &keys, &expect) {
            Err(LogoutTokenError::Jwt(JwtError::UnknownKey)) => {
                let keys = self.issuer.keys_newer_than(&keys).await?;
                Ok(verify_logout_token(token, &keys, &expect)?)
            }
            verified => Ok(verified?),
        }
    }
}

//! `oauth_connect`: one upstream's authorization server, and us as its client.
//!
//! Authorization code with S256 PKCE and `resource` (RFC 6749, 7636, 8707), once; then refresh.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use attache_core::{
    Clock, Credential, IssuerId, Secret, Timestamp, audit::Reason, outbound::Outbound,
};
use attache_oauth::{
    authorize::{AuthorizationRequest, code_challenge},
    callback::check_issuer,
    error::TokenError,
    revoke::{RevokeError, TokenHint, revoke},
    token::{CodeGrant, RefreshGrant, TokenEndpoint},
};
use url::Url;

/// What the operator configured about an upstream's authorization server.
#[derive(Debug)]
pub struct OauthConnect {
    pub authorization_endpoint: Url,
    pub token: TokenEndpoint,
    pub revocation_endpoint: Option<Url>,
    pub issuer: Option<IssuerId>,
    /// `{public_url}/api/v1/user/credentials/{name}/callback`: one per upstream (OC-17).
    pub redirect_uri: String,
    pub scopes: Vec<String>,
    pub resource: Option<String>,
    pub outbound: Arc<dyn Outbound>,
    pub clock: Arc<dyn Clock>,
}

/// Sorted by what happens next, not by what went wrong inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// The grant is over: the person connects again.
    #[error("the grant is over")]
    GrantEnded,
    /// The operator changes the configuration; nobody's tokens are touched.
    #[error("the authorization server does not accept us: {}", .0.as_str())]
    Refused(Reason),
    /// Later.
    #[error("the authorization server is unavailable")]
    Unavailable { retry_after: Option<Duration> },
    /// Later; it may have done what it was asked, and the answer was lost (OC-27).
    #[error("the authorization server's answer was lost")]
    Lost,
    /// It answered something that is not an answer.
    #[error("the authorization server gave an answer that cannot be used: {0}")]
    Malformed(&'static str),
}

impl ProviderError {
    pub fn reason(self) -> Reason {
        match self {
            Self::GrantEnded => Reason::InvalidGrant,
            Self::Refused(reason) => reason,
            Self::Unavailable { .. } | Self::Lost => Reason::ProviderUnavailable,
            Self::Malformed(_) => Reason::MalformedResponse,
        }
    }
}

impl ProviderError {
    /// Whether what was sent may be spent although nothing came of it.
    pub(crate) fn leaves_doubt(self) -> bool {
        matches!(self, Self::Lost | Self::Malformed(_))
    }
}

impl From<TokenError> for ProviderError {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Refused(Reason::InvalidGrant) => Self::GrantEnded,
            TokenError::Refused(reason) => Self::Refused(reason),
            TokenError::Unavailable { retry_after } => Self::Unavailable { retry_after },
            TokenError::Lost => Self::Lost,
            TokenError::Malformed(what) => Self::Malformed(what),
            TokenError::Blocked => Self::Refused(Reason::Misconfigured),
        }
    }
}

impl OauthConnect {
    /// Where the person's browser goes to consent.
    pub fn authorization_url(&self, state: &str, verifier: &Secret) -> Url {
        AuthorizationRequest {
            endpoint: &self.authorization_endpoint,
            client_id: &self.token.client.id,
            redirect_uri: &self.redirect_uri,
            scopes: &self.scopes,
            state,
            code_challenge: &code_challenge(verifier.expose()),
            resource: self.resource.as_deref(),
            dialect: &self.token.dialect,
            extra: &[],
        }
        .url()
    }

    /// RFC 9207 section 2.4. Where the operator named no issuer, an `iss` must at least belong to
    /// the origin that the browser was sent to.
    pub fn issuer_fits(&self, iss: Option<&str>) -> bool {
        match (&self.issuer, iss) {
            (Some(expected), given) => check_issuer(given, Some(expected.as_str()), false).is_ok(),
            (None, None) => true,
            (None, Some(given)) => Url::parse(given)
                .is_ok_and(|issuer| issuer.origin() == self.authorization_endpoint.origin()),
        }
    }

    /// Whether these tokens may be shown to this authorization server: tokens of one issuer are
    /// never shown to another (OC-7). Of a credential from before an issuer was configured nobody
    /// knows better.
    pub fn is_issuer_of(&self, credential: &Credential) -> bool {
        credential.issuer.is_none() || credential.issuer == self.issuer
    }

    /// Redeems the code; the scopes asked for stand when the answer names none (OC-21). Asks whose
    /// the tokens are, where the provider can tell (OC-23).
    pub async fn exchange_code(
        &self,
        code: &Secret,
        verifier: &Secret,
        asked: Asked<'_>,
        captured: &BTreeMap<String, String>,
    ) -> Result<Credential, ProviderError> {
        let grant = CodeGrant {
            code,
            verifier,
            redirect_uri: asked.redirect_uri,
            resource: asked.resource,
            captured,
        };
        let response = self.token.exchange_code(&*self.outbound, grant).await?;
        let account = match response.account {
            Some(account) => Some(account),
            None => self.token.account(&*self.outbound, &response.access_token).await,
        };
        let now = self.clock.now();
        Ok(Credential {
            expires_at: expiry(response.expires_in, now),
            access_token: Some(response.access_token),
            refresh_token: response.refresh_token,
            token_type: response.token_type,
            scopes: response.scopes.unwrap_or_else(|| asked.scopes.to_vec()),
            audience: asked.resource.map(ToOwned::to_owned),
            issuer: self.issuer.clone(),
            obtained_at: now,
            account,
            base_url: response.base_url,
        })
    }

    /// Keeps the refresh token when the answer has none, and the scopes likewise; never asks for
    /// scopes (OC-24).
    pub async fn refresh(&self, old: &Credential) -> Result<Credential, ProviderError> {
        let Some(refresh_token) = &old.refresh_token else {
            return Err(ProviderError::GrantEnded);
        };
        let grant =
            RefreshGrant { refresh_token, resource: old.audience.as_deref(), scopes: &old.scopes };
        let response = self.token.refresh(&*self.outbound, grant).await?;
        let now = self.clock.now();
        Ok(Credential {
            expires_at: expiry(response.expires_in, now),
            access_token: Some(response.access_token),
            refresh_token: response.refresh_token.or_else(|| old.refresh_token.clone()),
            token_type: response.token_type,
            scopes: response.scopes.unwrap_or_else(|| old.scopes.clone()),
            audience: old.audience.clone(),
            issuer: old.issuer.clone(),
            obtained_at: now,
            account: old.account.clone(),
            base_url: response.base_url.or_else(|| old.base_url.clone()),
        })
    }

    /// As the provider does it (RFC 7009 unless its dialect says otherwise), the refresh token first: most servers end the whole grant with it. `None` when the
    /// operator configured no revocation endpoint.
    pub async fn revoke(&self, old: &Credential) -> Option<Result<(), RevokeError>> {
        let endpoint = self.revocation_endpoint.as_ref()?;
        let TokenEndpoint { client, dialect, .. } = &self.token;
        if let Some(token) = &old.refresh_token {
            let hint = TokenHint::RefreshToken;
            if let Err(error) =
                revoke(&*self.outbound, endpoint, client, dialect, token, hint).await
            {
                return Some(Err(error));
            }
        }
        Some(match &old.access_token {
            Some(token) => {
                let hint = TokenHint::AccessToken;
                revoke(&*self.outbound, endpoint, client, dialect, token, hint).await
            }
            None => Ok(()),
        })
    }
}

/// What the authorization request said, from the flow's record: the configuration may have changed
/// since.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    pub redirect_uri: &'a str,
    pub scopes: &'a [String],
    pub resource: Option<&'a str>,
}

fn expiry(lifetime: Option<Duration>, now: Timestamp) -> Option<Timestamp> {
    lifetime.map(|life| now.plus(life))
}

//! `oauth_connect`: one upstream's authorization server, and us as its client.
//!
//! Authorization code with S256 PKCE and `resource` (RFC 6749, 7636, 8707), once; then refresh.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use attache_core::{
    Clock, Credential, Dialect, Secret, Timestamp, Validity, audit::Reason, outbound::Outbound,
    store::StoreError,
};
use attache_crypto::jose;
use attache_oauth::{
    authorize::{AuthorizationRequest, code_challenge},
    client_auth::Client,
    discover::DiscoveryError,
    error::TokenError,
    pushed::push,
    register::RegistrationError,
    revoke::{RevokeError, TokenHint, revoke},
    token::{CodeGrant, RefreshGrant, TokenEndpoint, TokenResponse},
};
use serde_json::Value;
use url::Url;

use crate::{
    authority::{Authority, Terms},
    broker::ObtainError,
    rotation::Rotation,
};

/// One upstream's authorization server, and us as its client.
#[derive(Debug)]
pub struct OauthConnect {
    pub authority: Authority,
    /// When our client has two secrets.
    pub rotation: Option<Rotation>,
    /// In what its messages differ from the RFCs.
    pub dialect: Arc<Dialect>,
    /// `{public_url}/api/v1/user/credentials/{name}/callback`: one per upstream (OC-17).
    pub redirect_uri: String,
    /// Whether people are asked for scopes that the upstream wants beyond the first ones.
    pub step_up: bool,
    /// How long a connection may last at most; `None`: until its person ends it.
    pub longest: Option<Duration>,
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
    /// What we need of our own for it cannot be had.
    #[error("it was not asked: {0}")]
    NotAsked(ObtainError),
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
            Self::NotAsked(error) => error.reason(),
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

impl From<DiscoveryError> for ProviderError {
    fn from(error: DiscoveryError) -> Self {
        match error {
            DiscoveryError::Unavailable => Self::Unavailable { retry_after: None },
            DiscoveryError::Malformed(what) => Self::Malformed(what),
            error => Self::Refused(error.reason()),
        }
    }
}

impl From<RegistrationError> for ProviderError {
    fn from(error: RegistrationError) -> Self {
        match error {
            RegistrationError::Unavailable { retry_after } => Self::Unavailable { retry_after },
            RegistrationError::Malformed(what) => Self::Malformed(what),
            error => Self::Refused(error.reason()),
        }
    }
}

impl From<ObtainError> for ProviderError {
    fn from(error: ObtainError) -> Self {
        Self::NotAsked(error)
    }
}

impl From<StoreError> for ProviderError {
    fn from(error: StoreError) -> Self {
        Self::NotAsked(error.into())
    }
}

impl OauthConnect {
    /// How things stand with the authorization server: at once where the operator wrote them down,
    /// else found, and kept for as long as it says.
    pub async fn terms(&self) -> Result<Arc<Terms>, ProviderError> {
        self.authority.terms(&*self.outbound, &*self.clock).await
    }

    /// The upstream refused a token: [`Self::terms`] are not believed without another look (OC-6).
    pub fn look_again(&self) {
        self.authority.look_again(&*self.clock);
    }

    /// Where the person's browser goes to consent; what it asks for is pushed there first where the
    /// server wants that (RFC 9126).
    pub async fn authorization_url(
        &self,
        terms: &Terms,
        scopes: &[String],
        state: &str,
        verifier: &Secret,
        nonce: Option<&Secret>,
    ) -> Result<Url, ProviderError> {
        let client = &terms.token.client;
        let extra: Vec<_> = nonce.map(|nonce| ("nonce", nonce.expose())).into_iter().collect();
        let request = AuthorizationRequest {
            endpoint: &terms.authorization_endpoint,
            client_id: &client.id,
            redirect_uri: &self.redirect_uri,
            scopes,
            state,
            code_challenge: &code_challenge(verifier.expose()),
            resource: terms.resource.as_deref(),
            dialect: &self.dialect,
            extra: &extra,
        };
        let Some(endpoint) = &terms.push_to else { return Ok(request.url()) };
        let push = |client: Client| {
            let request = &request;
            async move { push(&*self.outbound, endpoint, &client, request).await }
        };
        let pushed = self.ask(client, TokenError::reason, push).await?;
        Ok(pushed.url(&terms.authorization_endpoint, &client.id))
    }

    /// Where this person's requests go, if it is elsewhere and the dialect of today allows it.
    pub fn base_url<'a>(&self, credential: &'a Credential) -> Option<&'a Url> {
        let allowed = self.dialect.base_url.as_ref()?;
        credential.base_url.as_ref().filter(|url| allowed.allows(url))
    }

    /// Redeems the code; the scopes asked for stand when the answer names none (OC-21). Whose the
    /// tokens are is not asked yet.
    pub async fn exchange_code(
        &self,
        terms: &Arc<Terms>,
        code: &Secret,
        verifier: &Secret,
        asked: Asked<'_>,
        captured: &BTreeMap<String, String>,
    ) -> Result<Granted, ProviderError> {
        let grant = CodeGrant {
            code,
            verifier,
            redirect_uri: asked.redirect_uri,
            resource: asked.resource,
            captured,
        };
        let exchange = |client| async move {
            let endpoint = TokenEndpoint { client, ..terms.token.clone() };
            endpoint.exchange_code(&*self.outbound, grant).await
        };
        let exchanged = self.ask(&terms.token.client, TokenError::reason, exchange).await;
        let response = exchanged.map_err(|error| self.heard(terms, error))?;
        let now = self.clock.now();
        let refresh_validity = self.refresh_validity(&response, None, now);
        let credential = Credential {
            expires_at: expiry(response.expires_in, now),
            refresh_validity,
            access_token: Some(response.access_token),
            refresh_token: response.refresh_token,
            token_type: response.token_type,
            scopes: response.scopes.unwrap_or_else(|| asked.scopes.to_vec()),
            audience: asked.resource.map(ToOwned::to_owned),
            issuer: terms.issuer.clone(),
            obtained_at: now,
            account: None,
            base_url: response.base_url,
            origin: None,
            id_token: None,
            term: None,
        };
        Ok(Granted { credential, id_token: response.id_token, label: response.account })
    }

    /// What the provider calls the account when it is asked, where that is known to work.
    pub(crate) async fn account_label(
        &self,
        terms: &Terms,
        credential: &Credential,
    ) -> Option<String> {
        terms.token.account(&*self.outbound, credential.access_token.as_ref()?).await
    }

    /// Keeps the refresh token when the answer has none, and the scopes likewise; never asks for
    /// scopes (OC-24).
    pub async fn refresh(
        &self,
        terms: &Arc<Terms>,
        old: &Credential,
    ) -> Result<Credential, ProviderError> {
        let Some(refresh_token) = &old.refresh_token else {
            return Err(ProviderError::GrantEnded);
        };
        let grant =
            RefreshGrant { refresh_token, resource: old.audience.as_deref(), scopes: &old.scopes };
        let refresh = |client| async move {
            let endpoint = TokenEndpoint { client, ..terms.token.clone() };
            endpoint.refresh(&*self.outbound, grant).await
        };
        let refreshed = self.ask(&terms.token.client, TokenError::reason, refresh).await;
        let response = refreshed.map_err(|error| self.heard(terms, error))?;
        let now = self.clock.now();
        Ok(Credential {
            expires_at: expiry(response.expires_in, now),
            refresh_validity: self.refresh_validity(&response, old.refresh_validity, now),
            access_token: Some(response.access_token),
            refresh_token: response.refresh_token.or_else(|| old.refresh_token.clone()),
            token_type: response.token_type,
            scopes: response.scopes.unwrap_or_else(|| old.scopes.clone()),
            audience: old.audience.clone(),
            issuer: old.issuer.clone(),
            obtained_at: now,
            account: old.account.clone(),
            base_url: response.base_url.or_else(|| old.base_url.clone()),
            origin: old.origin.clone(),
            id_token: old.id_token.as_ref().and_then(|old| successor(response.id_token, old, now)),
            term: old.term,
        })
    }

    /// As `client`, with whichever of its secrets the server takes.
    async fn ask<T, E, F: Future<Output = Result<T, E>>>(
        &self,
        client: &Client,
        reason: fn(&E) -> Reason,
        ask: impl Fn(Client) -> F,
    ) -> Result<T, E> {
        match &self.rotation {
            Some(rotation) => rotation.ask(client, reason, ask).await,
            None => ask(client.clone()).await,
        }
    }

    /// A server that does not know our client any more may have moved, or forgotten us (OC-6).
    fn heard(&self, terms: &Arc<Terms>, error: TokenError) -> ProviderError {
        if matches!(error, TokenError::Refused(Reason::InvalidClient)) {
            self.authority.doubt(terms, &*self.clock);
        }
        error.into()
    }

    /// As the answer says; else a new refresh token lives as long as its provider's do, and an old
    /// one as long as it did.
    fn refresh_validity(
        &self,
        response: &TokenResponse,
        before: Option<Validity>,
        now: Timestamp,
    ) -> Option<Validity> {
        let is_new = response.refresh_token.is_some();
        let usual = if is_new { self.dialect.refresh_lifetime } else { None };
        let life = response.refresh_expires_in.or(usual);
        life.map(|life| Validity::of(now, life)).or(before.filter(|_| !is_new))
    }

    /// As the provider does it, RFC 7009 unless its dialect says otherwise; the refresh token first:
    /// most servers end the whole grant with it. `None` when there is no revocation endpoint.
    pub async fn revoke(&self, terms: &Terms, old: &Credential) -> Option<Result<(), RevokeError>> {
        let endpoint = terms.revocation_endpoint.as_ref()?;
        let hints = [
            (&old.refresh_token, TokenHint::RefreshToken),
            (&old.access_token, TokenHint::AccessToken),
        ];
        for (token, hint) in hints {
            let Some(token) = token else { continue };
            let revoke = |client: Client| async move {
                revoke(&*self.outbound, endpoint, &client, &self.dialect, token, hint).await
            };
            let revoked = self.ask(&terms.token.client, RevokeError::reason, revoke).await;
            if revoked.is_err() {
                return Some(revoked);
            }
        }
        Some(Ok(()))
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

/// What a code brought.
#[derive(Clone, Debug)]
pub struct Granted {
    pub credential: Credential,
    pub(crate) id_token: Option<Secret>,
    /// What the provider calls the account in the answer itself.
    pub(crate) label: Option<String>,
}

/// Where an ID token is kept: the new one, if it is the same person's (`OpenID` Connect Core section
/// 12.2), else the old one while it is good.
fn successor(new: Option<Secret>, old: &Secret, now: Timestamp) -> Option<Secret> {
    let before = jose::unproved_claims(old.expose())?;
    let is_theirs = |token: &Secret| {
        jose::unproved_claims(token.expose()).is_some_and(|claims| {
            ["iss", "sub"].iter().all(|name| claims.get(*name) == before.get(*name))
        })
    };
    let end = before.get("exp").and_then(Value::as_i64).map(Timestamp::from_seconds);
    let lives = end.is_some_and(|end| now < end);
    new.filter(is_theirs).or_else(|| lives.then(|| old.clone()))
}

fn expiry(lifetime: Option<Duration>, now: Timestamp) -> Option<Timestamp> {
    lifetime.map(|life| now.plus(life))
}

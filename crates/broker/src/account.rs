//! Whose a fresh token is (OC-23): as its ID token says, where one was asked for and its issuer can
//! be asked for keys, else as the provider calls it.

use std::sync::Arc;

use attache_core::{Account, IssuerId, Secret, audit::Reason};
use attache_crypto::{
    digest::{base64url, hmac_sha256},
    jose::JwtError,
};
use attache_oauth::{
    id_token::{IdTokenClaims, IdTokenError, IdTokenExpectations, verify_id_token},
    issuer::{Issuer, IssuerError},
    scope,
};
use quick_cache::sync::Cache;

use crate::{
    authority::Terms,
    connect::{Granted, OauthConnect},
    connections::{BrowserSession, ConnectError},
};

/// Issuers whose metadata and keys are kept: about as many as there are upstreams.
const ISSUERS: usize = 1_000;

/// Knows the issuers of upstreams.
#[derive(Debug)]
pub(crate) struct Accounts(Cache<IssuerId, Arc<Issuer>>);

impl Accounts {
    pub(crate) fn new() -> Self {
        Self(Cache::new(ISSUERS))
    }

    /// `None` when nobody says.
    ///
    /// # Errors
    /// When an ID token came that is not the answer to our question, or that cannot be checked now.
    pub(crate) async fn of(
        &self,
        connect: &OauthConnect,
        terms: &Terms,
        granted: &Granted,
        nonce: Option<&Secret>,
    ) -> Result<Option<Account>, ConnectError> {
        let claims = match (&granted.id_token, nonce, &terms.issuer) {
            (Some(token), Some(nonce), Some(issuer)) => {
                let expect = IdTokenExpectations {
                    issuer,
                    client_id: &terms.token.client.id,
                    nonce: nonce.expose(),
                    now: connect.clock.now(),
                };
                let checked = verify(&self.issuer(connect, issuer), token, &expect).await;
                checked.inspect_err(|ConnectError(reason)| {
                    tracing::warn!(%issuer, reason = reason.as_str(), "an ID token was refused");
                })?
            }
            _ => None,
        };
        let id = claims.as_ref().map(|claims| claims.subject.as_str());
        let named = granted.label.as_deref().or_else(|| name(claims.as_ref()?));
        if named.is_some() {
            return Ok(Account::new(id, named));
        }
        let label = connect.account_label(terms, &granted.credential).await;
        Ok(Account::new(id, label.as_deref()))
    }

    fn issuer(&self, connect: &OauthConnect, id: &IssuerId) -> Arc<Issuer> {
        self.0.get(id).unwrap_or_else(|| {
            let outbound = Arc::clone(&connect.outbound);
            let issuer = Arc::new(Issuer::new(id.clone(), None, outbound, &connect.clock));
            self.0.insert(id.clone(), Arc::clone(&issuer));
            issuer
        })
    }
}

/// What makes an ID token the answer to this browser's question, where one will come: derived, so
/// that the store holds none.
pub(crate) fn nonce(
    browser: &BrowserSession,
    state: &str,
    scopes: &[String],
    issuer: Option<&IssuerId>,
) -> Option<Secret> {
    let key = browser.secret.expose().as_bytes();
    let parts: [&[u8]; 2] = [b"connect nonce", state.as_bytes()];
    (issuer.is_some() && scope::wants_id_token(scopes))
        .then(|| Secret::new(base64url(&hmac_sha256(key, &parts))))
}

/// `None` where the issuer publishes no keys: then it says nothing that could be believed.
async fn verify(
    issuer: &Issuer,
    token: &Secret,
    expect: &IdTokenExpectations<'_>,
) -> Result<Option<IdTokenClaims>, ConnectError> {
    let keys = match issuer.keys().await {
        Ok(keys) => keys,
        Err(error) if is_away(error) => return Err(ConnectError(error.reason())),
        Err(error) => {
            tracing::warn!(issuer = %issuer.id, %error, "ID tokens cannot be checked");
            return Ok(None);
        }
    };
    let checked = match verify_id_token(token, &keys, expect) {
        Err(IdTokenError::Jwt(JwtError::UnknownKey)) => {
            let newer = issuer.keys_newer_than(&keys).await;
            let keys = newer.map_err(|error| ConnectError(error.reason()))?;
            verify_id_token(token, &keys, expect)
        }
        checked => checked,
    };
    checked.map(Some).map_err(|error| match error {
        IdTokenError::WrongIssuer => ConnectError(Reason::WrongIssuer),
        _ => ConnectError(Reason::MalformedResponse),
    })
}

fn is_away(error: IssuerError) -> bool {
    error.reason() == Reason::ProviderUnavailable
}

/// By which people know an account.
fn name(claims: &IdTokenClaims) -> Option<&str> {
    ["preferred_username", "email", "name"].into_iter().find_map(|name| claims.text(name))
}

//! One `[upstream.auth_broker]` in mode `token_exchange` or `entra_obo`.

use std::sync::Arc;

use attache_broker::{ExchangeForm, TokenExchange};
use attache_config::{
    Config,
    model::{AuthBroker, ClientAuth, Identity, Mode},
};
use attache_core::IssuerId;
use attache_crypto::jose::{CertifiedKey, CertifiedKeyError};
use attache_oauth::{
    certificate_assertion::CertificateSigner,
    client_auth::{Client, ClientAuthentication},
    token::TokenEndpoint,
};

use super::Common;

/// # Errors
/// What could never work, or what no configuration that was checked contains.
pub(super) fn wire(
    broker: &AuthBroker,
    common: &Common<'_>,
) -> Result<TokenExchange, &'static str> {
    let issuer = issuer(broker, common.identity).ok_or(
        "auth_broker.issuer is required: whose access tokens the token_endpoint exchanges",
    )?;
    if !common.identity.jwt.iter().any(|jwt| jwt.issuer == *issuer) {
        return Err("what callers bring is exchanged, and no [[identity.jwt]] has its issuer");
    }
    let (Some(url), Some(id)) = (&broker.token_endpoint, &broker.client_id) else {
        return Err("auth_broker.token_endpoint and client_id are required");
    };
    let secret = match &broker.client_secret {
        Some(secret) if secret.second.is_some() => {
            return Err("two client secrets are for mode \"oauth_connect\"");
        }
        secret => secret.as_ref().map(|secret| secret.first.clone()),
    };
    let authentication = match (certified(broker)?, broker.client_auth, secret) {
        (Some(key), ..) => ClientAuthentication::Certificate(CertificateSigner {
            key: Arc::new(key),
            clock: Arc::clone(&common.world.clock),
            random: Arc::clone(&common.world.random),
        }),
        (None, Some(ClientAuth::Basic), Some(secret)) => ClientAuthentication::Basic(secret),
        (None, Some(ClientAuth::Post), Some(secret)) => ClientAuthentication::Post(secret),
        (None, Some(ClientAuth::None), _) => ClientAuthentication::None,
        _ => return Err("client_auth is \"basic\", \"post\" or \"none\" for a token exchange"),
    };
    let endpoint = TokenEndpoint {
        url: url.clone(),
        client: Client { id: id.clone(), authentication },
        dialect: Arc::new(broker.dialect.clone()),
    };
    Ok(TokenExchange {
        issuer: issuer.clone(),
        form: match &broker.tenant {
            Some(tenant) => ExchangeForm::OnBehalfOf { endpoint, tenant: tenant.clone() },
            None => ExchangeForm::TokenExchange {
                endpoint,
                audience: broker.audience.clone(),
                resource: broker.resource.clone(),
            },
        },
        scopes: broker.scopes.clone(),
        outbound: Arc::clone(&common.outbound),
    })
}

fn certified(broker: &AuthBroker) -> Result<Option<CertifiedKey>, &'static str> {
    let key = broker.client_certificate.as_ref().map(CertifiedKey::from_pem);
    key.transpose().map_err(|error| match error {
        CertifiedKeyError::NoKey => "client_certificate has no RSA key, as PEM without a password",
        CertifiedKeyError::NoCertificate => "client_certificate has no certificate of its key",
    })
}

/// Whether some upstream's tokens are had for access tokens of `issuer`.
pub(crate) fn is_exchanged(config: &Config, of: &IssuerId) -> bool {
    let mut brokers = config.upstreams.iter().filter_map(|upstream| upstream.broker.as_ref());
    brokers.any(|broker| exchanged(broker, &config.identity) == Some(of))
}

/// Whose access tokens are exchanged for an upstream's, if any are.
pub(crate) fn exchanged<'a>(
    broker: &'a AuthBroker,
    identity: &'a Identity,
) -> Option<&'a IssuerId> {
    let exchanges = matches!(broker.mode, Mode::TokenExchange | Mode::EntraObo);
    exchanges.then(|| issuer(broker, identity)).flatten()
}

/// The exchanging server: the company's identity provider, unless another is written.
fn issuer<'a>(broker: &'a AuthBroker, identity: &'a Identity) -> Option<&'a IssuerId> {
    broker.issuer.as_ref().or_else(|| identity.oidc.as_ref().map(|oidc| &oidc.issuer))
}

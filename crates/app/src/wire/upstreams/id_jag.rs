//! One `[upstream.auth_broker]` in mode `id_jag`.

use std::sync::Arc;

use attache_broker::{CrossAppAccess, ExchangeForm, SubjectTokens, TokenExchange};
use attache_config::model::{AuthBroker, Upstream};

use super::{Common, connect};

/// # Errors
/// What no configuration that was checked contains, and two secrets.
pub(super) fn wire(
    upstream: &Upstream,
    broker: &AuthBroker,
    sign_in: Option<&Arc<SubjectTokens>>,
    common: &Common<'_>,
) -> Result<TokenExchange, &'static str> {
    if broker.client_secret.as_ref().is_some_and(|secret| secret.second.is_some()) {
        return Err("two client secrets are for mode \"oauth_connect\"");
    }
    let sign_in = sign_in.ok_or("identity.oidc.store_subject_token is required")?;
    let access = CrossAppAccess {
        sign_in: Arc::clone(sign_in),
        authority: connect::discovered(upstream, broker, common)?,
        clock: Arc::clone(&common.world.clock),
    };
    Ok(TokenExchange {
        issuer: sign_in.issuer().clone(),
        form: ExchangeForm::IdJag(Box::new(access)),
        scopes: Vec::new(),
        outbound: Arc::clone(&common.outbound),
    })
}

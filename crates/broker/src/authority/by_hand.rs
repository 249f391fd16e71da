//! The client that an operator registered.

use std::sync::Arc;

use attache_core::{Clock, Secret, audit::Reason};
use attache_crypto::random::Random;
use attache_oauth::{
    auth_method::{AuthMethod, Proof},
    client_assertion::AssertionSigner,
    client_auth::{Client, ClientAuthentication},
    discover::AuthorizationServer,
};

use crate::{SigningKeys, connect::ProviderError};

#[derive(Debug)]
pub struct ByHand {
    pub id: String,
    pub secret: Option<Secret>,
    /// As configured; else what the server takes (OC-10).
    pub method: Option<AuthMethod>,
    pub keys: Arc<SigningKeys>,
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
}

impl ByHand {
    pub(super) async fn client(
        &self,
        server: &AuthorizationServer,
    ) -> Result<Client, ProviderError> {
        let proof = if self.secret.is_some() { Proof::Secret } else { Proof::Nothing };
        let supported = &server.token_endpoint_auth_methods_supported;
        let method = self.method.or_else(|| AuthMethod::choose(supported, proof));
        let authentication = match (method, &self.secret) {
            (Some(AuthMethod::ClientSecretBasic), Some(secret)) => {
                ClientAuthentication::Basic(secret.clone())
            }
            (Some(AuthMethod::ClientSecretPost), Some(secret)) => {
                ClientAuthentication::Post(secret.clone())
            }
            (Some(AuthMethod::PrivateKeyJwt), _) => {
                ClientAuthentication::PrivateKeyJwt(AssertionSigner {
                    key: self.keys.current().await?,
                    audience: server.issuer.clone(),
                    clock: Arc::clone(&self.clock),
                    random: Arc::clone(&self.random),
                })
            }
            (Some(AuthMethod::None), _) => ClientAuthentication::None,
            _ => return Err(ProviderError::Refused(Reason::Misconfigured)),
        };
        Ok(Client { id: self.id.clone(), authentication })
    }
}

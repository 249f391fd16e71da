//! The company's identity provider: its endpoints are its own metadata's, and we are its client.

use std::sync::Arc;

use attache_core::Dialect;
use attache_oauth::{
    client_auth::Client,
    issuer::{Issuer, IssuerError},
    token::TokenEndpoint,
};

use super::Terms;
use crate::connect::ProviderError;

#[derive(Debug)]
pub struct Provider {
    pub issuer: Arc<Issuer>,
    pub client: Client,
    pub dialect: Arc<Dialect>,
}

impl Provider {
    pub(super) async fn terms(&self) -> Result<Arc<Terms>, ProviderError> {
        let found = self.issuer.metadata().await.map_err(|error| match error {
            IssuerError::Metadata(error) => error.into(),
            error => ProviderError::Refused(error.reason()),
        })?;
        Ok(Arc::new(Terms {
            is_found: false,
            issuer: Some(self.issuer.id.clone()),
            iss_parameter_supported: found.iss_parameter_supported,
            authorization_endpoint: found.authorization_endpoint.clone(),
            push_to: None,
            token: TokenEndpoint {
                url: found.token_endpoint.clone(),
                client: self.client.clone(),
                dialect: Arc::clone(&self.dialect),
            },
            revocation_endpoint: found.revocation_endpoint.clone(),
            scopes: Vec::new(),
            resource: None,
        }))
    }
}

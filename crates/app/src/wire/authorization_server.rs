//! The authorization server of a configuration, and its keys.

use std::sync::Arc;

use attache_broker::{
    ObtainError, ServiceKey, ServiceKeyParts,
    signing_keys::{ACCESS_TOKENS, SigningKeys},
};
use attache_config::{
    Config,
    model::{OAuthClient, Protocol},
};
use attache_core::outbound::Outbound;
use attache_crypto::{jose::SigningKey, seal::DataKey};
use attache_identity::authorization_server::{
    AuthorizationServerSettings, ConfiguredClient, KeysUnavailable, RedirectUri, TokenKeys,
};
use serde_json::Value;

use super::keys::{ACCESS_TOKEN, REFRESH_TOKEN};

/// The operator's move.
#[derive(Debug, thiserror::Error)]
#[error(
    "authorization_server.client {client}: {uri} is no redirect URI: write https, or http on a \
     loopback address, without fragment or credentials, or list its scheme in private_use_schemes"
)]
pub struct ClientRedirectError {
    client: String,
    uri: String,
}

/// `None` when clients are not served. Documents are fetched through `outbound` when the operator
/// names their hosts, and otherwise, since anybody then names an address, through `strangers`.
pub(super) fn settings(
    config: &Config,
    outbound: &Arc<dyn Outbound>,
    strangers: Arc<dyn Outbound>,
    metrics: attache_identity::Metrics,
    service_key: impl Fn(&str) -> ServiceKeyParts,
) -> Result<Option<AuthorizationServerSettings>, ClientRedirectError> {
    let Some(section) = &config.authorization_server else { return Ok(None) };
    let only = match config.upstreams.as_slice() {
        [only] => {
            let door = if only.protocol == Protocol::Http { "http" } else { "mcp" };
            Some(format!("/{door}/{}", only.name))
        }
        _ => None,
    };
    let clients = section.clients.iter().map(|one| client(one, &section.private_use_schemes));
    Ok(Some(AuthorizationServerSettings {
        dynamic_registration: section.dynamic_registration,
        client_id_metadata_documents: section.client_id_metadata_documents,
        id_jag: section.id_jag,
        document_hosts: section.client_id_hosts.clone(),
        document_outbound: match section.client_id_hosts.as_slice() {
            [] => strangers,
            _ => Arc::clone(outbound),
        },
        private_schemes: section.private_use_schemes.clone(),
        clients: clients.collect::<Result<_, _>>()?,
        access_token_ttl: section.access_token_ttl,
        refresh_grace: section.refresh_grace,
        gateway_audience: section.gateway_audience,
        all_servers_for_anybody: section.all_servers_for_anybody,
        only,
        keys: Arc::new(DeploymentKeys {
            signing: SigningKeys::new(service_key(ACCESS_TOKEN), ACCESS_TOKENS),
            succession: ServiceKey::new(service_key(REFRESH_TOKEN)),
        }),
        metrics,
    }))
}

fn client(
    client: &OAuthClient,
    private_schemes: &[String],
) -> Result<ConfiguredClient, ClientRedirectError> {
    let redirect_uris = client.redirect_uris.iter().map(|uri| {
        RedirectUri::parse(uri, private_schemes)
            .map_err(|_| ClientRedirectError { client: client.id.clone(), uri: uri.clone() })
    });
    Ok(ConfiguredClient {
        id: client.id.clone(),
        name: client.name.clone(),
        redirect_uris: redirect_uris.collect::<Result<_, _>>()?,
        secret: client.secret.clone(),
    })
}

/// Keys that all replicas share.
#[derive(Debug)]
struct DeploymentKeys {
    signing: SigningKeys,
    succession: ServiceKey,
}

#[async_trait::async_trait]
impl TokenKeys for DeploymentKeys {
    async fn current(&self) -> Result<Arc<SigningKey>, KeysUnavailable> {
        self.signing.current().await.map_err(unavailable)
    }

    async fn published(&self) -> Result<Value, KeysUnavailable> {
        self.signing.published().await.map_err(unavailable)
    }

    async fn verifying(&self) -> Result<Value, KeysUnavailable> {
        self.signing.verifying().await.map_err(unavailable)
    }

    async fn succession(&self) -> Result<Arc<DataKey>, KeysUnavailable> {
        self.succession.obtain().await.map_err(unavailable)
    }
}

fn unavailable(error: ObtainError) -> KeysUnavailable {
    KeysUnavailable(Box::new(error))
}

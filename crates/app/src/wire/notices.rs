//! Who is told of connections that end.

use std::sync::Arc;

use attache_broker::{
    Brokered, Tasks,
    audit::Audit,
    notices::{Agenda, Herald, HeraldParts, Webhook},
};
use attache_config::{Config, model::Notices};
use attache_core::PublicOrigin;
use attache_crypto::webhook::WebhookKey;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::upstreams::Common;

/// No configuration that was checked has it.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    #[error("notices.webhook is not a URL")]
    Url,
    #[error("notices.secret is not whsec_ and the base64 of 24 to 64 bytes")]
    Secret,
}

/// What the broker writes down to be told, and a task that tells it until `stop`.
pub(super) fn wire(
    config: &Config,
    common: &Common<'_>,
    upstreams: &[Arc<Brokered>],
    audit: &Arc<Audit>,
    tasks: &Tasks,
    stop: &CancellationToken,
) -> Result<Agenda, WebhookError> {
    let Some(notices) = &config.notices else { return Ok(Agenda::default()) };
    let stores = common.stores;
    let herald = Herald::new(HeraldParts {
        webhook: webhook(notices)?,
        origin: PublicOrigin::new(common.public_url),
        notices: Arc::clone(&stores.notices),
        credentials: Arc::clone(&stores.credentials),
        people: Arc::clone(&stores.people),
        upstreams: upstreams.to_vec(),
        outbound: Arc::clone(&common.outbound),
        audit: Arc::clone(audit),
        metrics: common.metrics.clone(),
        clock: Arc::clone(&common.world.clock),
    });
    tasks.spawn(herald.run(stop.clone()));
    Ok(Agenda::new(Arc::clone(&stores.notices)))
}

fn webhook(notices: &Notices) -> Result<Webhook, WebhookError> {
    Ok(Webhook {
        url: Url::parse(notices.webhook.expose()).map_err(|_| WebhookError::Url)?,
        key: WebhookKey::parse(&notices.secret).ok_or(WebhookError::Secret)?,
    })
}

//! What is counted about identity.

use prometheus_client::{metrics::counter::Counter, registry::Registry};

/// Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    pub(crate) clients_evicted: Counter,
}

impl Metrics {
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "clients_evicted",
            "Registered clients without a grant that made room for others",
            metrics.clients_evicted.clone(),
        );
        metrics
    }
}

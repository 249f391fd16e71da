//! What `/metrics` says: one registry, handed to whoever counts.

use prometheus_client::{encoding::text, metrics::info::Info, registry::Registry};

/// What [`encode`] writes (`OpenMetrics` 1.0.0), which Prometheus reads as its own.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Everything in it is called `attache_…`.
pub(crate) fn registry() -> Registry {
    let mut registry = Registry::with_prefix("attache");
    let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
    registry.register("build", "Which attache this is", version);
    registry
}

pub(crate) fn encode(registry: &Registry) -> String {
    let mut page = String::new();
    text::encode(&mut page, registry).expect("a String takes any text");
    page
}

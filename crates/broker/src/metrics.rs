//! What the broker counts, for whoever is paged. Labels hold words of closed lists: no person, and
//! nothing that a remote server wrote.

use attache_core::{
    UpstreamName,
    audit::{Outcome, Reason},
};
use attache_oauth::secret_rotation::Taken;
use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

type Label = [(&'static str, &'static str); 1];
/// An upstream's configured name, and a word of ours.
type UpstreamLabels = [(&'static str, String); 2];

/// How an upstream's authorization server is, as far as this process asked it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProviderState {
    Available,
    Unavailable,
    Misconfigured,
}

impl ProviderState {
    const ALL: [Self; 3] = [Self::Available, Self::Unavailable, Self::Misconfigured];

    fn as_str(self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::Unavailable => "provider_unavailable",
            Self::Misconfigured => "misconfigured",
        }
    }
}

/// What came of telling a webhook of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Delivered,
    Postponed,
    GivenUp,
}

impl Told {
    const ALL: [Self; 3] = [Self::Delivered, Self::Postponed, Self::GivenUp];

    fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Postponed => "postponed",
            Self::GivenUp => "given_up",
        }
    }
}

/// Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    unreadable_records: Family<Label, Counter>,
    refreshes: Family<UpstreamLabels, Counter>,
    exchanges: Family<UpstreamLabels, Counter>,
    providers: Family<UpstreamLabels, Gauge>,
    client_secrets: Family<UpstreamLabels, Gauge>,
    notices: Family<Label, Counter>,
    audit_dropped: Counter,
}

impl Metrics {
    /// What is registered is there from the start, with zeros: an alert needs something to compare.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "unreadable_records",
            "Times a stored credential did not open, by reason",
            metrics.unreadable_records.clone(),
        );
        registry.register(
            "refreshes",
            "Refreshes of credentials, by upstream and outcome: success, or the reason of the failure",
            metrics.refreshes.clone(),
        );
        registry.register(
            "token_exchanges",
            "Exchanges of callers' tokens, by upstream and outcome: success, or the reason of the failure",
            metrics.exchanges.clone(),
        );
        registry.register(
            "provider_state",
            "1 for the state that an upstream's authorization server is in, as this process knows it",
            metrics.providers.clone(),
        );
        registry.register(
            "client_secret_taken",
            "1 for the client secret that an upstream's authorization server took last, of two",
            metrics.client_secrets.clone(),
        );
        registry.register(
            "audit_dropped",
            "Entries that were not written to the audit",
            metrics.audit_dropped.clone(),
        );
        registry.register(
            "notices",
            "Notices to the webhook, by outcome: delivered, postponed to another try, or given up",
            metrics.notices.clone(),
        );
        for told in Told::ALL {
            drop(metrics.notices.get_or_create(&[("outcome", told.as_str())]));
        }
        for reason in [Reason::Unreadable, Reason::KeyMissing] {
            drop(metrics.unreadable_records.get_or_create(&by_reason(reason)));
        }
        metrics
    }

    /// An upstream that is configured.
    pub(crate) fn expect(&self, upstream: &UpstreamName) {
        drop(self.refreshes.get_or_create(&by_outcome(upstream, Outcome::Success)));
        self.provider(upstream, ProviderState::Available);
    }

    pub(crate) fn provider(&self, upstream: &UpstreamName, present: ProviderState) {
        for state in ProviderState::ALL {
            let labels = [("upstream", upstream.to_string()), ("state", state.as_str().to_owned())];
            self.providers.get_or_create(&labels).set(i64::from(state == present));
        }
    }

    /// Of an upstream with two.
    pub(crate) fn secret_taken(&self, upstream: &UpstreamName, taken: Taken) {
        for (one, word) in [(Taken::First, "first"), (Taken::Second, "second")] {
            let labels = [("upstream", upstream.to_string()), ("secret", word.to_owned())];
            self.client_secrets.get_or_create(&labels).set(i64::from(one == taken));
        }
    }

    pub(crate) fn told(&self, told: Told) {
        self.notices.get_or_create(&[("outcome", told.as_str())]).inc();
    }

    pub(crate) fn unreadable(&self, reason: Reason) {
        self.unreadable_records.get_or_create(&by_reason(reason)).inc();
    }

    pub(crate) fn refreshed(&self, upstream: &UpstreamName, outcome: Outcome) {
        self.refreshes.get_or_create(&by_outcome(upstream, outcome)).inc();
    }

    pub(crate) fn exchanged(&self, upstream: &UpstreamName, outcome: Outcome) {
        self.exchanges.get_or_create(&by_outcome(upstream, outcome)).inc();
    }

    pub(crate) fn dropped(&self, entries: u64) {
        self.audit_dropped.inc_by(entries);
    }
}

fn by_reason(reason: Reason) -> Label {
    [("reason", reason.as_str())]
}

fn by_outcome(upstream: &UpstreamName, outcome: Outcome) -> UpstreamLabels {
    let word = match outcome {
        Outcome::Success => "success",
        Outcome::Failure(reason) => reason.as_str(),
    };
    [("upstream", upstream.to_string()), ("outcome", word.to_owned())]
}

//! What the broker counts, for whoever is paged. Labels hold words of closed lists: no person, and
//! nothing that a remote server wrote.

use attache_core::audit::{Outcome, Reason};
use prometheus_client::{
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

type Label = [(&'static str, &'static str); 1];

/// Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    unreadable_records: Family<Label, Counter>,
    refreshes: Family<Label, Counter>,
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
            "Refreshes of credentials, by outcome: success, or the reason of the failure",
            metrics.refreshes.clone(),
        );
        registry.register(
            "audit_dropped",
            "Entries that were not written to the audit",
            metrics.audit_dropped.clone(),
        );
        for reason in [Reason::Unreadable, Reason::KeyMissing] {
            drop(metrics.unreadable_records.get_or_create(&by_reason(reason)));
        }
        drop(metrics.refreshes.get_or_create(&by_outcome(Outcome::Success)));
        metrics
    }

    pub(crate) fn unreadable(&self, reason: Reason) {
        self.unreadable_records.get_or_create(&by_reason(reason)).inc();
    }

    pub(crate) fn refreshed(&self, outcome: Outcome) {
        self.refreshes.get_or_create(&by_outcome(outcome)).inc();
    }

    pub(crate) fn dropped(&self, entries: u64) {
        self.audit_dropped.inc_by(entries);
    }
}

fn by_reason(reason: Reason) -> Label {
    [("reason", reason.as_str())]
}

fn by_outcome(outcome: Outcome) -> Label {
    let word = match outcome {
        Outcome::Success => "success",
        Outcome::Failure(reason) => reason.as_str(),
    };
    [("outcome", word)]
}

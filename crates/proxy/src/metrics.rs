//! What the data plane counts. Labels are an upstream's configured name and words of closed lists,
//! and what every request counts is looked up when its route is built.

use std::time::Duration;

use attache_core::{RuleName, UpstreamName, problem::Kind};
use http::StatusCode;
use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

type Upstream = [(&'static str, String); 1];
type UpstreamAnd = [(&'static str, String); 2];

/// Seconds to the head of an answer: from what a cache takes to what the head's timeout is.
const BUCKETS: [f64; 12] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0, 300.0];
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// Clones count together.
#[derive(Clone, Debug)]
pub struct Metrics {
    requests: Family<UpstreamAnd, Counter>,
    seconds: Family<Upstream, Histogram, fn() -> Histogram>,
    under_way: Family<Upstream, Gauge>,
    refusals: Family<UpstreamAnd, Counter>,
    cuts: Family<UpstreamAnd, Counter>,
    denials: Family<UpstreamAnd, Counter>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            requests: Family::default(),
            seconds: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            under_way: Family::default(),
            refusals: Family::default(),
            cuts: Family::default(),
            denials: Family::default(),
        }
    }
}

impl Metrics {
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "requests",
            "Requests to an upstream, by the class of the answer's status",
            metrics.requests.clone(),
        );
        registry.register(
            "request_seconds",
            "From a request's head to the head of its answer",
            metrics.seconds.clone(),
        );
        registry.register(
            "requests_under_way",
            "Requests to an upstream whose answers are not over, streams among them",
            metrics.under_way.clone(),
        );
        registry.register(
            "refusals",
            "Requests that the gateway answered itself, by the problem it told",
            metrics.refusals.clone(),
        );
        registry.register(
            "streams_cut",
            "Answers that the gateway ended before the upstream did, by the reason",
            metrics.cuts.clone(),
        );
        registry.register(
            "policy_denials",
            "Requests that a rule of the operator's closed the way to, by the rule",
            metrics.denials.clone(),
        );
        metrics
    }

    pub(crate) fn of(&self, upstream: &UpstreamName) -> RouteMetrics {
        let name = [("upstream", upstream.to_string())];
        let class = |class: &str| {
            let labels = [("upstream", upstream.to_string()), ("status", class.to_owned())];
            self.requests.get_or_create_owned(&labels)
        };
        RouteMetrics {
            upstream: upstream.clone(),
            classes: CLASSES.map(class),
            seconds: self.seconds.get_or_create_owned(&name),
            under_way: self.under_way.get_or_create_owned(&name),
            all: self.clone(),
        }
    }
}

/// One upstream's.
#[derive(Debug)]
pub(crate) struct RouteMetrics {
    upstream: UpstreamName,
    classes: [Counter; 5],
    seconds: Histogram,
    pub(crate) under_way: Gauge,
    all: Metrics,
}

impl RouteMetrics {
    pub(crate) fn answered(&self, status: StatusCode, after: Duration) {
        let class = usize::from(status.as_u16() / 100).saturating_sub(1);
        if let Some(counter) = self.classes.get(class) {
            counter.inc();
        }
        self.seconds.observe(after.as_secs_f64());
    }

    pub(crate) fn refused(&self, kind: Kind) {
        let labels =
            [("upstream", self.upstream.to_string()), ("problem", kind.facts().slug.to_owned())];
        self.all.refusals.get_or_create(&labels).inc();
    }

    pub(crate) fn denied(&self, rule: &RuleName) {
        let labels = [("upstream", self.upstream.to_string()), ("rule", rule.to_string())];
        self.all.denials.get_or_create(&labels).inc();
    }

    pub(crate) fn cut(&self, reason: &'static str) {
        let labels = [("upstream", self.upstream.to_string()), ("reason", reason.to_owned())];
        self.all.cuts.get_or_create(&labels).inc();
    }
}

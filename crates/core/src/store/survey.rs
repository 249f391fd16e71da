//! Everybody's, as numbers: what whoever runs the gateway may look at without anybody's name on it.

use std::fmt;

use super::Result;
use crate::{
    ConnectionName, Timestamp,
    audit::{Action, Outcome, Reason},
};

/// People who ever signed in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Headcount {
    pub all: u64,
    /// Of them switched off.
    pub disabled: u64,
}

/// How many credentials are stored for a connection of one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    pub server: ConnectionName,
    /// Why these serve nobody until their people reconnect; `None`: they serve.
    pub ended: Option<Reason>,
    pub count: u64,
}

/// How often something was written into the audit within an hour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tally {
    pub server: Option<ConnectionName>,
    pub action: Action,
    pub outcome: Outcome,
    /// Whole hours after the time that was asked about.
    pub hour: u32,
    pub count: u64,
    pub last: Timestamp,
}

#[async_trait::async_trait]
pub trait SurveyStore: fmt::Debug + Send + Sync {
    async fn people(&self) -> Result<Headcount>;

    /// By name, and then by why; at most 10,000.
    async fn credentials(&self) -> Result<Vec<Held>>;

    /// Of the newest `bound` entries of the audit, those since a time; at most 10,000 tallies.
    async fn happened(&self, since: Timestamp, bound: u32) -> Result<Vec<Tally>>;
}

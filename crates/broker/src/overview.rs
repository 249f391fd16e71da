//! What people may look at of what is theirs, and whoever runs the gateway of everybody's: what was
//! done, and how things stand. No credential is opened for it.

use std::{sync::Arc, time::Duration};

use attache_core::{
    Timestamp, UpstreamName, UserId,
    audit::{
        Action, Outcome, Reason,
        trail::{AuditTrail, Filter, Listed},
    },
    explain::{Turn, turn},
    store::{
        Headcount, Held, KeyId, KeyKind, StoreError, Stores, SurveyStore, Tally, WrappedKeys, Wraps,
    },
};
use attache_crypto::keyring::KeyRing;

use crate::upstream::Brokered;

/// How far back the numbers go.
const HOURS: u32 = 24;
const HOUR: Duration = Duration::from_hours(1);
/// Entries that are counted, at most: a look costs a tenth of a second, and never more.
pub const COUNTED: u32 = 100_000;

/// Where a list goes on: behind the event of this time and number.
pub type Place = (Timestamp, i64);

#[derive(Debug)]
pub struct Overview {
    survey: Arc<dyn SurveyStore>,
    trail: Arc<dyn AuditTrail>,
    wrapped: Arc<dyn WrappedKeys>,
    ring: KeyRing,
    upstreams: Vec<Arc<Brokered>>,
}

impl Overview {
    pub fn new(
        stores: &Stores,
        trail: Arc<dyn AuditTrail>,
        ring: KeyRing,
        upstreams: Vec<Arc<Brokered>>,
    ) -> Self {
        let (survey, wrapped) = (Arc::clone(&stores.survey), Arc::clone(&stores.wrapped_keys));
        Self { survey, trail, wrapped, ring, upstreams }
    }

    /// What this person did and what was done for them, the newest first, below `below`; at most
    /// `limit`.
    pub async fn activity(
        &self,
        user: &UserId,
        below: Option<Place>,
        limit: u32,
    ) -> Result<Vec<Listed>, StoreError> {
        let filter = Filter { user: Some(user.clone()), below, ..Filter::default() };
        self.trail.newest(&filter, limit).await
    }

    /// Everybody's, the newest first; at most `limit`.
    pub async fn audit(&self, filter: &Filter, limit: u32) -> Result<Vec<Listed>, StoreError> {
        self.trail.newest(filter, limit).await
    }

    /// In the order of the database's numbers, above `after`; at most `limit`.
    pub async fn audit_from(
        &self,
        filter: &Filter,
        after: i64,
        limit: u32,
    ) -> Result<Vec<Listed>, StoreError> {
        self.trail.page(filter, after, limit).await
    }

    /// What is connected, by name; nobody's.
    pub async fn credentials(&self) -> Result<Vec<Held>, StoreError> {
        self.survey.credentials().await
    }

    pub async fn people(&self) -> Result<Headcount, StoreError> {
        self.survey.people().await
    }

    /// The last 24 hours, and what is connected now.
    pub async fn day(&self, now: Timestamp) -> Result<Day, StoreError> {
        let since = now.minus(HOUR * HOURS);
        let tallies = self.survey.happened(since, COUNTED).await?;
        let held = self.survey.credentials().await?;
        let upstreams = self.upstreams.iter();
        let counted: u64 = tallies.iter().map(|tally| tally.count).sum();
        Ok(Day {
            hours: (0..HOURS).map(|hour| Hour::new(hour, &tallies)).collect(),
            upstreams: upstreams.map(|one| UpstreamDay::new(one, &tallies, &held)).collect(),
            is_whole: counted < u64::from(COUNTED),
        })
    }

    /// The key-encryption keys: those of the configuration, and those that something still needs.
    pub async fn keys(&self) -> Result<Vec<Key>, StoreError> {
        Ok(keys(&self.ring, &self.wrapped.count().await?))
    }
}

#[derive(Clone, Debug)]
pub struct Day {
    /// The oldest first.
    pub hours: Vec<Hour>,
    pub upstreams: Vec<UpstreamDay>,
    /// Whether everything was counted, and not only the newest [`COUNTED`] entries.
    pub is_whole: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hour {
    /// Credentials that went out with a request.
    pub used: u64,
    /// Whatever did not work, at any upstream.
    pub failed: u64,
}

impl Hour {
    fn new(hour: u32, tallies: &[Tally]) -> Self {
        let last = HOURS.saturating_sub(1);
        let of_it = tallies.iter().filter(|tally| tally.hour.min(last) == hour);
        of_it.filter(|tally| tally.server.is_some()).fold(Self::default(), Self::and)
    }

    fn and(self, tally: &Tally) -> Self {
        let Self { used, failed } = self;
        match (tally.outcome, tally.action) {
            (Outcome::Failure(_), _) => Self { failed: failed.saturating_add(tally.count), used },
            (Outcome::Success, Action::Inject | Action::Vend) => {
                Self { used: used.saturating_add(tally.count), failed }
            }
            (Outcome::Success, _) => self,
        }
    }
}

#[derive(Clone, Debug)]
pub struct UpstreamDay {
    pub name: UpstreamName,
    /// `auth_broker.mode`.
    pub mode: &'static str,
    /// Credentials that serve their people, of all accounts.
    pub connected: u64,
    /// Those that serve nobody until their people reconnect.
    pub ended: u64,
    pub day: Hour,
    /// Whose move it is, unless it works.
    pub turn: Option<Turn>,
    /// What did not work, the last first.
    pub trouble: Vec<Trouble>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trouble {
    pub reason: Reason,
    pub count: u64,
    pub last: Timestamp,
}

impl UpstreamDay {
    fn new(upstream: &Brokered, tallies: &[Tally], held: &[Held]) -> Self {
        let is_its = |tally: &&Tally| {
            tally.server.as_ref().is_some_and(|server| server.upstream == upstream.name)
        };
        let tallies: Vec<&Tally> = tallies.iter().filter(is_its).collect();
        let held = held.iter().filter(|held| held.server.upstream == upstream.name);
        let (ended, good): (Vec<_>, Vec<_>) = held.partition(|held| held.ended.is_some());
        let sum = |held: Vec<&Held>| held.iter().map(|held| held.count).sum();
        let trouble = trouble(&tallies);
        Self {
            name: upstream.name.clone(),
            mode: upstream.mode(),
            connected: sum(good),
            ended: sum(ended),
            day: tallies.iter().fold(Hour::default(), |day, tally| day.and(tally)),
            turn: whose(&trouble, worked_at(&tallies)),
            trouble,
        }
    }
}

fn trouble(tallies: &[&Tally]) -> Vec<Trouble> {
    let mut found: Vec<Trouble> = Vec::new();
    for tally in tallies {
        let Outcome::Failure(reason) = tally.outcome else { continue };
        match found.iter_mut().find(|trouble| trouble.reason == reason) {
            Some(trouble) => {
                trouble.count = trouble.count.saturating_add(tally.count);
                trouble.last = trouble.last.max(tally.last);
            }
            None => found.push(Trouble { reason, count: tally.count, last: tally.last }),
        }
    }
    found.sort_by_key(|trouble| std::cmp::Reverse(trouble.last));
    found
}

/// When its provider did last what was asked of it.
fn worked_at(tallies: &[&Tally]) -> Option<Timestamp> {
    let asked = [Action::Acquire, Action::Refresh, Action::Connect];
    let good = |tally: &&&Tally| tally.outcome == Outcome::Success && asked.contains(&tally.action);
    tallies.iter().filter(good).map(|tally| tally.last).max()
}

/// A person's own mistake says nothing about an upstream, nor does what was mended since.
fn whose(trouble: &[Trouble], worked_at: Option<Timestamp>) -> Option<Turn> {
    let since = trouble.iter().filter(|trouble| worked_at.is_none_or(|at| trouble.last > at));
    let turns: Vec<Turn> = since.map(|trouble| turn(trouble.reason)).collect();
    [Turn::Operator, Turn::Nobody].into_iter().find(|turn| turns.contains(turn))
}

/// A key-encryption key, and how much is wrapped by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    pub name: String,
    pub role: KeyRole,
    /// People's.
    pub data_keys: u64,
    /// Of the runs that wrote into the audit.
    pub audit_writers: u64,
    /// Shared by all replicas.
    pub service_keys: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyRole {
    Active,
    Retired,
    /// It wraps something, and is in the configuration no more.
    Missing,
}

impl KeyRole {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Retired => "retired",
            Self::Missing => "missing",
        }
    }
}

/// The active key first, then the retired ones, then those that are missing.
pub fn keys(ring: &KeyRing, wraps: &[Wraps]) -> Vec<Key> {
    let under = |id: &KeyId, kind| {
        let found = wraps.iter().find(|wraps| wraps.by == *id && wraps.kind == kind);
        found.map_or(0, |wraps| wraps.count)
    };
    let key = |id: &KeyId, role| Key {
        name: id.0.to_string(),
        role,
        data_keys: under(id, KeyKind::Person),
        audit_writers: under(id, KeyKind::AuditWriter),
        service_keys: under(id, KeyKind::Service),
    };
    let mut keys = vec![key(ring.active.id(), KeyRole::Active)];
    keys.extend(ring.retired.iter().map(|one| key(one.id(), KeyRole::Retired)));
    for Wraps { by, .. } in wraps {
        if keys.iter().all(|known| known.name != *by.0) {
            keys.push(key(by, KeyRole::Missing));
        }
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is wrong is said until it worked again, and a person's own no is not a fault.
    #[test]
    fn whose_move_an_upstream_is() {
        let trouble = |reason, last| Trouble { reason, count: 1, last: Timestamp(last) };
        for (happened, worked_at, expected) in [
            (&[][..], None, None),
            (&[trouble(Reason::AccessDenied, 5)], None, None),
            (&[trouble(Reason::InvalidClient, 5)], None, Some(Turn::Operator)),
            (&[trouble(Reason::InvalidClient, 5)], Some(4), Some(Turn::Operator)),
            (&[trouble(Reason::InvalidClient, 5)], Some(6), None),
            (&[trouble(Reason::ProviderUnavailable, 5)], Some(4), Some(Turn::Nobody)),
            (
                &[trouble(Reason::ProviderUnavailable, 5), trouble(Reason::InvalidScope, 3)],
                None,
                Some(Turn::Operator),
            ),
        ] {
            assert_eq!(whose(happened, worked_at.map(Timestamp)), expected, "{happened:?}");
        }
    }
}

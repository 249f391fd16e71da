//! `attache keys status`

use attache_broker::rewrap::Survey;
use attache_core::store::{KeyId, KeyKind, Wraps};
use attache_crypto::keyring::KeyRing;
use serde::Serialize;

use super::{Opened, show};
use crate::{Failure, commands::progress::Bar, terminal::Terminal};

/// How many keys that do not open are named in a table; JSON has more.
const SHOWN: usize = 5;

#[derive(Serialize)]
pub(super) struct Report {
    keys: Vec<Key>,
    unreadable: u64,
    /// The first 1,000.
    unreadable_keys: Vec<UnreadableKey>,
}

#[derive(Serialize)]
struct Key {
    name: String,
    role: Role,
    /// People's.
    data_keys: u64,
    /// Of the runs that wrote into the audit.
    audit_writers: u64,
    /// Shared by all replicas.
    service_keys: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Role {
    Active,
    Retired,
    /// It wraps something, and is in the configuration no more.
    Missing,
}

#[derive(Serialize)]
struct UnreadableKey {
    /// A person's id, `audit:…` or `service:…`.
    owner: String,
    why: String,
}

pub(super) async fn run(opened: &Opened, terminal: Terminal) -> Result<(), Failure> {
    let mut bar = Bar::new(terminal);
    let survey = opened.rewrap.survey(&mut |progress| show(&mut bar, progress)).await;
    bar.clear();
    let survey = survey.map_err(Failure::failed)?;
    let report = Report::new(&opened.ring, &survey);
    report.print(terminal);
    match report.unreadable {
        0 => Ok(()),
        count => Err(Failure::Failed(format!(
            "{count} keys open with no configured key: put the key that is missing into keys.retired"
        ))),
    }
}

impl Report {
    pub(super) fn new(ring: &KeyRing, survey: &Survey) -> Self {
        let key = |id: &KeyId, role| Key {
            name: id.0.to_string(),
            role,
            data_keys: survey.under(id, KeyKind::Person),
            audit_writers: survey.under(id, KeyKind::AuditWriter),
            service_keys: survey.under(id, KeyKind::Service),
        };
        let mut keys = vec![key(ring.active.id(), Role::Active)];
        keys.extend(ring.retired.iter().map(|one| key(one.id(), Role::Retired)));
        for Wraps { by, .. } in &survey.wrapped {
            if keys.iter().all(|known| known.name != *by.0) {
                keys.push(key(by, Role::Missing));
            }
        }
        let named = survey
            .named
            .iter()
            .map(|(owner, why)| UnreadableKey { owner: owner.to_string(), why: why.to_string() });
        Self { keys, unreadable: survey.unreadable, unreadable_keys: named.collect() }
    }

    pub(super) fn print(&self, terminal: Terminal) {
        terminal.data(self, || {
            let header = ["KEY", "ROLE", "DATA KEYS", "AUDIT WRITERS", "SERVICE KEYS"];
            let rows = self.keys.iter().map(|key| {
                let counts = [key.data_keys, key.audit_writers, key.service_keys];
                let named = [key.name.clone(), key.role.as_str().to_owned()].into_iter();
                named.chain(counts.map(|count| count.to_string())).collect()
            });
            std::iter::once(header.map(str::to_owned).to_vec()).chain(rows).collect()
        });
        if !terminal.is_machine() {
            for UnreadableKey { owner, why } in self.unreadable_keys.iter().take(SHOWN) {
                terminal.message(format_args!("{owner}: {why}"));
            }
            if self.unreadable_keys.len() > SHOWN {
                terminal.message("and more: -o json names up to 1,000");
            }
        }
    }
}

impl Role {
    fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Retired => "retired",
            Self::Missing => "missing",
        }
    }
}

//! `attache keys status`

use attache_broker::rewrap::Survey;
use attache_core::store::KeyId;
use attache_crypto::keyring::KeyRing;
use serde::Serialize;

use super::{Opened, progress::Bar};
use crate::{Failure, terminal::Terminal};

/// How many people whose data key does not open are named in a table; JSON has more.
const SHOWN: usize = 5;

#[derive(Serialize)]
pub(super) struct Report {
    keys: Vec<Key>,
    unreadable: u64,
    /// The first 1,000.
    unreadable_people: Vec<Person>,
}

#[derive(Serialize)]
struct Key {
    name: String,
    role: Role,
    data_keys: u64,
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
struct Person {
    user: String,
    why: String,
}

pub(super) async fn run(opened: &Opened, terminal: Terminal) -> Result<(), Failure> {
    let mut bar = Bar::new(terminal);
    let survey = opened.rewrap.survey(&mut |progress| bar.show(progress)).await;
    bar.clear();
    let survey = survey.map_err(Failure::failed)?;
    let report = Report::new(&opened.ring, &survey);
    report.print(terminal);
    match report.unreadable {
        0 => Ok(()),
        count => Err(Failure::Failed(format!(
            "{count} data keys open with no configured key: put the key that is missing into \
             keys.retired"
        ))),
    }
}

impl Report {
    pub(super) fn new(ring: &KeyRing, survey: &Survey) -> Self {
        let key =
            |id: &KeyId, role| Key { name: id.0.to_string(), role, data_keys: survey.under(id) };
        let mut keys = vec![key(ring.active.id(), Role::Active)];
        keys.extend(ring.retired.iter().map(|one| key(one.id(), Role::Retired)));
        let missing = survey
            .wrapped
            .iter()
            .filter(|(id, _)| keys.iter().all(|configured| configured.name != *id.0));
        let missing: Vec<Key> = missing.map(|(id, _)| key(id, Role::Missing)).collect();
        keys.extend(missing);
        let people = survey
            .named
            .iter()
            .map(|(user, why)| Person { user: user.to_string(), why: why.to_string() });
        Self { keys, unreadable: survey.unreadable, unreadable_people: people.collect() }
    }

    pub(super) fn print(&self, terminal: Terminal) {
        terminal.data(self, || {
            let header = ["KEY", "ROLE", "DATA KEYS"].map(str::to_owned).to_vec();
            let rows = self.keys.iter().map(|key| {
                vec![key.name.clone(), key.role.as_str().to_owned(), key.data_keys.to_string()]
            });
            std::iter::once(header).chain(rows).collect()
        });
        if !terminal.is_machine() {
            for Person { user, why } in self.unreadable_people.iter().take(SHOWN) {
                terminal.message(format_args!("{user}: {why}"));
            }
            if self.unreadable_people.len() > SHOWN {
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

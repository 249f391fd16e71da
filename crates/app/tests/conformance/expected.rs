//! The table of `docs/conformance.md`.

use std::{fs, path::Path};

use attache_core::audit::Reason;

use super::suite::Ended;

/// A row.
#[derive(Debug)]
pub(crate) struct Expected {
    pub(crate) scenario: String,
    pub(crate) revisions: Vec<String>,
    pub(crate) outcome: Outcome,
    /// What the driver tells, word by word; nothing where the scenario is not played.
    story: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Everything the suite checks is well.
    Passed,
    /// The same, because the gateway refused and said why.
    Refused,
    /// Something the suite checks is not well, and the table says why.
    Fails,
    /// Not played; the table says why.
    NotApplicable,
}

impl Expected {
    pub(crate) fn read() -> Vec<Self> {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/conformance.md");
        let page = fs::read_to_string(page).expect("the page is there");
        page.lines().filter(|line| line.starts_with("| `auth/")).map(Self::row).collect()
    }

    /// `` | `scenario` | revisions | outcome | `word` → `word` | why | ``
    fn row(line: &str) -> Self {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [scenario, revisions, outcome, story, why] = cells[..] else {
            panic!("not five cells: {line}")
        };
        let outcome = match outcome {
            "passed" => Outcome::Passed,
            "refused" => Outcome::Refused,
            "fails" => Outcome::Fails,
            "not applicable" => Outcome::NotApplicable,
            _ => panic!("no outcome: {line}"),
        };
        let given = matches!(outcome, Outcome::Fails | Outcome::NotApplicable);
        assert!(!given || !why.is_empty(), "no reason: {line}");
        Self {
            scenario: scenario.trim_matches('`').to_owned(),
            revisions: revisions.split(", ").map(ToOwned::to_owned).collect(),
            outcome,
            story: words(story),
        }
    }

    pub(crate) fn applies_to(&self, revision: &str) -> bool {
        self.revisions.iter().any(|one| one == revision)
    }

    /// How it ended otherwise, if so.
    pub(crate) fn compare(&self, ended: &Ended) -> Option<String> {
        let fine = ended.failing.is_empty();
        let called = ended.story.last().is_some_and(|word| word == "called");
        // What the gateway wrote on the requests was looked at.
        let fine = fine && (!called || ended.passing.contains("valid-bearer-token"));
        let mut backwards = ended.story.iter().rev();
        let refusal = backwards.nth(1).and_then(|word| Reason::parse(word));
        let outcome = match self.outcome {
            Outcome::Passed => fine && refusal.is_none(),
            Outcome::Refused => fine && refusal.is_some(),
            Outcome::Fails => !fine,
            Outcome::NotApplicable => false,
        };
        let as_expected = outcome && ended.story == self.story;
        (!as_expected).then(|| {
            format!(
                "{} should be {:?} with {:?}, but: {ended:#?}",
                self.scenario, self.outcome, self.story
            )
        })
    }
}

fn words(cell: &str) -> Vec<String> {
    let words = cell.split('`').skip(1).step_by(2);
    words.map(ToOwned::to_owned).collect()
}

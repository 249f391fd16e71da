//! MCP's own conformance suite against the gateway as an OAuth client.
//!
//! What must come of each scenario is a table in `docs/conformance.md`, and nowhere else. The suite
//! comes from `cargo xtask peers`; `tests/peers/conformance-driver.mjs` plays each scenario with a
//! gateway of its own.

#[cfg(test)]
mod conformance {
    pub(crate) mod expected;
    pub(crate) mod suite;
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::conformance::{
        expected::{Expected, Outcome},
        suite,
    };

    #[test]
    fn the_table_has_what_the_suite_has() {
        let mut listed: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for expected in Expected::read() {
            listed.entry(expected.scenario).or_default().extend(expected.revisions);
        }
        assert_eq!(listed, suite::list());
    }

    /// Only the scenarios that a gateway has to be allowed to play by its operator.
    #[test]
    fn of_2025_03_26() {
        ends_as_expected("backcompat", "2025-03-26");
    }

    #[test]
    fn of_2025_11_25() {
        ends_as_expected("auth", "2025-11-25");
    }

    #[test]
    fn of_2026_07_28() {
        ends_as_expected("auth", "2026-07-28");
    }

    /// Outside the revisions of MCP, and played as of one that all of them know.
    #[test]
    fn of_extensions() {
        let expected = expected_of("extension");
        let scenarios: Vec<_> = expected.iter().map(|one| one.scenario.as_str()).collect();
        let played = suite::play_extensions(&scenarios, "2025-11-25");
        compare(expected, played, "extension");
    }

    /// `name` is the suite's collection with most of the revision's scenarios.
    fn ends_as_expected(name: &str, revision: &str) {
        let expected = expected_of(revision);
        let scenarios: Vec<_> = expected.iter().map(|one| one.scenario.as_str()).collect();
        let played = suite::play(name, &scenarios, revision);
        compare(expected, played, revision);
    }

    fn expected_of(revision: &str) -> Vec<Expected> {
        let applies =
            |one: &Expected| one.applies_to(revision) && one.outcome != Outcome::NotApplicable;
        Expected::read().into_iter().filter(applies).collect()
    }

    fn compare(
        expected: Vec<Expected>,
        mut played: BTreeMap<String, suite::Ended>,
        revision: &str,
    ) {
        let mut wrong = Vec::new();
        for one in expected {
            let ended = played.remove(&one.scenario).expect("every scenario was played");
            wrong.extend(one.compare(&ended));
        }
        wrong.extend(played.into_keys().map(|scenario| format!("{scenario} is not expected")));
        assert!(wrong.is_empty(), "at {revision}:\n{}", wrong.join("\n"));
    }
}

//! What one connection's upstream wants beyond what was first asked for, and how far people are
//! asked for it (OC-14). Kept count of by scope: an upstream that words its demand anew each time
//! begins no new count.

use std::time::Duration;

use attache_core::{
    Timestamp,
    store::{DemandedScope, Version},
};

/// Approvals that ask a person for one scope before it is plain that they do not help, the first one
/// of a connection included.
const MAX_CONSENTS: u32 = 3;
/// The authorization server does not know the scope: it is asked for no more.
const REFUSED: u32 = MAX_CONSENTS + 1;
/// For how long a demand waits for its person: longer than it takes to get to it, and not for ever
/// part of what is asked for when they declined.
const PATIENCE: Duration = Duration::from_hours(1);
/// Of one connection. Upstreams with a scope for each tool have dozens.
const MAX_SCOPES: usize = 64;
/// Bytes of them all: they travel in the query of an address, for which servers take 8 KiB.
const MAX_BYTES: usize = 4 * 1024;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Demands(Vec<DemandedScope>);

/// The operator's move: people approved as often as they are asked to, and it did not help, or
/// nobody could approve all of it (`Reason::ScopesNotGranted`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the authorization server does not grant the scopes that the upstream wants")]
pub(crate) struct NotGranted;

/// What there was before a demand.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Had<'a> {
    /// The scopes that every approval asks for.
    pub(crate) asked: &'a [String],
    /// What the credential was given, in the authorization server's words. An upstream names all
    /// that a request needs (RFC 6750 section 3), and what is there already is not what it lacks.
    pub(crate) granted: &'a [String],
}

impl Demands {
    pub(crate) fn new(stored: impl IntoIterator<Item = DemandedScope>) -> Self {
        Self(stored.into_iter().collect())
    }

    pub(crate) fn stored(&self) -> &[DemandedScope] {
        &self.0
    }

    /// What an approval has to ask for beside the first scopes: also what was approved before.
    pub(crate) fn asked_for(&self, now: Timestamp) -> Vec<String> {
        self.0.iter().filter(|one| is_asked_for(one, now)).map(|one| one.scope.clone()).collect()
    }

    /// What waits for the person.
    pub(crate) fn waiting(&self, now: Timestamp) -> Vec<String> {
        self.0.iter().filter(|one| waits(one, now)).map(|one| one.scope.clone()).collect()
    }

    /// The upstream says that it needs all of `wanted`, and that the credential of `version` lacks
    /// some of it.
    ///
    /// # Errors
    /// [`NotGranted`]: to ask once more would not help.
    pub(crate) fn hear(
        &mut self,
        wanted: &[String],
        had: Had<'_>,
        version: Version,
        now: Timestamp,
    ) -> Result<(), NotGranted> {
        let before = self.clone();
        self.0.retain(|one| one.consents > 0 || waits(one, now));
        let has_all = wanted.iter().all(|scope| had.granted.contains(scope));
        let lacks = |scope: &String| has_all || !had.granted.contains(scope);
        for scope in wanted {
            match self.0.iter_mut().find(|one| one.scope == *scope) {
                Some(one) if lacks(scope) => hear_again(one, version, now),
                Some(_) => {}
                None => self.0.push(DemandedScope {
                    scope: scope.clone(),
                    consents: u32::from(!lacks(scope) || had.asked.contains(scope)),
                    approved: None,
                    open_since: lacks(scope).then_some(now),
                }),
            }
        }
        let bytes: usize = self.0.iter().map(|one| one.scope.len()).sum();
        if self.0.len() > MAX_SCOPES || bytes > MAX_BYTES {
            *self = before;
            return Err(NotGranted);
        }
        let hopeless =
            |one: &DemandedScope| one.open_since.is_none() && one.consents >= MAX_CONSENTS;
        let named = |one: &&DemandedScope| wanted.contains(&one.scope) && lacks(&one.scope);
        if self.0.iter().filter(named).all(hopeless) { Err(NotGranted) } else { Ok(()) }
    }

    /// The person approved: the credential of `version` came of it.
    pub(crate) fn approve(&mut self, version: Version, now: Timestamp) {
        for one in self.0.iter_mut().filter(|one| is_asked_for(one, now)) {
            one.approved = Some(version);
            one.consents += u32::from(one.open_since.take().is_some());
        }
    }

    /// The authorization server does not know what it was asked for. That was fine before the latest
    /// demands, if there are any.
    pub(crate) fn refuse(&mut self, now: Timestamp) {
        let any_waits = self.0.iter().any(|one| waits(one, now));
        let asked = |one: &DemandedScope| is_asked_for(one, now);
        for one in
            self.0.iter_mut().filter(|one| if any_waits { waits(one, now) } else { asked(one) })
        {
            one.consents = REFUSED;
            one.open_since = None;
        }
    }
}

fn hear_again(one: &mut DemandedScope, version: Version, now: Timestamp) {
    let is_old_news = one.approved.is_some_and(|approved| version < approved);
    let is_fresh = one.open_since.is_some_and(|since| now.since(since) < PATIENCE / 2);
    if !is_old_news && !is_fresh && one.consents < MAX_CONSENTS {
        one.open_since = Some(now);
    }
}

fn waits(one: &DemandedScope, now: Timestamp) -> bool {
    one.open_since.is_some_and(|since| now.since(since) < PATIENCE)
}

fn is_asked_for(one: &DemandedScope, now: Timestamp) -> bool {
    (1..REFUSED).contains(&one.consents) || waits(one, now)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_795_435_200_000);

    fn words(text: &str) -> Vec<String> {
        text.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect()
    }

    /// Demand and approval, one after the other, where nothing is granted but `granted`; which
    /// demands could still be approved.
    fn play(asked: &str, granted: &str, demands: &[&str]) -> Vec<bool> {
        let (mut kept, mut version) = (Demands::default(), Version(1));
        let (asked, granted) = (words(asked), words(granted));
        let had = Had { asked: &asked, granted: &granted };
        let one_round = |wanted: &&str| {
            let heard = kept.hear(&words(wanted), had, version, NOW).is_ok();
            version = version.next();
            kept.approve(version, NOW);
            heard
        };
        demands.iter().map(one_round).collect()
    }

    #[test]
    fn nobody_is_asked_more_than_three_times() {
        for (asked, granted, demands, expected) in [
            ("", "", &["w"; 5][..], &[true, true, true, false, false][..]),
            // The first approval asked for it, too.
            ("r w", "r", &["w"; 4], &[true, true, false, false]),
            // It is there, says the authorization server; but the upstream says that it is not.
            ("w", "w", &["w"; 4], &[true, true, false, false]),
            // Other words for the same, and something new.
            (
                "",
                "",
                &["a b", "b", "b a", "a b", "b", "a"],
                &[true, true, true, true, false, false],
            ),
            ("", "", &["a", "a", "a", "a b", "a"], &[true, true, true, true, false]),
            // What is there is no part of it.
            ("", "a", &["a b", "a b", "a b", "a b", "a c"], &[true, true, true, false, true]),
        ] {
            assert_eq!(play(asked, granted, demands), expected, "{asked}, {granted}: {demands:?}");
        }
    }

    /// An upstream that names all that each of its tools needs must not make anybody lose some of it.
    #[test]
    fn what_was_approved_is_asked_for_ever_after() {
        let mut demands = Demands::default();
        for (round, tool) in (1..).zip(["b", "c", "d", "e", "f"]) {
            let wanted = words(&format!("a {tool}"));
            demands.hear(&wanted, Had::default(), Version(round), NOW).unwrap();
            demands.approve(Version(round + 1), NOW);
        }
        assert_eq!(demands.asked_for(NOW), words("a b c d e f"));
    }

    #[test]
    fn a_demand_that_nobody_follows_lapses() {
        let mut demands = Demands::default();
        demands.hear(&words("w"), Had::default(), Version(1), NOW).unwrap();
        assert_eq!((demands.waiting(NOW), demands.asked_for(NOW)), (words("w"), words("w")));
        let later = NOW.plus(PATIENCE);
        assert_eq!((demands.waiting(later), demands.asked_for(later)), (words(""), words("")));
        // It makes room, and is heard when it comes again.
        demands.hear(&words("x"), Had::default(), Version(1), later).unwrap();
        assert_eq!(demands.stored().len(), 1);
        demands.hear(&words("w"), Had::default(), Version(1), later).unwrap();
        assert_eq!(demands.asked_for(later), words("x w"));
    }

    /// A request was on its way while its person approved.
    #[test]
    fn what_is_said_of_an_older_credential_is_not_counted() {
        let mut demands = Demands::default();
        demands.hear(&words("w"), Had::default(), Version(1), NOW).unwrap();
        demands.approve(Version(2), NOW);
        demands.hear(&words("w"), Had::default(), Version(1), NOW).unwrap();
        assert_eq!(demands.waiting(NOW), words(""));
        demands.hear(&words("w"), Had::default(), Version(2), NOW).unwrap();
        assert_eq!(demands.waiting(NOW), words("w"));
    }

    #[test]
    fn a_scope_that_the_server_does_not_know_is_not_asked_for_again() {
        let mut demands = Demands::default();
        demands.hear(&words("known"), Had::default(), Version(1), NOW).unwrap();
        demands.approve(Version(2), NOW);
        demands.hear(&words("unknown"), Had::default(), Version(2), NOW).unwrap();
        demands.refuse(NOW);
        assert_eq!(demands.asked_for(NOW), words("known"));
        assert_eq!(
            demands.hear(&words("unknown"), Had::default(), Version(2), NOW),
            Err(NotGranted)
        );
        // It knew this once, and does not any more.
        demands.refuse(NOW);
        assert_eq!(demands.asked_for(NOW), words(""));
    }

    #[test]
    fn demands_without_end_are_not_kept() {
        let mut demands = Demands::default();
        let many: Vec<_> = (0..MAX_SCOPES).map(|number| number.to_string()).collect();
        demands.hear(&many, Had::default(), Version(1), NOW).unwrap();
        for too_much in [words("one-more"), vec!["x".repeat(MAX_BYTES + 1)]] {
            assert_eq!(demands.hear(&too_much, Had::default(), Version(1), NOW), Err(NotGranted));
            assert_eq!(demands.asked_for(NOW), many);
        }
    }
}

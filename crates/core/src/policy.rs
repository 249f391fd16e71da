//! What an operator closes to people who may otherwise use an upstream: for some of them, by some
//! ways, for some tools, at some hours.

use std::fmt;

use crate::{
    Principal, RuleName, Timestamp, hours::Hours, principal::AuthenticatedBy, tools::Glob,
};

/// The rules about one upstream. Each closes something; none opens anything, and so their order
/// decides nothing but which of them is named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy(pub Vec<Rule>);

/// Closes what all of its conditions describe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub name: RuleName,
    /// Members of any of these groups; `None`: everyone.
    pub groups: Option<Vec<String>>,
    /// But for members of any of these.
    pub except_groups: Vec<String>,
    /// Who proves themselves in one of these ways; `None`: in any.
    pub callers: Option<Vec<Caller>>,
    /// Calls of these tools, in any case; `None`: everything.
    pub tools: Option<Vec<Glob>>,
    /// `None`: always.
    pub hours: Option<Closed>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Closed {
    During(Hours),
    Outside(Hours),
}

/// How a caller proves who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// A token that they made for a program of theirs.
    PersonalToken,
    /// An access token that this gateway gave to a client of theirs.
    Client,
    /// An access token of a configured issuer.
    IdentityProvider,
}

impl Caller {
    pub const ALL: [Self; 3] = [Self::PersonalToken, Self::Client, Self::IdentityProvider];

    /// As the configuration says it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PersonalToken => "personal_token",
            Self::Client => "client",
            Self::IdentityProvider => "identity_provider",
        }
    }

    /// `None` of a browser: its session opens no upstream.
    fn of(who: &Principal) -> Option<Self> {
        match who.authenticated_by {
            AuthenticatedBy::PersonalToken(_) => Some(Self::PersonalToken),
            AuthenticatedBy::Client(_) => Some(Self::Client),
            AuthenticatedBy::AccessToken(_) => Some(Self::IdentityProvider),
            AuthenticatedBy::Session(_) => None,
        }
    }
}

/// Which rule, and when nothing is closed any more; for its caller to read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Denial {
    pub rule: RuleName,
    /// `None`: no hour changes it.
    pub opens_at: Option<Timestamp>,
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule, opens_at } = self;
        write!(f, "The rule \"{rule}\" of whoever runs this gateway closes this to you.")?;
        match opens_at {
            Some(at) => write!(f, " It is open again at {at}: try then, and not before."),
            None => f.write_str(" If you need it, ask them."),
        }
    }
}

/// Hours of several rules that follow each other are walked through at most so often.
const TURNS: usize = 32;

impl Policy {
    /// Whether nothing is ever closed, so that nobody has to look.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it is about what a message says, and not only about who sends it when.
    pub fn is_about_tools(&self) -> bool {
        self.0.iter().any(|rule| rule.tools.is_some())
    }

    /// Whether this person may, at this hour, use the upstream at all or, with `tool`, call that.
    ///
    /// # Errors
    /// The first of the rules that close it.
    pub fn judge(&self, who: &Principal, tool: Option<&str>, now: Timestamp) -> Result<(), Denial> {
        let closing = |at| self.0.iter().find(|rule| rule.closes(who, tool, at));
        let Some(rule) = closing(now) else { return Ok(()) };
        let mut opens_at = rule.opens_after(now);
        for _ in 0..TURNS {
            let Some(at) = opens_at else { break };
            let Some(next) = closing(at) else { break };
            opens_at = next.opens_after(at);
        }
        Err(Denial { rule: rule.name.clone(), opens_at })
    }

    /// Which rules close something to this person at this hour, by their place: whoever has the
    /// same is shown the same.
    pub fn standing(&self, who: &Principal, now: Timestamp) -> Vec<usize> {
        let standing = self.0.iter().enumerate().filter(|(_, rule)| rule.stands(who, now));
        standing.map(|(place, _)| place).collect()
    }
}

impl Rule {
    fn closes(&self, who: &Principal, tool: Option<&str>, now: Timestamp) -> bool {
        let is_about = match (&self.tools, tool) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(globs), Some(tool)) => {
                let lower = tool.to_ascii_lowercase();
                // What a server makes of other names nobody here knows.
                !tool.bytes().all(|byte| byte.is_ascii_graphic())
                    || globs.iter().any(|glob| glob.matches_any_case(&lower))
            }
        };
        is_about && self.stands(who, now)
    }

    fn stands(&self, who: &Principal, now: Timestamp) -> bool {
        let in_any = |groups: &[String]| who.groups.iter().any(|group| groups.contains(group));
        self.groups.as_deref().is_none_or(in_any)
            && !in_any(&self.except_groups)
            && self.is_about_proof(who)
            && self.hours.as_ref().is_none_or(|hours| hours.include(now))
    }

    fn is_about_proof(&self, who: &Principal) -> bool {
        let Some(callers) = &self.callers else { return true };
        Caller::of(who).is_some_and(|caller| callers.contains(&caller))
    }

    fn opens_after(&self, now: Timestamp) -> Option<Timestamp> {
        match self.hours.as_ref()? {
            Closed::During(hours) => hours.next(now, false),
            Closed::Outside(hours) => hours.next(now, true),
        }
    }
}

impl Closed {
    fn include(&self, now: Timestamp) -> bool {
        match self {
            Self::During(hours) => hours.include(now),
            Self::Outside(hours) => !hours.include(now),
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::{GrantId, IssuerId, Reach, TokenId, UserId};

    /// A Monday's noon in UTC.
    const NOON: Timestamp = Timestamp(1_795_435_200_000);

    fn who(groups: &[&str], authenticated_by: AuthenticatedBy) -> Principal {
        Principal {
            user: UserId::new("u"),
            issuer: IssuerId::new("https://idp.example.com"),
            subject: "s".to_owned(),
            email: None,
            name: None,
            groups: groups.iter().map(ToString::to_string).collect(),
            authenticated_by,
            reach: Reach::everything(),
            expires_at: Timestamp(i64::MAX),
        }
    }

    fn rule(name: &str) -> Rule {
        Rule {
            name: RuleName::parse(name).unwrap(),
            groups: None,
            except_groups: Vec::new(),
            callers: None,
            tools: None,
            hours: None,
        }
    }

    fn hours(window: &str) -> Hours {
        Hours::new(vec![window.parse().unwrap()], TimeZone::UTC)
    }

    fn names(groups: &[&str]) -> Vec<String> {
        groups.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_condition_must_hold_for_a_rule_to_close() {
        let token = || AuthenticatedBy::PersonalToken(TokenId::new("t"));
        let client = || AuthenticatedBy::Client(GrantId::new("g"));
        let issuers = || AuthenticatedBy::AccessToken(None);
        let guests = Rule { groups: Some(names(&["guests"])), ..rule("a") };
        let all_but = Rule { except_groups: names(&["oncall"]), ..rule("a") };
        let scripts = Rule { callers: Some(vec![Caller::PersonalToken]), ..rule("a") };
        let clients = Rule { callers: Some(vec![Caller::Client]), ..rule("a") };
        let deletes = Rule { tools: Some(vec!["delete_*".parse().unwrap()]), ..rule("a") };
        let night = Rule { hours: Some(Closed::Outside(hours("08:00-18:00"))), ..rule("a") };
        let lunch = Rule { hours: Some(Closed::During(hours("12:00-13:00"))), ..rule("a") };
        for (rule, groups, proof, tool, closed) in [
            (&guests, &["guests", "staff"][..], token(), None, true),
            (&guests, &["staff"], token(), None, false),
            (&guests, &[], token(), Some("x"), false),
            (&all_but, &[], token(), None, true),
            (&all_but, &["oncall", "guests"], token(), None, false),
            (&scripts, &[], token(), None, true),
            (&scripts, &[], client(), None, false),
            (&scripts, &[], issuers(), None, false),
            (&clients, &[], client(), Some("read"), true),
            (&deletes, &[], token(), None, false),
            (&deletes, &[], token(), Some("read"), false),
            (&deletes, &[], token(), Some("delete_all"), true),
            (&deletes, &[], token(), Some("Delete_All"), true),
            (&deletes, &[], token(), Some("read "), true),
            (&deletes, &[], token(), Some("deleteſ"), true),
            (&night, &[], token(), None, false),
            (&lunch, &[], token(), None, true),
        ] {
            let policy = Policy(vec![rule.clone()]);
            let judged = policy.judge(&who(groups, proof), tool, NOON);
            assert_eq!(judged.is_err(), closed, "{rule:?} {groups:?} {tool:?}");
        }
    }

    #[test]
    fn it_is_told_when_nothing_is_closed_any_more() {
        let during =
            |name, window| Rule { hours: Some(Closed::During(hours(window))), ..rule(name) };
        let later = |hours: i64| Some(Timestamp(NOON.0 + hours * 3_600_000));
        let ada = who(&[], AuthenticatedBy::AccessToken(None));
        for (rules, opens_at) in [
            (vec![during("a", "11:00-14:00")], later(2)),
            (vec![during("a", "11:00-14:00"), during("b", "13:00-16:00")], later(4)),
            (vec![during("a", "11:00-14:00"), rule("b")], None),
            (vec![during("a", "00:00-24:00")], None),
        ] {
            let denial = Policy(rules).judge(&ada, None, NOON).unwrap_err();
            assert_eq!((denial.rule.as_str(), denial.opens_at), ("a", opens_at));
        }
    }
}

//! Which of an MCP server's tools a person may call.

use std::str::FromStr;

use crate::Principal;

/// What an operator wrote about the tools of one upstream, in order of no importance.
///
/// Without a rule every tool is open. With rules a tool is open to whom one of theirs allows it
/// and none of theirs denies it: nobody's own rules means no tool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolRules(pub Vec<ToolRule>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolRule {
    /// Whom it is about: members of any of these groups; `None`: everyone.
    pub groups: Option<Vec<String>>,
    /// `None`: every tool.
    pub allow: Option<Vec<Glob>>,
    /// Wins over what any rule allows, and in any case: a server that takes `Delete` for `delete`
    /// must not be a way around.
    pub deny: Vec<Glob>,
}

impl ToolRules {
    /// Whether every tool is open to everyone, so that nobody has to look.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Under rules no tool has a name with anything but visible ASCII: what a server makes of it
    /// (white space, other alphabets' capitals) nobody here knows.
    pub fn permit(&self, who: &Principal, tool: &str) -> bool {
        if self.is_empty() {
            return true;
        }
        if !is_plain(tool) {
            return false;
        }
        let lower = tool.to_ascii_lowercase();
        let mut allowed = false;
        for rule in self.0.iter().filter(|rule| rule.is_about(who)) {
            if rule.deny.iter().any(|glob| glob.matches_any_case(&lower)) {
                return false;
            }
            allowed |= match &rule.allow {
                Some(globs) => globs.iter().any(|glob| glob.matches(tool)),
                None => true,
            };
        }
        allowed
    }
}

impl ToolRule {
    fn is_about(&self, who: &Principal) -> bool {
        self.groups
            .as_ref()
            .is_none_or(|groups| who.groups.iter().any(|group| groups.contains(group)))
    }
}

/// A tool's name, in which `*` stands for any run of characters, none included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob(Box<str>);

/// Bytes of a glob: MCP's tool names have 128 at most.
const MAX_GLOB: usize = 128;
/// What means something in other kinds of globs, and is in no tool's name.
const ELSEWHERE: [char; 7] = ['?', '[', ']', '{', '}', '!', '\\'];

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidGlob {
    #[error("a tool's name has 1 to {MAX_GLOB} letters, digits and signs of ASCII, and no space")]
    NoName,
    #[error("only * has a meaning of its own, not ? [ ] {{ }} ! or \\")]
    OtherGrammar,
}

impl FromStr for Glob {
    type Err = InvalidGlob;

    fn from_str(text: &str) -> Result<Self, InvalidGlob> {
        let fits = (1..=MAX_GLOB).contains(&text.len());
        if !fits || !is_plain(text) {
            Err(InvalidGlob::NoName)
        } else if text.contains(ELSEWHERE) {
            Err(InvalidGlob::OtherGrammar)
        } else {
            Ok(Self(text.into()))
        }
    }
}

impl Glob {
    pub fn matches(&self, name: &str) -> bool {
        matches(&self.0, name)
    }

    pub(crate) fn matches_any_case(&self, lower: &str) -> bool {
        matches(&self.0.to_ascii_lowercase(), lower)
    }
}

/// What MCP advises names to be made of, and then some.
fn is_plain(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_graphic())
}

/// In time linear in `name` times `glob`, whatever is in them: each piece between stars is taken
/// where it is found first.
fn matches(glob: &str, name: &str) -> bool {
    let Some((first, rest)) = glob.split_once('*') else { return glob == name };
    let Some(mut name) = name.strip_prefix(first) else { return false };
    let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
    for piece in middle.split('*') {
        let Some((_, after)) = name.split_once(piece) else { return false };
        name = after;
    }
    name.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{IssuerId, Reach, Timestamp, UserId, principal::AuthenticatedBy};

    fn member_of(groups: &[&str]) -> Principal {
        Principal {
            user: UserId::new("u"),
            issuer: IssuerId::new("https://idp.example.com"),
            subject: "s".to_owned(),
            email: None,
            name: None,
            groups: groups.iter().map(ToString::to_string).collect(),
            authenticated_by: AuthenticatedBy::AccessToken(None),
            reach: Reach::everything(),
            expires_at: Timestamp(i64::MAX),
        }
    }

    fn rule(groups: Option<&[&str]>, allow: Option<&[&str]>, deny: &[&str]) -> ToolRule {
        let globs = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        ToolRule {
            groups: groups.map(|groups| groups.iter().map(ToString::to_string).collect()),
            allow: allow.map(globs),
            deny: globs(deny),
        }
    }

    #[test]
    fn a_star_is_any_run_of_characters() {
        for (glob, name, expected) in [
            ("read", "read", true),
            ("read", "read_file", false),
            ("read_*", "read_file", true),
            ("read_*", "read_", true),
            ("read_*", "bread_", false),
            ("*_file", "read_file", true),
            ("*_file", "read_file_", false),
            ("*", "", true),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("a*b*c", "axxbxbxc", true),
            ("a*b*c", "axxcxb", false),
            ("**a**", "xa", true),
            ("*ab*ab*", "ab", false),
            ("Read", "read", false),
        ] {
            assert_eq!(glob.parse::<Glob>().unwrap().matches(name), expected, "{glob} {name}");
        }
        for text in
            ["", " a", "a b", "a\n", "löschen", "a?", "[ab]", "{a,b}", "!a", &"a".repeat(129)]
        {
            assert!(text.parse::<Glob>().is_err(), "{text}");
        }
    }

    #[test]
    fn denied_wins_and_nobodys_rule_opens_nothing() {
        let rules = ToolRules(vec![
            rule(None, Some(&["read_*"]), &["*_secret"]),
            rule(Some(&["editors", "owners"]), Some(&["write_*"]), &[]),
            rule(Some(&["owners"]), None, &["write_log"]),
        ]);
        for (groups, open, shut) in [
            (&[][..], &["read_file"][..], &["write_file", "READ_FILE", "read_secret", ""][..]),
            (&["editors"], &["read_file", "write_file", "write_log"], &["delete", "write_secret"]),
            (
                &["owners"],
                &["delete", "write_file"],
                &[
                    "write_log",
                    "Write_Log",
                    "a_SECRET",
                    " write_log",
                    "wrıte_log",
                    "write_log\u{200b}",
                ],
            ),
        ] {
            let who = member_of(groups);
            assert!(open.iter().all(|tool| rules.permit(&who, tool)), "{groups:?}");
            assert!(!shut.iter().any(|tool| rules.permit(&who, tool)), "{groups:?}");
        }
        let theirs = ToolRules(vec![rule(Some(&["owners"]), None, &[])]);
        assert!(!theirs.permit(&member_of(&["editors"]), "read_file"));
        assert!(ToolRules::default().permit(&member_of(&[]), "anything"));
    }
}

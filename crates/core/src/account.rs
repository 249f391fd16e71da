//! Whose a credential is at its provider, so that a wrong account is noticed (OC-23).

use serde::Serialize;

/// An account at an upstream's provider, in the provider's words: two short lines for its owner to
/// read, which decide nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Account {
    /// Never changes, and means nothing to people: an ID token's `sub`.
    id: Option<String>,
    /// What people know it by; the id, when nothing else is known.
    label: String,
}

impl Account {
    /// `None` when neither can be shown.
    pub fn new(id: Option<&str>, label: Option<&str>) -> Option<Self> {
        let id = id.and_then(line);
        let label = label.and_then(line).or_else(|| id.clone())?;
        Some(Self { id, label })
    }

    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    pub fn label(&self) -> &str {
        &self.label
    }

    /// By the ids where both are known, else by what people call them.
    pub fn is_other_than(&self, other: &Self) -> bool {
        match (&self.id, &other.id) {
            (Some(one), Some(other)) => one != other,
            _ => self.label != other.label,
        }
    }
}

/// One line that a page or a terminal can show: short, and nothing in it turns what stands around
/// it.
pub fn line(text: &str) -> Option<String> {
    let text = text.trim();
    let turns = |c: char| matches!(c, '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let fits =
        (1..=MAX_LINE).contains(&text.len()) && !text.chars().any(|c| c.is_control() || turns(c));
    fits.then(|| text.to_owned())
}

/// Bytes of a name or an e-mail address (RFC 5321 section 4.5.3.1.3), or of an ID token's `sub`.
const MAX_LINE: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_shown_is_nobody() {
        let long = "a".repeat(MAX_LINE + 1);
        for bad in ["", " ", "a\nb", "a\u{1b}[2Jb", "a\u{202e}b", &long] {
            assert_eq!(Account::new(Some(bad), Some(bad)), None, "{bad:?}");
            let known_by_id = Account::new(Some("42"), Some(bad)).unwrap();
            assert_eq!(known_by_id.label(), "42");
        }
    }

    #[test]
    fn an_account_is_known_by_its_id_and_else_by_its_label() {
        let account = |id, label| Account::new(id, Some(label)).unwrap();
        for (one, other, differ) in [
            (account(Some("1"), "ada"), account(Some("1"), "ada@example.com"), false),
            (account(Some("1"), "ada"), account(Some("2"), "ada"), true),
            (account(Some("1"), "ada"), account(None, "ada"), false),
            (account(None, "ada"), account(None, "grace"), true),
        ] {
            assert_eq!(one.is_other_than(&other), differ, "{one:?} {other:?}");
            assert_eq!(other.is_other_than(&one), differ, "{one:?} {other:?}");
        }
    }
}

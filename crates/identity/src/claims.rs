//! What tokens and the userinfo endpoint say about a person.

use attache_core::{Timestamp, store::Profile};
use serde_json::{Map, Value};

/// Claims that somebody else has verified. Absent, empty and of the wrong type are the same.
#[derive(Clone, Copy)]
pub(crate) struct Claims<'a>(pub(crate) &'a Map<String, Value>);

/// Groups of one person. Entra puts at most 200 into a token.
const MAX_GROUPS: usize = 500;
/// Bytes of a name, an address or a group: longer ones are no use to anyone.
const MAX_TEXT: usize = 256;

impl<'a> Claims<'a> {
    pub(crate) fn has(self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// At most [`MAX_TEXT`] bytes, without control characters.
    pub(crate) fn text(self, name: &str) -> Option<&'a str> {
        self.0.get(name).and_then(presentable)
    }

    /// A `NumericDate` (RFC 7519 section 2); a fraction of a second is cut off.
    pub(crate) fn time(self, name: &str) -> Option<Timestamp> {
        let value = self.0.get(name)?;
        #[expect(clippy::cast_possible_truncation, reason = "saturates, as Timestamp does")]
        let seconds = value.as_i64().or_else(|| value.as_f64().map(|seconds| seconds as i64))?;
        Some(Timestamp::from_seconds(seconds))
    }

    /// Whether a string or list of strings holds `item`, as `aud` does (RFC 7519 section 4.1.3).
    pub(crate) fn lists(self, name: &str, item: &str) -> bool {
        self.texts(name).any(|one| one == item)
    }

    /// The strings of a string or list of strings.
    pub(crate) fn texts(self, name: &str) -> impl Iterator<Item = &'a str> {
        self.items(name).filter_map(Value::as_str)
    }

    /// What a person is known by (RS-15). Entra's `oid` is unique in its tenant only.
    pub(crate) fn subject(self, claim: &str) -> Option<String> {
        let subject = self.text(claim)?;
        if claim == "oid" {
            Some(format!("{}:{subject}", self.text("tid")?))
        } else {
            Some(subject.to_owned())
        }
    }

    pub(crate) fn profile(self) -> Profile {
        self.profile_over(&Profile::default())
    }

    /// The profile of somebody who was `known` before: what wins when two sources speak of one
    /// person.
    ///
    /// - A sign-in asks for everything, so its profile replaces the stored one ([`Self::profile`]).
    /// - An access token says what its issuer thought useful. A claim that is there is newer than
    ///   what is stored: an empty list of groups takes every group away, and an address that the
    ///   token calls unverified is none.
    /// - A claim that is not there, or is nothing that can be shown, leaves what is stored: as old
    ///   as the last sign-in or token that carried it.
    pub(crate) fn profile_over(self, known: &Profile) -> Profile {
        let email = match (self.text("email"), self.vouches()) {
            (Some(email), Some(true)) => Some(email.to_owned()),
            (Some(_), Some(false)) => None,
            _ => known.email.clone(),
        };
        let groups = if self.has("groups") {
            let groups = self.items("groups").filter_map(presentable).take(MAX_GROUPS);
            groups.map(str::to_owned).collect()
        } else {
            known.groups.clone()
        };
        let name = self.text("name").map(str::to_owned).or_else(|| known.name.clone());
        Profile { email, name, groups }
    }

    /// Whether the issuer verified the address: one that nobody vouches for is anybody's.
    fn vouches(self) -> Option<bool> {
        Some(match self.0.get("email_verified")? {
            Value::Bool(verified) => *verified,
            Value::String(text) => text == "true",
            _ => false,
        })
    }

    fn items(self, name: &str) -> impl Iterator<Item = &'a Value> {
        match self.0.get(name) {
            Some(Value::Array(items)) => items.as_slice(),
            Some(item) => std::slice::from_ref(item),
            None => &[],
        }
        .iter()
    }
}

fn presentable(value: &Value) -> Option<&str> {
    let text = value.as_str()?;
    let fits = (1..=MAX_TEXT).contains(&text.len()) && !text.contains(char::is_control);
    fits.then_some(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn map(claims: Value) -> Map<String, Value> {
        serde_json::from_value(claims).unwrap()
    }

    #[test]
    fn a_person_is_known_by_what_the_operator_says() {
        let claims = map(json!({ "sub": "pairwise", "oid": "o", "tid": "t", "n": 7, "e": "" }));
        for (claim, expected) in
            [("sub", Some("pairwise")), ("oid", Some("t:o")), ("n", None), ("e", None), ("x", None)]
        {
            assert_eq!(Claims(&claims).subject(claim).as_deref(), expected, "{claim}");
        }
        let tenantless = map(json!({ "oid": "o" }));
        assert_eq!(Claims(&tenantless).subject("oid"), None);
    }

    #[test]
    fn a_claim_that_is_there_wins_over_what_is_known() {
        let profile = |email: Option<&str>, name: Option<&str>, groups: &[&str]| Profile {
            email: email.map(str::to_owned),
            name: name.map(str::to_owned),
            groups: groups.iter().map(ToString::to_string).collect(),
        };
        let (old, ada) = (Some("ada@example.com"), Some("Ada"));
        let known = profile(old, ada, &["a", "b"]);
        let new = Some("countess@example.com");
        for (claims, expected) in [
            (json!({}), known.clone()),
            (json!({ "name": 7, "email": "", "email_verified": true }), known.clone()),
            (json!({ "email": new }), known.clone()),
            (json!({ "email_verified": false }), known.clone()),
            (json!({ "email": new, "email_verified": true }), profile(new, ada, &["a", "b"])),
            (json!({ "email": new, "email_verified": false }), profile(None, ada, &["a", "b"])),
            (json!({ "name": "Countess" }), profile(old, Some("Countess"), &["a", "b"])),
            (json!({ "groups": ["b"] }), profile(old, ada, &["b"])),
            (json!({ "groups": [] }), profile(old, ada, &[])),
            (json!({ "groups": null }), profile(old, ada, &[])),
        ] {
            assert_eq!(Claims(&map(claims.clone())).profile_over(&known), expected, "{claims}");
        }
    }

    #[test]
    fn only_what_can_be_shown_is_kept() {
        let long = "x".repeat(MAX_TEXT + 1);
        let claims = map(json!({
            "email": "ada@example.com", "email_verified": false, "name": "Ada\nLovelace",
            "groups": ["a", 7, "", long, "b"],
        }));
        let groups = vec!["a".to_owned(), "b".to_owned()];
        assert_eq!(Claims(&claims).profile(), Profile { email: None, name: None, groups });

        let many: Vec<_> = (0..=MAX_GROUPS).map(|number| number.to_string()).collect();
        let claims = map(json!({
            "email": "ada@example.com", "email_verified": "true", "name": "Ada", "groups": many,
        }));
        let profile = Claims(&claims).profile();
        assert_eq!(profile.email.as_deref(), Some("ada@example.com"));
        assert_eq!(profile.name.as_deref(), Some("Ada"));
        assert_eq!(profile.groups.len(), MAX_GROUPS);
    }
}

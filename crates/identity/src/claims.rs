//! What tokens and the userinfo endpoint say about a person.

use attache_core::{ClaimName, Timestamp, store::Profile};
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
        items(self.0.get(name)).filter_map(Value::as_str)
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

    /// Whether `hd` is one of `domains`, or nobody asks. One that is absent is an account of the
    /// person's own.
    pub(crate) fn is_hosted_at(self, domains: &[String]) -> bool {
        let hosted = |hd: &str| domains.iter().any(|domain| domain.eq_ignore_ascii_case(hd));
        domains.is_empty() || self.text("hd").is_some_and(hosted)
    }

    /// `groups` is where this issuer says them.
    pub(crate) fn profile(self, groups: &ClaimName) -> Profile {
        self.profile_over(&Profile::default(), groups)
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
    /// - Groups that are [somewhere else](Self::points_elsewhere_for) are none: whoever is in more of
    ///   them than fit into a token may have left those that are known.
    pub(crate) fn profile_over(self, known: &Profile, groups: &ClaimName) -> Profile {
        let email = match (self.text("email"), self.vouches()) {
            (Some(email), Some(true)) => Some(email.to_owned()),
            (Some(_), Some(false)) => None,
            _ => known.email.clone(),
        };
        let groups = match self.at(groups) {
            Some(said) => {
                let groups = items(Some(said)).filter_map(presentable).take(MAX_GROUPS);
                groups.map(str::to_owned).collect()
            }
            None if self.points_elsewhere_for(groups) => {
                tracing::warn!(
                    issuer = self.text("iss"),
                    claim = groups.as_str(),
                    "somebody is in more groups than their issuer writes into a token: none of them \
                     counts. Have it write only those that are assigned to this application"
                );
                Vec::new()
            }
            None => known.groups.clone(),
        };
        let name = self.text("name").map(str::to_owned).or_else(|| known.name.clone());
        Profile { email, name, groups }
    }

    /// A claim of this name or, where there is none, what the steps between its dots lead to.
    fn at(self, name: &ClaimName) -> Option<&'a Value> {
        let name = name.as_str();
        self.0.get(name).or_else(|| {
            let (first, rest) = name.split_once('.')?;
            rest.split('.').try_fold(self.0.get(first)?, |here, step| here.get(step))
        })
    }

    /// A claim that did not fit, and is to be asked for (OIDC Core section 5.6.2): how Entra says
    /// that somebody is in more than 200 groups.
    fn points_elsewhere_for(self, name: &ClaimName) -> bool {
        self.0.get("_claim_names").is_some_and(|names| names.get(name.as_str()).is_some())
    }

    /// Whether the issuer verified the address: one that nobody vouches for is anybody's.
    fn vouches(self) -> Option<bool> {
        Some(match self.0.get("email_verified")? {
            Value::Bool(verified) => *verified,
            Value::String(text) => text == "true",
            _ => false,
        })
    }
}

/// A claim that may be one value or a list of them.
fn items(claim: Option<&Value>) -> impl Iterator<Item = &Value> {
    match claim {
        Some(Value::Array(items)) => items.as_slice(),
        Some(item) => std::slice::from_ref(item),
        None => &[],
    }
    .iter()
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

    fn named(name: &str) -> ClaimName {
        ClaimName::parse(name).unwrap()
    }

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
            // Entra, of somebody in more than 200 of them; of other claims it means nothing here.
            (json!({ "_claim_names": { "groups": "src1" } }), profile(old, ada, &[])),
            (json!({ "_claim_names": { "photo": "src1" } }), known.clone()),
        ] {
            let profile = Claims(&map(claims.clone())).profile_over(&known, &named("groups"));
            assert_eq!(profile, expected, "{claims}");
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
        let expected = Profile { email: None, name: None, groups };
        assert_eq!(Claims(&claims).profile(&named("groups")), expected);

        let many: Vec<_> = (0..=MAX_GROUPS).map(|number| number.to_string()).collect();
        let claims = map(json!({
            "email": "ada@example.com", "email_verified": "true", "name": "Ada", "groups": many,
        }));
        let profile = Claims(&claims).profile(&named("groups"));
        assert_eq!(profile.email.as_deref(), Some("ada@example.com"));
        assert_eq!(profile.name.as_deref(), Some("Ada"));
        assert_eq!(profile.groups.len(), MAX_GROUPS);
    }

    #[test]
    fn groups_are_where_the_operator_says() {
        let claims = map(json!({
            "groups": "one", "https://example.com/groups": ["two"], "cognito:groups": ["three"],
            "realm_access": { "roles": ["four"] }, "realm.roles": ["five"],
            "realm": { "roles": ["six"] }, "deep": { "a": { "b": "seven" } },
        }));
        for (claim, expected) in [
            ("groups", Some("one")),
            ("https://example.com/groups", Some("two")),
            ("cognito:groups", Some("three")),
            ("realm_access.roles", Some("four")),
            ("realm.roles", Some("five")),
            ("deep.a.b", Some("seven")),
            ("deep.a", None),
            ("deep.a.b.c", None),
            ("deep..a", None),
            (".groups", None),
            ("roles", None),
        ] {
            let found = Claims(&claims).profile(&named(claim)).groups;
            assert_eq!(found.first().map(String::as_str), expected, "{claim}");
        }
    }
}

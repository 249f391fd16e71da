//! Which scopes to ask for: at first (OC-13), and when an upstream wants more (OC-14).

/// Scopes of a `scope` parameter (RFC 6749 section 3.3), without repetitions. What is no scope-token
/// is left out: nobody can have meant it.
pub fn parse(text: &str) -> Vec<String> {
    split(text, None)
}

/// As [`parse`], where a provider also writes something else between scopes.
pub(crate) fn split(text: &str, separator: Option<char>) -> Vec<String> {
    list(text.split(|c: char| c.is_ascii_whitespace() || Some(c) == separator))
}

/// As [`parse`], of scopes that come one by one, as in metadata.
pub(crate) fn list<S: AsRef<str>>(words: impl IntoIterator<Item = S>) -> Vec<String> {
    let mut scopes = Vec::new();
    for word in words {
        let word = word.as_ref();
        if scopes.len() < MAX_SCOPES && is_scope(word) && !contains(&scopes, word) {
            scopes.push(word.to_owned());
        }
    }
    scopes
}

/// Where the scopes of a first authorization request may come from.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sources<'a> {
    /// The operator's: asked for as they stand.
    pub configured: Option<&'a [String]>,
    /// `scope` of the upstream's challenge.
    pub challenged: &'a [String],
    /// `scopes_supported` of the upstream's own metadata (RFC 9728).
    pub resource: &'a [String],
    /// `scopes_supported` of the authorization server's.
    pub server: &'a [String],
}

impl Sources<'_> {
    /// The first source that has any. Empty means that the request has no `scope`.
    ///
    /// `offline_access` is the authorization server's to offer, not the upstream's (SEP-2207): it is
    /// asked for when and only when the server lists it. Alone it is not: a request without `scope`
    /// means the server's default, which nothing may narrow to a refresh token.
    pub fn initial(&self) -> Vec<String> {
        if let Some(configured) = self.configured {
            return list(configured);
        }
        let asked = if self.challenged.is_empty() { self.resource } else { self.challenged };
        let mut scopes = of_upstream(asked);
        if !scopes.is_empty() && contains(self.server, OFFLINE_ACCESS) {
            scopes.push(OFFLINE_ACCESS.to_owned());
        }
        scopes
    }
}

/// Whether an ID token will come back, which needs a `nonce` in the request (`OpenID` Connect Core
/// section 3.1.2.1).
pub fn wants_id_token(scopes: &[String]) -> bool {
    contains(scopes, "openid")
}

/// Whether the request must say `prompt=consent`, or an `OpenID` provider ignores the wish for a
/// refresh token (`OpenID` Connect Core section 11).
pub fn wants_consent(scopes: &[String]) -> bool {
    contains(scopes, OFFLINE_ACCESS)
}

/// What to ask for after `insufficient_scope`: everything that was asked for before, and what is
/// wanted now, for asking for less would take away what works (SEP-2350).
pub fn union(asked_before: &[String], wanted: &[String]) -> Vec<String> {
    list(asked_before.iter().chain(wanted))
}

/// As [`parse`], of what an upstream may want: whether it gets tokens that can be renewed is not its
/// to say (SEP-2207).
pub(crate) fn of_upstream(scopes: &[String]) -> Vec<String> {
    list(scopes.iter().filter(|scope| *scope != OFFLINE_ACCESS))
}

const OFFLINE_ACCESS: &str = "offline_access";

/// The longest lists known, Google's and Microsoft's, have dozens.
const MAX_SCOPES: usize = 256;

/// `scope-token` (RFC 6749 section 3.3), of at most 256 bytes.
fn is_scope(word: &str) -> bool {
    (1..=256).contains(&word.len())
        && word.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
}

fn contains(scopes: &[String], scope: &str) -> bool {
    scopes.iter().any(|one| one == scope)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect()
    }

    #[test]
    fn only_scope_tokens_are_scopes() {
        for (text, expected) in [
            ("", ""),
            ("  a  b ", "a b"),
            ("a b a", "a b"),
            ("repo,gist user", "repo,gist user"),
            ("ok <é> \"q\" b\\c \u{0}", "ok"),
            ("https://graph.example.com/.default", "https://graph.example.com/.default"),
        ] {
            assert_eq!(parse(text), words(expected), "{text}");
        }
        let many: Vec<_> = (0..=MAX_SCOPES).map(|number| number.to_string()).collect();
        assert_eq!(parse(&many.join(" ")).len(), MAX_SCOPES);
        assert!(parse(&"s".repeat(257)).is_empty());
    }

    /// OC-13.
    #[test]
    fn the_first_request_asks_for_the_first_that_says_anything() {
        for (configured, challenged, resource, server, expected) in [
            (None, "", "", "", ""),
            (None, "", "", "a offline_access", ""),
            (None, "", "r s", "", "r s"),
            (None, "c", "r s", "", "c"),
            (None, "c openid", "r", "openid", "c openid"),
            (None, "", "r", "offline_access", "r offline_access"),
            (None, "c", "r", "x offline_access", "c offline_access"),
            // the upstream lists what is not its to offer
            (None, "", "r offline_access", "", "r"),
            (None, "", "r offline_access", "offline_access", "r offline_access"),
            (None, "offline_access", "r", "offline_access", ""),
            // the operator's word stands, also when it is to ask for nothing
            (Some("o"), "c", "r", "offline_access", "o"),
            (Some("o offline_access"), "c", "r", "", "o offline_access"),
            (Some(""), "c", "r", "", ""),
        ] {
            let configured = configured.map(words);
            let sources = Sources {
                configured: configured.as_deref(),
                challenged: &words(challenged),
                resource: &words(resource),
                server: &words(server),
            };
            assert_eq!(sources.initial(), words(expected), "{sources:?}");
        }
    }

    /// OC-14.
    #[test]
    fn a_step_up_only_adds() {
        for (before, wanted, expected) in
            [("a b", "b c", "a b c"), ("", "c", "c"), ("a", "", "a"), ("a", "a", "a")]
        {
            let asked = union(&words(before), &words(wanted));
            assert_eq!(asked, words(expected), "{before} + {wanted}");
        }
    }

    #[test]
    fn some_scopes_want_more_than_to_be_listed() {
        for (scopes, id_token, consent) in
            [("", false, false), ("openid", true, false), ("a offline_access", false, true)]
        {
            let scopes = words(scopes);
            assert_eq!((wants_id_token(&scopes), wants_consent(&scopes)), (id_token, consent));
        }
    }
}

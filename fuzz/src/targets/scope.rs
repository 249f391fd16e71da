//! A `scope` parameter (RFC 6749 section 3.3).
//!
//! What is read is what the grammar allows, each once and boundedly many; read again, it is the
//! same.

use attache_oauth::scope;

use super::check::assert_scopes;
use crate::Outcome;

pub(crate) fn run(input: &[u8]) -> Outcome {
    let text = String::from_utf8_lossy(input);
    let scopes = scope::parse(&text);
    assert_scopes(&scopes);
    assert_eq!(scope::parse(&scopes.join(" ")), scopes, "read again, it is the same");
    let words = text.split_ascii_whitespace().collect::<Vec<_>>();
    assert!(scopes.iter().all(|scope| words.contains(&scope.as_str())), "nothing is made up");
    Outcome::read([scopes.len().min(8)])
}

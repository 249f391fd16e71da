//! An answer about a token (RFC 7662 section 2.2).
//!
//! Only a plain `true` in an object that says it once makes a token good; what was read is what another
//! reader sees.

use attache_oauth::introspection::read;
use serde_json::Value;

use crate::Outcome;

pub(crate) fn run(input: &[u8]) -> Outcome {
    let claims = match read(input) {
        Ok(claims) => claims,
        Err(error) => return Outcome::refused(&error),
    };
    let said: Value = serde_json::from_slice(input).expect("what was read is JSON");
    assert_eq!(said["active"], Value::Bool(claims.is_some()));
    if let Some(claims) = &claims {
        assert_eq!(said, Value::Object(claims.clone()), "two readers agree");
    }
    Outcome::read([usize::from(claims.is_some()), claims.map_or(0, |claims| claims.len().min(3))])
}

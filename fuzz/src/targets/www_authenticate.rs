//! `WWW-Authenticate` (RFC 9110 section 11.6.1): one header a line.
//!
//! Each header is read on its own, whatever its neighbours are; values fit a header again; and what
//! we understood, written by our own writer, is understood again.

use attache_oauth::challenge::{BearerChallenge, Challenge, Demand};
use http::{HeaderMap, HeaderValue, header};

use super::check::assert_scopes;
use crate::Outcome;

pub(crate) fn run(input: &[u8]) -> Outcome {
    let values: Vec<HeaderValue> = input
        .split(|byte| *byte == b'\n')
        .filter_map(|line| HeaderValue::from_bytes(line).ok())
        .take(16)
        .collect();
    let all = Challenge::all(&headers(&values));
    let alone: Vec<_> = values.iter().flat_map(|value| Challenge::all(&headers([value]))).collect();
    assert_eq!(all, alone, "a header is read without its neighbours");

    let text = String::from_utf8_lossy(input);
    let names = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').take(64);
    for name in names {
        for value in all.iter().filter_map(|challenge| challenge.parameter(name)) {
            assert!(value.len() <= input.len());
            assert!(value.chars().all(|c| c == '\t' || matches!(c, ' '..='~')));
        }
    }
    let demand = Demand::read(&headers(&values));
    if let Some(demand) = &demand {
        assert_scopes(&demand.scopes);
        let scopes: Vec<&str> = demand.scopes.iter().map(String::as_str).collect();
        let written = BearerChallenge {
            error: demand.error,
            error_description: None,
            scopes: &scopes,
            resource_metadata: demand.resource_metadata.as_ref(),
        };
        let written = written.header();
        // escapes may make it longer than what is read
        if written.len() <= input.len() {
            assert_eq!(Demand::read(&headers([&written])).as_ref(), Some(demand), "{written:?}");
        }
    }
    if let Some(lacking) = demand.clone().and_then(Demand::lacking) {
        assert_scopes(&lacking);
        assert!(!lacking.is_empty() && !lacking.iter().any(|scope| scope == "offline_access"));
        let scopes = demand.iter().flat_map(|demand| &demand.scopes).collect::<Vec<_>>();
        assert!(lacking.iter().all(|scope| scopes.contains(&scope)), "nothing is made up");
    }
    let demanded = demand.map_or(0, |demand| {
        1 + demand.scopes.len().min(3)
            + 4 * usize::from(demand.resource_metadata.is_some())
            + 8 * usize::from(demand.error.is_some())
    });
    Outcome::read([all.len().min(8), demanded]).showing(&all.first())
}

fn headers<'a>(values: impl IntoIterator<Item = &'a HeaderValue>) -> HeaderMap {
    values.into_iter().map(|value| (header::WWW_AUTHENTICATE, value.clone())).collect()
}

//! An answer to a pushed authorization request (RFC 9126 section 2.2).
//!
//! The browser takes exactly the name that came, and nothing else, to the server that was asked; for
//! at most ten minutes.

use std::time::Duration;

use attache_oauth::pushed::PushedRequest;
use url::Url;

use super::check::Elsewhere;
use crate::Outcome;

pub(crate) fn run(input: &[u8]) -> Outcome {
    let request = match PushedRequest::parse(input) {
        Ok(request) => request,
        Err(error) => return Outcome::refused(&error),
    };
    assert!(request.expires_in <= Duration::from_mins(10));
    let endpoint = Url::parse("https://as.example.com/authorize?tenant=1").expect("a URL");
    let url = request.url(&endpoint, "c");
    assert_eq!((url.origin(), url.path()), (endpoint.origin(), endpoint.path()));
    let pairs: Vec<_> = url.query_pairs().collect();
    let [(_, tenant), (_, client), (name, value)] = pairs.as_slice() else {
        unreachable!("nothing but who asks and for what: {url}");
    };
    assert_eq!((&**tenant, &**client, &**name), ("1", "c", "request_uri"));
    Elsewhere::read(input).assert_text("request_uri", value);
    Outcome::read([]).showing(&request)
}

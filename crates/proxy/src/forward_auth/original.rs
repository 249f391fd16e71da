//! What a proxy says of the request that it asks about.
//!
//! It serves to refuse what would not pass the gateway either, and for nothing else: neither the
//! upstream nor the person follow from it. Proxies differ in the names they use and overwrite, so every
//! one that is there is judged: what a caller adds can close a way, never open one.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::{refusal::Refusal, route::has_dot_segment};

pub(crate) const ORIGINAL_METHOD: HeaderName = HeaderName::from_static("x-original-method");
pub(crate) const ORIGINAL_URI: HeaderName = HeaderName::from_static("x-original-uri");

const METHODS: [HeaderName; 2] = [ORIGINAL_METHOD, HeaderName::from_static("x-forwarded-method")];

const URIS: [HeaderName; 3] = [
    ORIGINAL_URI,
    HeaderName::from_static("x-original-url"),
    HeaderName::from_static("x-forwarded-uri"),
];

pub(super) fn judge(headers: &HeaderMap) -> Result<(), Refusal> {
    let mut methods = METHODS.into_iter().flat_map(|name| headers.get_all(name));
    if methods.any(shows_what_it_is_sent) {
        return Err(Refusal::Method);
    }
    let mut uris = URIS.into_iter().flat_map(|name| headers.get_all(name));
    if uris.any(|uri| has_dot_segment(path(&String::from_utf8_lossy(uri.as_bytes())))) {
        return Err(Refusal::PathEscapes);
    }
    Ok(())
}

/// An upstream that obeys would show the credential (RFC 9110 section 9.3.8).
fn shows_what_it_is_sent(method: &HeaderValue) -> bool {
    [&b"TRACE"[..], b"CONNECT"].iter().any(|one| method.as_bytes().eq_ignore_ascii_case(one))
}

fn path(uri: &str) -> &str {
    uri.split(['?', '#']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_caller_adds_can_only_close() {
        for (lines, passes) in [
            (&[][..], true),
            (&[("x-original-uri", "/a/b%20c?q=../x"), ("x-original-method", "DELETE")], true),
            (&[("x-original-url", "https://api.example.com/a")], true),
            (&[("x-original-uri", "/a/../b")], false),
            (&[("x-forwarded-uri", "/a/%2e%2e/b")], false),
            (&[("x-original-url", "https://api.example.com/../a")], false),
            (&[("x-original-uri", "/a"), ("x-original-uri", "/a/..")], false),
            (&[("x-original-uri", "/a"), ("x-forwarded-uri", "/..")], false),
            (&[("x-original-method", "TRACE")], false),
            (&[("x-original-method", "GET"), ("x-forwarded-method", "trace")], false),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in lines {
                headers.append(*name, HeaderValue::from_static(value));
            }
            assert_eq!(judge(&headers).is_ok(), passes, "{lines:?}");
        }
    }
}

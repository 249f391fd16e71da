//! Fields after a body (RFC 9110 section 6.5): one passes where it could have passed as a header.
//!
//! Each hop is told of them anew, and what is not announced is not sent (RFC 9112 section 7.1.2): the
//! announcement decides.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::headers::{clean_request, clean_response, overrides_method};

/// What a message says of its trailers, before its headers are cleaned.
#[derive(Debug)]
pub(crate) struct Trailers {
    announced: Option<HeaderValue>,
    /// The caller reads those of the answer.
    wanted: bool,
}

impl Trailers {
    pub(crate) fn of_request(headers: &HeaderMap) -> Self {
        let wanted = headers.get(header::TE).is_some_and(|te| te == "trailers");
        Self { announced: announced(headers, clean_request), wanted }
    }

    pub(crate) fn of_response(headers: &HeaderMap) -> Self {
        Self { announced: announced(headers, clean_response), wanted: false }
    }

    /// For the next hop.
    pub(crate) fn write(self, headers: &mut HeaderMap) {
        headers.extend(self.announced.map(|names| (header::TRAILER, names)));
        if self.wanted {
            headers.insert(header::TE, HeaderValue::from_static("trailers"));
            headers.insert(header::CONNECTION, HeaderValue::from_static("te"));
        }
    }
}

/// Announces nothing that is a header, too: the credential above all.
pub(crate) fn keep_apart(headers: &mut HeaderMap) {
    let Some(names) = headers.remove(header::TRAILER) else { return };
    let is_new = |name: &&str| !headers.contains_key(*name);
    let names = names.to_str().unwrap_or_default().split(", ").filter(is_new);
    let names = names.collect::<Vec<_>>().join(", ");
    headers.extend(value(&names).map(|names| (header::TRAILER, names)));
}

/// The names that survive as headers; none with an underscore, of which nobody knows what it is
/// taken for.
fn announced(headers: &HeaderMap, clean: fn(&mut HeaderMap)) -> Option<HeaderValue> {
    if !headers.contains_key(header::TRAILER) {
        return None;
    }
    let mut named: HeaderMap = headers
        .get_all(header::TRAILER)
        .iter()
        .filter_map(|names| names.to_str().ok())
        .flat_map(|names| names.split(','))
        .filter_map(|name| name.trim().parse::<HeaderName>().ok())
        .filter(|name| !name.as_str().contains('_'))
        .map(|name| (name, HeaderValue::from_static("")))
        .collect();
    if overrides_method(&named) {
        return None;
    }
    clean(&mut named);
    value(&named.keys().map(HeaderName::as_str).collect::<Vec<_>>().join(", "))
}

fn value(names: &str) -> Option<HeaderValue> {
    HeaderValue::try_from(names).ok().filter(|names| !names.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_be_a_header_is_announced_and_nothing_twice() {
        let map = |lines: &[(&'static str, &'static str)]| -> HeaderMap {
            let line = |(name, value): &(&'static str, &'static str)| {
                (HeaderName::from_static(name), HeaderValue::from_static(value))
            };
            lines.iter().map(line).collect()
        };
        for (said, written, told) in [
            (&[("trailer", "X-Sum")][..], &[][..], &[("trailer", "x-sum")][..]),
            (
                &[("trailer", "X-Sum, Authorization"), ("trailer", "x-forwarded-for, cookie")],
                &[],
                { &[("trailer", "x-sum")] },
            ),
            (&[("trailer", "X_Sum, X_Api_Key, te, trailer, a b")], &[], &[]),
            (&[("trailer", "X-Sum, X-HTTP-Method-Override")], &[], &[]),
            (&[("trailer", "x-api-key")], &[("x-api-key", "k")], &[("x-api-key", "k")]),
            (&[("te", "trailers")], &[], &[("te", "trailers"), ("connection", "te")]),
            (&[("te", "gzip")], &[], &[]),
        ] {
            let mut headers = map(written);
            Trailers::of_request(&map(said)).write(&mut headers);
            keep_apart(&mut headers);
            assert_eq!(headers, map(told), "{said:?}");
        }
        let mut headers = HeaderMap::new();
        Trailers::of_response(&map(&[("trailer", "set-cookie, x-sum")])).write(&mut headers);
        assert_eq!(headers, map(&[("trailer", "x-sum")]));
    }
}

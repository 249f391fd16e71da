//! What crosses the gateway and what does not (PX-16, RS-11).

use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::{account::ATTACHE_ACCOUNT, forward_auth::PROXY_SECRET};

/// RFC 9110 section 7.6.1, and the obsolete ones still seen.
const HOP_BY_HOP: [HeaderName; 9] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// The caller's proofs, which are for us, and their claims about the way here, which an upstream
/// might believe.
const CALLERS_OWN: [HeaderName; 17] = [
    header::AUTHORIZATION,
    PROXY_SECRET,
    ATTACHE_ACCOUNT,
    header::COOKIE,
    HeaderName::from_static("dpop"),
    header::FORWARDED,
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-port"),
    HeaderName::from_static("x-forwarded-proto"),
    HeaderName::from_static("x-real-ip"),
    // Some servers serve this path in place of the one that was asked for, which alone was judged.
    HeaderName::from_static("x-original-uri"),
    HeaderName::from_static("x-original-url"),
    HeaderName::from_static("x-rewrite-url"),
    header::HOST,
    header::ORIGIN,
    // Answered by our own server; the upstream gets the body at once.
    header::EXPECT,
];

/// What an upstream says to *its* client about *its* credential or origin. A relayed challenge
/// would make the caller throw away a gateway token that is fine.
const UPSTREAMS_OWN: [HeaderName; 8] = [
    header::WWW_AUTHENTICATE,
    header::PROXY_AUTHENTICATE,
    header::SET_COOKIE,
    HeaderName::from_static("clear-site-data"),
    HeaderName::from_static("server-timing"),
    HeaderName::from_static("alt-svc"),
    header::STRICT_TRANSPORT_SECURITY,
    HeaderName::from_static("set-cookie2"),
];

/// With these a server takes a request's method for what they say.
const OVERRIDES: [&str; 3] = ["x-http-method-override", "x-http-method", "x-method-override"];

/// Whether the upstream may take the request for one of another method than it has.
pub(crate) fn overrides_method(headers: &HeaderMap) -> bool {
    let overrides =
        |name: &HeaderName| OVERRIDES.contains(&name.as_str().replace('_', "-").as_str());
    headers.keys().any(overrides)
}

/// Removes from a request what must not reach an upstream.
pub(crate) fn clean_request(headers: &mut HeaderMap) {
    remove_named_by_connection(headers);
    for name in HOP_BY_HOP.iter().chain(&CALLERS_OWN) {
        headers.remove(name);
    }
    remove_if(headers, |name| name.starts_with("x-forwarded"));
    remove_if(headers, |name| {
        // `X_Real_IP` and `X-Real-IP` are one to servers that make variables of headers.
        name.contains('_') && {
            let name = name.replace('_', "-");
            let listed = HOP_BY_HOP.iter().chain(&CALLERS_OWN).any(|one| *one == *name);
            listed || name.starts_with("x-forwarded")
        }
    });
}

/// Removes headers of these names, in any spelling.
pub(crate) fn remove_named(headers: &mut HeaderMap, names: &[HeaderName]) {
    let plain = |name: &str| name.replace('_', "-");
    let is_named = |name: &str| names.iter().any(|one| plain(one.as_str()) == plain(name));
    if !names.is_empty() {
        remove_if(headers, is_named);
    }
}

/// Removes from a response what must not reach the caller.
pub(crate) fn clean_response(headers: &mut HeaderMap) {
    remove_named_by_connection(headers);
    for name in HOP_BY_HOP.iter().chain(&UPSTREAMS_OWN) {
        headers.remove(name);
    }
    remove_if(headers, |name| name.starts_with("access-control-"));
}

/// An answer to one person is for that person's caches alone, whatever the upstream says.
pub(crate) fn keep_private(headers: &mut HeaderMap) {
    let shared = |directive: &&str| {
        let directive = directive.trim().to_ascii_lowercase();
        directive == "public" || directive.starts_with("s-maxage")
    };
    let said: Vec<String> = headers
        .get_all(header::CACHE_CONTROL)
        .iter()
        .filter_map(|value| value.to_str().ok().map(str::to_owned))
        .collect();
    let said = said.join(", ");
    if !said.split(',').any(|directive| shared(&directive)) {
        return;
    }
    let rest = said.split(',').filter(|directive| !shared(directive)).map(str::trim);
    let rest: Vec<&str> = std::iter::once("private").chain(rest).collect();
    if let Ok(value) = HeaderValue::try_from(rest.join(", ")) {
        headers.insert(header::CACHE_CONTROL, value);
    }
}

/// Writes a header as the only one of its name, in any spelling.
pub(crate) fn write(headers: &mut HeaderMap, name: &HeaderName, value: &HeaderValue) {
    remove_if(headers, |other| is_other_spelling(other, name));
    headers.insert(name.clone(), value.clone());
}

/// Whether a server that makes variables of headers may take `other` for `name`.
pub(crate) fn is_other_spelling(other: &str, name: &HeaderName) -> bool {
    let plain = |name: &str| name.replace('_', "-");
    other != name.as_str() && plain(other) == plain(name.as_str())
}

/// `Connection: authorization` must not smuggle anything out, and what it names goes no further.
fn remove_named_by_connection(headers: &mut HeaderMap) {
    if !headers.contains_key(header::CONNECTION) {
        return;
    }
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
}

fn remove_if(headers: &mut HeaderMap, matches: impl Fn(&str) -> bool) {
    let matching: Vec<HeaderName> =
        headers.keys().filter(|name| matches(name.as_str())).cloned().collect();
    for name in matching {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(mut headers: HeaderMap, clean: fn(&mut HeaderMap)) -> Vec<String> {
        clean(&mut headers);
        let mut names: Vec<String> = headers.keys().map(ToString::to_string).collect();
        names.sort();
        names
    }

    fn map(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let header = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        lines.iter().map(header).collect()
    }

    #[test]
    fn a_request_carries_nothing_of_the_caller_that_is_for_us() {
        let request = map(&[
            ("accept", "application/json"),
            ("attache-proxy-secret", "of a proxy that sends it everywhere"),
            ("attache-account", "work"),
            ("attache_account", "work"),
            ("authorization", "Bearer caller"),
            ("connection", "keep-alive, X-Smuggled , authorization"),
            ("content-type", "application/json"),
            ("cookie", "a=b"),
            ("dpop", "proof"),
            ("forwarded", "for=1.2.3.4"),
            ("host", "gw.example.com"),
            ("keep-alive", "5"),
            ("mcp-protocol-version", "2025-11-25"),
            ("proxy-authorization", "Basic x"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("x-forwarded-client-cert", "x"),
            ("x-forwarded-for", "1.2.3.4"),
            ("x-original-url", "/admin"),
            ("x-rewrite-url", "/admin"),
            ("x-smuggled", "1"),
            ("x_forwarded_for", "1.2.3.4"),
            ("x_original_url", "/admin"),
            ("x_real_ip", "1.2.3.4"),
        ]);
        assert_eq!(
            names(request, clean_request),
            ["accept", "content-type", "mcp-protocol-version"]
        );
    }

    #[test]
    fn what_is_written_stands_alone_in_any_spelling() {
        let mut headers =
            map(&[("x-api-key", "caller"), ("x_api_key", "caller"), ("x_other", "1")]);
        let name = HeaderName::from_static("x-api-key");
        write(&mut headers, &name, &HeaderValue::from_static("person"));
        assert_eq!(headers, map(&[("x-api-key", "person"), ("x_other", "1")]));

        let name = HeaderName::from_static("x_api_key");
        write(&mut headers, &name, &HeaderValue::from_static("person"));
        assert_eq!(headers, map(&[("x_api_key", "person"), ("x_other", "1")]));
    }

    #[test]
    fn an_answer_to_one_person_is_not_for_shared_caches() {
        for (said, heard) in [
            ("public, max-age=60", "private, max-age=60"),
            ("s-maxage=60", "private"),
            ("max-age=60", "max-age=60"),
            ("no-store", "no-store"),
        ] {
            let mut headers = map(&[("cache-control", said)]);
            keep_private(&mut headers);
            assert_eq!(headers, map(&[("cache-control", heard)]), "{said}");
        }
    }

    #[test]
    fn a_response_carries_nothing_of_the_upstream_that_is_for_its_own_clients() {
        let response = map(&[
            ("access-control-allow-origin", "*"),
            ("connection", "close, x-hop"),
            ("content-type", "text/plain"),
            ("retry-after", "3"),
            ("set-cookie", "sid=1"),
            ("www-authenticate", "Bearer"),
            ("x-hop", "1"),
        ]);
        assert_eq!(names(response, clean_response), ["content-type", "retry-after"]);
    }
}

//! The bearer token of a request (RFC 6750 section 2, RS-8).

use attache_core::authenticator::AuthnError;
use http::{header, request::Parts};
use url::form_urlencoded;

/// The token of the `Authorization` header: the only place where it may be. Another scheme than
/// `Bearer` is not for us.
///
/// # Errors
/// [`AuthnError::Malformed`] for two headers, a token in the address (which ends up in logs), or
/// one that is no token.
pub(crate) fn presented(parts: &Parts) -> Result<Option<&str>, AuthnError> {
    let query = parts.uri.query().unwrap_or_default();
    if form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == "access_token") {
        return Err(AuthnError::Malformed("a token belongs in the Authorization header only"));
    }
    let mut headers = parts.headers.get_all(header::AUTHORIZATION).iter();
    let value = match (headers.next(), headers.next()) {
        (None, _) => return Ok(None),
        (Some(value), None) => value.to_str().map_err(|_| NO_TOKEN)?,
        (Some(_), Some(_)) => {
            return Err(AuthnError::Malformed("there is more than one Authorization header"));
        }
    };
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Ok(None);
    }
    let token = token.trim();
    if is_token(token) { Ok(Some(token)) } else { Err(NO_TOKEN) }
}

const NO_TOKEN: AuthnError = AuthnError::Malformed("the Authorization header holds no token");

/// `b64token` (RFC 6750 section 2.1).
fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte))
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, Request};

    use super::*;

    #[test]
    fn a_token_is_in_one_place_and_in_one_piece() {
        const OK: Result<Option<&str>, ()> = Ok(Some("a.b-c_d~e+f/g="));
        const NONE: Result<Option<&str>, ()> = Ok(None);
        const BAD: Result<Option<&str>, ()> = Err(());
        for (uri, headers, expected) in [
            ("/mcp/x", &["Bearer a.b-c_d~e+f/g="][..], OK),
            ("/mcp/x?token=1", &["bearer  a.b-c_d~e+f/g= "], OK),
            ("/mcp/x", &[], NONE),
            ("/mcp/x", &["Basic YTpi"], NONE),
            ("/mcp/x", &["Bearer"], BAD),
            ("/mcp/x", &["Bearer a b"], BAD),
            ("/mcp/x", &["Bearer a,b"], BAD),
            ("/mcp/x", &["Bearer a", "Bearer a"], BAD),
            ("/mcp/x", &["Bearer a", "Basic YTpi"], BAD),
            ("/mcp/x?access_token=a", &[], BAD),
            ("/mcp/x?a=b&access%5Ftoken=a", &["Bearer a"], BAD),
        ] {
            let (mut parts, ()) = Request::get(uri).body(()).unwrap().into_parts();
            for value in headers {
                parts.headers.append(header::AUTHORIZATION, HeaderValue::from_static(value));
            }
            assert_eq!(presented(&parts).map_err(|_| ()), expected, "{uri} {headers:?}");
        }
    }
}

//! Which of a person's accounts at an upstream a request is for.

use attache_core::{AccountName, ConnectionName};
use http::{HeaderMap, HeaderName};

/// The other way to say it, for clients whose URL is fixed. It is for us and goes no further.
pub(crate) const ATTACHE_ACCOUNT: HeaderName = HeaderName::from_static("attache-account");

/// It is said twice, or in no words that an account can be called by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the request does not name one account")]
pub(crate) struct AccountUnclear;

/// The account that the path or the header names; their first where neither does. Two that agree
/// are one.
pub(crate) fn choose(
    path: ConnectionName,
    headers: &HeaderMap,
) -> Result<ConnectionName, AccountUnclear> {
    let mut given = headers.get_all(ATTACHE_ACCOUNT).iter();
    let named = match (given.next(), given.next()) {
        (None, _) => return Ok(path),
        (Some(named), None) => named.to_str().ok().and_then(|name| AccountName::parse(name).ok()),
        (Some(_), Some(_)) => None,
    };
    let named = named.ok_or(AccountUnclear)?;
    if path.account.as_ref().is_some_and(|account| *account != named) {
        return Err(AccountUnclear);
    }
    Ok(ConnectionName { account: Some(named), ..path })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_request_is_for_one_account() {
        for (path, given, expected) in [
            ("github", &[][..], Some("github")),
            ("github@work", &[], Some("github@work")),
            ("github", &["work"], Some("github@work")),
            ("github@work", &["work"], Some("github@work")),
            ("github@work", &["home"], None),
            ("github", &["work", "work"], None),
            ("github", &["work, home"], None),
            ("github", &[""], None),
            ("github", &["Work"], None),
            ("github", &["github@work"], None),
            ("github@work", &[""], None),
        ] {
            let mut headers = HeaderMap::new();
            for value in given {
                headers.append(ATTACHE_ACCOUNT, HeaderValue::from_static(value));
            }
            let chosen = choose(path.parse().unwrap(), &headers);
            let expected = expected.map(|name| name.parse().unwrap()).ok_or(AccountUnclear);
            assert_eq!(chosen, expected, "{path} {given:?}");
        }
    }
}

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

/// Accounts that one request names: more than anybody has, and few enough to compare.
const MAX_NAMED: usize = 64;

/// The accounts that the header names with their upstreams, as `github@work, mail@home`: where all
/// upstreams are one, each that is not named is for its person's first.
pub(crate) fn each_named(headers: &HeaderMap) -> Result<Vec<ConnectionName>, AccountUnclear> {
    let mut named: Vec<ConnectionName> = Vec::new();
    for value in headers.get_all(ATTACHE_ACCOUNT) {
        let value = value.to_str().map_err(|_| AccountUnclear)?;
        for one in value.split(',') {
            let one: ConnectionName = one.trim().parse().map_err(|_| AccountUnclear)?;
            let is_new = named.iter().all(|other| other.upstream != one.upstream);
            if one.account.is_none() || !is_new || named.len() == MAX_NAMED {
                return Err(AccountUnclear);
            }
            named.push(one);
        }
    }
    Ok(named)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn where_all_are_one_each_account_is_named_with_its_upstream() {
        for (given, expected) in [
            (&[][..], Some(&[][..])),
            (&["github@work"], Some(&["github@work"])),
            (&["github@work, mail@home"], Some(&["github@work", "mail@home"])),
            (&["github@work", "mail@home"], Some(&["github@work", "mail@home"])),
            (&["work"], None),
            (&["github"], None),
            (&["github@work,github@home"], None),
            (&["github@work", "github@work"], None),
            (&["github@work,"], None),
            (&["GITHUB@work"], None),
            (&[""], None),
        ] {
            let mut headers = HeaderMap::new();
            for value in given {
                headers.append(ATTACHE_ACCOUNT, HeaderValue::from_static(value));
            }
            let named = each_named(&headers).ok();
            let named = named.map(|all| all.iter().map(ToString::to_string).collect::<Vec<_>>());
            let expected = expected.map(|all| all.iter().map(ToString::to_string).collect());
            assert_eq!(named, expected, "{given:?}");
        }
    }

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

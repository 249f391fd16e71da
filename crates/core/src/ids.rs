//! Names of things. Each is its own type, so that a person cannot be passed for an upstream.

use std::{fmt, str::FromStr, sync::Arc};

use serde::Serialize;

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        pub struct $name(Arc<str>);

        impl $name {
            pub fn new(name: impl Into<Arc<str>>) -> Self {
                Self(name.into())
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name! {
    /// A person, by the random id this gateway gave them when their (issuer, subject) was first
    /// seen. Never an e-mail address: those change hands.
    UserId
}
name! {
    /// An authorization server or identity provider, by its issuer URL, compared as a string
    /// (RFC 8414 section 3.3, RFC 9207 section 2.4).
    IssuerId
}
name! {
    /// Names one request in answers, logs and the audit.
    RequestId
}
name! {
    /// A personal access token, where it is shown and revoked; worth nothing else.
    TokenId
}
name! {
    /// What a person let a client do, where it is shown and ended; in access tokens, so no secret.
    GrantId
}
name! {
    /// A key that all replicas share, by what it is for.
    ServiceKeyName
}

macro_rules! parsed_name {
    ($(#[$doc:meta])* $name:ident, $(#[$rule:meta])* $invalid:ident $well_formed:expr, $says:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        pub struct $name(Arc<str>);

        impl $name {
            $(#[$rule])*
            ///
            /// # Errors
            #[doc = concat!("[`", stringify!($invalid), "`] otherwise.")]
            pub fn parse(name: &str) -> Result<Self, $invalid> {
                if $well_formed(name) { Ok(Self(name.into())) } else { Err($invalid) }
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        #[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
        #[error($says)]
        pub struct $invalid;
    };
}

parsed_name! {
    /// An upstream by its configured name, which is also its path segment under `/mcp/`.
    UpstreamName,
    /// 1 to 64 of `a-z 0-9 - _`, beginning with a letter or digit: the name needs no escaping in a
    /// path, a header, a metric label or a tool name.
    InvalidUpstreamName |name| is_plain(name, 64, b"-_"),
    "an upstream's name is 1 to 64 of a-z, 0-9, - and _, beginning with a letter or a digit"
}
parsed_name! {
    /// What a person calls one of several accounts of theirs at one upstream: `work`.
    AccountName,
    /// 1 to 32 of `a-z 0-9 -`, beginning with a letter or digit: the name needs no escaping
    /// anywhere either.
    InvalidAccountName |name| is_plain(name, 32, b"-"),
    "an account's name is 1 to 32 of a-z, 0-9 and -, beginning with a letter or a digit"
}
parsed_name! {
    /// A rule of the operator's, as callers, metrics and logs call it.
    RuleName,
    /// 1 to 64 of `a-z 0-9 - _`, beginning with a letter or digit.
    InvalidRuleName |name| is_plain(name, 64, b"-_"),
    "a rule's name is 1 to 64 of a-z, 0-9, - and _, beginning with a letter or a digit"
}

parsed_name! {
    /// What a claim of a token is called, such as `groups` or `https://example.com/groups`; or,
    /// where there is none of that name, the way to it through objects: `realm_access.roles`.
    ClaimName,
    /// 1 to 256 bytes, without spaces and control characters.
    InvalidClaimName |name: &str| {
        (1..=256).contains(&name.len()) && !name.contains(|c: char| c.is_whitespace() || c.is_control())
    },
    "a claim's name is 1 to 256 bytes, without spaces"
}

fn is_plain(name: &str, longest: usize, marks: &[u8]) -> bool {
    let plain = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = name.as_bytes();
    bytes.len() <= longest
        && bytes.first().is_some_and(plain)
        && bytes.iter().all(|b| plain(b) || marks.contains(b))
}

/// One person's account at one upstream: `github`, the first one, or by name `github@work`. So it
/// stands in paths, in the store and in the audit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionName {
    pub upstream: UpstreamName,
    pub account: Option<AccountName>,
}

impl From<UpstreamName> for ConnectionName {
    fn from(upstream: UpstreamName) -> Self {
        Self { upstream, account: None }
    }
}

impl fmt::Display for ConnectionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.account {
            None => write!(f, "{}", self.upstream),
            Some(account) => write!(f, "{}@{account}", self.upstream),
        }
    }
}

impl FromStr for ConnectionName {
    type Err = InvalidConnectionName;

    fn from_str(text: &str) -> Result<Self, InvalidConnectionName> {
        let (upstream, account) = match text.split_once('@') {
            None => (text, None),
            Some((upstream, account)) => (upstream, Some(AccountName::parse(account)?)),
        };
        Ok(Self { upstream: UpstreamName::parse(upstream)?, account })
    }
}

impl Serialize for ConnectionName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidConnectionName {
    #[error(transparent)]
    Upstream(#[from] InvalidUpstreamName),
    #[error(transparent)]
    Account(#[from] InvalidAccountName),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstream_name_needs_no_escaping_anywhere() {
        for good in ["github", "0", "my-api_2"] {
            assert_eq!(UpstreamName::parse(good).unwrap().as_str(), good);
        }
        let long = "a".repeat(65);
        for bad in ["", "GitHub", "-x", "a/b", "a b", "a.b", "é", &long] {
            assert_eq!(UpstreamName::parse(bad), Err(InvalidUpstreamName), "{bad}");
        }
    }

    #[test]
    fn a_connection_is_an_upstream_and_perhaps_an_account() {
        let longest = format!("github@{}", "a".repeat(32));
        for good in ["github", "github@work", "my-api_2@0", &longest] {
            assert_eq!(good.parse::<ConnectionName>().unwrap().to_string(), good);
        }
        let long = format!("{longest}a");
        for bad in [
            "",
            "@",
            "@work",
            "github@",
            "github@-",
            "github@a@b",
            "github@../x",
            "github@Work",
            "github@a_b",
            "github@a.b",
            "github@a b",
            "github%40work",
            "github@%77ork",
            &long,
        ] {
            assert!(bad.parse::<ConnectionName>().is_err(), "{bad}");
        }
    }
}

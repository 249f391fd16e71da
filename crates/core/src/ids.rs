//! Names of things. Each is its own type, so that a person cannot be passed for an upstream.

use std::{fmt, sync::Arc};

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
    /// A key that all replicas share, by what it is for.
    ServiceKeyName
}

/// An upstream by its configured name, which is also its path segment under `/mcp/`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct UpstreamName(Arc<str>);

impl UpstreamName {
    /// 1 to 64 of `a-z 0-9 - _`, beginning with a letter or digit: the name needs no escaping in a
    /// path, a header, a metric label or a tool name.
    ///
    /// # Errors
    /// [`InvalidUpstreamName`] otherwise.
    pub fn parse(name: &str) -> Result<Self, InvalidUpstreamName> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let bytes = name.as_bytes();
        let well_formed = bytes.len() <= 64
            && bytes.first().is_some_and(|b| plain(*b))
            && bytes.iter().all(|b| plain(*b) || *b == b'-' || *b == b'_');
        if well_formed { Ok(Self(name.into())) } else { Err(InvalidUpstreamName) }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UpstreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an upstream's name is 1 to 64 of a-z, 0-9, - and _, beginning with a letter or a digit")]
pub struct InvalidUpstreamName;

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
}

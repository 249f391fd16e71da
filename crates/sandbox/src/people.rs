//! The two people who live here. Each has an account at the sandbox's identity provider and one at
//! its authorization server.

use http::{HeaderMap, header};

use crate::params::Params;

/// Somebody to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Person {
    /// Their `sub` at the identity provider, and their account's name at the authorization server.
    pub id: &'static str,
    pub name: &'static str,
    pub email: &'static str,
    pub groups: &'static [&'static str],
}

pub const ADA: Person =
    Person { id: "ada", name: "Ada Lovelace", email: "ada@example.com", groups: &["engineering"] };

pub const GRACE: Person =
    Person { id: "grace", name: "Grace Hopper", email: "grace@example.com", groups: &[] };

pub const EVERYBODY: [Person; 2] = [ADA, GRACE];

impl Person {
    pub fn find(id: &str) -> Option<Self> {
        EVERYBODY.into_iter().find(|person| person.id == id)
    }

    /// Whom a request names without being asked, so that a program can play a person: the query
    /// parameter `as`, the header `X-Sandbox-User`, or the cookie `sandbox_user`.
    pub(crate) fn named_by(params: &Params, headers: &HeaderMap) -> Option<Self> {
        let header = || headers.get(USER_HEADER)?.to_str().ok();
        let cookie = || {
            let cookies = headers.get(header::COOKIE)?.to_str().ok()?;
            cookies.split("; ").find_map(|pair| pair.strip_prefix(USER_COOKIE)?.strip_prefix('='))
        };
        params.get("as").or_else(header).or_else(cookie).and_then(Self::find)
    }
}

pub(crate) const USER_HEADER: &str = "x-sandbox-user";
const USER_COOKIE: &str = "sandbox_user";

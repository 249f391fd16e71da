//! How far a proof of identity goes.
//!
//! [`Access`](crate::Access) says what a person may use; a [`Reach`], which of it one proof of
//! theirs opens. A browser session opens everything, an access token what its audience names
//! (RS-9).

use std::collections::BTreeSet;

use crate::ConnectionName;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// `None`: all of them.
    routes: Option<BTreeSet<ConnectionName>>,
    /// The one endpoint for all MCP servers, and all that are behind it there.
    together: bool,
    api: bool,
    read_only: bool,
}

impl Reach {
    /// All that the person may use: every upstream, and the API.
    pub const fn everything() -> Self {
        Self { routes: None, together: true, api: true, read_only: false }
    }

    /// The one endpoint for all MCP servers: every one that the person may use, by that way alone.
    /// Their own routes are other resources, and so is the API.
    pub const fn together() -> Self {
        Self { routes: Some(BTreeSet::new()), together: true, api: false, read_only: false }
    }

    /// These routes, and nothing beside them. An upstream's is every account of the person there,
    /// an account's that account alone.
    pub fn only<T: Into<ConnectionName>>(routes: impl IntoIterator<Item = T>) -> Self {
        let routes = Some(routes.into_iter().map(Into::into).collect());
        Self { routes, together: false, api: false, read_only: false }
    }

    /// The API, where a person's connections are, and no upstream.
    pub const fn api() -> Self {
        Self { routes: Some(BTreeSet::new()), together: false, api: true, read_only: false }
    }

    /// Both.
    #[must_use]
    pub fn and_together(self) -> Self {
        Self { together: true, ..self }
    }

    /// Whether the one endpoint for all MCP servers is open at all: for them, or for single ones.
    pub fn opens_any(&self) -> bool {
        self.together || self.routes.as_ref().is_none_or(|some| !some.is_empty())
    }

    /// Of what this opens at the one endpoint for all MCP servers, the way to one of them: nothing
    /// else, and with it no other.
    #[must_use]
    pub fn narrowed(&self, to: &ConnectionName) -> Option<Self> {
        let opens = self.together || self.includes(to);
        opens.then(|| Self { read_only: self.read_only, ..Self::only([to.clone()]) })
    }

    /// The same, to look and not to act.
    #[must_use]
    pub fn reading(self) -> Self {
        Self { read_only: true, ..self }
    }

    /// Whether it opens the API, beside upstreams.
    pub fn opens_api(&self) -> bool {
        self.api
    }

    /// Whether it changes nothing: safe methods of HTTP, and of MCP those that only read.
    pub fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// Which ones, where it is not everything.
    pub fn routes(&self) -> Option<&BTreeSet<ConnectionName>> {
        self.routes.as_ref()
    }

    pub fn includes(&self, asked: &ConnectionName) -> bool {
        let opens = |route: &ConnectionName| {
            route.upstream == asked.upstream
                && (route.account.is_none() || route.account == asked.account)
        };
        self.routes.as_ref().is_none_or(|some| some.iter().any(opens))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_accounts_route_is_that_account_alone() {
        let reach = |routes: &[&str]| {
            Reach::only(routes.iter().map(|name| name.parse::<ConnectionName>().unwrap()))
        };
        for (routes, asked, expected) in [
            (&["a"][..], "a", true),
            (&["a"], "a@work", true),
            (&["a"], "b", false),
            (&["a@work"], "a@work", true),
            (&["a@work"], "a", false),
            (&["a@work"], "a@home", false),
            (&["a@work", "b"], "b@work", true),
            (&[], "a", false),
        ] {
            assert_eq!(reach(routes).includes(&asked.parse().unwrap()), expected, "{asked}");
        }
    }

    #[test]
    fn all_together_is_no_route_of_its_own() {
        let notes: ConnectionName = "notes".parse().unwrap();
        let together = Reach::together().reading();
        assert!(!together.includes(&notes) && !together.opens_api());
        let narrowed = together.narrowed(&notes).unwrap();
        assert!(narrowed.includes(&notes) && narrowed.is_read_only());
        assert!(!narrowed.includes(&"mail".parse().unwrap()));
        let mail = Reach::only(["mail".parse::<ConnectionName>().unwrap()]);
        assert_eq!(mail.narrowed(&notes), None);
        assert!(mail.opens_any() && !Reach::api().opens_any());
        assert!(mail.and_together().narrowed(&notes).is_some());
    }
}

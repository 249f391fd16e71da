//! The two doors: what each accepts as proof.

use std::sync::Arc;

use attache_core::{
    ClientAddress, Principal, Timestamp,
    authenticator::{Authenticator, AuthnError},
};
use http::request::Parts;

use crate::{
    assertion::{Assertions, is_of_a_browser_elsewhere},
    bearer::{Bearers, presented, unavailable},
    session::Sessions,
};

/// A bearer token or, when there is none, what a proxy in front signed; the latter not where a page
/// of another site may have had a browser send it.
#[derive(Debug)]
pub(crate) struct DataPlane {
    pub(crate) bearers: Arc<Bearers>,
    pub(crate) assertions: Arc<Assertions>,
}

/// A bearer token or, when there is none, a session; where a proxy in front says who this is, a
/// session of theirs or else its word.
#[derive(Debug)]
pub(crate) struct WebSurface {
    pub(crate) bearers: Arc<Bearers>,
    pub(crate) assertions: Arc<Assertions>,
    pub(crate) sessions: Arc<Sessions>,
}

#[async_trait::async_trait]
impl Authenticator for DataPlane {
    fn recall(&self, parts: &Parts, now: Timestamp) -> Option<Arc<Principal>> {
        self.bearers.recall(presented(parts).ok()??, now)
    }

    async fn authenticate(&self, parts: &Parts) -> Result<Arc<Principal>, AuthnError> {
        if let Some(token) = presented(parts)? {
            return self.bearers.authenticate(token, ClientAddress::of(parts)).await;
        }
        if is_of_a_browser_elsewhere(&parts.headers) {
            return Err(AuthnError::Missing);
        }
        self.assertions.caller(&parts.headers).await?.ok_or(AuthnError::Missing)
    }

    async fn still_admits(&self, who: &Principal) -> Result<bool, AuthnError> {
        self.bearers.still_admits(who).await
    }
}

#[async_trait::async_trait]
impl Authenticator for WebSurface {
    /// Sessions are not remembered: a sign-out counts at once.
    fn recall(&self, parts: &Parts, now: Timestamp) -> Option<Arc<Principal>> {
        self.bearers.recall(presented(parts).ok()??, now)
    }

    async fn authenticate(&self, parts: &Parts) -> Result<Arc<Principal>, AuthnError> {
        if let Some(token) = presented(parts)? {
            return self.bearers.authenticate(token, ClientAddress::of(parts)).await;
        }
        let asserted = self.assertions.caller(&parts.headers).await?;
        let found = self.sessions.find(&parts.headers).await.map_err(unavailable)?;
        // Somebody else's, on a browser that two people use: the proxy knows who is there.
        let theirs =
            found.filter(|found| asserted.as_ref().is_none_or(|who| who.user == found.user));
        theirs.map(Arc::new).or(asserted).ok_or(AuthnError::Missing)
    }

    async fn still_admits(&self, who: &Principal) -> Result<bool, AuthnError> {
        self.bearers.still_admits(who).await
    }
}

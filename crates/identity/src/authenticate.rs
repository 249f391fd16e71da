//! The two doors: what each accepts as proof.

use std::sync::Arc;

use attache_core::{
    ClientAddress, Principal, Timestamp,
    authenticator::{Authenticator, AuthnError},
};
use http::request::Parts;

use crate::{
    bearer::{Bearers, presented, unavailable},
    session::Sessions,
};

/// Bearer tokens only.
#[derive(Debug)]
pub(crate) struct DataPlane {
    pub(crate) bearers: Arc<Bearers>,
}

/// A bearer token or, when there is none, a session.
#[derive(Debug)]
pub(crate) struct WebSurface {
    pub(crate) bearers: Arc<Bearers>,
    pub(crate) sessions: Arc<Sessions>,
}

#[async_trait::async_trait]
impl Authenticator for DataPlane {
    fn recall(&self, parts: &Parts, now: Timestamp) -> Option<Arc<Principal>> {
        self.bearers.recall(presented(parts).ok()??, now)
    }

    async fn authenticate(&self, parts: &Parts) -> Result<Arc<Principal>, AuthnError> {
        let token = presented(parts)?.ok_or(AuthnError::Missing)?;
        self.bearers.authenticate(token, ClientAddress::of(parts)).await
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
        let found = self.sessions.find(&parts.headers).await.map_err(unavailable)?;
        found.map(Arc::new).ok_or(AuthnError::Missing)
    }

    async fn still_admits(&self, who: &Principal) -> Result<bool, AuthnError> {
        self.bearers.still_admits(who).await
    }
}

//! Terms that are found: kept for as long as their servers say, looked for by one at a time, and
//! believed for a while longer when their servers do not answer.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use attache_core::{Clock, Dialect, IssuerId, Timestamp, outbound::Outbound};
use attache_oauth::{
    client_auth::Client,
    discover::{ChallengeSource, Found, Leniency, Search},
    scope::Sources,
    token::TokenEndpoint,
};
use tokio::sync::Mutex;
use url::Url;

use super::Terms;
use crate::connect::ProviderError;

/// How long terms are believed that cannot be looked at again (OC-6).
const MAX_STALE: Duration = Duration::from_hours(24);
/// Between two searches when the last one failed: callers wait behind each.
const RETRY_PAUSE: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub struct Finder {
    pub search: SearchFor,
    /// As which client we are known there.
    pub client: Client,
    pub dialect: Arc<Dialect>,
    /// The operator's, which are asked for as they stand.
    pub scopes: Option<Vec<String>>,
    pub resource: ResourceParameter,
    pub(super) kept: Kept,
}

/// What is looked for, and how much must be published.
#[derive(Clone, Debug)]
pub struct SearchFor {
    pub upstream: Url,
    /// How the upstream is asked for its challenge.
    pub challenge: ChallengeSource<'static>,
    /// The only issuer that may be found.
    pub issuer: Option<IssuerId>,
    pub leniency: Leniency,
}

/// `resource` of RFC 8707.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResourceParameter {
    /// What the upstream says it is.
    AsFound,
    Configured(String),
    /// Some servers refuse a request that has it.
    Omitted,
}

impl Finder {
    pub fn new(
        search: SearchFor,
        client: Client,
        dialect: Arc<Dialect>,
        scopes: Option<Vec<String>>,
        resource: ResourceParameter,
    ) -> Self {
        Self { search, client, dialect, scopes, resource, kept: Kept::default() }
    }

    pub(super) fn known(&self) -> Option<Arc<Terms>> {
        self.kept.state().good.as_ref().map(|good| Arc::clone(&good.terms))
    }

    pub(super) async fn terms(
        &self,
        outbound: &dyn Outbound,
        clock: &dyn Clock,
    ) -> Result<Arc<Terms>, ProviderError> {
        let fresh = || self.kept.fresh(clock.now());
        if let Some(terms) = fresh() {
            return terms;
        }
        let _one_at_a_time = self.kept.searching.lock().await;
        if let Some(terms) = fresh() {
            return terms;
        }
        let found = self.find(outbound, clock).await;
        self.kept.remember(found, clock.now())
    }

    async fn find(
        &self,
        outbound: &dyn Outbound,
        clock: &dyn Clock,
    ) -> Result<Good, ProviderError> {
        let SearchFor { upstream, challenge, issuer, leniency } = &self.search;
        let search = Search {
            upstream,
            challenge: *challenge,
            issuer: issuer.as_ref(),
            leniency: *leniency,
        };
        let found = search.run(outbound).await.inspect_err(|error| {
            tracing::warn!(%upstream, %error, "an authorization server was not found");
        })?;
        let until = clock.now().plus(found.fresh_for);
        Ok(Good { terms: Arc::new(self.agree(found.value)), until })
    }

    /// What was found, as this operator wants it used.
    fn agree(&self, found: Found) -> Terms {
        let Found { resource, server, challenged_scopes, resource_scopes } = found;
        let scopes = Sources {
            configured: self.scopes.as_deref(),
            challenged: &challenged_scopes,
            resource: &resource_scopes,
            server: &server.scopes_supported,
        };
        Terms {
            scopes: scopes.initial(),
            resource: match &self.resource {
                ResourceParameter::AsFound => Some(resource),
                ResourceParameter::Configured(resource) => Some(resource.clone()),
                ResourceParameter::Omitted => None,
            },
            push_to: server.must_push_to().cloned(),
            iss_parameter_supported: server.iss_parameter_supported,
            token: TokenEndpoint {
                url: server.token_endpoint,
                client: self.client.clone(),
                dialect: Arc::clone(&self.dialect),
            },
            issuer: Some(server.issuer),
            authorization_endpoint: server.authorization_endpoint,
            revocation_endpoint: server.revocation_endpoint,
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Kept {
    state: RwLock<State>,
    searching: Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    good: Option<Good>,
    /// The last search failed, and is not repeated before then.
    failed: Option<(ProviderError, Timestamp)>,
}

#[derive(Debug)]
struct Good {
    terms: Arc<Terms>,
    until: Timestamp,
}

impl Kept {
    /// What needs no search now.
    fn fresh(&self, now: Timestamp) -> Option<Result<Arc<Terms>, ProviderError>> {
        let state = self.state();
        if let Some(good) = state.good.as_ref().filter(|good| now < good.until) {
            return Some(Ok(Arc::clone(&good.terms)));
        }
        let (error, until) = state.failed?;
        (now < until).then(|| state.despite(error, now))
    }

    fn remember(
        &self,
        found: Result<Good, ProviderError>,
        now: Timestamp,
    ) -> Result<Arc<Terms>, ProviderError> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        match found {
            Ok(good) => {
                let terms = Arc::clone(&good.terms);
                *state = State { good: Some(good), failed: None };
                Ok(terms)
            }
            Err(error) => {
                state.failed = Some((error, now.plus(RETRY_PAUSE)));
                state.despite(error, now)
            }
        }
    }

    fn state(&self) -> std::sync::RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Servers that are away change nothing; what they say that they are not any more, does.
    fn despite(&self, error: ProviderError, now: Timestamp) -> Result<Arc<Terms>, ProviderError> {
        let away = matches!(error, ProviderError::Unavailable { .. });
        let good = self.good.as_ref().filter(|good| away && now < good.until.plus(MAX_STALE));
        good.map(|good| Arc::clone(&good.terms)).ok_or(error)
    }
}

//! Terms that are found: kept for as long as their servers say, looked for by one at a time, and
//! believed for a while longer when their servers do not answer.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use attache_core::{Clock, Dialect, IssuerId, Timestamp, outbound::Outbound};
use attache_oauth::{
    client_auth::Client,
    discover::{ChallengeSource, DiscoveryError, Found, Leniency, Published, Search},
    scope::Sources,
    token::TokenEndpoint,
};
use tokio::sync::Mutex;
use url::Url;

use super::{ByHand, Profile, Registrar, Terms};
use crate::connect::ProviderError;

/// How long terms are believed that cannot be looked at again (OC-6).
const MAX_STALE: Duration = Duration::from_hours(24);
/// Between two searches when the last one failed: callers wait behind each.
const RETRY_PAUSE: Duration = Duration::from_secs(10);
/// Terms that were found less than this ago are not doubted: a server that refuses every client must
/// not be sent new ones for ever. So long, too, after an upstream's 401 made us look again.
const DOUBT_PAUSE: Duration = Duration::from_mins(1);
/// How long a client that signs uses one key; what is written down does not change.
const WRITTEN_FRESH: Duration = Duration::from_hours(1);

#[derive(Debug)]
pub struct Finder {
    server: Server,
    client: OurClient,
    wishes: Wishes,
    kept: Kept,
}

/// What the operator wrote about terms that are found.
#[derive(Clone, Debug)]
pub struct Wishes {
    pub dialect: Arc<Dialect>,
    /// Asked for as they stand.
    pub scopes: Option<Vec<String>>,
    pub resource: ResourceParameter,
    /// In the place of the one that the server publishes.
    pub revocation_endpoint: Option<Url>,
}

/// Where the server's side of the terms is.
#[derive(Clone, Debug)]
pub enum Server {
    /// As the operator wrote it down.
    Written(Box<Found>),
    /// As the upstream and the server publish it.
    Published {
        upstream: Url,
        /// How the upstream is asked for its challenge.
        challenge: ChallengeSource<'static>,
        /// The only issuer that may be found.
        issuer: Option<IssuerId>,
        leniency: Leniency,
    },
}

/// Where our side is.
#[derive(Debug)]
pub enum OurClient {
    ByHand(ByHand),
    Registrar(Box<Registrar>),
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
    pub fn new(server: Server, client: OurClient, wishes: Wishes) -> Self {
        Self { server, client, wishes, kept: Kept::default() }
    }

    pub(super) fn known(&self) -> Option<Arc<Terms>> {
        self.kept.state().good.as_ref().map(|good| Arc::clone(&good.terms))
    }

    pub(super) fn profile(&self) -> Option<&Profile> {
        match &self.client {
            OurClient::Registrar(registrar) => Some(&registrar.profile),
            OurClient::ByHand(_) => None,
        }
    }

    pub(super) fn doubt(&self, terms: &Arc<Terms>, now: Timestamp) {
        self.kept.doubt(terms, now);
    }

    pub(super) fn look_again(&self, now: Timestamp) {
        self.kept.look_again(now);
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
        let Published { value: found, fresh_for } = self.server.found(outbound).await?;
        let scopes = Sources {
            configured: self.wishes.scopes.as_deref(),
            challenged: &found.challenged_scopes,
            resource: &found.resource_scopes,
            server: &found.server.scopes_supported,
        }
        .initial();
        let client = match &self.client {
            OurClient::ByHand(by_hand) => by_hand.client(&found.server).await?,
            OurClient::Registrar(registrar) => {
                let refused = self.kept.state().refused.clone();
                registrar.client(&found.server, &scopes, refused.as_deref(), outbound).await?
            }
        };
        let terms = Arc::new(self.agree(found, scopes, client));
        Ok(Good { terms, at: clock.now(), until: clock.now().plus(fresh_for) })
    }

    /// What was found, as this operator wants it used.
    fn agree(&self, found: Found, scopes: Vec<String>, client: Client) -> Terms {
        let Found { resource, server, .. } = found;
        let wished = self.wishes.revocation_endpoint.clone();
        Terms {
            is_found: matches!(self.server, Server::Published { .. }),
            scopes,
            resource: match &self.wishes.resource {
                ResourceParameter::AsFound => Some(resource),
                ResourceParameter::Configured(resource) => Some(resource.clone()),
                ResourceParameter::Omitted => None,
            },
            push_to: server.must_push_to().cloned(),
            iss_parameter_supported: server.iss_parameter_supported,
            token: TokenEndpoint {
                url: server.token_endpoint,
                client,
                dialect: Arc::clone(&self.wishes.dialect),
            },
            issuer: Some(server.issuer),
            authorization_endpoint: server.authorization_endpoint,
            revocation_endpoint: wished.or(server.revocation_endpoint),
        }
    }
}

impl Server {
    async fn found(&self, outbound: &dyn Outbound) -> Result<Published<Found>, DiscoveryError> {
        let (upstream, challenge, issuer, leniency) = match self {
            Self::Written(found) => {
                return Ok(Published { value: Found::clone(found), fresh_for: WRITTEN_FRESH });
            }
            Self::Published { upstream, challenge, issuer, leniency } => {
                (upstream, *challenge, issuer.as_ref(), *leniency)
            }
        };
        let search = Search { upstream, challenge, issuer, leniency };
        search.run(outbound).await.inspect_err(|error| {
            tracing::warn!(%upstream, %error, "an authorization server was not found");
        })
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
    /// The client id that the server refused last.
    refused: Option<String>,
    /// The last search failed, and is not repeated before then.
    failed: Option<(ProviderError, Timestamp)>,
    /// When terms were last cut short because an upstream refused a token.
    looked_again: Option<Timestamp>,
}

#[derive(Debug)]
struct Good {
    terms: Arc<Terms>,
    at: Timestamp,
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
                *state = State { good: Some(good), failed: None, refused: None, ..*state };
                Ok(terms)
            }
            Err(error) => {
                state.failed = Some((error, now.plus(RETRY_PAUSE)));
                state.despite(error, now)
            }
        }
    }

    fn doubt(&self, terms: &Arc<Terms>, now: Timestamp) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let Some(good) = state.good.as_mut().filter(|good| Arc::ptr_eq(&good.terms, terms)) else {
            return;
        };
        if now.since(good.at) >= DOUBT_PAUSE {
            good.until = now;
            state.refused = Some(terms.token.client.id.clone());
        }
    }

    fn look_again(&self, now: Timestamp) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if state.looked_again.is_some_and(|at| now.since(at) < DOUBT_PAUSE) {
            return;
        }
        state.looked_again = Some(now);
        if let Some(good) = state.good.as_mut() {
            good.until = good.until.min(now);
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

//! An upstream wants scopes that its caller's credential was not given (OC-14; MCP 2025-11-25,
//! "Scope Challenge Handling"): noted, so that the next approval asks for them. Until then, and if
//! nobody approves, the credential serves everything else.

use std::{sync::Arc, time::Duration};

use attache_core::{
    AccountName, CredentialKey, Principal, Timestamp,
    audit::Reason,
    store::{StoreError, Version},
};
use attache_crypto::digest::sha256;
use attache_oauth::challenge::Demand;
use http::HeaderMap;

use crate::{
    broker::{Broker, ObtainError, Parts},
    demands::{Demands, Had, NotGranted},
    upstream::Brokered,
};

/// For how long the same answer of an upstream is taken for the same, without a look at the store.
const SAME_FOR: Duration = Duration::from_secs(30);

/// What was said of a demand a moment ago.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told {
    version: Version,
    /// SHA-256 of the scopes.
    wanted: [u8; 32],
    at: Timestamp,
    error: ObtainError,
}

impl Broker {
    /// What a caller is told whose credential of `version` an upstream answered with `answer`, the
    /// headers of a 401 or 403. `None` where it says nothing of missing scopes, or the operator wants
    /// none to be asked for: then its answer stands.
    pub async fn step_up(
        self: &Arc<Self>,
        who: &Principal,
        upstream: &Arc<Brokered>,
        account: Option<&AccountName>,
        version: Version,
        answer: &HeaderMap,
    ) -> Option<ObtainError> {
        let wanted = Demand::read(answer).and_then(Demand::lacking)?;
        upstream.connect().filter(|connect| connect.step_up)?;
        let key = upstream.key(who, account);
        let (at, digest) = (self.parts.clock.now(), sha256(wanted.join(" ").as_bytes()));
        let same = |told: &Told| {
            (told.version, told.wanted) == (version, digest) && at.since(told.at) < SAME_FOR
        };
        if let Some(told) = self.told.get(&key).filter(same) {
            return Some(told.error);
        }
        let (broker, upstream) = (Arc::clone(self), Arc::clone(upstream));
        let hearing = {
            let key = key.clone();
            async move { broker.hear(&upstream, &key, &wanted, version).await }
        };
        let heard = self.parts.tasks.finish(hearing).await;
        let error = heard.unwrap_or_else(|abandoned| {
            tracing::error!(%abandoned, "a demand task panicked");
            ObtainError::Unavailable { reason: Reason::Other, retry_after: None }
        });
        if !matches!(error, ObtainError::Unavailable { .. }) {
            self.told.insert(key, Told { version, wanted: digest, at, error });
        }
        Some(error)
    }

    async fn hear(
        &self,
        upstream: &Brokered,
        key: &CredentialKey,
        wanted: &[String],
        version: Version,
    ) -> ObtainError {
        match self.note(upstream, key, wanted, version).await {
            Ok(Ok(())) => {
                tracing::info!(upstream = %upstream.name, "an upstream wants more scopes");
                ObtainError::NotConnected { reason: Reason::InsufficientScope }
            }
            Ok(Err(error)) => {
                tracing::warn!(upstream = %upstream.name, %error, "a step-up was given up");
                ObtainError::Operator { reason: Reason::ScopesNotGranted }
            }
            Err(error) => error,
        }
    }

    async fn note(
        &self,
        upstream: &Brokered,
        key: &CredentialKey,
        wanted: &[String],
        version: Version,
    ) -> Result<Result<(), NotGranted>, ObtainError> {
        let disconnected = ObtainError::NotConnected { reason: Reason::NotConnected };
        let Parts { store, demands: noted, vault, clock, .. } = &self.parts;
        let seen = vault.seen(key);
        let (stored, data_key) = store.find_with_key(key).await?.ok_or(disconnected)?;
        let credential = vault.open(key, &stored.record, seen, data_key).await?;
        let known = upstream.connect().and_then(|connect| connect.authority.known());
        let asked = known.as_ref().map_or(&[][..], |terms| &terms.scopes);

        let mut demands = Demands::new(noted.find(key).await?);
        let before = demands.clone();
        let had = Had { asked, granted: &credential.scopes };
        let heard = demands.hear(wanted, had, version, clock.now());
        if demands != before {
            match noted.replace(key, demands.stored()).await {
                Err(StoreError::Conflict) => return Err(disconnected),
                replaced => replaced?,
            }
        }
        Ok(heard)
    }

    /// The person approved, and has the credential of `version` for it.
    pub(crate) async fn demands_approved(&self, key: &CredentialKey, version: Version) {
        self.settle(key, |demands, now| demands.approve(version, now)).await;
    }

    /// The authorization server does not know a scope that it was asked for.
    pub(crate) async fn demands_refused(&self, key: &CredentialKey) {
        self.settle(key, Demands::refuse).await;
    }

    /// As well as it can be done: what is not settled is asked for once more.
    async fn settle(&self, key: &CredentialKey, settle: impl FnOnce(&mut Demands, Timestamp)) {
        self.told.remove(key);
        let store = &self.parts.demands;
        let settled = async {
            let mut demands = Demands::new(store.find(key).await?);
            let before = demands.clone();
            settle(&mut demands, self.parts.clock.now());
            if demands == before { Ok(()) } else { store.replace(key, demands.stored()).await }
        };
        if let Err(error) = settled.await {
            tracing::warn!(%error, "what an upstream demanded could not be settled");
        }
    }
}

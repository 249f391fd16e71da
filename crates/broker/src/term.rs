//! Connections that their people made for a while: over at its end, here and at the provider.
//!
//! The end is sealed in the credential, and nothing is served past it. What nobody uses any more is
//! found by [`EndStore`](attache_core::store::EndStore), so that it does not live on at the
//! provider either.

use std::{sync::Arc, time::Duration};

use attache_core::{
    Credential, CredentialKey, ObtainedVia,
    audit::{Action, Outcome, Reason},
    store::{Health, Record, StoreError, Stored, Version},
};
use tokio_util::sync::CancellationToken;

use crate::{
    broker::ObtainError,
    connections::{Connections, Revocation, audit},
    disconnect::revoke,
    upstream::Brokered,
    vault::VaultError,
};

/// What people may choose from, beside "until I disconnect".
pub const LENGTHS: [Duration; 3] =
    [Duration::from_hours(1), Duration::from_hours(8), Duration::from_hours(30 * 24)];

/// How often it is looked for what is over. What is open is ended then: so much later at most.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Ended in one round.
const ROUND: u32 = 100;
/// When what cannot be opened now is looked at again.
const AGAIN: Duration = Duration::from_hours(1);

/// Of [`LENGTHS`] those that the operator lets people choose, with the longest that they may.
pub(crate) fn lengths(longest: Option<Duration>) -> Vec<Duration> {
    let shorter = |length: &Duration| longest.is_none_or(|longest| *length < longest);
    LENGTHS.into_iter().filter(shorter).chain(longest).collect()
}

/// `state` with how long the connection shall last: it cannot be changed on its way, since the flow
/// is found by the digest of all of it.
pub(crate) fn in_state(state: String, term: Option<Duration>) -> String {
    match term {
        Some(term) => format!("{state}.{}", term.as_secs()),
        None => state,
    }
}

pub(crate) fn of_state(state: &str) -> Option<Duration> {
    let (_, seconds) = state.rsplit_once('.')?;
    seconds.parse().ok().map(Duration::from_secs)
}

impl Connections {
    /// Ends what is over, until `stop`.
    pub async fn end_terms(self: Arc<Self>, stop: CancellationToken) {
        while !stop.is_cancelled() {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            if let Err(error) = self.end_what_is_over().await {
                tracing::debug!(%error, "it was not looked for what is over");
            }
        }
    }

    async fn end_what_is_over(self: &Arc<Self>) -> Result<(), StoreError> {
        let parts = &self.broker.parts;
        let over = parts.ends.over(parts.clock.now(), ROUND).await?;
        for key in over {
            let seen = parts.vault.seen(&key);
            let Some(stored) = parts.store.find(&key).await? else { continue };
            match self.end(&key, seen, &stored).await {
                Ok(()) => {}
                Err(VaultError::Store(error)) => return Err(error),
                // In the log by then; nothing is served of it either.
                Err(_) => parts.ends.set(&key, Some(parts.clock.now().plus(AGAIN))).await?,
            }
        }
        Ok(())
    }

    /// Unless it is not over, or is ended already.
    async fn end(
        self: &Arc<Self>,
        key: &CredentialKey,
        seen: Option<Version>,
        stored: &Stored,
    ) -> Result<(), VaultError> {
        let parts = &self.broker.parts;
        let now = parts.clock.now();
        if stored.record.health != Health::Good {
            return Ok(parts.ends.set(key, None).await?);
        }
        let Some(upstream) = key.connection().and_then(|name| self.upstream(&name.upstream)) else {
            // It is not configured just now.
            return Ok(parts.ends.set(key, Some(now.plus(AGAIN))).await?);
        };
        let credential = parts.vault.open(key, &stored.record, seen, None).await?;
        if !credential.is_over(now) {
            // It was made anew.
            let ends_at = credential.term.map(|term| term.until);
            return Ok(parts.ends.set(key, ends_at).await?);
        }
        let ended = Credential {
            access_token: None,
            refresh_token: None,
            id_token: None,
            ..credential.clone()
        };
        let version = parts.vault.next_version(key, stored.record.version);
        let record = Record {
            version,
            sealed: parts.vault.seal_again(key, version, &ended).await?,
            health: Health::NeedsReconnect(Reason::TermEnded),
            updated_at: now,
            ..stored.record.clone()
        };
        match parts.store.put(key, &record, Some(stored.record.version)).await {
            // Renewed or made anew meanwhile: the next round looks.
            Err(StoreError::Conflict) => return Ok(()),
            written => written?,
        }
        parts.vault.saw(key, version);
        self.broker.ready.forget(key);
        self.plan(key, &record, &ended);
        // Nobody else has the tokens now, and nobody waits for the provider but shutdown.
        let (connections, upstream, key) = (Arc::clone(self), Arc::clone(upstream), key.clone());
        let via = record.obtained_via;
        let cleared = parts.ends.set(&key, None).await;
        parts.tasks.spawn(async move {
            if let Err(error) = connections.end_at_provider(&key, &upstream, via, &credential).await
            {
                tracing::warn!(%error, "the end of a connection was not written to the audit");
            }
        });
        Ok(cleared?)
    }

    async fn end_at_provider(
        &self,
        key: &CredentialKey,
        upstream: &Brokered,
        via: ObtainedVia,
        credential: &Credential,
    ) -> Result<(), StoreError> {
        let Some(server) = key.connection() else { return Ok(()) };
        let write = |action, outcome| {
            audit(&self.broker, (&key.user, None), Some((upstream, server)), action, outcome)
        };
        let written = write(Action::Disconnect, Outcome::Failure(Reason::TermEnded)).await;
        // Also when that was not written: the grant ends now, or lives on unseen.
        if let Some(revocation) = revoke(upstream, via, credential).await {
            let outcome = match revocation {
                Revocation::Revoked => Outcome::Success,
                Revocation::Failed(reason) => Outcome::Failure(reason),
            };
            write(Action::Revoke, outcome).await?;
        }
        written
    }

    /// Where it is found when it is over. What is not written down is still served no longer.
    pub(crate) async fn remember_term(&self, key: &CredentialKey, credential: &Credential) {
        if key.connection().is_none() {
            return;
        }
        let ends_at = credential.term.map(|term| term.until);
        if let Err(error) = self.broker.parts.ends.set(key, ends_at).await {
            let error = ObtainError::from(error);
            tracing::warn!(%error, "the end of a connection was not written down");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_offered_more_than_the_operator_allows() {
        const HOUR: Duration = Duration::from_hours(1);
        for (longest, offered) in [
            (None, &[1, 8, 720][..]),
            (Some(4), &[1, 4]),
            (Some(8), &[1, 8]),
            (Some(1000), &[1, 8, 720, 1000]),
        ] {
            let offered: Vec<Duration> = offered.iter().map(|hours| HOUR * *hours).collect();
            assert_eq!(lengths(longest.map(|hours| HOUR * hours)), offered);
        }
    }

    #[test]
    fn a_state_says_how_long_or_nothing() {
        let state = || "abc-_9".to_owned();
        let hour = Some(Duration::from_hours(1));
        assert_eq!(of_state(&in_state(state(), hour)), hour);
        assert_eq!(of_state(&in_state(state(), None)), None);
    }
}

//! The end of a connection: deleted here, and ended at the provider.
//!
//! Between the two nobody but this piece of work has the tokens, so it belongs to the process:
//! whoever asked for it may leave, and shutdown waits for it.

use std::sync::Arc;

use attache_core::{
    ConnectionName, Credential, CredentialKey, ObtainedVia, RequestId, UserId,
    audit::{Action, Outcome, Reason},
    store::{ConnectFlowStore, StoreError, Stored},
};

use crate::{
    broker::{Broker, ObtainError},
    connections::{Revocation, audit},
    replacement::end_undecided,
    upstream::Brokered,
};

pub(crate) struct Disconnect {
    pub(crate) broker: Arc<Broker>,
    pub(crate) flows: Arc<dyn ConnectFlowStore>,
    pub(crate) upstream: Arc<Brokered>,
    pub(crate) user: UserId,
    /// Which of their accounts at `upstream`.
    pub(crate) server: ConnectionName,
    pub(crate) request_id: Option<RequestId>,
}

impl Disconnect {
    /// As [`Connections::disconnect`](crate::Connections::disconnect) answers.
    pub(crate) async fn run(self) -> Result<Option<Option<Revocation>>, StoreError> {
        let Self { user, server, .. } = &self;
        let key = CredentialKey::upstream(user.clone(), server.clone());
        self.flows.clear(user, server).await?;
        let held = self.broker.parts.store.list(user).await?;
        let of_it = |name: &ConnectionName, _: &Stored| name == server;
        end_undecided(&self.broker, &self.upstream, user, &held, of_it).await?;
        let seen = self.broker.parts.vault.seen(&key);
        let removed = self.broker.parts.store.remove(&key).await;
        // Also when nobody knows whether it was removed.
        self.broker.ready.forget(&key);
        self.broker.forgive(&key);
        let Some(removed) = removed? else { return Ok(None) };
        let written = self.audit(Action::Disconnect, Outcome::Success).await;
        // Also when that was not written: the grant ends now, or lives on unseen.
        let revocation = match self.broker.parts.vault.open(&key, &removed.record, seen, None).await
        {
            Ok(credential) => {
                revoke(&self.upstream, removed.record.obtained_via, &credential).await
            }
            Err(_) if self.cannot_revoke() => None,
            Err(error) => Some(Revocation::Failed(ObtainError::from(error).reason())),
        };
        if let Some(revocation) = revocation {
            let outcome = match revocation {
                Revocation::Revoked => Outcome::Success,
                Revocation::Failed(reason) => Outcome::Failure(reason),
            };
            self.audit(Action::Revoke, outcome).await?;
        }
        written.map(|()| Some(revocation))
    }

    fn cannot_revoke(&self) -> bool {
        let Some(connect) = self.upstream.connect() else { return true };
        connect.authority.known().is_some_and(|terms| terms.revocation_endpoint.is_none())
    }

    async fn audit(&self, action: Action, outcome: Outcome) -> Result<(), StoreError> {
        let by = (&self.user, self.request_id.as_ref());
        audit(&self.broker, by, Some((&self.upstream, &self.server)), action, outcome).await
    }
}

/// RFC 7009, as well as it can be done. `None` when the operator configured no way to, or nobody
/// issued it: what came by another way than consent is shown to no authorization server, whichever
/// mode the upstream has by now.
pub(crate) async fn revoke(
    upstream: &Brokered,
    via: ObtainedVia,
    credential: &Credential,
) -> Option<Revocation> {
    if via != ObtainedVia::ConnectFlow {
        return None;
    }
    let Some(connect) = upstream.connect() else {
        return Some(Revocation::Failed(Reason::Misconfigured));
    };
    let terms = match connect.terms().await {
        Ok(terms) if terms.is_issuer_of(credential) => terms,
        Ok(_) => return Some(Revocation::Failed(Reason::WrongIssuer)),
        Err(error) => return Some(Revocation::Failed(error.reason())),
    };
    Some(match connect.revoke(&terms, credential).await? {
        Ok(()) => Revocation::Revoked,
        Err(error) => {
            tracing::warn!(upstream = %upstream.name, %error, "a grant was not revoked");
            Revocation::Failed(error.reason())
        }
    })
}

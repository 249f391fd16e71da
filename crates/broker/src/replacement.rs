//! An approval for another account than the connected one: nothing is replaced before its owner said
//! so (OC-23).
//!
//! The new credential waits in a slot of its own, sealed like any other. The slot names the browser
//! session that brought it, so no other browser finds it; deciding takes it out of the store, so of
//! two decisions one counts, on whichever replica. Nothing serves it meanwhile.

use std::{sync::Arc, time::Duration};

use attache_core::{
    Account, ConnectionName, Credential, CredentialKey, ObtainedVia, Principal, Slot, Timestamp,
    UserId,
    audit::{Action, Outcome, Reason},
    store::{StoreError, Stored, Version},
};

use crate::{
    broker::Broker,
    connections::{
        Act, BrowserSession, ConnectError, Connections, Finished, Revocation, check_room,
    },
    disconnect::revoke,
    upstream::Brokered,
};

/// How long a person may think about it. Afterwards the new approval is of no use to anybody, and
/// ended at the provider when its owner looks at their connections next.
pub const DECISION_LIFE: Duration = Duration::from_mins(10);

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replacement {
    pub server: ConnectionName,
    /// The approval that waits: an answer names it, so that it is about no other.
    pub attempt: Version,
    pub connected: Account,
    pub approved: Account,
}

/// What is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The connected account stays, and the new approval is ended at the provider.
    Keep,
    /// The new one takes its place, and the old approval is ended at the provider.
    Replace,
}

/// What is stored, opened.
pub(crate) struct Held {
    version: Version,
    via: ObtainedVia,
    pub(crate) credential: Credential,
}

impl Connections {
    /// What this person is asked in this browser; `None` when nothing is, or not any more.
    pub async fn undecided(
        &self,
        who: &Principal,
        browser: &BrowserSession,
        server: &ConnectionName,
    ) -> Result<Option<Replacement>, ConnectError> {
        let Some(upstream) = self.permitted(who, server) else { return Ok(None) };
        let waiting = self.held(&undecided_key(who, browser, server)).await?;
        let Some(Held { version: attempt, credential: waiting, .. }) = waiting else {
            return Ok(None);
        };
        if has_lapsed(waiting.obtained_at, self.broker.parts.clock.now()) {
            return Ok(None);
        }
        let connected = self.held(&upstream.key(who, server.account.as_ref())).await?;
        let accounts = (connected.and_then(|held| held.credential.account), waiting.account);
        let (Some(connected), Some(approved)) = accounts else { return Ok(None) };
        Ok(Some(Replacement { server: server.clone(), attempt, connected, approved }))
    }

    /// Does as the person decided about `attempt`.
    ///
    /// To be driven to its end, as [`Connections::callback`] is.
    pub async fn decide(
        &self,
        act: &Act,
        browser: &BrowserSession,
        attempt: Version,
        decision: Decision,
    ) -> Result<(), ConnectError> {
        let Act { who, server, .. } = act;
        let upstream = self.permitted(who, server).ok_or(ConnectError(Reason::WrongUpstream))?;
        let unknown = ConnectError(Reason::FlowUnknown);
        let key = undecided_key(who, browser, server);
        let waiting = self.held(&key).await?.filter(|held| held.version == attempt);
        let mut waiting = waiting.ok_or(unknown)?;
        // From here on it is this decision's alone: whoever else decided finds nothing.
        let Stored { record, .. } = self.broker.parts.store.remove(&key).await?.ok_or(unknown)?;
        let overtaken = record.version != attempt;
        if overtaken {
            waiting.credential = self.vault().open(&key, &record, None, None).await?;
        }
        let lapsed = has_lapsed(waiting.credential.obtained_at, self.broker.parts.clock.now());
        if overtaken || lapsed {
            self.revoke(act, upstream, &waiting).await?;
            return Err(if lapsed { ConnectError(Reason::FlowExpired) } else { unknown });
        }
        let over = match decision {
            Decision::Keep => Some(waiting),
            Decision::Replace => self.replace(act, upstream, &waiting).await?,
        };
        if let Some(over) = over {
            self.revoke(act, upstream, &over).await?;
        }
        Ok(())
    }

    /// Keeps what was just granted, or asks first. An earlier question about the same connection is
    /// answered by this newer approval.
    pub(crate) async fn keep(
        &self,
        act: &Act,
        browser: &BrowserSession,
        upstream: &Arc<Brokered>,
        credential: &Credential,
    ) -> Result<Finished, ConnectError> {
        let Act { who, server, .. } = act;
        let via = upstream.obtained_via();
        self.audit(act, Action::Acquire, Outcome::Success).await?;
        let held = self.broker.parts.store.list(&who.user).await?;
        check_room(&held, server)?;
        let of_it = |name: &ConnectionName, _: &Stored| name == server;
        end_undecided(&self.broker, upstream, &who.user, &held, of_it).await?;
        let key = upstream.key(who, server.account.as_ref());
        if self.is_of_another_account(&key, credential).await? {
            self.store(&undecided_key(who, browser, server), credential, via).await?;
            return Ok(Finished::Undecided);
        }
        self.audit(act, Action::Connect, Outcome::Success).await?;
        self.store(&key, credential, via).await?;
        Ok(Finished::Connected)
    }

    /// What it took the place of.
    async fn replace(
        &self,
        act: &Act,
        upstream: &Arc<Brokered>,
        new: &Held,
    ) -> Result<Option<Held>, ConnectError> {
        let key = upstream.key(&act.who, act.server.account.as_ref());
        let replaced = async {
            let old = self.held(&key).await?;
            self.audit(act, Action::Connect, Outcome::Success).await?;
            self.store(&key, &new.credential, new.via).await?;
            Ok(old)
        };
        let replaced = replaced.await;
        if let Err(ConnectError(reason)) = replaced {
            // What cannot be kept must not live on at the provider.
            revoke(upstream, new.via, &new.credential).await;
            self.audit(act, Action::Connect, Outcome::Failure(reason)).await?;
        }
        replaced
    }

    async fn revoke(&self, act: &Act, upstream: &Brokered, held: &Held) -> Result<(), StoreError> {
        let outcome = match revoke(upstream, held.via, &held.credential).await {
            None => return Ok(()),
            Some(Revocation::Revoked) => Outcome::Success,
            Some(Revocation::Failed(reason)) => Outcome::Failure(reason),
        };
        self.audit(act, Action::Revoke, outcome).await
    }

    /// Where nobody says whose a credential is, nobody can say that it is another's.
    async fn is_of_another_account(
        &self,
        key: &CredentialKey,
        new: &Credential,
    ) -> Result<bool, ConnectError> {
        let Some(account) = &new.account else { return Ok(false) };
        let old = match self.held(key).await {
            Ok(old) => old.and_then(|old| old.credential.account),
            // What does not open is replaced by what does.
            Err(ConnectError(Reason::Unreadable)) => None,
            Err(error) => return Err(error),
        };
        Ok(old.is_some_and(|old| account.is_other_than(&old)))
    }

    pub(crate) async fn held(&self, key: &CredentialKey) -> Result<Option<Held>, ConnectError> {
        let seen = self.vault().seen(key);
        let Some(stored) = self.broker.parts.store.find(key).await? else { return Ok(None) };
        let record = &stored.record;
        let credential = self.vault().open(key, record, seen, None).await?;
        Ok(Some(Held { version: record.version, via: record.obtained_via, credential }))
    }
}

/// Ends the approvals of this person for `upstream` that wait in vain: here, and then, on a task of
/// its own, at the provider.
pub(crate) async fn end_undecided(
    broker: &Arc<Broker>,
    upstream: &Arc<Brokered>,
    user: &UserId,
    held: &[(Slot, Stored)],
    in_vain: impl Fn(&ConnectionName, &Stored) -> bool,
) -> Result<(), StoreError> {
    for (slot, stored) in held {
        match slot {
            Slot::Undecided(name, _) if name.upstream == upstream.name && in_vain(name, stored) => {
            }
            _ => continue,
        }
        let key = CredentialKey { user: user.clone(), slot: slot.clone() };
        let Some(removed) = broker.parts.store.remove(&key).await? else { continue };
        let (vault, upstream) = (Arc::clone(&broker.parts.vault), Arc::clone(upstream));
        broker.parts.tasks.spawn(async move {
            if let Ok(credential) = vault.open(&key, &removed.record, None, None).await {
                revoke(&upstream, removed.record.obtained_via, &credential).await;
            }
        });
    }
    Ok(())
}

/// Approvals that their owner did not decide about.
pub(crate) async fn end_lapsed(
    broker: &Arc<Broker>,
    upstream: &Arc<Brokered>,
    user: &UserId,
    held: &[(Slot, Stored)],
) -> Result<(), StoreError> {
    let now = broker.parts.clock.now();
    let lapsed = |_: &ConnectionName, stored: &Stored| has_lapsed(stored.record.updated_at, now);
    end_undecided(broker, upstream, user, held, lapsed).await
}

fn undecided_key(
    who: &Principal,
    browser: &BrowserSession,
    server: &ConnectionName,
) -> CredentialKey {
    let slot = Slot::Undecided(server.clone(), browser.digest);
    CredentialKey { user: who.user.clone(), slot }
}

fn has_lapsed(since: Timestamp, now: Timestamp) -> bool {
    now >= since.plus(DECISION_LIFE)
}

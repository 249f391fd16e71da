//! What whoever runs the gateway does with a person: switch them off and on, and end everything of
//! theirs.

use std::sync::Arc;

use attache_core::{
    CredentialKey, RequestId, Slot, UserId,
    audit::{Action, AuditEvent, Outcome, Reason},
    changes::{Change, Memory as _},
    store::{ConnectFlowStore, Person, PersonStore, Roster, StoreError, Stores},
};
use attache_crypto::random;

use crate::{
    broker::{Broker, ObtainError},
    connections::Revocation,
    disconnect::{Disconnect, revoke},
    upstream::Brokered,
};

/// What was under way when a person was switched off may still be stored a moment later: looked for
/// again, this often.
const LOOKS: u32 = 3;

/// What became of one credential of theirs. It is deleted in any case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    pub slot: Slot,
    /// What its provider said; `None` where there is no way to tell it.
    pub revocation: Option<Revocation>,
}

#[derive(Clone, Debug)]
pub struct Offboarding {
    broker: Arc<Broker>,
    people: Arc<dyn PersonStore>,
    roster: Arc<dyn Roster>,
    flows: Arc<dyn ConnectFlowStore>,
    upstreams: Vec<Arc<Brokered>>,
    /// `None`: whoever is at the store's side.
    order: Option<Order>,
}

/// An administrator who has something done.
#[derive(Clone, Debug)]
struct Order {
    by: UserId,
    request_id: Option<RequestId>,
}

impl Offboarding {
    pub fn new(broker: Arc<Broker>, stores: &Stores, upstreams: Vec<Arc<Brokered>>) -> Self {
        Self {
            broker,
            people: Arc::clone(&stores.people),
            roster: Arc::clone(&stores.roster),
            flows: Arc::clone(&stores.connects),
            upstreams,
            order: None,
        }
    }

    /// The same by order of an administrator, whom the audit names beside what is done.
    #[must_use]
    pub fn by_order_of(&self, by: UserId, request_id: Option<RequestId>) -> Self {
        Self { order: Some(Order { by, request_id }), ..self.clone() }
    }

    /// In the order of their ids, from the one after `after`; at most `limit`.
    pub async fn page(
        &self,
        after: Option<&UserId>,
        limit: u32,
    ) -> Result<Vec<Person>, StoreError> {
        self.roster.page(after, limit).await
    }

    /// As [`Offboarding::page`], of those who are called so, or whose address or id this is.
    pub async fn search(
        &self,
        text: &str,
        after: Option<&UserId>,
        limit: u32,
    ) -> Result<Vec<Person>, StoreError> {
        self.roster.search(text, after, limit).await
    }

    pub async fn find(&self, user: &UserId) -> Result<Option<Person>, StoreError> {
        self.people.find(user).await
    }

    /// Off, their sign-ins, tokens and clients' grants are ended, and stay so when they are let in
    /// again; so is what their browser sign-in left to be exchanged. What they connected stays.
    /// Written to the audit before it is done.
    ///
    /// # Errors
    /// [`StoreError`]: it is as it was, or not all of it was ended; it may be done again.
    pub async fn switch(&self, person: &Person, disabled: bool) -> Result<(), StoreError> {
        self.turn(person, disabled).await?;
        if !disabled {
            return Ok(());
        }
        for (slot, _) in self.broker.parts.store.list(&person.id).await? {
            if matches!(slot, Slot::SubjectToken(_)) {
                self.end(&person.id, slot).await?;
            }
        }
        Ok(())
    }

    async fn turn(&self, person: &Person, disabled: bool) -> Result<(), StoreError> {
        let action = if disabled { Action::Disable } else { Action::Enable };
        let ordered = self
            .order
            .as_ref()
            .map(|order| self.event(&order.by, None, Action::Administer, Outcome::Success));
        let switched = self.event(&person.id, None, action, Outcome::Success);
        let events: Vec<AuditEvent> = ordered.into_iter().chain([switched]).collect();
        self.broker.parts.audit.record_all(&events).await?;
        let was_there = self.roster.switch(&person.id, disabled).await?;
        self.broker.heed(&Change::Person(person.id.clone()));
        if was_there { Ok(()) } else { Err(StoreError::Conflict) }
    }

    /// Switches the person off, ends every grant of theirs at its provider (OC-28), then erases
    /// them with their data key. A receipt for each credential: what a provider could not be told,
    /// somebody has to tell it.
    ///
    /// # Errors
    /// [`StoreError`]: the person is not erased, and everything may be done again.
    pub async fn offboard(&self, person: &Person) -> Result<Vec<Receipt>, StoreError> {
        self.turn(person, true).await?;
        let receipts = self.end_connections(person).await?;
        self.audit(&person.id, None, Action::Offboard, Outcome::Success).await?;
        let fresh = UserId::new(random::token(&*self.broker.parts.random));
        self.roster.bar(person, fresh).await?;
        Ok(receipts)
    }

    /// Ends every grant of theirs at its provider (OC-28), of a person who is switched off: what
    /// is obtained meanwhile is ended, too. They stay who they are.
    ///
    /// # Errors
    /// As [`Offboarding::offboard`].
    pub async fn end_connections(&self, person: &Person) -> Result<Vec<Receipt>, StoreError> {
        let mut receipts = Vec::new();
        let mut looks = 0;
        loop {
            let held = self.broker.parts.store.list(&person.id).await?;
            if held.is_empty() {
                break;
            }
            if looks == LOOKS {
                return Err(StoreError::Conflict);
            }
            looks += 1;
            // What waits for a decision first: ending its upstream ends it too, without a receipt.
            let (connected, waiting): (Vec<_>, Vec<_>) =
                held.into_iter().partition(|(slot, _)| matches!(slot, Slot::Upstream(_)));
            for (slot, _) in waiting.into_iter().chain(connected) {
                receipts.extend(self.end(&person.id, slot).await?);
            }
        }
        Ok(receipts)
    }

    /// `None` when somebody else ended it first.
    async fn end(&self, user: &UserId, slot: Slot) -> Result<Option<Receipt>, StoreError> {
        let upstream = match &slot {
            Slot::Upstream(name) | Slot::Undecided(name, _) => {
                self.upstreams.iter().find(|upstream| upstream.name == name.upstream)
            }
            Slot::SubjectToken(_) => {
                let kept = self.broker.parts.subject_tokens.as_ref();
                kept.and_then(|kept| kept.provider_of(&slot))
            }
        };
        let revocation = match (&slot, upstream) {
            (Slot::Upstream(server), Some(upstream)) => {
                let disconnect = Disconnect {
                    broker: Arc::clone(&self.broker),
                    flows: Arc::clone(&self.flows),
                    upstream: Arc::clone(upstream),
                    user: user.clone(),
                    server: server.clone(),
                    request_id: self.request_id(),
                };
                disconnect.run().await?
            }
            _ => self.discard(user, &slot, upstream).await?,
        };
        Ok(revocation.map(|revocation| Receipt { slot, revocation }))
    }

    /// Ends what serves nobody: an approval that waits for a decision, or a credential for an
    /// upstream that is configured no more, whose provider nobody knows how to tell. `None` when
    /// it is gone.
    async fn discard(
        &self,
        user: &UserId,
        slot: &Slot,
        upstream: Option<&Arc<Brokered>>,
    ) -> Result<Option<Option<Revocation>>, StoreError> {
        let key = CredentialKey { user: user.clone(), slot: slot.clone() };
        self.audit(user, Some(slot), Action::Disconnect, Outcome::Success).await?;
        let Some(removed) = self.broker.parts.store.remove(&key).await? else { return Ok(None) };
        let Some(upstream) = upstream else {
            return Ok(Some(Some(Revocation::Failed(Reason::Misconfigured))));
        };
        let revocation = match self.broker.parts.vault.open(&key, &removed.record, None, None).await
        {
            Ok(credential) => revoke(upstream, removed.record.obtained_via, &credential).await,
            Err(error) => Some(Revocation::Failed(ObtainError::from(error).reason())),
        };
        if let Some(revocation) = revocation {
            let outcome = match revocation {
                Revocation::Revoked => Outcome::Success,
                Revocation::Failed(reason) => Outcome::Failure(reason),
            };
            self.audit(user, Some(slot), Action::Revoke, outcome).await?;
        }
        Ok(Some(revocation))
    }

    async fn audit(
        &self,
        user: &UserId,
        slot: Option<&Slot>,
        action: Action,
        outcome: Outcome,
    ) -> Result<(), StoreError> {
        self.broker.parts.audit.record(self.event(user, slot, action, outcome)).await
    }

    fn event(
        &self,
        user: &UserId,
        slot: Option<&Slot>,
        action: Action,
        outcome: Outcome,
    ) -> AuditEvent {
        let server = match slot {
            Some(Slot::Upstream(name) | Slot::Undecided(name, _)) => Some(name.clone()),
            Some(Slot::SubjectToken(_)) | None => None,
        };
        AuditEvent {
            at: self.broker.parts.clock.now(),
            user: Some(user.clone()),
            server,
            method: None,
            action,
            outcome,
            request_id: self.request_id(),
            count: None,
        }
    }

    fn request_id(&self) -> Option<RequestId> {
        self.order.as_ref().and_then(|order| order.request_id.clone())
    }
}

//! The end of this process's chain, and the only way to lengthen it.

use std::sync::Arc;

use attache_core::{
    Clock, UserId,
    audit::{
        Action, AuditEvent, Outcome,
        trail::{AuditTrail, Entry, Filter, Head, Position, Writer, WriterId},
    },
    store::{AuditStore, Result, StoreError},
};
use attache_crypto::{keyring::KeyRing, random::Random};
use tokio::sync::Mutex;

use super::seal::{Draft, WriterKey};

/// The ends of other chains that an entry names at most: those of the writers that began last.
const SEEN: u32 = 64;

/// Writes down what the gateway does, entry after entry, each sealed with the one before.
///
/// A failed append never forks the chain: before the next one, the stored end is compared with the
/// two places where it can be. Anywhere else, the chain was tampered with; it is left as it is, and
/// a new one begins by saying how long the old one was.
#[derive(Debug)]
pub struct Ledger {
    pub(super) trail: Arc<dyn AuditTrail>,
    pub(super) ring: KeyRing,
    pub(super) clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    /// Both speeds of writing meet here: one append at a time.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    chain: Option<Chain>,
    /// The known end of a chain of this process that no longer ends there.
    left: Option<Position>,
}

#[derive(Debug)]
struct Chain {
    writer: WriterId,
    key: WriterKey,
    /// What the store confirmed.
    head: Head,
    /// Where an append would end whose outcome nobody reported.
    pending: Option<Head>,
}

impl Chain {
    fn position(&self) -> Position {
        Position { writer: self.writer, sequence: self.head.sequence }
    }

    /// What `drafts` become after `head`, and where the chain ends then.
    fn entries(&self, mut head: Head, drafts: &[Draft]) -> (Vec<Entry>, Head) {
        let entries = drafts
            .iter()
            .map(|draft| self.key.entry(self.writer, &mut head, draft.clone()))
            .collect();
        (entries, head)
    }
}

impl Ledger {
    pub fn new(
        trail: Arc<dyn AuditTrail>,
        ring: KeyRing,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Self {
        Self { trail, ring, clock, random, state: Mutex::default() }
    }

    /// Says how far the other writers are; begins the chain of this process if need be.
    pub async fn checkpoint(&self) -> Result<()> {
        let seen = self.others().await?;
        self.write(vec![Draft { event: self.own(Action::LogCheckpoint), seen }], &[]).await
    }

    /// The last entry of this process. Nothing is written if nothing was.
    pub async fn end(&self) -> Result<()> {
        if self.state.lock().await.chain.is_none() {
            return Ok(());
        }
        self.write(vec![Draft { event: self.own(Action::LogEnd), seen: Vec::new() }], &[]).await?;
        self.state.lock().await.chain = None;
        Ok(())
    }

    /// Records that retention removes `gone`, and removes it.
    pub(super) async fn forget(
        &self,
        seen: Vec<Position>,
        gone: &[(WriterId, Head)],
    ) -> Result<()> {
        self.write(vec![Draft { event: self.own(Action::LogExpire), seen }], gone).await
    }

    async fn write(&self, drafts: Vec<Draft>, gone: &[(WriterId, Head)]) -> Result<()> {
        let mut state = self.state.lock().await;
        if let Some(chain) = &mut state.chain {
            let before = chain.head;
            if !self.settle(chain).await? {
                state.leave();
            } else if chain.head != before && chain.entries(before, &drafts).1 == chain.head {
                return Ok(()); // these very entries: their writer comes again
            }
        }
        if state.chain.is_none() {
            self.begin(&mut state).await?;
        }
        match self.extend(&mut state, &drafts, gone).await {
            Err(StoreError::Conflict) => {
                // Somebody else wrote at our place, or removed us.
                state.leave();
                self.begin(&mut state).await?;
                self.extend(&mut state, &drafts, gone).await
            }
            written => written,
        }
    }

    /// Finds out what came of an append whose outcome is unknown. False when the stored chain ends
    /// where no append of ours ended.
    async fn settle(&self, chain: &mut Chain) -> Result<bool> {
        let Some(pending) = chain.pending else { return Ok(true) };
        let stored = self.trail.head(chain.writer).await?;
        if stored != chain.head && stored != pending {
            return Ok(false);
        }
        (chain.head, chain.pending) = (stored, None);
        Ok(true)
    }

    /// The first entry says how far the others are, and how far the chain was that was left.
    async fn begin(&self, state: &mut State) -> Result<()> {
        let mut seen = self.trail.heads(SEEN).await?;
        if let Some(left) = state.left {
            seen.retain(|position| position.writer != left.writer);
            seen.push(left);
        }
        let (event, mut id) = (self.own(Action::LogBegin), WriterId([0; 16]));
        self.random.fill(&mut id.0);
        let (key, wrapped) = WriterKey::generate(&*self.random, &self.ring, id, event.at)
            .await
            .map_err(|error| StoreError::Unavailable(Box::new(error)))?;
        let writer = Writer { id, started_at: event.at, key: wrapped, expired: Head::START };
        let mut head = Head::START;
        let first = key.entry(id, &mut head, Draft { event, seen });
        self.trail.begin(&writer, &[first]).await?;
        *state = State { chain: Some(Chain { writer: id, key, head, pending: None }), left: None };
        Ok(())
    }

    async fn extend(
        &self,
        state: &mut State,
        drafts: &[Draft],
        gone: &[(WriterId, Head)],
    ) -> Result<()> {
        let Some(chain) = &mut state.chain else { return Err(StoreError::Conflict) };
        let (entries, head) = chain.entries(chain.head, drafts);
        // Before the wait: whoever is cancelled there leaves it for the next to find out.
        chain.pending = Some(head);
        let written = if gone.is_empty() {
            self.trail.append(&entries).await
        } else {
            self.trail.expire(&entries, gone).await
        };
        let arrived = match &written {
            Ok(()) => true,
            Err(StoreError::Conflict) => false,
            // Perhaps only the answer was lost.
            Err(_) => self.trail.head(chain.writer).await.is_ok_and(|stored| stored == head),
        };
        if arrived {
            (chain.head, chain.pending) = (head, None);
            return Ok(());
        }
        written
    }

    async fn others(&self) -> Result<Vec<Position>> {
        let own = self.state.lock().await.chain.as_ref().map(|chain| chain.writer);
        let mut seen = self.trail.heads(SEEN).await?;
        seen.retain(|position| Some(position.writer) != own);
        Ok(seen)
    }

    fn own(&self, action: Action) -> AuditEvent {
        AuditEvent {
            at: self.clock.now(),
            user: None,
            server: None,
            method: None,
            action,
            outcome: Outcome::Success,
            request_id: None,
            count: None,
        }
    }
}

impl State {
    fn leave(&mut self) {
        if let Some(chain) = self.chain.take() {
            tracing::error!(
                writer = %chain.writer, entries = chain.head.sequence,
                "the audit's chain does not end where this process left it; a new one begins. \
                 Run `attache audit verify`"
            );
            self.left = Some(chain.position());
        }
    }
}

#[async_trait::async_trait]
impl AuditStore for Ledger {
    async fn append(&self, batch: &[AuditEvent]) -> Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        let drafts = batch.iter().cloned().map(|event| Draft { event, seen: Vec::new() });
        self.write(drafts.collect(), &[]).await
    }

    async fn list(&self, user: Option<&UserId>, limit: u32) -> Result<Vec<AuditEvent>> {
        let filter = Filter { user: user.cloned(), ..Filter::default() };
        let listed = self.trail.newest(&filter, limit).await?;
        Ok(listed.into_iter().map(|listed| listed.event).collect())
    }
}

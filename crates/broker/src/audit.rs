//! Two speeds of writing down. A security act is written before its answer, and fails with it; an
//! injection goes through a bounded queue, and what did not fit is counted in the log itself.
//!
//! Both end in the [`Ledger`], which seals every entry with the one before it; [`verify`] proves a
//! log, [`retention`] shortens it and keeps the rest provable.

mod keeper;
mod ledger;
pub mod retention;
mod seal;
pub mod verify;
mod walk;

pub use ledger::Ledger;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use attache_core::{
    Clock, Timestamp,
    audit::{Action, AuditEvent, Outcome},
    store::{AuditStore, StoreError},
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::tasks::Tasks;

/// Injections waiting to be written: about 4 MiB, and a second of a very busy gateway.
const QUEUE: usize = 32_768;
/// Written in one transaction.
const BATCH: usize = 4_096;
/// How long an injection waits for company.
const LINGER: Duration = Duration::from_millis(250);
/// How often the log says that injections are being dropped.
const COMPLAINT_PAUSE: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub struct Audit {
    store: Arc<dyn AuditStore>,
    queue: mpsc::Sender<AuditEvent>,
    dropped: Arc<AtomicU64>,
}

impl Audit {
    /// Starts the writer, which ends, with everything queued written, after `stop`.
    pub fn start(
        store: Arc<dyn AuditStore>,
        clock: Arc<dyn Clock>,
        tasks: &Tasks,
        stop: CancellationToken,
    ) -> Arc<Self> {
        let (queue, queued) = mpsc::channel(QUEUE);
        let dropped = Arc::new(AtomicU64::new(0));
        let writer = Writer {
            store: Arc::clone(&store),
            clock,
            queued,
            dropped: Arc::clone(&dropped),
            quiet_until: None,
        };
        tasks.spawn(writer.run(stop));
        Arc::new(Self { store, queue, dropped })
    }

    /// Writes a security act now.
    pub async fn record(&self, event: AuditEvent) -> Result<(), StoreError> {
        self.store.append(&[event]).await
    }

    /// Queues an injection; never waits.
    pub fn note(&self, event: AuditEvent) {
        if self.queue.try_send(event).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

struct Writer {
    store: Arc<dyn AuditStore>,
    clock: Arc<dyn Clock>,
    queued: mpsc::Receiver<AuditEvent>,
    dropped: Arc<AtomicU64>,
    quiet_until: Option<Timestamp>,
}

impl Writer {
    async fn run(mut self, stop: CancellationToken) {
        let mut batch = Vec::with_capacity(BATCH);
        while !stop.is_cancelled() {
            tokio::select! {
                () = stop.cancelled() => {}
                received = self.queued.recv_many(&mut batch, BATCH) => {
                    if received == 0 { break }
                    if batch.len() < BATCH {
                        tokio::select! {
                            () = stop.cancelled() => {}
                            () = tokio::time::sleep(LINGER) => {}
                        }
                    }
                }
            }
            self.write(&mut batch).await;
        }
        self.queued.close();
        while self.queued.recv_many(&mut batch, BATCH).await > 0 {
            self.write(&mut batch).await;
        }
    }

    /// Writes everything queued so far; what the store refuses is counted as dropped, so that a
    /// database that is away does not fill the memory.
    async fn write(&mut self, batch: &mut Vec<AuditEvent>) {
        while batch.len() < BATCH {
            let Ok(event) = self.queued.try_recv() else { break };
            batch.push(event);
        }
        let lost = self.dropped.swap(0, Ordering::Relaxed);
        let unwritten = lost + u64::try_from(batch.len()).unwrap_or(u64::MAX);
        if lost > 0 {
            batch.push(self.drop_marker(lost));
            self.complain(lost);
        }
        if batch.is_empty() {
            return;
        }
        if let Err(error) = self.store.append(batch).await {
            self.dropped.fetch_add(unwritten, Ordering::Relaxed);
            tracing::warn!(%error, unwritten, "the audit could not be written");
        }
        batch.clear();
    }

    fn complain(&mut self, lost: u64) {
        let now = self.clock.now();
        if self.quiet_until.is_none_or(|until| now >= until) {
            self.quiet_until = Some(now.plus(COMPLAINT_PAUSE));
            tracing::warn!(lost, "injections were not written to the audit: the queue was full");
        }
    }

    fn drop_marker(&self, lost: u64) -> AuditEvent {
        AuditEvent {
            at: self.clock.now(),
            user: None,
            server: None,
            method: None,
            action: Action::Dropped,
            outcome: Outcome::Success,
            request_id: None,
            count: Some(lost),
        }
    }
}

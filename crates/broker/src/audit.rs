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

use crate::{metrics::Metrics, tasks::Tasks};

/// Injections waiting to be written: about 4 MiB, and a second of a very busy gateway.
const QUEUE: usize = 32_768;
/// Written in one transaction: a page of an index that many people share is written once for all
/// of them.
const BATCH: usize = 8_192;
/// How long an injection waits for company.
const LINGER: Duration = Duration::from_millis(250);
/// Between two tries to write a batch that the store did not take.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// How long the last batches are tried after the end was announced.
const LAST_PATIENCE: Duration = Duration::from_secs(10);
/// How often the log says that injections are being dropped.
const COMPLAINT_PAUSE: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub struct Audit {
    store: Arc<dyn AuditStore>,
    queue: mpsc::Sender<AuditEvent>,
    dropped: Arc<AtomicU64>,
    metrics: Metrics,
}

impl Audit {
    /// Starts the writer, which ends, with everything queued written, after `stop`.
    pub fn start(
        store: Arc<dyn AuditStore>,
        clock: Arc<dyn Clock>,
        metrics: Metrics,
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
            metrics: metrics.clone(),
            quiet_until: None,
            is_behind: false,
        };
        tasks.spawn(writer.run(stop));
        Arc::new(Self { store, queue, dropped, metrics })
    }

    /// Writes a security act now.
    pub async fn record(&self, event: AuditEvent) -> Result<(), StoreError> {
        self.store.append(&[event]).await
    }

    /// As [`Audit::record`], all of them or none.
    pub async fn record_all(&self, events: &[AuditEvent]) -> Result<(), StoreError> {
        self.store.append(events).await
    }

    /// Queues an injection; never waits.
    pub fn note(&self, event: AuditEvent) {
        if self.queue.try_send(event).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            self.metrics.dropped(1);
        }
    }
}

struct Writer {
    store: Arc<dyn AuditStore>,
    clock: Arc<dyn Clock>,
    queued: mpsc::Receiver<AuditEvent>,
    dropped: Arc<AtomicU64>,
    metrics: Metrics,
    quiet_until: Option<Timestamp>,
    /// Whether the log says that a batch waits for the store.
    is_behind: bool,
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
            self.fill(&mut batch);
            while !stop.is_cancelled() && self.write(&mut batch).await.is_err() {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = tokio::time::sleep(RETRY_PAUSE) => {}
                }
            }
        }
        self.queued.close();
        if tokio::time::timeout(LAST_PATIENCE, self.write_the_rest(&mut batch)).await.is_err() {
            let left = batch.len() + self.queued.len();
            tracing::error!(left, "the audit's last injections could not be written");
        }
    }

    async fn write_the_rest(&mut self, batch: &mut Vec<AuditEvent>) {
        loop {
            // First as it was tried before: perhaps only the answer was lost.
            while self.write(batch).await.is_err() {
                tokio::time::sleep(RETRY_PAUSE).await;
            }
            self.fill(batch);
            if batch.is_empty() {
                break;
            }
        }
    }

    /// Adds what is queued, and how many did not fit in the queue since the last time.
    fn fill(&mut self, batch: &mut Vec<AuditEvent>) {
        while batch.len() < BATCH {
            let Ok(event) = self.queued.try_recv() else { break };
            batch.push(event);
        }
        let lost = self.dropped.swap(0, Ordering::Relaxed);
        if lost > 0 {
            batch.push(self.drop_marker(lost));
            self.complain(lost);
        }
    }

    /// Writes a batch, or keeps it while the store is away: the queue behind it has a bound, so
    /// that this does not fill the memory. What the store will never take is counted as dropped.
    async fn write(&mut self, batch: &mut Vec<AuditEvent>) -> Result<(), StoreError> {
        if batch.is_empty() {
            return Ok(());
        }
        match self.store.append(batch).await {
            Err(error @ StoreError::Unavailable(_)) => {
                if !std::mem::replace(&mut self.is_behind, true) {
                    tracing::warn!(%error, "the audit cannot be written; it is kept and tried again");
                }
                return Err(error);
            }
            Err(error) => {
                let unwritten: u64 = batch.iter().map(|event| event.count.unwrap_or(1)).sum();
                self.dropped.fetch_add(unwritten, Ordering::Relaxed);
                let lost = batch.iter().filter(|event| event.action != Action::Dropped).count();
                self.metrics.dropped(u64::try_from(lost).unwrap_or(u64::MAX));
                tracing::error!(%error, unwritten, "the audit could not be written");
            }
            Ok(()) => self.is_behind = false,
        }
        batch.clear();
        Ok(())
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

#[cfg(test)]
mod tests {
    use attache_store::{Location, Store};
    use prometheus_client::{encoding::text, registry::Registry};

    use super::*;

    #[tokio::test]
    async fn what_does_not_fit_in_the_queue_is_counted() {
        let store = Store::open(&Location::Memory).await.unwrap().stores().audit;
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        let (queue, _queued) = mpsc::channel(1);
        let audit = Audit { store, queue, dropped: Arc::default(), metrics };
        for _ in 0..3 {
            audit.note(AuditEvent {
                at: Timestamp(1),
                user: None,
                server: None,
                method: None,
                action: Action::Inject,
                outcome: Outcome::Success,
                request_id: None,
                count: None,
            });
        }
        let mut page = String::new();
        text::encode(&mut page, &registry).unwrap();
        assert!(page.contains("\naudit_dropped_total 2\n"), "{page}");
    }
}

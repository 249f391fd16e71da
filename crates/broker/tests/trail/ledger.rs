//! One chain a process, whatever becomes of its appends.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use attache_broker::{
    Metrics, Tasks,
    audit::{Audit, verify::Problem},
};
use attache_core::{
    Timestamp,
    audit::trail::{
        AuditTrail, Entry, Filter, Head, Listed, Position, Row, Strays, Writer, WriterId,
    },
    store::{AuditStore as _, Result, StoreError},
};
use tokio::{runtime::Handle, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::desk::{Desk, entry};

/// Acts and batches of two processes, many at once.
#[tokio::test(flavor = "multi_thread")]
async fn two_processes_write_two_chains() {
    let desk = Desk::sqlite("replicas").await;
    let mut writing = JoinSet::new();
    for ledger in [desk.gateway().await, desk.gateway().await].map(Arc::new) {
        for number in 0..10 {
            let (ledger, event) = (Arc::clone(&ledger), desk.event(number));
            writing.spawn(async move {
                let batch = vec![event; if number % 2 == 0 { 1 } else { 20 }];
                ledger.append(&batch).await
            });
        }
    }
    assert!(writing.join_all().await.into_iter().all(|written| written.is_ok()));
    let report = desk.report().await;
    assert!(report.problems.is_empty(), "{report:?}");
    assert_eq!((report.chains.len(), report.proven), (2, 2 * (1 + 5 + 100)));
}

/// A killed process leaves a chain without an end; the next one says how long it was.
#[tokio::test]
async fn a_kill_and_a_restart_leave_a_log_that_holds() {
    let desk = Desk::sqlite("kill").await;
    for run in 0..3 {
        let ledger = desk.gateway().await;
        ledger.append(&[desk.event(run)]).await.unwrap();
        // Killed between two steps of an append.
        let cut = tokio::time::timeout(Duration::ZERO, ledger.append(&[desk.event(9)])).await;
        drop((cut, ledger));
    }
    let report = desk.report().await;
    assert!(report.problems.is_empty(), "{report:?}");
    assert_eq!(report.chains.iter().filter(|chain| chain.ended).count(), 0);
}

/// Neither a refusal nor a lost answer forks or breaks the chain; an act whose writing failed is
/// told so, and one that arrived is told that.
#[tokio::test]
async fn an_append_that_failed_does_not_break_the_chain() {
    let desk = Desk::sqlite("failures").await;
    let trail = Arc::new(Flaky::new(desk.store.trail()));
    let ledger = desk.ledger(trail.clone());
    ledger.append(&[desk.event(1)]).await.unwrap();
    for (trouble, arrives) in [(REFUSE, false), (LOSE_ANSWER, true), (DEAF, false), (REFUSE, false)]
    {
        trail.next(trouble);
        assert_eq!(ledger.append(&[desk.event(2)]).await.is_ok(), arrives, "{trouble}");
        trail.next(WELL);
        ledger.append(&[desk.event(3)]).await.unwrap();
    }
    // Dropped while it was under way.
    trail.next(HANG);
    tokio::time::timeout(Duration::from_millis(50), ledger.append(&[desk.event(4)]))
        .await
        .unwrap_err();
    trail.next(WELL);
    ledger.append(&[desk.event(5)]).await.unwrap();

    let report = desk.report().await;
    assert!(report.problems.is_empty(), "{report:?}");
    assert_eq!(report.chains.len(), 1, "one chain all along");
}

/// Cutting the chain of a running process while its appends fail does not make it forget.
#[tokio::test]
async fn a_chain_that_was_cut_under_its_writer_is_left_and_said_so() {
    let desk = Desk::sqlite("cut").await;
    let trail = Arc::new(Flaky::new(desk.store.trail()));
    let ledger = desk.ledger(trail.clone());
    for number in 2..=6 {
        ledger.append(&[desk.event(number)]).await.unwrap();
    }
    trail.next(REFUSE);
    ledger.append(&[desk.event(7)]).await.unwrap_err();
    desk.run("DELETE FROM audit_event WHERE sequence > 3").await;
    trail.next(WELL);
    ledger.append(&[desk.event(8)]).await.unwrap();
    let problems = desk.problems().await;
    assert_eq!(problems, [(Problem::Cut, entry(desk.writers().await[0], 6))]);
}

/// Injections that the store did not take, or took without a word, are in the log once it answers:
/// once.
#[tokio::test]
async fn what_was_not_taken_is_written_later_and_once() {
    let desk = Desk::sqlite("kept").await;
    let trail = Arc::new(Flaky::new(desk.store.trail()));
    let ledger = Arc::new(desk.ledger(trail.clone()));
    ledger.append(&[desk.event(1)]).await.unwrap();
    let (tasks, stop) = (Tasks::new(Handle::current()), CancellationToken::new());
    let audit = Audit::start(ledger, desk.clock.clone(), Metrics::default(), &tasks, stop.clone());

    for trouble in [DEAF, LAST_WORD] {
        let refused = trail.deaf_to();
        trail.next(trouble);
        for number in 2..5 {
            audit.note(desk.event(number));
        }
        while trail.deaf_to() == refused {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        trail.next(WELL);
    }
    audit.note(desk.event(5));
    stop.cancel();
    tasks.drained().await;
    let written = desk.store.trail().newest(&Filter::default(), 100).await.unwrap();
    let is_ours = |one: &&Listed| !one.event.action.as_str().starts_with("log_");
    assert_eq!(written.iter().filter(is_ours).count(), 1 + 3 + 3 + 1);
    assert!(desk.problems().await.is_empty());
}

const WELL: u8 = 0;
/// The next append does nothing and fails.
const REFUSE: u8 = 1;
/// It works, and fails all the same.
const LOSE_ANSWER: u8 = 2;
/// Nothing works until told otherwise.
const DEAF: u8 = 3;
/// It never comes back.
const HANG: u8 = 4;
/// It works, and from then on nothing is heard.
const LAST_WORD: u8 = 5;

#[derive(Debug)]
struct Flaky {
    trail: Arc<dyn AuditTrail>,
    trouble: AtomicU8,
    refused: AtomicU8,
}

impl Flaky {
    fn new(trail: Arc<dyn AuditTrail>) -> Self {
        Self { trail, trouble: AtomicU8::new(WELL), refused: AtomicU8::new(0) }
    }

    fn next(&self, trouble: u8) {
        self.trouble.store(trouble, Ordering::SeqCst);
    }

    fn deaf_to(&self) -> u8 {
        self.refused.load(Ordering::SeqCst)
    }

    fn is_deaf(&self) -> Result<()> {
        if self.trouble.load(Ordering::SeqCst) != DEAF {
            return Ok(());
        }
        self.refused.fetch_add(1, Ordering::SeqCst);
        Err(away())
    }
}

fn away() -> StoreError {
    StoreError::Unavailable("the cable is cut".into())
}

#[async_trait::async_trait]
impl AuditTrail for Flaky {
    async fn append(&self, entries: &[Entry]) -> Result<()> {
        match self.trouble.load(Ordering::SeqCst) {
            REFUSE | DEAF => Err(away()),
            LOSE_ANSWER => {
                self.trail.append(entries).await?;
                Err(away())
            }
            LAST_WORD => {
                self.trail.append(entries).await?;
                self.next(DEAF);
                Err(away())
            }
            HANG => std::future::pending().await,
            _ => self.trail.append(entries).await,
        }
    }

    async fn head(&self, writer: WriterId) -> Result<Head> {
        self.is_deaf()?;
        self.trail.head(writer).await
    }

    async fn begin(&self, writer: &Writer, entries: &[Entry]) -> Result<()> {
        self.is_deaf()?;
        self.trail.begin(writer, entries).await
    }

    async fn expire(&self, record: &[Entry], gone: &[(WriterId, Head)]) -> Result<()> {
        self.trail.expire(record, gone).await
    }

    async fn heads(&self, limit: u32) -> Result<Vec<Position>> {
        self.trail.heads(limit).await
    }

    async fn writers(&self, before: Timestamp, after: WriterId, limit: u32) -> Result<Vec<Writer>> {
        self.trail.writers(before, after, limit).await
    }

    async fn rows(&self, writer: WriterId, after: (i64, i64), limit: u32) -> Result<Vec<Row>> {
        self.trail.rows(writer, after, limit).await
    }

    async fn strays(&self) -> Result<Strays> {
        self.trail.strays().await
    }

    async fn newest(&self, filter: &Filter, limit: u32) -> Result<Vec<Listed>> {
        self.trail.newest(filter, limit).await
    }

    async fn page(&self, filter: &Filter, after: i64, limit: u32) -> Result<Vec<Listed>> {
        self.trail.page(filter, after, limit).await
    }
}

//! Proves, entry by entry, that the log is what was written; or says what is not.

use std::{collections::BTreeMap, sync::Arc};

use attache_core::{
    Timestamp,
    audit::{
        Action,
        trail::{AuditTrail, Entry, Position, Row, Writer, WriterId},
    },
    store::StoreError,
};
use attache_crypto::keyring::{KeyError, KeyRing};

use super::{
    seal::WriterKey,
    walk::{Judgement, Walk},
};

/// Read at once.
const WRITERS: u32 = 100;
const ROWS: u32 = 1_000;

/// What is wrong with a log, by kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Problem {
    /// Something in the entry, or its seal, is not what was written; or it was never written.
    Altered,
    /// Entries are missing before others of the same chain.
    Missing,
    /// Two rows claim one place.
    Duplicate,
    /// Another chain saw this one reach further than it does.
    Cut,
    /// The beginning is gone, and no entry says that retention removed it.
    Beheaded,
    /// The row is in no chain: it was not written by a gateway.
    Stray,
    /// The writer's key was changed, or moved from another writer.
    WriterAltered,
    /// The writer's key is wrapped by a key that is not configured: add it to `keys.retired`.
    UnknownKey(Arc<str>),
}

/// Where a problem shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The entry; with [`Problem::Missing`] the first that is missing, with [`Problem::Cut`] the
    /// last that was seen, with [`Problem::Beheaded`] the last that is gone.
    Entry(Position),
    /// The database's number of a row.
    Row(i64),
    Writer(WriterId),
}

/// How often a problem was found, and where first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    pub count: u64,
    pub first: Place,
}

/// One chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    pub writer: WriterId,
    pub started_at: Timestamp,
    /// The entries that retention removed.
    pub expired: i64,
    /// The last entry there is.
    pub last: i64,
    /// Whether the last entry says that the process ended; else it is running, or was killed.
    pub ended: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub rows: u64,
    /// Rows that are what was written, where it was written.
    pub proven: u64,
    pub chains: Vec<Chain>,
    pub problems: BTreeMap<Problem, Found>,
}

/// Why there is no verdict.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the key service is unavailable: nothing can be proved without it")]
    KeysUnavailable(#[source] KeyError),
}

/// Reads the whole log, in bounded memory. It may be written to meanwhile.
pub async fn verify(trail: &dyn AuditTrail, ring: &KeyRing) -> Result<Report, VerifyError> {
    let report = Verification::new(trail, ring).run().await?;
    if report.problems.is_empty() {
        return Ok(report);
    }
    // Another look: what came and went between two reads is no problem.
    Verification::new(trail, ring).run().await
}

struct Verification<'a> {
    trail: &'a dyn AuditTrail,
    ring: &'a KeyRing,
    report: Report,
    /// How far proven entries saw each writer, and how far they say retention went.
    seen: BTreeMap<WriterId, i64>,
    expired: BTreeMap<WriterId, i64>,
}

impl<'a> Verification<'a> {
    fn new(trail: &'a dyn AuditTrail, ring: &'a KeyRing) -> Self {
        let (seen, expired) = (BTreeMap::new(), BTreeMap::new());
        Self { trail, ring, report: Report::default(), seen, expired }
    }

    async fn run(mut self) -> Result<Report, VerifyError> {
        let mut after = WriterId([0; 16]);
        loop {
            let writers = self.trail.writers(Timestamp(i64::MAX), after, WRITERS).await?;
            let Some(last) = writers.last() else { break };
            after = last.id;
            for writer in &writers {
                self.chain(writer).await?;
            }
        }
        self.beginnings();
        self.ends();
        let strays = self.trail.strays().await?;
        if let Some(id) = strays.first {
            self.report.rows += strays.count;
            self.report
                .problems
                .insert(Problem::Stray, Found { count: strays.count, first: Place::Row(id) });
        }
        Ok(self.report)
    }

    async fn chain(&mut self, writer: &Writer) -> Result<(), VerifyError> {
        let key = match WriterKey::unwrap(self.ring, writer).await {
            Ok(key) => Some(key),
            Err(KeyError::Tampered) => {
                self.problem(Problem::WriterAltered, Place::Writer(writer.id));
                None
            }
            Err(KeyError::Unknown(key)) => {
                self.problem(Problem::UnknownKey(key.0), Place::Writer(writer.id));
                None
            }
            Err(error) => return Err(VerifyError::KeysUnavailable(error)),
        };
        let mut walk = key.as_ref().map(|key| Walk::begin(key, writer));
        let mut chain = Chain {
            writer: writer.id,
            started_at: writer.started_at,
            expired: writer.expired.sequence,
            last: writer.expired.sequence,
            ended: false,
        };
        let mut after = (writer.expired.sequence, i64::MAX);
        loop {
            let rows = self.trail.rows(writer.id, after, ROWS).await?;
            let Some(last) = rows.last() else { break };
            after = (last.sequence, last.id);
            for row in &rows {
                self.report.rows += 1;
                chain.last = row.sequence;
                let proven = walk.as_mut().and_then(|walk| self.judge(walk, writer.id, row));
                chain.ended = proven.is_some_and(|entry| entry.event.action == Action::LogEnd);
            }
        }
        self.report.chains.push(chain);
        Ok(())
    }

    /// The entry, if it is proven.
    fn judge<'r>(
        &mut self,
        walk: &mut Walk<'_>,
        writer: WriterId,
        row: &'r Row,
    ) -> Option<&'r Entry> {
        let at = |sequence| Place::Entry(Position { writer, sequence });
        let first_missing = walk.sequence.saturating_add(1);
        let (missing, judgement) = walk.step(row);
        if missing > 0 {
            self.problem(Problem::Missing, at(first_missing));
        }
        match judgement {
            Judgement::Altered => self.problem(Problem::Altered, at(row.sequence)),
            Judgement::Duplicate => self.problem(Problem::Duplicate, at(row.sequence)),
            Judgement::Unknown => {}
            Judgement::Proven => {
                self.report.proven += 1;
                let entry = row.entry.as_ref()?;
                self.remember(entry);
                return Some(entry);
            }
        }
        None
    }

    fn remember(&mut self, entry: &Entry) {
        let what = match entry.event.action {
            Action::LogExpire => &mut self.expired,
            _ => &mut self.seen,
        };
        for Position { writer, sequence } in &entry.seen {
            let furthest = what.entry(*writer).or_insert(*sequence);
            *furthest = (*furthest).max(*sequence);
        }
    }

    /// What is gone from the beginning of a chain, retention says it removed.
    fn beginnings(&mut self) {
        let beheaded: Vec<_> = self
            .report
            .chains
            .iter()
            .filter(|chain| {
                let removed = self.expired.get(&chain.writer).copied().unwrap_or(0);
                chain.expired > removed
            })
            .map(|chain| Position { writer: chain.writer, sequence: chain.expired })
            .collect();
        for position in beheaded {
            self.problem(Problem::Beheaded, Place::Entry(position));
        }
    }

    /// What others saw of a chain is there, or retention removed it.
    fn ends(&mut self) {
        let last: BTreeMap<_, _> =
            self.report.chains.iter().map(|chain| (chain.writer, chain.last)).collect();
        let known = |writer| {
            let removed = self.expired.get(writer).copied().unwrap_or(0);
            last.get(writer).copied().unwrap_or(0).max(removed)
        };
        let cut: Vec<_> = self
            .seen
            .iter()
            .filter(|(writer, sequence)| **sequence > known(writer))
            .map(|(writer, sequence)| Position { writer: *writer, sequence: *sequence })
            .collect();
        for position in cut {
            self.problem(Problem::Cut, Place::Entry(position));
        }
    }

    fn problem(&mut self, problem: Problem, first: Place) {
        let found = self.report.problems.entry(problem).or_insert(Found { count: 0, first });
        found.count += 1;
    }
}

//! From entry to entry along one chain.

use attache_core::audit::trail::{Entry, Head, Position, Row, Seal, Writer, WriterId};

use super::seal::WriterKey;

/// What a row turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    Proven,
    /// It is not what was written at its place.
    Altered,
    /// A second one at its place.
    Duplicate,
    /// It follows a row that is missing or altered: nothing can be said.
    Unknown,
}

#[derive(Debug)]
pub(super) struct Walk<'k> {
    key: &'k WriterKey,
    writer: WriterId,
    pub(super) sequence: i64,
    /// What the entry before may be sealed with. An altered one is judged by both what is stored
    /// and what would be right, so that an altered seal is not blamed on the next entry.
    before: Vec<Seal>,
}

impl<'k> Walk<'k> {
    pub(super) fn begin(key: &'k WriterKey, writer: &Writer) -> Self {
        let Head { sequence, seal } = writer.expired;
        Self { key, writer: writer.id, sequence, before: vec![seal] }
    }

    /// Judges the next row, and says how many are missing before it.
    pub(super) fn step(&mut self, row: &Row) -> (i64, Judgement) {
        if row.sequence == self.sequence {
            return (0, Judgement::Duplicate);
        }
        let missing = row.sequence.saturating_sub(self.sequence).saturating_sub(1);
        if missing > 0 {
            self.before.clear();
        }
        self.sequence = row.sequence;
        let Some(entry) = &row.entry else {
            self.before.clear();
            return (missing, Judgement::Altered);
        };
        if self.before.is_empty() {
            self.before = vec![entry.seal];
            return (missing, Judgement::Unknown);
        }
        let right: Vec<_> = self.before.iter().map(|before| self.seal(entry, *before)).collect();
        if right.contains(&entry.seal) {
            self.before = vec![entry.seal];
            return (missing, Judgement::Proven);
        }
        if let [right] = *right.as_slice() {
            self.before = vec![right, entry.seal];
            return (missing, Judgement::Altered);
        }
        // The entry before is beyond repair; this one may be right.
        self.before = vec![entry.seal];
        (missing, Judgement::Unknown)
    }

    fn seal(&self, entry: &Entry, before: Seal) -> Seal {
        let at = Position { writer: self.writer, sequence: entry.at.sequence };
        self.key.seal(at, &entry.event, &entry.seen, before)
    }
}

//! Removes what is older than the operator wants, and keeps the rest provable.
//!
//! Chains lose their beginnings only. Where a chain begins then is written twice: beside the
//! writer's key, with the seal that the next entry continues, and in a sealed entry that says that
//! it was retention. What cannot be proved is never removed: it is evidence.

use std::time::Duration;

use attache_core::{
    Timestamp,
    audit::{
        Action,
        trail::{Head, Position, Row, Writer, WriterId},
    },
    store::Result,
};

use super::{
    ledger::Ledger,
    seal::WriterKey,
    walk::{Judgement, Walk},
};

/// Chains that one transaction shortens, and entries that each of them loses at most.
const WRITERS: u32 = 32;
const ROWS: u32 = 500;

/// What says that a beginning was removed stays this much longer than what speaks of it.
const MARGIN: Duration = Duration::from_hours(24);

/// Whether a run left something for the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retained {
    Everything,
    /// Its bound was reached: run again.
    More,
}

impl Ledger {
    /// Removes entries from before `cutoff`, a bounded number. Replicas may do so at once.
    pub async fn expire(&self, cutoff: Timestamp) -> Result<Retained> {
        let mut after = WriterId([0; 16]);
        loop {
            let writers = self.trail.writers(cutoff, after, WRITERS).await?;
            let Some(last) = writers.last() else { return Ok(Retained::Everything) };
            after = last.id;

            let (mut gone, mut seen, mut more) = (Vec::new(), Vec::new(), false);
            for writer in &writers {
                let (end, cut) = self.old(writer, cutoff).await?;
                more |= cut;
                if end.sequence > 0 {
                    seen.push(Position { writer: writer.id, sequence: end.sequence });
                }
                if end != writer.expired {
                    gone.push((writer.id, end));
                }
            }
            if !gone.is_empty() {
                self.forget(seen, &gone).await?;
            }
            if more {
                return Ok(Retained::More);
            }
        }
    }

    /// The last entry of the old and proven beginning of a chain, and whether there may be more.
    async fn old(&self, writer: &Writer, cutoff: Timestamp) -> Result<(Head, bool)> {
        let mut end = writer.expired;
        let rows = self.trail.rows(writer.id, (end.sequence, i64::MAX), ROWS).await?;
        if !rows.first().is_some_and(|row| is_old(row, cutoff)) {
            return Ok((end, false));
        }
        let key = match WriterKey::unwrap(&self.ring, writer).await {
            Ok(key) => key,
            Err(error) => {
                tracing::warn!(writer = %writer.id, %error, "old audit entries are kept: they \
                    cannot be proved");
                return Ok((end, false));
            }
        };
        let mut walk = Walk::begin(&key, writer);
        for row in rows.iter().take_while(|row| is_old(row, cutoff)) {
            let (step, Some(entry)) = (walk.step(row), &row.entry) else { break };
            if step != (0, Judgement::Proven) {
                tracing::warn!(
                    writer = %writer.id, sequence = row.sequence,
                    "old audit entries are kept: they cannot be proved. Run `attache audit verify`"
                );
                return Ok((end, false));
            }
            end = Head { sequence: row.sequence, seal: entry.seal };
        }
        let full = u32::try_from(rows.len()).is_ok_and(|count| count == ROWS);
        let all_old = rows.last().is_some_and(|row| is_old(row, cutoff));
        Ok((end, full && all_old))
    }
}

fn is_old(row: &Row, cutoff: Timestamp) -> bool {
    // What cannot be read is evidence, and stays with all that follows.
    row.entry.as_ref().is_some_and(|entry| {
        let kept_longer = entry.event.action == Action::LogExpire;
        let at = entry.event.at;
        if kept_longer { at.plus(MARGIN) < cutoff } else { at < cutoff }
    })
}

//! The audit log as it is stored: entries in chains that only the gateway's keys can make.
//!
//! A writer is one run of one process. Its entries are numbered from 1; each is sealed together
//! with the seal before it, under a key that only the key ring opens. Entries that say `seen` name
//! the ends of other chains, so that cutting one shows in another.

use std::fmt;

use super::{Action, AuditEvent};
use crate::{
    ConnectionName, Timestamp, UserId,
    store::{Result, WrappedKey},
};

/// One run of one process: 16 random bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WriterId(pub [u8; 16]);

/// 32 hexadecimal digits.
impl fmt::Display for WriterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for WriterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// HMAC-SHA-256 over an entry, its place and the seal before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seal(pub [u8; 32]);

impl Seal {
    /// What the first entry of a writer is sealed with.
    pub const NONE: Self = Self([0; 32]);
}

/// 64 hexadecimal digits.
impl fmt::Display for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// An entry, by its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    pub writer: WriterId,
    /// From 1, without a gap.
    pub sequence: i64,
}

/// The end of a chain, or of the part that retention removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    pub sequence: i64,
    pub seal: Seal,
}

impl Head {
    /// Of a chain without an entry.
    pub const START: Self = Self { sequence: 0, seal: Seal::NONE };
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Writer {
    pub id: WriterId,
    pub started_at: Timestamp,
    /// Seals the entries.
    pub key: WrappedKey,
    /// The last entry that retention removed.
    pub expired: Head,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub at: Position,
    pub event: AuditEvent,
    /// Ends of chains. With [`Action::LogExpire`]: of the parts that retention removed.
    pub seen: Vec<Position>,
    pub seal: Seal,
}

/// What is in the table at a place: an entry, or something nobody could have written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The database's own number; it proves nothing.
    pub id: i64,
    pub sequence: i64,
    /// `None` when a column holds what no version writes.
    pub entry: Option<Entry>,
}

/// An event as people read it, with its place for those who want to check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub id: i64,
    pub event: AuditEvent,
    pub at: Option<Position>,
    pub seal: Option<Seal>,
}

/// Empty: everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    pub user: Option<UserId>,
    /// `github`: with every account of it.
    pub server: Option<ConnectionName>,
    pub action: Option<Action>,
    pub since: Option<Timestamp>,
    /// With [`AuditTrail::newest`]: what comes after this event in its order, by the event's time and
    /// the database's number.
    pub below: Option<(Timestamp, i64)>,
}

/// Rows that are in no chain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Strays {
    pub count: u64,
    /// The id of one of them.
    pub first: Option<i64>,
}

#[async_trait::async_trait]
pub trait AuditTrail: fmt::Debug + Send + Sync {
    /// Writes a writer and its first entries, or nothing.
    async fn begin(&self, writer: &Writer, entries: &[Entry]) -> Result<()>;

    /// Writes all entries, or nothing.
    ///
    /// # Errors
    /// [`StoreError::Conflict`](crate::store::StoreError::Conflict) when a place is taken or the
    /// writer is gone.
    async fn append(&self, entries: &[Entry]) -> Result<()>;

    /// Writes `record`; removes each chain up to and including the entry that is given with it,
    /// and writers of which nothing is left. All of it, or nothing; what is gone already is no
    /// error. A conflict as in [`AuditTrail::append`].
    async fn expire(&self, record: &[Entry], gone: &[(WriterId, Head)]) -> Result<()>;

    /// The end of one chain as stored. [`Head::START`] when nothing of it is there.
    async fn head(&self, writer: WriterId) -> Result<Head>;

    /// The ends of the chains of the `limit` writers that started last.
    async fn heads(&self, limit: u32) -> Result<Vec<Position>>;

    /// The writers that started before a time, in the order of their ids, above `after`.
    async fn writers(
        &self,
        started_before: Timestamp,
        after: WriterId,
        limit: u32,
    ) -> Result<Vec<Writer>>;

    /// What the table holds of a chain, by sequence and then id, above `after`, a pair of both.
    async fn rows(&self, writer: WriterId, after: (i64, i64), limit: u32) -> Result<Vec<Row>>;

    /// Rows of no writer, and rows at places that retention has removed.
    async fn strays(&self) -> Result<Strays>;

    /// The newest first, by the time of the event.
    async fn newest(&self, filter: &Filter, limit: u32) -> Result<Vec<Listed>>;

    /// In the order of their ids, above `after`.
    async fn page(&self, filter: &Filter, after: i64, limit: u32) -> Result<Vec<Listed>>;
}

//! What can be wrong with the file of an embedded store, and what to do about it.

use sqlx::{error::DatabaseError, sqlite::SqliteError};

/// The operator's move, each of them. Nothing that was committed is lost by any but
/// [`Damaged`](Self::Damaged).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("the disk is full: make room")]
    Full,
    /// A quota (`EDQUOT`) and a limit on the size of files (`EFBIG`) are told like this, too.
    #[error(
        "reading or writing the store's file fails: a quota or a limit is reached, or the disk is \
         failing; the system's log knows more"
    )]
    Disk,
    #[error(
        "the store's file, its directory or its file system is read-only: let this user write \
         there"
    )]
    ReadOnly,
    #[error(
        "the store's file cannot be opened: this user must be allowed to write to it and to make \
         files beside it"
    )]
    CannotOpen,
    #[error(
        "the store's file was moved, removed or replaced under the gateway: put it back, or \
         restore a backup and restart"
    )]
    Gone,
    #[error(
        "the store's file is damaged: see what `attache store check` finds, and restore a backup"
    )]
    Damaged,
    #[error(
        "the store's file is not a SQLite database: restore a backup, or name another in store.url"
    )]
    NotADatabase,
    #[error("another program keeps the store's file locked: end it")]
    Locked,
    #[error("SQLite does not do what was asked")]
    Other,
}

impl Fault {
    pub(crate) fn of(error: &sqlx::Error) -> Self {
        let sqlite = error
            .as_database_error()
            .and_then(<dyn DatabaseError>::try_downcast_ref::<SqliteError>);
        let code = sqlite.and_then(DatabaseError::code).and_then(|code| code.parse::<u32>().ok());
        // https://www.sqlite.org/rescode.html: the last byte of an extended code is its kind.
        match code.map(|code| code & 0xff) {
            Some(5 | 6) => Self::Locked,
            Some(8) => Self::ReadOnly,
            Some(10) => Self::Disk,
            Some(11) => Self::Damaged,
            Some(13) => Self::Full,
            Some(14) => Self::CannotOpen,
            Some(26) => Self::NotADatabase,
            _ => Self::Other,
        }
    }
}

//! The seam to a program on this machine that answers one line with one line.

use std::{error::Error, fmt};

use crate::{Secret, outbound::Limits};

#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// Whoever could put it there would be told the keys.
    #[error("the path is not a socket that this account or root owns")]
    NotOurs,
    #[error("the answer is not one line of text of at most {0} bytes")]
    NotALine(usize),
    #[error("the connection failed")]
    Transport(#[source] Box<dyn Error + Send + Sync>),
    #[error("no complete answer within {0:?}")]
    Timeout(std::time::Duration),
}

/// Each question has a connection of its own. Lines may hold keys, so both are secrets.
#[async_trait::async_trait]
pub trait LineService: fmt::Debug + Send + Sync {
    /// Sends `line`, which has no newline in it, and waits for the one that comes back; its newline
    /// is not part of it.
    async fn ask(&self, line: &Secret, limits: Limits) -> Result<Secret, LineError>;
}

//! The client of a program on a UNIX socket: one line there, one line back.

use std::{
    io,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _},
    path::PathBuf,
};

use attache_core::{
    Secret,
    line_service::{LineError, LineService},
    outbound::Limits,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
};

const ROOT: u32 = 0;

/// Connects anew for every question, so that the program may be restarted.
#[derive(Clone, Debug)]
pub struct UnixSocket {
    path: PathBuf,
}

impl UnixSocket {
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// A link to a socket is none: whoever owns the link decides where it leads.
    async fn is_ours(&self) -> io::Result<bool> {
        let found = tokio::fs::symlink_metadata(&self.path).await?;
        let owner = found.uid();
        Ok(found.file_type().is_socket() && (owner == ROOT || owner == own_account()?))
    }

    async fn exchange(&self, line: &Secret, longest: usize) -> Result<Secret, LineError> {
        let broken = |error: io::Error| LineError::Transport(Box::new(error));
        if !self.is_ours().await.map_err(broken)? {
            return Err(LineError::NotOurs);
        }
        let mut stream = UnixStream::connect(&self.path).await.map_err(broken)?;
        stream.write_all(line.expose().as_bytes()).await.map_err(broken)?;
        stream.write_all(b"\n").await.map_err(broken)?;

        let not_a_line = || LineError::NotALine(longest);
        // All of it from the start: growing would leave copies of keys behind.
        let mut answer = Vec::with_capacity(longest.saturating_add(1));
        while !answer.ends_with(b"\n") {
            if answer.len() > longest || stream.read_buf(&mut answer).await.map_err(broken)? == 0 {
                return Err(not_a_line());
            }
        }
        answer.pop();
        String::from_utf8(answer).map(Secret::new).map_err(|_| not_a_line())
    }
}

#[async_trait::async_trait]
impl LineService for UnixSocket {
    async fn ask(&self, line: &Secret, limits: Limits) -> Result<Secret, LineError> {
        tokio::time::timeout(limits.timeout, self.exchange(line, limits.max_body))
            .await
            .unwrap_or(Err(LineError::Timeout(limits.timeout)))
    }
}

/// The account this process acts as, as the kernel tells one end of a socket about the other.
fn own_account() -> io::Result<u32> {
    let (one, _other) = UnixStream::pair()?;
    Ok(one.peer_cred()?.uid())
}

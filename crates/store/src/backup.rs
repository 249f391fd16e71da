//! A consistent copy of the `SQLite` file while a gateway uses it.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use sqlx::{ConnectOptions as _, Connection as _};

use crate::{
    Location,
    open::sqlite::{self, OWNER_ONLY},
};

#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("{} exists already: name a new file", .0.display())]
    Exists(PathBuf),
    #[error("{} cannot be written", to.display())]
    Write { to: PathBuf, source: io::Error },
    #[error("{} could not be copied: does it exist, and is it the store?", from.display())]
    Copy { from: PathBuf, source: sqlx::Error },
    #[error("only a SQLite file is copied: use pg_dump for PostgreSQL")]
    NotAFile,
}

/// Copies the store at `from` to the new file `to`, readable by its owner only. What was committed
/// when it begins is in it. It neither migrates the store nor writes to it.
pub async fn backup(from: &Location, to: &Path) -> Result<(), BackupError> {
    let Location::Sqlite(from) = from else { return Err(BackupError::NotAFile) };
    let write = |source| BackupError::Write { to: to.to_owned(), source };

    // Ours before SQLite fills it: that decides its mode, and nobody's file is overwritten.
    let made = OpenOptions::new().write(true).create_new(true).mode(OWNER_ONLY).open(to);
    made.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => BackupError::Exists(to.to_owned()),
        _ => write(error),
    })?;
    if let Err(source) = vacuum_into(from, to).await {
        fs::remove_file(to).map_err(write)?;
        return Err(BackupError::Copy { from: from.clone(), source });
    }
    // SQLite does not sync this copy.
    File::open(to).and_then(|file| file.sync_all()).map_err(write)
}

async fn vacuum_into(from: &Path, to: &Path) -> sqlx::Result<()> {
    let options = sqlite::options().filename(from).read_only(true);
    let mut connection = options.connect().await?;
    let path = to.to_str().ok_or_else(|| sqlx::Error::InvalidArgument("path".to_owned()))?;
    sqlx::query("VACUUM INTO $1").bind(path).execute(&mut connection).await?;
    connection.close().await
}

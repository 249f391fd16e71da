//! A consistent copy of the `SQLite` file while a gateway uses it.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use sqlx::{ConnectOptions as _, Connection as _};

use crate::{
    Fault, Location,
    open::sqlite::{self, OWNER_ONLY},
};

#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("{} exists already: name a new file", .0.display())]
    Exists(PathBuf),
    #[error(
        "{} exists already: another backup is being made, or one was interrupted and this can be \
         removed",
        .0.display()
    )]
    Unfinished(PathBuf),
    #[error("{} cannot be written", to.display())]
    Write { to: PathBuf, source: io::Error },
    #[error("there is no {} to copy", .0.display())]
    Missing(PathBuf),
    #[error("the copy of {} is not finished: {fault}", from.display())]
    Copy { from: PathBuf, fault: Fault, source: sqlx::Error },
    #[error("only a SQLite file is copied: use pg_dump for PostgreSQL")]
    NotAFile,
}

/// Copies the store at `from` to the new file `to`, readable by its owner only. What was committed
/// when it begins is in it. It neither migrates the store nor writes to it. The file has its name
/// only when it is whole and on the disk.
pub async fn backup(from: &Location, to: &Path) -> Result<(), BackupError> {
    let Location::Sqlite(from) = from else { return Err(BackupError::NotAFile) };
    if to.exists() {
        return Err(BackupError::Exists(to.to_owned()));
    }
    if !from.exists() {
        return Err(BackupError::Missing(from.clone()));
    }
    let partial = to.with_added_extension("partial");
    // Ours before SQLite fills it: that decides its mode, and nobody's file is overwritten.
    let made = OpenOptions::new().write(true).create_new(true).mode(OWNER_ONLY).open(&partial);
    made.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => BackupError::Unfinished(partial.clone()),
        _ => BackupError::Write { to: to.to_owned(), source: error },
    })?;
    let copied = vacuum_into(from, &partial)
        .await
        .map_err(|source| BackupError::Copy {
            from: from.clone(),
            fault: Fault::of(&source),
            source,
        })
        .and_then(|()| keep(&partial, to));
    if copied.is_err() {
        // What failed is the news, not that it cannot be tidied up.
        drop(fs::remove_file(&partial));
    }
    copied
}

async fn vacuum_into(from: &Path, to: &Path) -> sqlx::Result<()> {
    let options = sqlite::options().filename(from).read_only(true);
    let mut connection = options.connect().await?;
    let path = to.to_str().ok_or_else(|| sqlx::Error::InvalidArgument("path".to_owned()))?;
    sqlx::query("VACUUM INTO $1").bind(path).execute(&mut connection).await?;
    connection.close().await
}

/// `SQLite` does not sync this copy.
fn keep(partial: &Path, to: &Path) -> Result<(), BackupError> {
    let write = |source| BackupError::Write { to: to.to_owned(), source };
    File::open(partial).and_then(|file| file.sync_all()).map_err(write)?;
    if to.exists() {
        return Err(BackupError::Exists(to.to_owned()));
    }
    fs::rename(partial, to).map_err(write)?;
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or_else(|| Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(write)
}

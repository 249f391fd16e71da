//! Looks at every page of a `SQLite` file. That takes as long as reading it all, so no start does.

use std::path::{Path, PathBuf};

use sqlx::{ConnectOptions as _, Connection as _, Row as _, SqliteConnection};

use crate::{Fault, OpenError, open::sqlite};

/// What is said of a file at most.
const FINDINGS: &str = "PRAGMA integrity_check(100)";

#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("{} cannot be read to its end: {fault}", file.display())]
    Read { file: PathBuf, fault: Fault, source: sqlx::Error },
}

/// What is wrong with the file, in SQLite's words; nothing, when every page, index and reference
/// is as it should be. A gateway may use the file meanwhile; nothing is written.
pub async fn check(file: &Path) -> Result<Vec<String>, CheckError> {
    if !file.exists() {
        return Err(OpenError::Missing(file.to_owned()).into());
    }
    let read = |source| {
        let (file, fault) = (file.to_owned(), Fault::of(&source));
        CheckError::Read { file, fault, source }
    };
    let options = sqlite::options().filename(file).read_only(true);
    let mut connection = options.connect().await.map_err(read)?;
    let findings = match look(&mut connection).await {
        // Some damage ends the looking, too.
        Err(error) if Fault::of(&error) == Fault::Damaged => vec!["a page is damaged".to_owned()],
        looked => looked.map_err(read)?,
    };
    if findings.is_empty() {
        sqlite::compare(&mut connection, file).await?;
    }
    connection.close().await.map_err(read)?;
    Ok(findings)
}

async fn look(connection: &mut SqliteConnection) -> sqlx::Result<Vec<String>> {
    let mut findings = Vec::new();
    for row in sqlx::query(FINDINGS).fetch_all(&mut *connection).await? {
        findings.push(row.try_get::<String, _>(0)?);
    }
    findings.retain(|finding| finding != "ok");
    if !findings.is_empty() {
        return Ok(findings);
    }
    let orphans = sqlx::query("SELECT DISTINCT \"table\" FROM pragma_foreign_key_check");
    for row in orphans.fetch_all(connection).await? {
        let table: String = row.try_get(0)?;
        findings.push(format!("rows of {table} belong to nobody"));
    }
    Ok(findings)
}

//! `attache store check`

use std::path::Path;

use attache_config::model::StoreUrl;
use serde_json::json;

use crate::{Failure, commands::configuration, terminal::Terminal};

pub(super) async fn run(
    file: Option<&Path>,
    config: Option<&Path>,
    terminal: Terminal,
) -> Result<(), Failure> {
    let file = match file {
        Some(file) => file.to_owned(),
        None => match configuration(config, terminal)?.1.store {
            StoreUrl::Sqlite(file) => file,
            StoreUrl::Postgres { .. } => {
                return Err(Failure::Usage(
                    "the store is PostgreSQL: pg_amcheck looks at it".to_owned(),
                ));
            }
        },
    };
    let findings = attache_store::check(&file).await.map_err(Failure::failed)?;
    terminal.data(&json!({ "file": file, "findings": findings }), || {
        findings.iter().map(|finding| vec![finding.clone()]).collect()
    });
    if findings.is_empty() {
        terminal.message(format_args!("{} is whole", file.display()));
        return Ok(());
    }
    Err(Failure::Failed(format!(
        "{} is damaged: restore a backup that this command finds whole",
        file.display()
    )))
}

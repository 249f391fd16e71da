//! `attache backup`: a consistent copy of the embedded store while it runs.

use attache_config::model::StoreUrl;
use attache_store::Location;

use super::configuration;
use crate::{Failure, cli::Backup, terminal::Terminal};

pub(crate) async fn run(backup: &Backup, terminal: Terminal) -> Result<(), Failure> {
    let (_, config) = configuration(backup.config.as_deref(), terminal)?;
    let StoreUrl::Sqlite(store) = &config.store else {
        return Err(Failure::Usage(
            "the store is PostgreSQL: back it up with pg_dump or its own tools".to_owned(),
        ));
    };
    let location = Location::Sqlite(store.clone());
    attache_store::backup(&location, &backup.file).await.map_err(Failure::failed)?;
    terminal.message(format_args!(
        "{} is a copy of {}. Its credentials open only with the same keys.",
        backup.file.display(),
        store.display(),
    ));
    Ok(())
}

//! Numbered migrations, in pairs: the only SQL that differs between the databases. A number that
//! one has nothing to do for is missing there: `SQLite` tells nobody of changes (3).
//!
//! Expand first, contract in a later release: while replicas are replaced, the old and the new
//! version use the same tables. A migration that shipped is never edited; its checksum is kept.

use std::borrow::Cow;

use sqlx::{
    SqlSafeStr as _,
    migrate::{Migrate, MigrateError, Migration, MigrationType, Migrator},
};

pub(crate) struct Step {
    version: i64,
    name: &'static str,
    sql: &'static str,
}

pub(crate) const SQLITE: &[Step] = &[
    Step { version: 1, name: "init", sql: include_str!("../migrations/0001_init.sqlite.sql") },
    Step {
        version: 2,
        name: "audit chain",
        sql: include_str!("../migrations/0002_audit_chain.sqlite.sql"),
    },
    Step {
        version: 4,
        name: "service key",
        sql: include_str!("../migrations/0004_service_key.sqlite.sql"),
    },
];

pub(crate) const POSTGRES: &[Step] = &[
    Step { version: 1, name: "init", sql: include_str!("../migrations/0001_init.postgres.sql") },
    Step {
        version: 2,
        name: "audit chain",
        sql: include_str!("../migrations/0002_audit_chain.postgres.sql"),
    },
    Step {
        version: 3,
        name: "changes",
        sql: include_str!("../migrations/0003_changes.postgres.sql"),
    },
    Step {
        version: 4,
        name: "service key",
        sql: include_str!("../migrations/0004_service_key.postgres.sql"),
    },
];

/// Applies what is missing. On `PostgreSQL` one replica at a time does; the others wait.
pub(crate) async fn migrate<C: Migrate>(
    connection: &mut C,
    steps: &[Step],
) -> Result<(), MigrateError> {
    let migrations = steps.iter().map(|step| {
        Migration::new(
            step.version,
            Cow::Borrowed(step.name),
            MigrationType::Simple,
            step.sql.into_sql_str(),
            false,
        )
    });
    Migrator::with_migrations(migrations.collect()).run_direct(None, connection, false).await
}

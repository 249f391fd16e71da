//! Numbered migrations, in pairs: the only SQL that differs between the databases. A number that
//! one has nothing to do for is missing there: `SQLite` tells nobody of changes (3).
//!
//! Expand first, contract in a later release: while replicas are replaced, the old and the new
//! version use the same tables. So a migration adds tables, indexes, and columns that have a default
//! or may be `NULL`; it renames, narrows and drops nothing that the last release reads or writes. A
//! migration that shipped is never edited; its checksum is kept.
//!
//! Only `attache serve` migrates. A program does not start on tables of a newer version: what that
//! version relies on, this one may break. One that runs already runs on.

use std::borrow::Cow;

use sqlx::{
    SqlSafeStr as _,
    migrate::{Migrate, MigrateError, Migration, MigrationType, Migrator},
};

use crate::OpenError;

/// The table that says which were applied.
pub(crate) const TABLE: &str = "_sqlx_migrations";

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
    Step {
        version: 5,
        name: "registration",
        sql: include_str!("../migrations/0005_registration.sqlite.sql"),
    },
    Step {
        version: 6,
        name: "demanded scope",
        sql: include_str!("../migrations/0006_demanded_scope.sqlite.sql"),
    },
    Step {
        version: 7,
        name: "authorization server",
        sql: include_str!("../migrations/0007_authorization_server.sqlite.sql"),
    },
    Step {
        version: 8,
        name: "personal token",
        sql: include_str!("../migrations/0008_personal_token.sqlite.sql"),
    },
    Step { version: 9, name: "notice", sql: include_str!("../migrations/0009_notice.sqlite.sql") },
    Step {
        version: 10,
        name: "device authorization",
        sql: include_str!("../migrations/0010_device_authorization.sqlite.sql"),
    },
    Step {
        version: 11,
        name: "last sign-in",
        sql: include_str!("../migrations/0011_last_sign_in.sqlite.sql"),
    },
    Step {
        version: 12,
        name: "grant by client",
        sql: include_str!("../migrations/0012_grant_by_client.sqlite.sql"),
    },
    Step {
        version: 13,
        name: "session sign-in",
        sql: include_str!("../migrations/0013_session_sign_in.sqlite.sql"),
    },
    Step {
        version: 14,
        name: "provisioned",
        sql: include_str!("../migrations/0014_provisioned.sqlite.sql"),
    },
    Step {
        version: 15,
        name: "connection end",
        sql: include_str!("../migrations/0015_connection_end.sqlite.sql"),
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
    Step {
        version: 5,
        name: "registration",
        sql: include_str!("../migrations/0005_registration.postgres.sql"),
    },
    Step {
        version: 6,
        name: "demanded scope",
        sql: include_str!("../migrations/0006_demanded_scope.postgres.sql"),
    },
    Step {
        version: 7,
        name: "authorization server",
        sql: include_str!("../migrations/0007_authorization_server.postgres.sql"),
    },
    Step {
        version: 8,
        name: "personal token",
        sql: include_str!("../migrations/0008_personal_token.postgres.sql"),
    },
    Step {
        version: 9,
        name: "notice",
        sql: include_str!("../migrations/0009_notice.postgres.sql"),
    },
    Step {
        version: 10,
        name: "device authorization",
        sql: include_str!("../migrations/0010_device_authorization.postgres.sql"),
    },
    Step {
        version: 11,
        name: "last sign-in",
        sql: include_str!("../migrations/0011_last_sign_in.postgres.sql"),
    },
    Step {
        version: 12,
        name: "grant by client",
        sql: include_str!("../migrations/0012_grant_by_client.postgres.sql"),
    },
    Step {
        version: 13,
        name: "session sign-in",
        sql: include_str!("../migrations/0013_session_sign_in.postgres.sql"),
    },
    Step {
        version: 14,
        name: "provisioned",
        sql: include_str!("../migrations/0014_provisioned.postgres.sql"),
    },
    Step {
        version: 15,
        name: "connection end",
        sql: include_str!("../migrations/0015_connection_end.postgres.sql"),
    },
];

/// Applies what is missing. On `PostgreSQL` one replica at a time does; the others wait.
pub(crate) async fn migrate<C: Migrate>(
    connection: &mut C,
    steps: &[Step],
) -> Result<(), MigrateError> {
    let migrations = steps.iter().map(Step::migration).collect();
    Migrator::with_migrations(migrations).run_direct(None, connection, false).await
}

/// Refuses tables that are not exactly this version's. There must be [`TABLE`].
pub(crate) async fn compare<C: Migrate>(
    connection: &mut C,
    steps: &[Step],
) -> Result<(), OpenError> {
    if let Some(version) = connection.dirty_version(TABLE).await? {
        return Err(OpenError::HalfApplied(version));
    }
    let applied = connection.list_applied_migrations(TABLE).await?;
    for one in &applied {
        let Some(step) = steps.iter().find(|step| step.version == one.version) else {
            return Err(OpenError::Newer(one.version));
        };
        if step.migration().checksum != one.checksum {
            return Err(OpenError::Altered(one.version));
        }
    }
    let missing = steps.iter().find(|step| applied.iter().all(|one| one.version != step.version));
    match missing {
        None => Ok(()),
        Some(step) => Err(OpenError::Older { missing: step.version }),
    }
}

impl Step {
    fn migration(&self) -> Migration {
        Migration::new(
            self.version,
            Cow::Borrowed(self.name),
            MigrationType::Simple,
            self.sql.into_sql_str(),
            false,
        )
    }
}

//! `PostgreSQL`: for several replicas, or where a database is already looked after.

mod refusal;

use std::{num::NonZeroU32, str::FromStr as _, time::Duration};

use attache_core::Secret;
use sqlx::{Connection as _, PgConnection, postgres::PgConnectOptions};
use tokio::time::timeout;

use self::refusal::{migration_refused, refused};
use super::OpenError;
use crate::{
    db::{
        Db,
        circuit::Circuit,
        postgres::{
            Server,
            connections::{CONNECT_TIMEOUT, Connections},
            takes_writes,
        },
    },
    migrate::{self, migrate},
};

/// To let other replicas finish the migrations, and to run ours.
const MIGRATION_TIMEOUT: Duration = Duration::from_mins(10);

pub(crate) async fn open(url: &Secret, max_connections: NonZeroU32) -> Result<Db, OpenError> {
    // A connection of its own: waiting for another replica's migration may take longer than a
    // statement of ours should.
    let mut door = Door::open(url).await?;
    door.migrate().await?;
    door.pass(max_connections).await
}

pub(crate) async fn open_as_is(url: &Secret, max_connections: NonZeroU32) -> Result<Db, OpenError> {
    let mut door = Door::open(url).await?;
    if !door.has_tables().await? {
        return Err(OpenError::NoTables);
    }
    migrate::compare(&mut door.connection, migrate::POSTGRES).await?;
    door.pass(max_connections).await
}

/// One connection to a server that takes writes, without a limit on its statements.
pub(crate) struct Door {
    pub(crate) connection: PgConnection,
    options: PgConnectOptions,
    /// For messages: without the password.
    server: String,
}

impl Door {
    pub(crate) async fn open(url: &Secret) -> Result<Self, OpenError> {
        let options = options(url)?;
        let server = match options.get_socket() {
            Some(socket) => socket.display().to_string(),
            None => format!("{}:{}", options.get_host(), options.get_port()),
        };
        let mut connection = timeout(CONNECT_TIMEOUT, PgConnection::connect_with(&options))
            .await
            .map_err(|_| OpenError::Timeout { server: server.clone() })?
            .map_err(|error| refused(error, &server))?;
        takes_writes(&mut connection).await.map_err(|error| refused(error, &server))?;
        Ok(Self { connection, options, server })
    }

    pub(crate) async fn migrate(&mut self) -> Result<(), OpenError> {
        timeout(MIGRATION_TIMEOUT, migrate(&mut self.connection, migrate::POSTGRES))
            .await
            .map_err(|_| OpenError::Timeout { server: self.server.clone() })?
            .map_err(|error| migration_refused(error, &self.server))
    }

    /// Whether somebody migrated here.
    pub(crate) async fn has_tables(&mut self) -> Result<bool, OpenError> {
        let asked = sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL").bind(migrate::TABLE);
        let found = asked.fetch_one(&mut self.connection).await;
        found.map_err(|error| refused(error, &self.server))
    }

    async fn pass(self, max_connections: NonZeroU32) -> Result<Db, OpenError> {
        self.connection.close().await.map_err(|error| refused(error, &self.server))?;
        let connections = Connections::new(self.options, max_connections);
        Ok(Db::Postgres(Server { connections, circuit: Circuit::default() }))
    }
}

fn options(url: &Secret) -> Result<PgConnectOptions, OpenError> {
    if !url.expose().starts_with("postgres://") && !url.expose().starts_with("postgresql://") {
        return Err(OpenError::InvalidUrl);
    }
    // What is wrong with it stays unsaid: the parser's error may quote the URL.
    let options = PgConnectOptions::from_str(url.expose()).map_err(|_| OpenError::InvalidUrl)?;
    // Nothing here is a float, and a pooler would have to be told to let the setting through.
    let options = options.extra_float_digits(None);
    Ok(match options.get_application_name() {
        Some(_) => options,
        None => options.application_name("attache"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_url_that_is_not_one_is_not_repeated() {
        for url in ["mysql://ada:hunter2@db/attache", "postgres://ada:hunter2@db:port/x", ""] {
            let error = open(&Secret::new(url), NonZeroU32::MIN).await.unwrap_err();
            assert!(matches!(error, OpenError::InvalidUrl), "{error}");
            assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        }
    }
}

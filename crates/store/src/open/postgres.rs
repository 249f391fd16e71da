//! `PostgreSQL`: for several replicas, or where a database is already looked after.

use std::{str::FromStr as _, time::Duration};

use attache_core::Secret;
use sqlx::{
    Connection as _, PgConnection,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::time::timeout;

use super::OpenError;
use crate::{
    db::Db,
    migrate::{self, migrate},
};

/// Of one replica. `PostgreSQL`'s own default limit is 100 for all of them.
const CONNECTIONS: u32 = 10;

/// To reach the server and sign in, and to wait for a connection of the pool.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Enforced by the server: for a statement, and for a transaction that stands still.
const STATEMENT_TIMEOUT: &str = "10s";

/// Before a connection is replaced, so that a changed DNS answer is noticed.
const LIFETIME: Duration = Duration::from_mins(30);

/// To let other replicas finish the migrations, and to run ours.
const MIGRATION_TIMEOUT: Duration = Duration::from_mins(10);

pub(crate) async fn open(url: &Secret) -> Result<Db, OpenError> {
    if !url.expose().starts_with("postgres://") && !url.expose().starts_with("postgresql://") {
        return Err(OpenError::InvalidUrl);
    }
    // What is wrong with it stays unsaid: the parser's error may quote the URL.
    let options = PgConnectOptions::from_str(url.expose()).map_err(|_| OpenError::InvalidUrl)?;
    let options = options.application_name("attache");
    let server = match options.get_socket() {
        Some(socket) => socket.display().to_string(),
        None => format!("{}:{}", options.get_host(), options.get_port()),
    };

    // A connection of its own: waiting for another replica's migration may take longer than a
    // statement of ours should.
    let mut connection = timeout(CONNECT_TIMEOUT, PgConnection::connect_with(&options))
        .await
        .map_err(|_| OpenError::Timeout { server: server.clone() })?
        .map_err(|source| OpenError::Unreachable { server: server.clone(), source })?;
    timeout(MIGRATION_TIMEOUT, migrate(&mut connection, migrate::POSTGRES))
        .await
        .map_err(|_| OpenError::Timeout { server: server.clone() })??;
    connection
        .close()
        .await
        .map_err(|source| OpenError::Unreachable { server: server.clone(), source })?;

    let limits = [
        ("statement_timeout", STATEMENT_TIMEOUT),
        ("idle_in_transaction_session_timeout", STATEMENT_TIMEOUT),
    ];
    let pool = PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(CONNECT_TIMEOUT)
        .max_lifetime(LIFETIME)
        .connect_with(options.options(limits))
        .await
        .map_err(|source| OpenError::Unreachable { server, source })?;
    Ok(Db::Postgres(pool))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_url_that_is_not_one_is_not_repeated() {
        for url in ["mysql://ada:hunter2@db/attache", "postgres://ada:hunter2@db:port/x", ""] {
            let error = open(&Secret::new(url)).await.unwrap_err();
            assert!(matches!(error, OpenError::InvalidUrl), "{error}");
            assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        }
    }
}

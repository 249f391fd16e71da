//! A look into the store past the gateways, and the one thing a test changes there: the time that a
//! dead process's lease still has.

use std::{
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use attache_core::Secret;
use sqlx::{Connection as _, PgConnection, Row as _, postgres::PgRow};
use tokio::runtime::{self, Runtime};

/// A server that restarts is away this long at most.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(10);

pub(crate) struct Database {
    url: Secret,
    runtime: Runtime,
    connection: Mutex<Option<PgConnection>>,
}

/// A refresh under way, or one whose end nobody reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lease {
    pub(crate) person: String,
    holder: Vec<u8>,
}

impl Database {
    pub(crate) fn at(url: Secret) -> Self {
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        Self { url, runtime: runtime.expect("a runtime"), connection: Mutex::default() }
    }

    pub(crate) fn leases(&self) -> Vec<Lease> {
        let rows = self.run(
            "SELECT subject, lease_holder FROM credential JOIN person ON person.id = user_id
             WHERE lease_holder IS NOT NULL AND $1 = $1",
            b"",
        );
        rows.iter().map(|row| Lease { person: row.get(0), holder: row.get(1) }).collect()
    }

    /// Whether somebody holds it still.
    pub(crate) fn is_held(&self, person: &str) -> bool {
        self.leases().iter().any(|lease| lease.person == person)
    }

    /// Makes the minute pass that others wait for somebody who may yet write. Only for the dead:
    /// they write no more.
    pub(crate) fn let_run_out(&self, lease: &Lease) {
        let sql = "UPDATE credential SET lease_until = 0 WHERE lease_holder = $1";
        self.run(sql, &lease.holder);
    }

    fn run(&self, sql: &'static str, value: &[u8]) -> Vec<PgRow> {
        let (start, mut kept) = (Instant::now(), self.connection.lock().expect("nobody panicked"));
        loop {
            let tried = self.runtime.block_on(async {
                let connection = match &mut *kept {
                    Some(connection) => connection,
                    none => none.insert(PgConnection::connect(self.url.expose()).await?),
                };
                sqlx::query(sql).bind(value).fetch_all(connection).await
            });
            match tried {
                Ok(rows) => return rows,
                Err(error) => assert!(start.elapsed() < PATIENCE, "{error}"),
            }
            *kept = None;
            thread::sleep(PAUSE);
        }
    }
}

//! What others change, as `PostgreSQL` tells it.
//!
//! Triggers (migration 3) notify with the commit, whoever writes. `LISTEN` belongs to a session, so
//! the connection is one of its own. A pooler that hands sessions around by the
//! transaction (pgbouncer's `transaction` mode) loses it without a word; those who remember check
//! what they have anyway.

use std::{fmt, time::Duration};

use attache_core::{
    CredentialKey, UserId,
    changes::{Change, ChangeFeed},
};
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use tokio::time::{sleep, timeout};

const CHANNEL: &str = "attache_changes";

/// To reach the server, sign in and listen.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection on which nothing came for this long is asked whether it lives.
const ASK_AFTER: Duration = Duration::from_secs(5);

/// To answer that.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Between two attempts to connect: doubled up to the second.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

pub(crate) struct Listener {
    options: PgConnectOptions,
    session: Option<PgListener>,
    pause: Duration,
    /// Whether the log says that nothing is heard.
    deaf: bool,
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Listener")
    }
}

#[async_trait::async_trait]
impl ChangeFeed for Listener {
    async fn next(&mut self) -> Change {
        loop {
            let Some(session) = &mut self.session else {
                match self.listen().await {
                    Ok(session) => {
                        self.session = Some(session);
                        return Change::Missed;
                    }
                    Err(error) => {
                        self.lost(&error);
                        sleep(self.pause).await;
                        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
                        continue;
                    }
                }
            };
            match timeout(ASK_AFTER, session.try_recv()).await {
                Ok(Ok(Some(told))) => return change(told.payload()),
                Ok(Ok(None)) => self.lost(&Lost::Ended),
                Ok(Err(error)) => self.lost(&error.into()),
                Err(_) => {
                    if let Err(error) = is_alive(session).await {
                        self.lost(&error);
                    }
                }
            }
        }
    }
}

impl Listener {
    pub(crate) fn to(options: PgConnectOptions) -> Self {
        Self { options, session: None, pause: FIRST_PAUSE, deaf: false }
    }

    async fn listen(&mut self) -> Result<PgListener, Lost> {
        // A pool for each session: the place of one that died in silence is taken for long.
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .max_lifetime(None)
            .idle_timeout(None)
            .connect_lazy_with(self.options.clone());
        let listening = async {
            let mut session = PgListener::connect_with(&pool).await?;
            session.eager_reconnect(false);
            session.listen(CHANNEL).await?;
            Ok::<_, Lost>(session)
        };
        let session = timeout(CONNECT_TIMEOUT, listening).await.map_err(|_| Lost::Silent)??;
        self.pause = FIRST_PAUSE;
        if std::mem::take(&mut self.deaf) {
            tracing::info!("changes to the store are heard again");
        }
        Ok(session)
    }

    fn lost(&mut self, error: &Lost) {
        self.session = None;
        if !std::mem::replace(&mut self.deaf, true) {
            tracing::warn!(%error, "changes to the store are not heard; what is remembered is checked every minute");
        }
    }
}

async fn is_alive(session: &mut PgListener) -> Result<(), Lost> {
    let answer = sqlx::query("SELECT 1").execute(session);
    timeout(ANSWER_TIMEOUT, answer).await.map_err(|_| Lost::Silent)??;
    Ok(())
}

#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error("the server ended the session")]
    Ended,
    #[error("the server did not answer in time")]
    Silent,
    #[error(transparent)]
    Failed(#[from] sqlx::Error),
}

/// What the trigger wrote, or anything that a newer one writes: then nobody knows what changed.
fn change(payload: &str) -> Change {
    let words: Vec<String> = serde_json::from_str(payload).unwrap_or_default();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match *words {
        ["credential", user, slot] => slot.parse().map_or(Change::Missed, |slot| {
            Change::Credential(CredentialKey { user: UserId::new(user), slot })
        }),
        ["person", user] => Change::Person(UserId::new(user)),
        ["data_key", user] => Change::DataKey(UserId::new(user)),
        _ => Change::Missed,
    }
}

//! The second secret of a client, while its operator replaces one by the other.

use std::{
    future::Future,
    sync::{Mutex, PoisonError},
};

use attache_core::{Secret, UpstreamName, audit::Reason};
use attache_oauth::{
    client_auth::Client,
    secret_rotation::{SecretRotation, Taken},
};

use crate::metrics::Metrics;

/// Which of the two the authorization server takes, as this process found out. The first is the one
/// of the client itself.
#[derive(Debug)]
pub struct Rotation {
    upstream: UpstreamName,
    second: Secret,
    taken: Mutex<Taken>,
    metrics: Metrics,
}

impl Rotation {
    pub fn new(upstream: UpstreamName, second: Secret, metrics: Metrics) -> Self {
        metrics.secret_taken(&upstream, Taken::First);
        Self { upstream, second, taken: Mutex::default(), metrics }
    }

    /// As [`SecretRotation::ask`], for `client` and its other self.
    pub(crate) async fn ask<T, E, F: Future<Output = Result<T, E>>>(
        &self,
        client: &Client,
        reason: fn(&E) -> Reason,
        ask: impl Fn(Client) -> F,
    ) -> Result<T, E> {
        let Some(rotation) = SecretRotation::new(client, &self.second) else {
            return ask(client.clone()).await;
        };
        let before = *self.taken();
        let (taken, answer) = rotation.ask(before, reason, ask).await;
        if taken != before {
            self.note(taken);
        }
        answer
    }

    fn note(&self, taken: Taken) {
        if std::mem::replace(&mut *self.taken(), taken) == taken {
            return;
        }
        self.metrics.secret_taken(&self.upstream, taken);
        let upstream = &self.upstream;
        match taken {
            Taken::First => tracing::info!(%upstream, "the first client secret is taken again"),
            Taken::Second => tracing::warn!(
                %upstream,
                "the first client secret is refused, and the second is taken: put it first"
            ),
        }
    }

    fn taken(&self) -> std::sync::MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

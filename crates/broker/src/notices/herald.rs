use std::{fmt, sync::Arc, time::Duration};

use attache_core::{
    Clock, PublicOrigin, Slot, Timestamp,
    audit::{Action, AuditEvent, Outcome, Reason},
    outbound::{Limits, Outbound},
    store::{Claim, CredentialStore, NoticeStore, PersonStore, StoreError},
};
use attache_crypto::webhook::WebhookKey;
use bytes::Bytes;
use http::{Request, header};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::message::Message;
use crate::{
    audit::Audit,
    metrics::{Metrics, Told},
    upstream::Brokered,
};

/// Between two looks at what is due.
const PAUSE: Duration = Duration::from_secs(2);
/// Told between two pauses: a receiver is not flooded after an outage.
const ROUND: u32 = 100;
/// How long a notice is one replica's: longer than telling it may take.
const CLAIM: Duration = Duration::from_mins(1);
/// What a receiver may cost.
const LIMITS: Limits = Limits { timeout: Duration::from_secs(10), max_body: 64 << 10 };
/// Until the second try; each further pause is four times as long, up to the longest.
const FIRST_RETRY: Duration = Duration::from_secs(30);
const LONGEST_RETRY: Duration = Duration::from_hours(8);
/// How often one notice is tried, over about 19 hours.
const TRIES: u32 = 8;

/// Who is told.
#[derive(Clone)]
pub struct Webhook {
    /// Its path may be a secret.
    pub url: Url,
    pub key: WebhookKey,
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Webhook(…)")
    }
}

#[derive(Debug)]
pub struct HeraldParts {
    pub webhook: Webhook,
    pub origin: PublicOrigin,
    pub notices: Arc<dyn NoticeStore>,
    pub credentials: Arc<dyn CredentialStore>,
    pub people: Arc<dyn PersonStore>,
    pub upstreams: Vec<Arc<Brokered>>,
    pub outbound: Arc<dyn Outbound>,
    pub audit: Arc<Audit>,
    pub metrics: Metrics,
    pub clock: Arc<dyn Clock>,
}

/// Tells what is due.
#[derive(Debug)]
pub struct Herald(HeraldParts);

impl Herald {
    pub fn new(parts: HeraldParts) -> Self {
        Self(parts)
    }

    /// Until `stop`. What is being told then is told to its end.
    pub async fn run(self, stop: CancellationToken) {
        let mut is_behind = false;
        while !stop.is_cancelled() {
            match self.round(&stop).await {
                Ok(()) => is_behind = false,
                Err(error) if !std::mem::replace(&mut is_behind, true) => {
                    tracing::warn!(%error, "notices wait for the store");
                }
                Err(_) => {}
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }

    /// Ends early when the receiver does not take one: it is left alone for a while.
    async fn round(&self, stop: &CancellationToken) -> Result<(), StoreError> {
        let notices = &self.0.notices;
        for _ in 0..ROUND {
            if stop.is_cancelled() {
                break;
            }
            let here = self.0.clock.now();
            let now = self.0.credentials.now(here).await?;
            let Some(claim) = notices.claim(here, now, now.plus(CLAIM)).await? else { break };
            let Some((upstream, message)) = self.message(&claim, here).await? else {
                notices.settle(&claim).await?;
                continue;
            };
            let delivered = self.deliver(&message, claim.tries).await;
            if !delivered && claim.tries < TRIES {
                self.0.metrics.told(Told::Postponed);
                return notices.postpone(&claim, here.plus(retry_after(claim.tries))).await;
            }
            notices.settle(&claim).await?;
            let (told, outcome) = if delivered {
                (Told::Delivered, Outcome::Success)
            } else {
                (Told::GivenUp, Outcome::Failure(Reason::NotDelivered))
            };
            self.0.metrics.told(told);
            self.audit(&claim, upstream, outcome).await?;
        }
        Ok(())
    }

    /// `None` where there is nobody to tell, or where it is not true any more.
    async fn message(
        &self,
        claim: &Claim,
        now: Timestamp,
    ) -> Result<Option<(&Brokered, Message)>, StoreError> {
        let Slot::Upstream(name) = &claim.key.slot else { return Ok(None) };
        let upstream = self.0.upstreams.iter().find(|upstream| upstream.name == name.upstream);
        let stored = self.0.credentials.find(&claim.key).await?;
        let person = self.0.people.find(&claim.key.user).await?;
        let (Some(upstream), Some(stored), Some(person)) = (upstream, stored, person) else {
            return Ok(None);
        };
        if stored.record.version != claim.version || person.disabled {
            return Ok(None);
        }
        let message = Message::new(claim, person, name, &self.0.origin, now);
        Ok(Some((&**upstream, message)))
    }

    async fn deliver(&self, message: &Message, tries: u32) -> bool {
        let Webhook { url, key } = &self.0.webhook;
        let Ok(body) = serde_json::to_vec(message) else { return false };
        let at = self.0.clock.now();
        let request = Request::post(url.as_str())
            .header(header::CONTENT_TYPE, "application/json")
            .header("webhook-id", &message.id)
            .header("webhook-timestamp", at.as_seconds())
            .header("webhook-signature", key.sign(&message.id, at, &body))
            .body(Bytes::from(body));
        let Ok(request) = request else { return false };
        match self.0.outbound.fetch(request, LIMITS).await {
            Ok(answer) if answer.status().is_success() => true,
            Ok(answer) => {
                let status = answer.status().as_u16();
                tracing::warn!(status, tries, "the webhook did not take a notice");
                false
            }
            Err(error) => {
                tracing::warn!(%error, tries, "the webhook did not take a notice");
                false
            }
        }
    }

    async fn audit(
        &self,
        claim: &Claim,
        upstream: &Brokered,
        outcome: Outcome,
    ) -> Result<(), StoreError> {
        let event = AuditEvent {
            at: self.0.clock.now(),
            user: Some(claim.key.user.clone()),
            server: claim.key.connection().cloned(),
            method: Some(upstream.method()),
            action: Action::Notify,
            outcome,
            request_id: None,
            count: None,
        };
        self.0.audit.record(event).await
    }
}

/// After this many tries.
fn retry_after(tries: u32) -> Duration {
    let factor = 4_u32.saturating_pow(tries.saturating_sub(1));
    FIRST_RETRY.saturating_mul(factor).min(LONGEST_RETRY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_that_is_away_for_a_night_misses_nothing() {
        let all: Duration = (1..TRIES).map(retry_after).sum();
        assert!(all > Duration::from_hours(18) && all < Duration::from_hours(24), "{all:?}");
        assert_eq!(retry_after(u32::MAX), LONGEST_RETRY);
    }
}

//! `token_exchange` and `entra_obo`: the access token that a caller brought is exchanged for one of
//! the upstream's. Nothing is stored: what was had is in memory, and no longer than what it was had
//! for.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    time::Duration,
};

use attache_core::{
    CredentialKey, IssuerId, Principal, Timestamp, UpstreamName, UserId,
    audit::{Action, AuditEvent, Outcome, Reason},
    outbound::Outbound,
    principal::{AuthenticatedBy, Presented},
    store::Version,
};
use attache_oauth::token::{ExchangeGrant, ExchangedToken, OnBehalfOfGrant, TokenEndpoint};
use quick_cache::{Weighter, sync::Cache};

use crate::{
    broker::{Broker, ObtainError},
    connect::ProviderError,
    flight::Flights,
    injection::Injection,
    refresh::{REJECTION_REST, rest_after},
    tasks::Tasks,
    upstream::Brokered,
};

/// Bytes of exchanged tokens kept in memory; beyond it the least used are had again.
const ANSWER_BYTES: u64 = 64 * 1024 * 1024;
/// What an answer costs beside its token.
const ANSWER_OVERHEAD: u64 = 384;
/// How long a token is used whose answer says no lifetime.
const UNKNOWN_LIFE: Duration = Duration::from_mins(5);
/// How long before its end, at most, a token is had anew.
const MARGIN: Duration = Duration::from_mins(1);
/// How long a refusal of this very token stands.
const REFUSAL_REST: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub struct TokenExchange {
    /// Whose access tokens it takes: its own, which were given for this gateway (TX-4).
    pub issuer: IssuerId,
    pub endpoint: TokenEndpoint,
    pub form: ExchangeForm,
    pub scopes: Vec<String>,
    pub outbound: Arc<dyn Outbound>,
}

/// How it is asked.
#[derive(Debug)]
pub enum ExchangeForm {
    /// RFC 8693.
    TokenExchange { audience: Option<String>, resource: Option<String> },
    /// Microsoft Entra's On-Behalf-Of.
    OnBehalfOf {
        /// The directory that `endpoint` belongs to: the one that gave the token, too (OBO-6).
        tenant: String,
    },
}

impl TokenExchange {
    /// What this caller brought that may be exchanged here.
    fn subject<'a>(&self, who: &'a Principal) -> Option<&'a Arc<Presented>> {
        match &who.authenticated_by {
            AuthenticatedBy::AccessToken(Some(one)) if self.takes(one) => Some(one),
            AuthenticatedBy::AccessToken(_)
            | AuthenticatedBy::Client(_)
            | AuthenticatedBy::PersonalToken(_)
            | AuthenticatedBy::Session(_) => None,
        }
    }

    fn takes(&self, subject: &Presented) -> bool {
        subject.issuer == self.issuer
            && match &self.form {
                ExchangeForm::TokenExchange { .. } => true,
                ExchangeForm::OnBehalfOf { tenant } => subject.tenant.as_ref() == Some(tenant),
            }
    }

    async fn ask(&self, subject: &Presented) -> Result<ExchangedToken, ProviderError> {
        let (outbound, scopes) = (&*self.outbound, self.scopes.as_slice());
        let asked = match &self.form {
            ExchangeForm::TokenExchange { audience, resource } => {
                let grant = ExchangeGrant {
                    subject_token: &subject.token,
                    audience: audience.as_deref(),
                    resource: resource.as_deref(),
                    scopes,
                };
                self.endpoint.exchange_token(outbound, grant).await
            }
            ExchangeForm::OnBehalfOf { .. } => {
                let grant = OnBehalfOfGrant { assertion: &subject.token, scopes };
                self.endpoint.on_behalf_of(outbound, grant).await
            }
        };
        Ok(asked?)
    }
}

type Obtained = Result<Arc<Injection>, ObtainError>;

/// What was had, and what was refused, of all upstreams of this mode.
#[derive(Debug)]
pub(crate) struct Exchanges {
    answers: Cache<Key, Answer, TokenBytes>,
    flights: Flights<Key, Obtained>,
    versions: AtomicI64,
}

/// Everything that determines an answer (TX-3) but what the upstream's configuration says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    user: UserId,
    upstream: UpstreamName,
    /// SHA-256 of the caller's token: whoever signs in anew, or in another role, begins anew.
    subject: [u8; 32],
}

#[derive(Clone, Debug)]
struct Answer {
    result: Obtained,
    /// From here on the server is asked again.
    until: Timestamp,
    /// When the upstream last refused what was had.
    rejected_at: Option<Timestamp>,
}

impl Exchanges {
    pub(crate) fn new(tasks: Tasks) -> Self {
        let items = usize::try_from(ANSWER_BYTES / 1024).unwrap_or(usize::MAX);
        let answers = Cache::with_weighter(items, ANSWER_BYTES, TokenBytes);
        Self { answers, flights: Flights::new(tasks), versions: AtomicI64::new(0) }
    }

    /// The hot path: memory only.
    pub(crate) fn recall(
        &self,
        who: &Principal,
        upstream: &Brokered,
        exchange: &TokenExchange,
        now: Timestamp,
    ) -> Option<Arc<Injection>> {
        let answer = self.answers.get(&Key::new(who, upstream, exchange.subject(who)?))?;
        answer.result.ok().filter(|_| now < answer.until)
    }

    pub(crate) fn rejected(
        &self,
        who: &Principal,
        upstream: &Brokered,
        exchange: &TokenExchange,
        version: Version,
        now: Timestamp,
    ) {
        let Some(subject) = exchange.subject(who) else { return };
        let key = Key::new(who, upstream, subject);
        let Some(answer) = self.answers.get(&key) else { return };
        if answer.result.as_ref().is_ok_and(|injection| injection.version == version) {
            let lately = |at: Timestamp| now.since(at) < REJECTION_REST;
            let again = answer.rejected_at.is_some_and(lately);
            let until = if again { now.plus(REJECTION_REST) } else { now };
            let result = Err(upstream.rejected());
            self.answers.insert(key, Answer { result, until, rejected_at: Some(now) });
        }
    }
}

impl Key {
    fn new(who: &Principal, upstream: &Brokered, subject: &Presented) -> Self {
        Self { user: who.user.clone(), upstream: upstream.name.clone(), subject: subject.digest }
    }
}

impl Broker {
    /// However many calls with the same token wait, the server is asked once.
    pub(crate) async fn exchange(
        self: &Arc<Self>,
        who: &Principal,
        upstream: &Arc<Brokered>,
        exchange: &Arc<TokenExchange>,
    ) -> Obtained {
        let Some(subject) = exchange.subject(who) else {
            return Err(ObtainError::Refused { reason: Reason::SubjectMissing });
        };
        let key = Key::new(who, upstream, subject);
        let work = || {
            let errand = Errand {
                broker: Arc::clone(self),
                upstream: Arc::clone(upstream),
                exchange: Arc::clone(exchange),
                subject: Arc::clone(subject),
                subject_ends: who.expires_at,
                key: key.clone(),
            };
            errand.run()
        };
        let landed = self.exchanges.flights.join(key.clone(), work).await;
        landed.unwrap_or_else(|abandoned| {
            tracing::error!(%abandoned, "a token exchange panicked");
            Err(ObtainError::Unavailable { reason: Reason::Other, retry_after: None })
        })
    }
}

/// One exchange, which belongs to no request.
struct Errand {
    broker: Arc<Broker>,
    upstream: Arc<Brokered>,
    exchange: Arc<TokenExchange>,
    subject: Arc<Presented>,
    subject_ends: Timestamp,
    key: Key,
}

impl Errand {
    async fn run(self) -> Obtained {
        let (clock, answers) = (&self.broker.parts.clock, &self.broker.exchanges.answers);
        let (now, before) = (clock.now(), answers.get(&self.key));
        if let Some(answer) = before.as_ref().filter(|answer| now < answer.until) {
            return answer.result.clone();
        }
        let rejected_at = before.as_ref().and_then(|answer| answer.rejected_at);
        let live = before.and_then(|answer| answer.result.ok()).filter(|old| old.is_live(now));
        let owner = CredentialKey::upstream(self.key.user.clone(), self.upstream.name.clone());
        let permit = match self.broker.breakers.admit(&self.upstream.name, &owner, now) {
            Ok(permit) => permit,
            Err(rest) => return live.ok_or(rest.error),
        };
        let exchanged = self.exchange.ask(&self.subject).await;
        let now = clock.now();
        let (result, until, outcome) = match exchanged {
            Ok(token) => {
                permit.answered();
                let (result, until) = self.render(&token, now);
                (result, until, Outcome::Success)
            }
            Err(error) => {
                if permit.failed(error, now) {
                    tracing::warn!(upstream = %self.upstream.name, %error, "a token was not exchanged");
                }
                let (refused, until) = refusal(error, now);
                let outcome = Outcome::Failure(refused.reason());
                // What is still good serves on while the server is away.
                let away = matches!(refused, ObtainError::Unavailable { .. });
                (live.filter(|_| away).ok_or(refused), until, outcome)
            }
        };
        self.broker.parts.metrics.exchanged(&self.upstream.name, outcome);
        self.audit(outcome, now);
        let answer = Answer { result: result.clone(), until, rejected_at };
        answers.insert(self.key.clone(), answer);
        result
    }

    /// With when to have it anew.
    fn render(&self, token: &ExchangedToken, now: Timestamp) -> (Obtained, Timestamp) {
        let life = token.expires_in.unwrap_or(UNKNOWN_LIFE);
        let end = now.plus(life).min(self.subject_ends);
        let Some(value) = self.upstream.form.render(&token.access_token) else {
            let reason = Reason::MalformedResponse;
            return (Err(ObtainError::Operator { reason }), now.plus(REFUSAL_REST));
        };
        let injection = Injection {
            name: self.upstream.form.name.clone(),
            value,
            version: Version(self.broker.exchanges.versions.fetch_add(1, Relaxed)),
            refresh_at: None,
            expires_at: Some(end),
            destination: None,
        };
        (Ok(Arc::new(injection)), end.minus(MARGIN.min(life / 10)))
    }

    /// Nobody waits for that to be written but shutdown.
    fn audit(&self, outcome: Outcome, now: Timestamp) {
        let event = AuditEvent {
            at: now,
            user: Some(self.key.user.clone()),
            server: Some(self.upstream.connection(None)),
            method: Some(self.upstream.method()),
            action: Action::Acquire,
            outcome,
            request_id: None,
            count: None,
        };
        let audit = Arc::clone(&self.broker.parts.audit);
        self.broker.parts.tasks.spawn(async move {
            if let Err(error) = audit.record(event).await {
                tracing::warn!(%error, "a token exchange was not written to the audit");
            }
        });
    }
}

/// Whose move it is, and until when it stands (TX-2).
fn refusal(error: ProviderError, now: Timestamp) -> (ObtainError, Timestamp) {
    let persons = match error {
        // RFC 8693 section 2.2.2 says invalid_request of a bad subject token; most servers do not.
        ProviderError::GrantEnded | ProviderError::Refused(Reason::InvalidRequest) => {
            Some(Reason::SubjectRefused)
        }
        ProviderError::Refused(Reason::AccessDenied) => Some(Reason::ExchangeDenied),
        ProviderError::Refused(
            reason @ (Reason::InteractionRequired | Reason::ConsentRequired),
        ) => Some(reason),
        _ => None,
    };
    if let Some(reason) = persons {
        return (ObtainError::Refused { reason }, now.plus(REFUSAL_REST));
    }
    let rest = rest_after(error, now);
    (rest.error, rest.until)
}

#[derive(Clone, Debug)]
struct TokenBytes;

impl Weighter<Key, Answer> for TokenBytes {
    fn weight(&self, _: &Key, answer: &Answer) -> u64 {
        let token = answer.result.as_ref().map_or(0, |injection| injection.value.len());
        ANSWER_OVERHEAD + token as u64
    }
}

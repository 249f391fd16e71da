//! `token_exchange`, `entra_obo` and `id_jag`: a person's token for this gateway is exchanged for one of
//! the upstream's. Nothing of that is stored: what was had is in memory, and no longer than what it
//! was had for.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    time::Duration,
};

use attache_core::{
    CredentialKey, IssuerId, Principal, Secret, Timestamp, UpstreamName, UserId,
    audit::{Action, AuditEvent, Outcome, Reason},
    outbound::Outbound,
    store::Version,
};
use attache_oauth::token::{ExchangeGrant, ExchangedToken, OnBehalfOfGrant, TokenEndpoint};
use quick_cache::{Weighter, sync::Cache};

use crate::{
    broker::{Broker, ObtainError},
    connect::ProviderError,
    flight::Flights,
    id_jag::CrossAppAccess,
    injection::Injection,
    refresh::{REJECTION_REST, rest_after},
    subject::{Subject, SubjectId},
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
/// Upstreams that took nothing since a kept token was renewed for them, of all people; about 100
/// bytes each.
const IN_VAIN: usize = 50_000;
/// How long a refusal of this very token stands.
const REFUSAL_REST: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub struct TokenExchange {
    /// Whose access tokens it takes: its own, which were given for this gateway (TX-4).
    pub issuer: IssuerId,
    pub form: ExchangeForm,
    pub scopes: Vec<String>,
    pub outbound: Arc<dyn Outbound>,
}

/// How it is asked.
#[derive(Debug)]
pub enum ExchangeForm {
    /// RFC 8693.
    TokenExchange { endpoint: TokenEndpoint, audience: Option<String>, resource: Option<String> },
    /// Microsoft Entra's On-Behalf-Of.
    OnBehalfOf {
        endpoint: TokenEndpoint,
        /// The directory that `endpoint` belongs to: the one that gave the token, too (OBO-6).
        tenant: String,
    },
    /// Not an access token but the sign-in itself, by way of an assertion.
    IdJag(Box<CrossAppAccess>),
}

impl TokenExchange {
    /// Whether what this directory gave may be shown to the server.
    pub(crate) fn is_of(&self, given_by: Option<&str>) -> bool {
        match &self.form {
            ExchangeForm::TokenExchange { .. } | ExchangeForm::IdJag(_) => true,
            ExchangeForm::OnBehalfOf { tenant, .. } => given_by == Some(tenant),
        }
    }

    async fn ask(&self, subject: &Subject) -> Result<ExchangedToken, ProviderError> {
        let (outbound, scopes) = (&*self.outbound, self.scopes.as_slice());
        let subject_token: &Secret = &subject.token;
        let asked = match &self.form {
            ExchangeForm::TokenExchange { endpoint, audience, resource } => {
                let grant = ExchangeGrant {
                    subject_token,
                    audience: audience.as_deref(),
                    resource: resource.as_deref(),
                    scopes,
                };
                endpoint.exchange_token(outbound, grant).await
            }
            ExchangeForm::OnBehalfOf { endpoint, .. } => {
                let grant = OnBehalfOfGrant { assertion: subject_token, scopes };
                endpoint.on_behalf_of(outbound, grant).await
            }
            ExchangeForm::IdJag(access) => return access.ask(outbound, subject).await,
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
    /// For which a kept token was renewed, and which took nothing since.
    in_vain: Cache<(UserId, UpstreamName), ()>,
}

/// Everything that determines an answer (TX-3) but what the upstream's configuration says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    user: UserId,
    upstream: UpstreamName,
    subject: SubjectId,
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
        let (flights, versions) = (Flights::new(tasks), AtomicI64::new(0));
        Self { answers, flights, versions, in_vain: Cache::new(IN_VAIN) }
    }

    /// Whether a kept token may be renewed because this upstream's provider refused it: once, until
    /// it takes one again. What refuses everything must not keep the others from what they take.
    fn may_doubt(&self, who: &Principal, upstream: &Brokered) -> bool {
        let whose = (who.user.clone(), upstream.name.clone());
        let is_first = self.in_vain.get(&whose).is_none();
        self.in_vain.insert(whose, ());
        is_first
    }

    /// The hot path: memory only.
    pub(crate) fn recall(
        &self,
        who: &Principal,
        upstream: &Brokered,
        subject: SubjectId,
        now: Timestamp,
    ) -> Option<Arc<Injection>> {
        let answer = self.answers.get(&Key::new(who, upstream, subject))?;
        answer.result.ok().filter(|_| now < answer.until)
    }

    pub(crate) fn rejected(
        &self,
        who: &Principal,
        upstream: &Brokered,
        subject: SubjectId,
        version: Version,
        now: Timestamp,
    ) {
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
    fn new(who: &Principal, upstream: &Brokered, subject: SubjectId) -> Self {
        Self { user: who.user.clone(), upstream: upstream.name.clone(), subject }
    }
}

impl Broker {
    /// What was kept and is not accepted is renewed once (TX-2); what the caller brought is theirs
    /// to renew.
    pub(crate) async fn exchange(
        self: &Arc<Self>,
        who: &Principal,
        upstream: &Arc<Brokered>,
        exchange: &Arc<TokenExchange>,
    ) -> Obtained {
        const REFUSED: ObtainError = ObtainError::Refused { reason: Reason::SubjectRefused };
        const SIGN_IN_AGAIN: Obtained = Err(ObtainError::Refused { reason: Reason::SignInMissing });
        let subject = self.subject(who, exchange).await?;
        let exchanged = self.exchange_subject(who, upstream, exchange, &subject).await;
        let SubjectId::Kept(version) = subject.id else { return exchanged };
        if exchanged.as_ref().err() != Some(&REFUSED) {
            return exchanged;
        }
        let may_doubt = self.exchanges.may_doubt(who, upstream);
        let doubt = may_doubt.then(|| self.doubt(who, version));
        // Also where somebody else had it renewed.
        let renewed = self.subject(who, exchange).await;
        drop(doubt);
        let renewed = renewed?;
        if renewed.id == subject.id {
            return SIGN_IN_AGAIN;
        }
        match self.exchange_subject(who, upstream, exchange, &renewed).await {
            Err(REFUSED) => SIGN_IN_AGAIN,
            exchanged => exchanged,
        }
    }

    /// However many calls with the same token wait, the server is asked once.
    async fn exchange_subject(
        self: &Arc<Self>,
        who: &Principal,
        upstream: &Arc<Brokered>,
        exchange: &Arc<TokenExchange>,
        subject: &Subject,
    ) -> Obtained {
        let key = Key::new(who, upstream, subject.id);
        let work = || {
            let errand = Errand {
                broker: Arc::clone(self),
                upstream: Arc::clone(upstream),
                exchange: Arc::clone(exchange),
                subject: subject.clone(),
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
    subject: Subject,
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
                let whose = (self.key.user.clone(), self.key.upstream.clone());
                self.broker.exchanges.in_vain.remove(&whose);
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
        let end = now.plus(token.expires_in.unwrap_or(UNKNOWN_LIFE)).min(self.subject.ends);
        let life = end.since(now);
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
            reason @ (Reason::InteractionRequired
            | Reason::ConsentRequired
            | Reason::AssertionRefused),
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

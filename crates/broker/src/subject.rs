//! Whose token is exchanged: the caller's own or, for who calls with a token of ours, the one that
//! their browser sign-in left here. What an assertion is had for is always the latter.

use std::{sync::Arc, time::Duration};

use attache_core::{
    Access, Clock, Credential, CredentialKey, Dialect, IssuerId, ObtainedVia, Principal, Secret,
    Slot, Timestamp, UpstreamName, UserId, Validity,
    audit::Reason,
    outbound::Outbound,
    principal::{AuthenticatedBy, Presented},
    store::{Health, StoreError, Version},
    subject_token::SubjectTokenKeeper,
};
use attache_crypto::jose;
use attache_oauth::{client_auth::Client, issuer::Issuer, token::SignInProof};
use http::header;
use serde_json::{Map, Value};

use crate::{
    authority::{Authority, Provider, Terms},
    broker::{Broker, ObtainError},
    connect::{OauthConnect, ProviderError},
    connections::ConnectError,
    disconnect::revoke,
    exchange::{ExchangeForm, TokenExchange},
    injection::{HeaderForm, Injection},
    ready::Belief,
    upstream::{Brokered, Mode},
};

/// What logs and metrics call the identity provider that kept tokens are renewed at. No upstream has
/// this name where tokens are kept.
pub const IDENTITY_PROVIDER: &str = "identity-provider";
/// How long before its end, at most, an ID token is had anew before it is shown to anybody.
const ID_TOKEN_MARGIN: Duration = Duration::from_mins(1);

/// How tokens of browser sign-in are kept: sealed, leased and renewed like any credential.
#[derive(Debug)]
pub struct SubjectTokens {
    issuer: IssuerId,
    /// What this gateway is called in the issuer's ID tokens.
    client_id: String,
    /// What this gateway is called in the issuer's access tokens.
    audiences: Vec<String>,
    /// The identity provider, as what renews them.
    provider: Arc<Brokered>,
}

/// What is exchanged.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    pub(crate) id: SubjectId,
    pub(crate) kind: SubjectKind,
    pub(crate) token: Secret,
    pub(crate) ends: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SubjectKind {
    Access,
    Id,
    Refresh,
}

impl Subject {
    /// `None` for an access token, which proves no sign-in.
    pub(crate) fn proof(&self) -> Option<SignInProof<'_>> {
        match self.kind {
            SubjectKind::Access => None,
            SubjectKind::Id => Some(SignInProof::IdToken(&self.token)),
            SubjectKind::Refresh => Some(SignInProof::RefreshToken(&self.token)),
        }
    }
}

/// As long as this is there, what was kept is not used but renewed.
pub(crate) struct Doubt<'a> {
    broker: &'a Broker,
    key: CredentialKey,
    version: Version,
}

impl Drop for Doubt<'_> {
    fn drop(&mut self) {
        self.broker.trust(&self.key, self.version);
    }
}

/// Whoever signs in anew, or in another role, has another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum SubjectId {
    /// SHA-256 of the caller's token.
    Presented([u8; 32]),
    /// Of the kept one.
    Kept(Version),
}

impl SubjectTokens {
    /// `None` when [`IDENTITY_PROVIDER`] is no name.
    pub fn new(
        issuer: Arc<Issuer>,
        client: Client,
        audiences: Vec<String>,
        outbound: Arc<dyn Outbound>,
        clock: Arc<dyn Clock>,
    ) -> Option<Self> {
        let dialect = Arc::<Dialect>::default();
        let (id, client_id) = (issuer.id.clone(), client.id.clone());
        let provider = Provider { issuer, client, dialect: Arc::clone(&dialect) };
        let connect = OauthConnect {
            authority: Authority::Provider(provider),
            rotation: None,
            dialect,
            redirect_uri: String::new(),
            step_up: false,
            longest: None,
            outbound,
            clock,
        };
        let provider = Brokered {
            name: UpstreamName::parse(IDENTITY_PROVIDER).ok()?,
            origin: id.as_str().to_owned(),
            access: Access::Everyone,
            // Rendered to nothing but the token.
            form: HeaderForm {
                name: header::AUTHORIZATION,
                prefix: String::new(),
                suffix: String::new(),
            },
            mode: Mode::OauthConnect(Arc::new(connect)),
        };
        Some(Self { issuer: id, client_id, audiences, provider: Arc::new(provider) })
    }

    pub fn issuer(&self) -> &IssuerId {
        &self.issuer
    }

    /// What is kept there is nobody else's to see.
    pub(crate) fn provider_of(&self, slot: &Slot) -> Option<&Arc<Brokered>> {
        let is_ours = *slot == Slot::SubjectToken(self.issuer.clone());
        is_ours.then_some(&self.provider)
    }

    /// How we deal with the identity provider.
    pub(crate) async fn terms(&self) -> Result<Arc<Terms>, ProviderError> {
        match self.provider.connect() {
            Some(connect) => connect.terms().await,
            None => Err(ProviderError::Refused(Reason::Misconfigured)),
        }
    }

    fn key(&self, user: &UserId) -> CredentialKey {
        CredentialKey { user: user.clone(), slot: Slot::SubjectToken(self.issuer.clone()) }
    }

    /// Whether it was given for this gateway: what is for another is not ours to show (TX-4, OBO-1).
    fn is_audience_of(&self, claims: &Map<String, Value>) -> bool {
        self.is_for(claims, |audience| self.audiences.iter().any(|one| one == audience))
    }

    /// The same of an ID token, which is for our client alone.
    fn is_sign_in_of_ours(&self, claims: &Map<String, Value>) -> bool {
        self.is_for(claims, |audience| audience == self.client_id)
    }

    fn is_for(&self, claims: &Map<String, Value>, is_ours: impl Fn(&str) -> bool) -> bool {
        let ours = |audience: &Value| audience.as_str().is_some_and(&is_ours);
        claims.get("iss").and_then(Value::as_str) == Some(self.issuer.as_str())
            && match claims.get("aud") {
                Some(Value::Array(audiences)) => audiences.iter().any(ours),
                Some(audience) => ours(audience),
                None => false,
            }
    }
}

impl TokenExchange {
    /// What this caller brought that may be exchanged here.
    fn presented<'a>(&self, who: &'a Principal) -> Option<&'a Presented> {
        match &who.authenticated_by {
            AuthenticatedBy::AccessToken(Some(_)) if self.is_of_sign_ins() => None,
            AuthenticatedBy::AccessToken(Some(one)) => {
                (one.issuer == self.issuer && self.is_of(one.tenant.as_deref())).then_some(one)
            }
            AuthenticatedBy::AccessToken(None)
            | AuthenticatedBy::Client(_)
            | AuthenticatedBy::PersonalToken(_)
            | AuthenticatedBy::Session(_) => None,
        }
    }

    fn is_of_sign_ins(&self) -> bool {
        matches!(self.form, ExchangeForm::IdJag(_))
    }
}

impl Broker {
    /// Memory only: of what would be exchanged. A kept one is compared with the store by
    /// [`Broker::subject`], once a minute.
    pub(crate) fn subject_id(
        &self,
        who: &Principal,
        exchange: &TokenExchange,
        now: Timestamp,
    ) -> Option<SubjectId> {
        if let Some(presented) = exchange.presented(who) {
            return Some(SubjectId::Presented(presented.digest));
        }
        let (_, key) = self.kept(who, exchange)?;
        let (injection, belief) = self.ready.recall(&key, now)?;
        let is_believed = belief != Belief::Doubtful || self.parts.outage.is_on(now);
        is_believed.then_some(SubjectId::Kept(injection.version))
    }

    /// Renewed, where it has to be.
    pub(crate) async fn subject(
        self: &Arc<Self>,
        who: &Principal,
        exchange: &TokenExchange,
    ) -> Result<Subject, ObtainError> {
        if let Some(presented) = exchange.presented(who) {
            let id = SubjectId::Presented(presented.digest);
            return Ok(Subject {
                id,
                kind: SubjectKind::Access,
                token: presented.token.clone(),
                ends: who.expires_at,
            });
        }
        let Some((kept, key)) = self.kept(who, exchange) else {
            return Err(ObtainError::Refused { reason: Reason::SubjectMissing });
        };
        if exchange.is_of_sign_ins() {
            return self.sign_in(kept, key).await;
        }
        let injection = self.fresh(kept, &key).await?;
        let unfit = ObtainError::Operator { reason: Reason::SubjectUnfit };
        let token = injection.value.to_str().map_err(|_| unfit)?;
        let claims = jose::unproved_claims(token).ok_or(unfit)?;
        let tenant = claims.get("tid").and_then(Value::as_str);
        if !kept.is_audience_of(&claims) || !exchange.is_of(tenant) {
            return Err(unfit);
        }
        let end = claims.get("exp").and_then(Value::as_i64).map(Timestamp::from_seconds);
        Ok(Subject {
            id: SubjectId::Kept(injection.version),
            kind: SubjectKind::Access,
            token: Secret::new(token),
            ends: [end, injection.expires_at].into_iter().flatten().min().ok_or(unfit)?,
        })
    }

    /// What was kept, renewed where it was due.
    async fn fresh(
        self: &Arc<Self>,
        kept: &SubjectTokens,
        key: &CredentialKey,
    ) -> Result<Arc<Injection>, ObtainError> {
        match self.obtain_at(key.clone(), &kept.provider).await {
            Err(ObtainError::NotConnected { .. }) => {
                Err(ObtainError::Refused { reason: Reason::SignInMissing })
            }
            obtained => obtained,
        }
    }

    /// The ID token or, where the provider gives no new one, the refresh token.
    async fn sign_in(
        self: &Arc<Self>,
        kept: &SubjectTokens,
        key: CredentialKey,
    ) -> Result<Subject, ObtainError> {
        const ENDED: ObtainError = ObtainError::Refused { reason: Reason::SignInMissing };
        let now = self.parts.clock.now();
        let mut injection = self.fresh(kept, &key).await?;
        let mut credential = self.kept_at(&key).await?;
        let is_stale = |token: &Secret| ends_soon(token, now);
        let is_live = |token: &Secret| life(token).until > now;
        if credential.id_token.as_ref().is_some_and(is_stale) && credential.refresh_token.is_some()
        {
            let doubt = self.doubted(key.clone(), injection.version);
            let renewed = self.fresh(kept, &key).await;
            drop(doubt);
            match renewed {
                Ok(renewed) => {
                    injection = renewed;
                    credential = self.kept_at(&key).await?;
                }
                Err(_) if credential.id_token.as_ref().is_some_and(is_live) => {}
                Err(error) => return Err(error),
            }
        }
        let id = SubjectId::Kept(injection.version);
        if let Some(token) = credential.id_token.filter(is_live) {
            let claims = jose::unproved_claims(token.expose()).unwrap_or_default();
            if !kept.is_sign_in_of_ours(&claims) {
                return Err(ObtainError::Operator { reason: Reason::SubjectUnfit });
            }
            let ends = life(&token).until;
            return Ok(Subject { id, kind: SubjectKind::Id, token, ends });
        }
        let token = credential.refresh_token.ok_or(ENDED)?;
        let ends = injection.expires_at.ok_or(ENDED)?;
        Ok(Subject { id, kind: SubjectKind::Refresh, token, ends })
    }

    /// Opened for this once: memory holds no ID token and no refresh token.
    async fn kept_at(&self, key: &CredentialKey) -> Result<Credential, ObtainError> {
        let seen = self.parts.vault.seen(key);
        let found = self.parts.store.find_with_key(key).await?;
        let (stored, data_key) =
            found.ok_or(ObtainError::Refused { reason: Reason::SignInMissing })?;
        Ok(self.parts.vault.open(key, &stored.record, seen, data_key).await?)
    }

    /// A provider does not take what was kept, of this version: it is renewed before it is used again,
    /// or used as it is when the doubt is over. Others may take what one refuses.
    pub(crate) fn doubt(&self, who: &Principal, version: Version) -> Option<Doubt<'_>> {
        let kept = self.parts.subject_tokens.as_deref()?;
        Some(self.doubted(kept.key(&who.user), version))
    }

    fn doubted(&self, key: CredentialKey, version: Version) -> Doubt<'_> {
        self.distrust(key.clone(), version);
        Doubt { broker: self, key, version }
    }

    /// Where what is exchanged was kept, and is there no more, nothing is exchanged any more.
    pub(crate) async fn is_there(
        &self,
        who: &Principal,
        exchange: &TokenExchange,
    ) -> Result<bool, StoreError> {
        if exchange.presented(who).is_some() {
            return Ok(true);
        }
        let Some((_, key)) = self.kept(who, exchange) else { return Ok(false) };
        let found = self.parts.store.find(&key).await?;
        Ok(found.is_some_and(|stored| stored.record.health == Health::Good))
    }

    /// Only for who brought a token of ours: whoever brought one of somebody else's is exchanged for
    /// by that alone. One that proves no sign-in leads to theirs at the same provider.
    fn kept(
        &self,
        who: &Principal,
        exchange: &TokenExchange,
    ) -> Option<(&SubjectTokens, CredentialKey)> {
        let kept = self.parts.subject_tokens.as_deref()?;
        let brought_ours = !matches!(who.authenticated_by, AuthenticatedBy::AccessToken(_));
        let is_theirs = kept.issuer == exchange.issuer && who.issuer == kept.issuer;
        ((brought_ours || exchange.is_of_sign_ins()) && is_theirs)
            .then(|| (kept, kept.key(&who.user)))
    }
}

#[async_trait::async_trait]
impl SubjectTokenKeeper for Broker {
    async fn keep(&self, user: &UserId, tokens: Credential) -> Result<(), Reason> {
        let Some(kept) = &self.parts.subject_tokens else { return Ok(()) };
        let issuer = Some(kept.issuer.clone());
        let credential =
            Credential { issuer, origin: Some(kept.provider.origin.clone()), ..tokens };
        let put = self.put(&kept.key(user), &credential, ObtainedVia::ConnectFlow).await;
        put.map(drop).map_err(|ConnectError(reason)| reason)
    }

    /// Whatever is configured by now: what was kept before ends, too.
    async fn forget(&self, user: &UserId) -> Result<(), StoreError> {
        if let Some(kept) = &self.parts.subject_tokens {
            self.forget_at(kept.key(user)).await?;
        }
        for (slot, _) in self.parts.store.list(user).await? {
            if matches!(slot, Slot::SubjectToken(_)) {
                self.forget_at(CredentialKey { user: user.clone(), slot }).await?;
            }
        }
        Ok(())
    }
}

impl Broker {
    /// Ended at the provider, too, where it has a way: nobody waits for that but shutdown.
    async fn forget_at(&self, key: CredentialKey) -> Result<(), StoreError> {
        let seen = self.parts.vault.seen(&key);
        let removed = self.parts.store.remove(&key).await;
        // Also when nobody knows whether it was removed.
        self.ready.forget(&key);
        self.forgive(&key);
        let kept = self.parts.subject_tokens.as_deref();
        let provider = kept.and_then(|kept| kept.provider_of(&key.slot));
        if let (Some(removed), Some(provider)) = (removed?, provider.cloned()) {
            let vault = Arc::clone(&self.parts.vault);
            self.parts.tasks.spawn(async move {
                if let Ok(credential) = vault.open(&key, &removed.record, seen, None).await {
                    revoke(&provider, removed.record.obtained_via, &credential).await;
                }
            });
        }
        Ok(())
    }
}

/// As it says itself; what it does not say is no time.
fn life(id_token: &Secret) -> Validity {
    let claims = jose::unproved_claims(id_token.expose()).unwrap_or_default();
    let time = |name| {
        let seconds = claims.get(name).and_then(Value::as_i64);
        seconds.map_or(Timestamp(0), Timestamp::from_seconds)
    };
    Validity { from: time("iat"), until: time("exp") }
}

fn ends_soon(id_token: &Secret, now: Timestamp) -> bool {
    let Validity { from, until } = life(id_token);
    now >= until.minus(ID_TOKEN_MARGIN.min(until.since(from) / 10))
}

//! Whose token is exchanged: the caller's own or, for who calls with a token of ours, the one that
//! their browser sign-in left here.

use std::sync::Arc;

use attache_core::{
    Access, Clock, Credential, CredentialKey, Dialect, IssuerId, ObtainedVia, Principal, Secret,
    Slot, Timestamp, UpstreamName, UserId,
    audit::Reason,
    outbound::Outbound,
    principal::{AuthenticatedBy, Presented},
    store::{Health, StoreError, Version},
    subject_token::SubjectTokenKeeper,
};
use attache_crypto::jose;
use attache_oauth::{client_auth::Client, issuer::Issuer};
use http::header;
use serde_json::{Map, Value};

use crate::{
    authority::{Authority, Provider},
    broker::{Broker, ObtainError},
    connect::OauthConnect,
    connections::ConnectError,
    disconnect::revoke,
    exchange::TokenExchange,
    injection::HeaderForm,
    ready::Belief,
    upstream::{Brokered, Mode},
};

/// What logs and metrics call the identity provider that kept tokens are renewed at. No upstream has
/// this name where tokens are kept.
pub const IDENTITY_PROVIDER: &str = "identity-provider";

/// How tokens of browser sign-in are kept: sealed, leased and renewed like any credential.
#[derive(Debug)]
pub struct SubjectTokens {
    issuer: IssuerId,
    /// What this gateway is called in the issuer's access tokens.
    audiences: Vec<String>,
    /// The identity provider, as what renews them.
    provider: Arc<Brokered>,
}

/// What is exchanged.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    pub(crate) id: SubjectId,
    pub(crate) token: Secret,
    pub(crate) ends: Timestamp,
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
        let id = issuer.id.clone();
        let provider = Provider { issuer, client, dialect: Arc::clone(&dialect) };
        let connect = OauthConnect {
            authority: Authority::Provider(provider),
            rotation: None,
            dialect,
            redirect_uri: String::new(),
            step_up: false,
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
        Some(Self { issuer: id, audiences, provider: Arc::new(provider) })
    }

    /// What is kept there is nobody else's to see.
    pub(crate) fn provider_of(&self, slot: &Slot) -> Option<&Arc<Brokered>> {
        let is_ours = *slot == Slot::SubjectToken(self.issuer.clone());
        is_ours.then_some(&self.provider)
    }

    fn key(&self, user: &UserId) -> CredentialKey {
        CredentialKey { user: user.clone(), slot: Slot::SubjectToken(self.issuer.clone()) }
    }

    /// Whether it was given for this gateway: what is for another is not ours to show (TX-4, OBO-1).
    fn is_audience_of(&self, claims: &Map<String, Value>) -> bool {
        let ours = |audience: &Value| {
            audience.as_str().is_some_and(|text| self.audiences.iter().any(|one| one == text))
        };
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
            AuthenticatedBy::AccessToken(Some(one)) => {
                (one.issuer == self.issuer && self.is_of(one.tenant.as_deref())).then_some(one)
            }
            AuthenticatedBy::AccessToken(None)
            | AuthenticatedBy::Client(_)
            | AuthenticatedBy::PersonalToken(_)
            | AuthenticatedBy::Session(_) => None,
        }
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
            return Ok(Subject { id, token: presented.token.clone(), ends: who.expires_at });
        }
        let refused = |reason| Err(ObtainError::Refused { reason });
        let Some((kept, key)) = self.kept(who, exchange) else {
            return refused(Reason::SubjectMissing);
        };
        let injection = match self.obtain_at(key, &kept.provider).await {
            Err(ObtainError::NotConnected { .. }) => return refused(Reason::SignInMissing),
            obtained => obtained?,
        };
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
            token: Secret::new(token),
            ends: [end, injection.expires_at].into_iter().flatten().min().ok_or(unfit)?,
        })
    }

    /// A provider does not take what was kept, of this version: it is renewed before it is used again,
    /// or used as it is when the doubt is over. Others may take what one refuses.
    pub(crate) fn doubt(&self, who: &Principal, version: Version) -> Option<Doubt<'_>> {
        let key = self.parts.subject_tokens.as_deref()?.key(&who.user);
        self.distrust(key.clone(), version);
        Some(Doubt { broker: self, key, version })
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

    /// Only for who brought a token of ours: whoever brought one of somebody else's is known to us
    /// by that alone.
    fn kept(
        &self,
        who: &Principal,
        exchange: &TokenExchange,
    ) -> Option<(&SubjectTokens, CredentialKey)> {
        let kept = self.parts.subject_tokens.as_deref()?;
        let brought_ours = !matches!(who.authenticated_by, AuthenticatedBy::AccessToken(_));
        let is_theirs = kept.issuer == exchange.issuer && who.issuer == kept.issuer;
        (brought_ours && is_theirs).then(|| (kept, kept.key(&who.user)))
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

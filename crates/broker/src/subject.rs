//! Whose token is exchanged: the caller's own or, for who calls with a token of ours, the one that
//! their browser sign-in left here.

use std::sync::Arc;

use attache_core::{
    Access, Clock, Credential, CredentialKey, Dialect, IssuerId, ObtainedVia, Principal, Secret,
    Slot, Timestamp, UpstreamName, UserId,
    audit::Reason,
    outbound::Outbound,
    principal::{AuthenticatedBy, Presented},
    store::{StoreError, Version},
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

    pub(crate) fn provider(&self) -> &Arc<Brokered> {
        &self.provider
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

    /// The provider does not take what was kept: it is renewed before it is used again. Whether
    /// there is anything to renew.
    pub(crate) fn doubt(&self, who: &Principal, subject: &Subject) -> bool {
        match (subject.id, &self.parts.subject_tokens) {
            (SubjectId::Kept(version), Some(kept)) => {
                self.distrust(kept.key(&who.user), version);
                true
            }
            _ => false,
        }
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

    /// Ended at the provider, too, where it has a way: nobody waits for that but shutdown.
    async fn forget(&self, user: &UserId) -> Result<(), StoreError> {
        let Some(kept) = &self.parts.subject_tokens else { return Ok(()) };
        let key = kept.key(user);
        let seen = self.parts.vault.seen(&key);
        let removed = self.parts.store.remove(&key).await;
        // Also when nobody knows whether it was removed.
        self.ready.forget(&key);
        self.forgive(&key);
        if let Some(removed) = removed? {
            let (vault, provider) = (Arc::clone(&self.parts.vault), Arc::clone(&kept.provider));
            self.parts.tasks.spawn(async move {
                if let Ok(credential) = vault.open(&key, &removed.record, seen, None).await {
                    revoke(&provider, removed.record.obtained_via, &credential).await;
                }
            });
        }
        Ok(())
    }
}

//! Browser sign-in at the company's identity provider (OIDC Core section 3.1, AS-23).
//!
//! A sign-in is bound to the browser that began it, by a cookie. `state` is proved by that cookie,
//! and PKCE verifier and nonce are derived from both, so that the store holds nothing of a sign-in
//! under way: strangers who begin many take no room from others.

mod backchannel_logout;
mod error;
mod flow;
mod userinfo;

use std::{collections::BTreeMap, fmt, sync::Arc};

use attache_core::{
    Clock, Credential, Dialect, Secret, Timestamp, UserId, Validity,
    audit::{Action, AuditEvent, Outcome},
    outbound::Outbound,
    store::{AuditStore, Person, PersonStore, Profile, SignIn, SpentLoginStore},
    subject_token::SubjectTokenKeeper,
};
use attache_crypto::{
    jose::JwtError,
    random::{self, Random},
};
use attache_oauth::{
    authorize::{AuthorizationRequest, code_challenge},
    callback::{Callback, CallbackOutcome, check_issuer},
    discover::OpenIdProvider,
    id_token::{IdTokenClaims, IdTokenError, IdTokenExpectations, verify_id_token},
    issuer::Issuer,
    token::{CodeGrant, TokenEndpoint, TokenResponse},
};
use http::{HeaderMap, HeaderValue};
use url::Url;

use self::flow::Browser;
pub use self::{backchannel_logout::LogoutError, error::LoginError};
use crate::{
    admission::Admission,
    claims::Claims,
    cookie::{Cookies, Name},
    return_to::ReturnTo,
    session::Sessions,
    settings::OidcSettings,
};

/// Sign-ins remembered that came back, and logout tokens, in all; what runs out first gives way. A
/// sign-in that is forgotten and comes back once more meets a provider that redeems a code once.
const SPENT: u32 = 10_000;

/// Send the browser to `url`, with `cookie` as `Set-Cookie`.
pub struct Begun {
    pub url: Url,
    pub cookie: HeaderValue,
}

/// The address holds `state` and nonce.
impl fmt::Debug for Begun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Begun").finish_non_exhaustive()
    }
}

/// Send the browser to `return_to`, a path of ours, with `cookie`, its session, as `Set-Cookie`.
/// The sign-in's own cookie runs out by itself: another tab may still need it.
#[derive(Debug)]
pub struct SignedIn {
    pub return_to: String,
    pub cookie: HeaderValue,
}

#[derive(Debug)]
pub(crate) struct Login {
    pub(crate) issuer: Arc<Issuer>,
    pub(crate) oidc: OidcSettings,
    /// `OpenID` Connect has one.
    pub(crate) dialect: Arc<Dialect>,
    /// The one that is registered with the identity provider.
    pub(crate) redirect_uri: String,
    pub(crate) cookies: Cookies,
    pub(crate) spent: Arc<dyn SpentLoginStore>,
    pub(crate) people: Arc<dyn PersonStore>,
    pub(crate) audit: Arc<dyn AuditStore>,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) outbound: Arc<dyn Outbound>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) admission: Admission,
    pub(crate) keeper: Option<Arc<dyn SubjectTokenKeeper>>,
}

impl Login {
    /// With the cookie that the browser has, if it has one: what another tab began goes on.
    pub(crate) async fn begin(
        &self,
        return_to: Option<&str>,
        headers: &HeaderMap,
    ) -> Result<Begun, LoginError> {
        let provider = self.issuer.metadata().await?;
        let browser = self.browser(headers).unwrap_or_else(|| Browser::new(&*self.random));
        let return_to = ReturnTo::parse(return_to);
        let state = browser.begin(&return_to, self.clock.now(), &*self.random);
        let (verifier, nonce) = (browser.verifier(&state), browser.nonce(&state));
        let request = AuthorizationRequest {
            endpoint: &provider.authorization_endpoint,
            client_id: &self.oidc.client.id,
            redirect_uri: &self.redirect_uri,
            scopes: &self.oidc.scopes,
            state: &state,
            code_challenge: &code_challenge(verifier.expose()),
            resource: None,
            dialect: &self.dialect,
            extra: &[("nonce", nonce.expose())],
        };
        let cookie = self.cookies.set(Name::Login, &browser.0, flow::LIFE);
        Ok(Begun { url: request.url(), cookie })
    }

    pub(crate) async fn callback(
        &self,
        query: &str,
        headers: &HeaderMap,
    ) -> Result<SignedIn, LoginError> {
        let callback =
            Callback::parse(query, &self.dialect).map_err(|_| LoginError::MalformedCallback)?;
        let browser = self.browser(headers).ok_or(LoginError::WrongBrowser)?;
        let flow = browser.resume(&callback.state, self.clock.now())?;
        // Before the state is spent: while the provider is down, the callback can be tried again.
        let provider = self.issuer.metadata().await?;
        if !self.spent.spend(flow.digest, flow.over_at, SPENT, self.clock.now()).await? {
            return Err(LoginError::FlowUnknown);
        }

        // From here on this is an attempt of somebody who began it with us: both ends are audited.
        match self.finish(&provider, &browser, &callback).await {
            Ok((person, sign_in)) => {
                self.record(Some(person.id.clone()), Outcome::Success).await?;
                let cookie = self.sessions.begin(person.id, &sign_in).await?;
                Ok(SignedIn { return_to: flow.return_to.into_string(), cookie })
            }
            Err(error) => {
                self.record(None, Outcome::Failure(error.reason())).await?;
                Err(error)
            }
        }
    }

    fn browser(&self, headers: &HeaderMap) -> Option<Browser> {
        self.cookies.read(headers, Name::Login).and_then(Browser::known)
    }

    /// From the answer of the provider to the person it speaks of.
    async fn finish(
        &self,
        provider: &OpenIdProvider,
        browser: &Browser,
        callback: &Callback,
    ) -> Result<(Person, SignIn), LoginError> {
        let expected = Some(self.issuer.id.as_str());
        check_issuer(callback.iss.as_deref(), expected, provider.iss_parameter_supported)
            .map_err(|_| LoginError::WrongIssuer)?;
        let code = match &callback.outcome {
            CallbackOutcome::Code(code) => code,
            CallbackOutcome::Error(reason) => return Err(LoginError::Refused(*reason)),
        };
        let tokens = self.redeem(provider, code, browser.verifier(&callback.state)).await?;
        let id_token = tokens.id_token.as_ref().ok_or(LoginError::NoIdToken)?;
        let claims = self.verify(id_token, &browser.nonce(&callback.state)).await?;
        if !Claims(&claims.claims).is_hosted_at(&self.oidc.hosted_domains) {
            return Err(LoginError::NotHosted);
        }
        let subject = Claims(&claims.claims)
            .subject(&self.oidc.subject_claim)
            .ok_or(LoginError::NoSubject)?;
        let profile = self.profile(provider, &tokens, &claims).await?;
        let person = self.admit(&subject, &profile).await?;
        self.keep(&person.id, tokens).await;
        let session = Claims(&claims.claims).text("sid").map(str::to_owned);
        Ok((person, SignIn { subject: claims.subject, session }))
    }

    /// A sign-in that cannot be kept is one, nevertheless.
    async fn keep(&self, user: &UserId, tokens: TokenResponse) {
        let Some(keeper) = &self.keeper else { return };
        let credential = credential(tokens, &self.oidc.scopes, self.clock.now());
        if let Err(reason) = keeper.keep(user, credential).await {
            tracing::warn!(reason = reason.as_str(), "what a sign-in brought was not kept");
        }
    }

    async fn redeem(
        &self,
        provider: &OpenIdProvider,
        code: &Secret,
        verifier: Secret,
    ) -> Result<TokenResponse, LoginError> {
        let url = provider.token_endpoint.clone();
        let dialect = Arc::clone(&self.dialect);
        let endpoint = TokenEndpoint { url, client: self.oidc.client.clone(), dialect };
        let redirect_uri = &self.redirect_uri;
        let captured = &BTreeMap::new();
        let grant = CodeGrant { code, verifier: &verifier, redirect_uri, resource: None, captured };
        Ok(endpoint.exchange_code(&*self.outbound, grant).await?)
    }

    async fn verify(&self, id_token: &Secret, nonce: &Secret) -> Result<IdTokenClaims, LoginError> {
        let expect = IdTokenExpectations {
            issuer: &self.issuer.id,
            client_id: &self.oidc.client.id,
            nonce: nonce.expose(),
            now: self.clock.now(),
        };
        let keys = self.issuer.keys().await?;
        match verify_id_token(id_token, &keys, &expect) {
            Err(IdTokenError::Jwt(JwtError::UnknownKey)) => {
                let keys = self.issuer.keys_newer_than(&keys).await?;
                Ok(verify_id_token(id_token, &keys, &expect)?)
            }
            verified => Ok(verified?),
        }
    }

    /// What the ID token says, completed by the userinfo endpoint when it says too little.
    async fn profile(
        &self,
        provider: &OpenIdProvider,
        tokens: &TokenResponse,
        claims: &IdTokenClaims,
    ) -> Result<Profile, LoginError> {
        let groups = &self.oidc.groups_claim;
        let profile = Claims(&claims.claims).profile(groups);
        let endpoint = match &provider.userinfo_endpoint {
            Some(endpoint) if profile.email.is_none() || profile.name.is_none() => endpoint,
            _ => return Ok(profile),
        };
        let token = &tokens.access_token;
        let about = userinfo::About { subject: &claims.subject, groups };
        let more = userinfo::fetch(&*self.outbound, endpoint, token, about).await?;
        let groups = if profile.groups.is_empty() { more.groups } else { profile.groups };
        let (email, name) = (profile.email.or(more.email), profile.name.or(more.name));
        Ok(Profile { email, name, groups })
    }

    async fn admit(&self, subject: &str, profile: &Profile) -> Result<Person, LoginError> {
        if !self.admission.permits(profile.email.as_deref()) {
            return Err(LoginError::NotAdmitted);
        }
        let fresh = UserId::new(random::token(&*self.random));
        let now = self.clock.now();
        let person = self.people.upsert(&self.issuer.id, subject, profile, fresh, now).await?;
        if person.disabled { Err(LoginError::Disabled) } else { Ok(person) }
    }

    /// Written before the answer: without it, nobody is signed in.
    async fn record(&self, user: Option<UserId>, outcome: Outcome) -> Result<(), LoginError> {
        let event = AuditEvent {
            at: self.clock.now(),
            user,
            server: None,
            method: None,
            action: Action::SignIn,
            outcome,
            request_id: None,
            count: None,
        };
        Ok(self.audit.append(&[event]).await?)
    }
}

fn credential(tokens: TokenResponse, asked: &[String], now: Timestamp) -> Credential {
    Credential {
        access_token: Some(tokens.access_token),
        refresh_token: tokens.refresh_token,
        token_type: tokens.token_type,
        scopes: tokens.scopes.unwrap_or_else(|| asked.to_vec()),
        audience: None,
        issuer: None,
        obtained_at: now,
        expires_at: tokens.expires_in.map(|life| now.plus(life)),
        refresh_validity: tokens.refresh_expires_in.map(|life| Validity::of(now, life)),
        account: None,
        base_url: None,
        origin: None,
        id_token: tokens.id_token,
        term: None,
    }
}

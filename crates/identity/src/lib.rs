//! Who is calling: browser sign-in, sessions and bearer tokens.
//!
//! Nothing here waits for an identity provider before it is needed: metadata and keys are fetched
//! at first use and kept, so that a gateway starts, and known people go on working, while their
//! provider is down.

mod admins;
mod admission;
mod assertion;
mod audience;
mod authenticate;
pub mod authorization_server;
mod bearer;
mod claims;
mod cookie;
mod login;
mod metrics;
pub mod personal;
mod return_to;
pub mod scim;
mod session;
mod settings;
mod throttle;

use std::sync::Arc;

use attache_core::{
    Clock, Principal, PublicOrigin, Secret, TokenId, UserId,
    authenticator::{Authenticator, AuthnError},
    changes::{Change, Memory},
    outage::Outage,
    outbound::Outbound,
    principal::SessionDigest,
    store::{PersonalToken, Session, StoreError, Stores},
    subject_token::SubjectTokenKeeper,
};
use attache_crypto::random::Random;
pub use attache_oauth::issuer::IssuerError;
use attache_oauth::issuer::Issuers;
use http::{HeaderMap, HeaderValue};

use crate::{
    admins::Admins,
    admission::Admission,
    assertion::{Accepted, Assertions},
    authenticate::{DataPlane, WebSurface},
    authorization_server::{Asserter, AuthorizationServer, Surroundings},
    bearer::{Bearers, Introspection},
    cookie::Cookies,
    login::Login,
    personal::{NewToken, PersonalTokens, TokenError},
    return_to::ReturnTo,
    scim::{Directory, ScimToken},
    session::Sessions,
};
pub use crate::{
    login::{Begun, LoginError, LogoutError, SignedIn},
    metrics::Metrics,
    settings::{
        AssertionSettings, IdentitySettings, IntrospectionSettings, JwtSettings, OidcSettings,
    },
};

/// Everything this crate does, put together.
#[derive(Debug)]
pub struct Identity {
    admins: Admins,
    login: Option<Login>,
    sessions: Arc<Sessions>,
    bearers: Arc<Bearers>,
    assertions: Arc<Assertions>,
    authorization_server: Option<AuthorizationServer>,
    directory: Option<Directory>,
    personal: Arc<PersonalTokens>,
}

impl Identity {
    /// What browser sign-in brings goes to `keeper`, where it is kept.
    pub fn new(
        settings: IdentitySettings,
        stores: &Stores,
        outbound: &Arc<dyn Outbound>,
        clock: &Arc<dyn Clock>,
        random: &Arc<dyn Random>,
        outage: Arc<Outage>,
        keeper: Option<Arc<dyn SubjectTokenKeeper>>,
    ) -> Self {
        let origin = PublicOrigin::new(&settings.public_url);
        let cookies = Cookies::of(&origin);
        let admission =
            Admission::new(settings.allowed_email_domains, settings.reauthenticate_after);
        let mut issuers = Issuers::new(Arc::clone(outbound), Arc::clone(clock));
        let sessions = Arc::new(Sessions {
            store: Arc::clone(&stores.sessions),
            audit: Arc::clone(&stores.audit),
            clock: Arc::clone(clock),
            random: Arc::clone(random),
            lifetime: settings.session_ttl,
            cookies,
            admission: admission.clone(),
            keeper: keeper.clone(),
        });
        let around =
            Surroundings { origin: &origin, stores, clock, random, admission: &admission, cookies };
        let own = settings.authorization_server.as_ref().map(|server| server.own_tokens(&around));
        let personal = Arc::new(PersonalTokens {
            store: Arc::clone(&stores.personal_tokens),
            audit: Arc::clone(&stores.audit),
            clock: Arc::clone(clock),
            random: Arc::clone(random),
            admission: admission.clone(),
        });
        let introspection = settings.introspection.map(|asked| {
            let issuer = issuers.of(&asked.issuer, None);
            let hosted_domains = bearer::hosted_domains(settings.oidc.as_ref(), &asked.issuer);
            Introspection::new(asked, issuer, &origin, Arc::clone(outbound), hosted_domains)
        });
        let accepts =
            bearer::accepted(&settings.jwt, &origin, settings.oidc.as_ref(), &mut issuers);
        let bearers = Arc::new(Bearers::new(
            accepts,
            introspection,
            bearer::Ours { access: own.clone(), personal: Arc::clone(&personal) },
            bearer::Registry {
                people: Arc::clone(&stores.people),
                clock: Arc::clone(clock),
                random: Arc::clone(random),
                admission: admission.clone(),
            },
            outage,
        ));
        let provider = settings.oidc.as_ref().map(|oidc| Asserter {
            issuer: issuers.of(&oidc.issuer, None),
            subject_claim: oidc.subject_claim.clone(),
            groups_claim: oidc.groups_claim.clone(),
        });
        let asserted = settings.assertions.into_iter().map(|proxy| {
            let hosted_domains = bearer::hosted_domains(settings.oidc.as_ref(), &proxy.issuer);
            Accepted::new(proxy, &origin, &mut issuers, hosted_domains)
        });
        let asserted = asserted.collect();
        let assertions = Arc::new(Assertions::new(asserted, Arc::clone(&bearers)));
        let authorization_server = settings
            .authorization_server
            .zip(own)
            .map(|(server, own)| server.server(&around, own, Arc::clone(&bearers), provider));
        let directory = settings.oidc.as_ref().zip(settings.scim).map(|(oidc, scim)| Directory {
            issuer: oidc.issuer.clone(),
            token: ScimToken::new(&scim.token),
            settings: scim,
            store: Arc::clone(&stores.provisioning),
            clock: Arc::clone(clock),
            random: Arc::clone(random),
        });
        let login = settings.oidc.map(|oidc| Login {
            issuer: issuers.of(&oidc.issuer, None),
            redirect_uri: origin.url("/login/callback"),
            cookies,
            oidc,
            dialect: Arc::default(),
            spent: Arc::clone(&stores.logins),
            people: Arc::clone(&stores.people),
            audit: Arc::clone(&stores.audit),
            sessions: Arc::clone(&sessions),
            outbound: Arc::clone(outbound),
            clock: Arc::clone(clock),
            random: Arc::clone(random),
            admission: admission.clone(),
            keeper,
        });
        let admins = Admins(settings.admins);
        Self {
            admins,
            login,
            sessions,
            bearers,
            assertions,
            authorization_server,
            directory,
            personal,
        }
    }

    /// Sends the browser with these headers to the identity provider. `return_to` is where it goes
    /// in the end; anything but a path of ours leads home instead (AS-24).
    pub async fn begin(
        &self,
        return_to: Option<&str>,
        headers: &HeaderMap,
    ) -> Result<Begun, LoginError> {
        self.login()?.begin(return_to, headers).await
    }

    /// Signs in whom a proxy in front names. `None` where none names anybody.
    pub async fn sign_in_vouched(
        &self,
        return_to: Option<&str>,
        headers: &HeaderMap,
    ) -> Result<Option<SignedIn>, LoginError> {
        let who = match self.assertions.caller(headers).await {
            Ok(Some(who)) => who,
            Ok(None) => return Ok(None),
            Err(AuthnError::Unavailable(_)) => return Err(LoginError::AssertionUnavailable),
            Err(_) => return Err(LoginError::Assertion),
        };
        let cookie = self.sessions.begin_vouched(&who).await?;
        let return_to = ReturnTo::parse(return_to).into_string();
        Ok(Some(SignedIn { return_to, cookie }))
    }

    /// Finishes a sign-in with the query, without its `?`, that the browser brought back.
    pub async fn callback(&self, query: &str, headers: &HeaderMap) -> Result<SignedIn, LoginError> {
        self.login()?.callback(query, headers).await
    }

    /// Ends the session of this browser, if it has one; the headers clear its cookies.
    pub async fn sign_out(&self, headers: &HeaderMap) -> Result<[HeaderValue; 3], StoreError> {
        self.sessions.end(headers).await
    }

    /// Ends the sign-ins that the identity provider says are over, by its logout token (`OpenID`
    /// Connect Back-Channel Logout). Whose they were.
    pub async fn signed_out(&self, logout_token: &str) -> Result<Vec<UserId>, LogoutError> {
        let login = self.login.as_ref().ok_or(LogoutError::NotConfigured)?;
        login.sign_out(logout_token).await
    }

    /// The session cookie as it was sent, proved or not: connect flows derive their PKCE verifier
    /// from it.
    pub fn session_cookie(&self, headers: &HeaderMap) -> Option<Secret> {
        self.sessions.cookie(headers)
    }

    /// The browsers this person is signed in with.
    pub async fn sessions_of(&self, who: &Principal) -> Result<Vec<Session>, StoreError> {
        self.sessions.list(&who.user).await
    }

    /// Ends one of them, at once. Whether there was such a one.
    pub async fn end_session(
        &self,
        who: &Principal,
        session: SessionDigest,
    ) -> Result<bool, StoreError> {
        self.sessions.end_of(&who.user, session).await
    }

    /// This person's personal access tokens, the newest first.
    pub async fn tokens(&self, who: &Principal) -> Result<Vec<PersonalToken>, StoreError> {
        self.personal.list(&who.user).await
    }

    /// For a person in their browser: a token makes no other.
    pub async fn create_token(
        &self,
        who: &Principal,
        asked: NewToken,
    ) -> Result<(Secret, PersonalToken), TokenError> {
        self.personal.create(&who.user, asked).await
    }

    /// Ends a token of this person's: nobody is let in with it from here on, elsewhere as soon as it
    /// is heard. Whether there was such a one.
    pub async fn revoke_token(&self, who: &Principal, id: &TokenId) -> Result<bool, StoreError> {
        let revoked = self.personal.revoke(&who.user, id).await;
        self.bearers.heed(&Change::Person(who.user.clone()));
        revoked
    }

    /// Whether whoever this is administers the gateway, and proved it in a way that counts for that.
    pub fn administers(&self, who: &Principal) -> bool {
        self.admins.include(who)
    }

    /// Whose access tokens are accepted, each once: ours, and then those of the configuration, in
    /// its order.
    pub fn token_issuers(&self) -> Vec<&str> {
        self.bearers.issuers()
    }

    /// `None` when clients are not served.
    pub fn authorization_server(&self) -> Option<&AuthorizationServer> {
        self.authorization_server.as_ref()
    }

    /// The people of the identity provider, as it provisions them. `None`: it does not.
    pub fn directory(&self) -> Option<&Directory> {
        self.directory.as_ref()
    }

    /// For what is proxied: bearer tokens, and what a proxy in front signed of a program. A cookie
    /// there would let any page that a person visits call with that person's credentials.
    pub fn data_plane(&self) -> Arc<dyn Authenticator> {
        Arc::new(DataPlane {
            bearers: Arc::clone(&self.bearers),
            assertions: Arc::clone(&self.assertions),
        })
    }

    /// For pages and the REST API beside them: a bearer token or, without one, a session cookie.
    pub fn web(&self) -> Arc<dyn Authenticator> {
        Arc::new(WebSurface {
            bearers: Arc::clone(&self.bearers),
            assertions: Arc::clone(&self.assertions),
            sessions: Arc::clone(&self.sessions),
        })
    }

    fn login(&self) -> Result<&Login, LoginError> {
        self.login.as_ref().ok_or(LoginError::NotConfigured)
    }
}

/// Sessions are read each time; only callers with tokens are remembered.
impl Memory for Identity {
    fn heed(&self, change: &Change) {
        self.bearers.heed(change);
    }
}

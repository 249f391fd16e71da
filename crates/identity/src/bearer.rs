//! Callers with a bearer access token of a configured issuer.

mod access_token;
mod introspection;
mod presented;

use std::{net::IpAddr, sync::Arc, time::Duration};

use attache_core::{
    Clock, IssuerId, Principal, PublicOrigin, Timestamp, UserId,
    authenticator::AuthnError,
    changes::{Change, Heard, Since, Standing},
    outage::Outage,
    principal::AuthenticatedBy,
    store::{Person, PersonStore, Profile, StoreError},
};
use attache_crypto::{
    digest::sha256,
    jose,
    random::{self, Random},
};
use attache_oauth::issuer::Issuers;
use quick_cache::sync::Cache;

use self::access_token::Accepts;
pub(crate) use self::{
    access_token::{AccessToken, SKEW, Terms, verify},
    introspection::Introspection,
    presented::presented,
};
use crate::{
    admission::Admission,
    audience::Audiences,
    authorization_server::{OwnToken, OwnTokens},
    claims::Claims,
    personal::{PersonalTokens, is_personal},
    settings::{JwtSettings, OidcSettings},
};

/// How long a caller is remembered without looking again: what is revoked or switched off stops
/// working after this at the latest, also where nobody tells of it.
const REVOCATION_BOUND: Duration = Duration::from_mins(1);
/// That a person's issuer vouches for them is written down at most this often.
const VOUCHED_EVERY: Duration = Duration::from_hours(1);
/// Callers remembered at once; about 500 bytes each. As many as are served at once: each of more
/// would have their signature checked and their person read again at every call.
const REMEMBERED: usize = 100_000;

#[derive(Debug)]
pub(crate) struct Bearers {
    ours: Ours,
    accepts: Vec<Accepts>,
    introspection: Option<Introspection>,
    registry: Registry,
    /// By SHA-256 of the token, so that memory holds none but those that are exchanged.
    remembered: Cache<[u8; 32], Remembered>,
    heard: Heard,
    outage: Arc<Outage>,
}

/// Tokens that we gave ourselves.
#[derive(Debug)]
pub(crate) struct Ours {
    /// To clients that signed people in.
    pub(crate) access: Option<Arc<OwnTokens>>,
    /// To people, for programs of theirs.
    pub(crate) personal: Arc<PersonalTokens>,
}

/// Where callers become people.
#[derive(Debug)]
pub(crate) struct Registry {
    pub(crate) people: Arc<dyn PersonStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) admission: Admission,
}

#[derive(Clone, Debug)]
struct Remembered {
    who: Arc<Principal>,
    since: Since,
    until: Timestamp,
}

impl Bearers {
    pub(crate) fn new(
        accepts: Vec<Accepts>,
        introspection: Option<Introspection>,
        ours: Ours,
        registry: Registry,
        outage: Arc<Outage>,
    ) -> Self {
        Self {
            ours,
            accepts,
            introspection,
            registry,
            remembered: Cache::new(REMEMBERED),
            heard: Heard::default(),
            outage,
        }
    }

    pub(crate) fn issuers(&self) -> Vec<&str> {
        let ours = self.ours.access.iter().map(|own| own.issuer());
        let signed = self.accepts.iter().map(|accepts| accepts.terms.issuer.as_str());
        let theirs = signed.chain(self.introspection.iter().map(Introspection::issuer));
        let mut issuers = Vec::new();
        for issuer in ours.chain(theirs) {
            if !issuers.contains(&issuer) {
                issuers.push(issuer);
            }
        }
        issuers
    }

    pub(crate) fn heed(&self, change: &Change) {
        self.heard.note(change);
    }

    /// No await, no I/O, no allocation. While the store is away, whoever is remembered stays so
    /// until their token expires, unless a change to them was heard.
    pub(crate) fn recall(&self, token: &str, now: Timestamp) -> Option<Arc<Principal>> {
        let Remembered { who, since, until } = self.remembered.get(&sha256(token.as_bytes()))?;
        let checked = match self.heard.standing(since) {
            Standing::Good => now < until || self.outage.is_on(now),
            Standing::Unsure => self.outage.is_on(now),
            Standing::Changed => false,
        };
        (checked && now < who.expires_at).then_some(who)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.registry.clock.now()
    }

    pub(crate) async fn still_admits(&self, who: &Principal) -> Result<bool, AuthnError> {
        if !self.registry.still_admits(who).await? {
            return Ok(false);
        }
        match &who.authenticated_by {
            AuthenticatedBy::PersonalToken(token) => {
                self.ours.personal.is_there(&who.user, token).await.map_err(unavailable)
            }
            AuthenticatedBy::Client(grant) => match &self.ours.access {
                Some(own) => {
                    let now = self.registry.clock.now();
                    own.is_there(&who.user, grant, now).await.map_err(unavailable)
                }
                None => Ok(false),
            },
            AuthenticatedBy::AccessToken(_) | AuthenticatedBy::Session(_) => Ok(true),
        }
    }

    /// Whom something that was checked speaks of, if they are let in.
    pub(crate) async fn recognize(&self, token: AccessToken) -> Result<Principal, AuthnError> {
        self.registry.recognize(token).await
    }

    /// `from` is where it was sent from, if that is known.
    pub(crate) async fn authenticate(
        &self,
        token: &str,
        from: Option<IpAddr>,
    ) -> Result<Arc<Principal>, AuthnError> {
        let digest = sha256(token.as_bytes());
        let refused = |error| {
            if matches!(error, AuthnError::Rejected(_) | AuthnError::SignInAgain) {
                // Not let in again by an outage.
                self.remembered.remove(&digest);
            }
            error
        };
        let proof = self.check(token, from).await.map_err(refused)?;
        let mark = self.heard.mark();
        let recognized = match proof {
            Proof::Ours(own, token) => own.recognize(token, self.registry.clock.now()).await,
            Proof::Theirs(token) => self.registry.recognize(token).await,
            Proof::Personal => self.ours.personal.authenticate(token).await,
        };
        let now = self.registry.clock.now();
        if let Err(error @ AuthnError::Unavailable(_)) = recognized {
            self.outage.noticed(now);
            return self.recall(token, now).ok_or(error);
        }
        self.outage.over();
        let who = Arc::new(recognized.map_err(refused)?);
        let remembered = Remembered {
            who: Arc::clone(&who),
            since: mark.of(&who.user),
            until: now.plus(REVOCATION_BOUND),
        };
        self.remembered.insert(digest, remembered);
        Ok(who)
    }

    /// All that can be told without the store.
    async fn check(&self, token: &str, from: Option<IpAddr>) -> Result<Proof<'_>, AuthnError> {
        if is_personal(token) {
            return Ok(Proof::Personal);
        }
        let (issuer, now) = (jose::claimed_issuer(token), self.registry.clock.now());
        let issuer = issuer.as_deref();
        if let Some(asked) = &self.introspection
            && jose::unproved_claims(token).is_none()
        {
            return asked.check(token, from, now).await.map(Proof::Theirs);
        }
        if let Some(own) = self.ours.access.as_deref().filter(|own| Some(own.issuer()) == issuer) {
            return own.check(token, now).await.map(|checked| Proof::Ours(own, checked));
        }
        let mut outcome = Err(AuthnError::Rejected("the token is of an issuer not trusted here"));
        for accepts in self.accepts.iter().filter(|one| Some(one.terms.issuer.as_str()) == issuer) {
            outcome = accepts.check(token, now).await;
            if outcome.is_ok() {
                break;
            }
        }
        outcome.map(Proof::Theirs)
    }
}

/// What is accepted of each issuer, each once.
pub(crate) fn accepted(
    jwt: &[JwtSettings],
    origin: &PublicOrigin,
    oidc: Option<&OidcSettings>,
    issuers: &mut Issuers,
) -> Vec<Accepts> {
    let mut accepts: Vec<Accepts> = Vec::new();
    for settings in jwt {
        let issuer = issuers.of(&settings.issuer, settings.jwks_uri.as_ref());
        let audience = settings.audience.clone();
        let is_same = |one: &&mut Accepts| {
            Arc::ptr_eq(&one.issuer, &issuer) && one.terms.groups_claim == settings.groups_claim
        };
        if let Some(same) = accepts.iter_mut().find(is_same) {
            same.terms.audiences.insert(audience);
            same.terms.is_exchanged |= settings.is_exchanged;
            continue;
        }
        let mut audiences = Audiences::new(origin.clone());
        audiences.insert(audience);
        accepts.push(Accepts {
            issuer,
            terms: Terms {
                issuer: settings.issuer.clone(),
                audiences,
                subject_claim: settings.subject_claim.clone(),
                groups_claim: settings.groups_claim.clone(),
                is_exchanged: settings.is_exchanged,
                hosted_domains: hosted_domains(oidc, &settings.issuer),
            },
            sign_in_client: oidc
                .filter(|oidc| oidc.issuer == settings.issuer)
                .map(|oidc| oidc.client.id.clone()),
        });
    }
    accepts
}

/// Of which organizations people of this issuer must be.
pub(crate) fn hosted_domains(oidc: Option<&OidcSettings>, issuer: &IssuerId) -> Vec<String> {
    let same = oidc.filter(|oidc| oidc.issuer == *issuer);
    same.map(|oidc| oidc.hosted_domains.clone()).unwrap_or_default()
}

/// A token that is good, but for whose it is.
enum Proof<'a> {
    Ours(&'a OwnTokens, OwnToken),
    Theirs(AccessToken),
    /// Of which only the store knows whether it is.
    Personal,
}

impl Registry {
    async fn still_admits(&self, who: &Principal) -> Result<bool, AuthnError> {
        let found = self.people.find(&who.user).await.map_err(unavailable)?;
        let is_recent = |person: &Person| match who.authenticated_by {
            AuthenticatedBy::PersonalToken(_) => {
                self.admission.is_vouched_for(person, self.clock.now())
            }
            _ => true,
        };
        Ok(found.is_some_and(|person| !person.disabled && is_recent(&person)))
    }

    /// The person the token is of, as [`Claims::profile_over`] what is known of them.
    async fn recognize(&self, token: AccessToken) -> Result<Principal, AuthnError> {
        let now = self.clock.now();
        let found = self.people.find_by_subject(&token.issuer, &token.subject).await;
        let known = found.map_err(unavailable)?;
        if known.as_ref().is_some_and(|person| person.disabled) {
            return Err(SWITCHED_OFF);
        }
        let claims = Claims(&token.claims);
        // A token says what was so when it was issued: what was said since is newer. One that does not
        // say when may be of any time, and is no news of who is known.
        let at = token.issued_at.unwrap_or(now).min(now);
        let is_older = |person: &Person| {
            token.issued_at.is_none() || at.as_seconds() < person.vouched_for_at().as_seconds()
        };
        let profile = match &known {
            Some(person) if is_older(person) => person.profile.clone(),
            Some(person) => claims.profile_over(&person.profile, &token.groups_claim),
            None => claims.profile(&token.groups_claim),
        };
        if !self.admission.permits(profile.email.as_deref()) {
            return Err(AuthnError::Rejected(
                "no verified e-mail address of an allowed domain is known for this token",
            ));
        }
        let person = match known {
            Some(person)
                if is_older(&person)
                    || (person.profile == profile
                        && at.since(person.vouched_for_at()) < VOUCHED_EVERY) =>
            {
                person
            }
            _ => self.enter(&token, &profile, at).await?,
        };
        Ok(Principal {
            user: person.id,
            issuer: token.issuer,
            subject: token.subject,
            email: profile.email,
            name: profile.name,
            groups: profile.groups,
            authenticated_by: AuthenticatedBy::AccessToken(token.presented),
            reach: token.reach,
            expires_at: token.expires_at,
        })
    }

    async fn enter(
        &self,
        token: &AccessToken,
        profile: &Profile,
        at: Timestamp,
    ) -> Result<Person, AuthnError> {
        let fresh = UserId::new(random::token(&*self.random));
        let entered = self.people.upsert(&token.issuer, &token.subject, profile, fresh, at).await;
        let person = entered.map_err(unavailable)?;
        if person.disabled { Err(SWITCHED_OFF) } else { Ok(person) }
    }
}

pub(crate) const SWITCHED_OFF: AuthnError =
    AuthnError::Rejected("this person's access was switched off");

pub(crate) fn unavailable(error: StoreError) -> AuthnError {
    AuthnError::Unavailable(Box::new(error))
}

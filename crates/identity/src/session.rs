//! Who is signed in with a browser.

use std::{sync::Arc, time::Duration};

use attache_core::{
    Clock, Principal, Reach, Secret, UserId,
    audit::{Action, AuditEvent, Outcome},
    principal::{AuthenticatedBy, SessionDigest},
    store::{AuditStore, Result, Session, SessionStore, SignIn},
    subject_token::SubjectTokenKeeper,
};
use attache_crypto::{
    digest::sha256,
    random::{self, Random},
};
use http::{HeaderMap, HeaderValue};

use crate::{
    admission::Admission,
    cookie::{Cookies, Name},
};

/// The browser holds 256 random bits, the store their digest: neither can be made from the other
/// side.
#[derive(Debug)]
pub(crate) struct Sessions {
    pub(crate) store: Arc<dyn SessionStore>,
    pub(crate) audit: Arc<dyn AuditStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) lifetime: Duration,
    pub(crate) cookies: Cookies,
    pub(crate) admission: Admission,
    /// Forgets what the sign-in brought when it ends.
    pub(crate) keeper: Option<Arc<dyn SubjectTokenKeeper>>,
}

impl Sessions {
    /// Always under an id that nobody knew before (session fixation).
    pub(crate) async fn begin(&self, user: UserId, sign_in: &SignIn) -> Result<HeaderValue> {
        let id = Secret::new(random::token(&*self.random));
        let created_at = self.clock.now();
        let expires_at = created_at.plus(self.lifetime);
        let session = Session { digest: digest(&id), user, created_at, expires_at };
        self.store.insert(&session, sign_in).await?;
        Ok(self.cookies.set(Name::Session, &id, self.lifetime))
    }

    /// For whom a proxy in front vouches. Written down before they are signed in.
    pub(crate) async fn begin_vouched(&self, who: &Principal) -> Result<HeaderValue> {
        self.record(who.user.clone(), Action::SignIn).await?;
        let sign_in = SignIn { subject: who.subject.clone(), session: None };
        self.begin(who.user.clone(), &sign_in).await
    }

    /// Read from the store each time: a sign-out counts at once.
    pub(crate) async fn find(&self, headers: &HeaderMap) -> Result<Option<Principal>> {
        let Some(id) = self.cookie(headers) else { return Ok(None) };
        let found = self.store.find(digest(&id), self.clock.now()).await?;
        let found = found.filter(|(_, person)| {
            !person.disabled && self.admission.permits(person.profile.email.as_deref())
        });
        Ok(found.map(|(session, person)| Principal {
            user: person.id,
            issuer: person.issuer,
            subject: person.subject,
            email: person.profile.email,
            name: person.profile.name,
            groups: person.profile.groups,
            authenticated_by: AuthenticatedBy::Session(session.digest),
            reach: Reach::everything(),
            expires_at: session.expires_at,
        }))
    }

    /// With it goes what was approved in this browser and not finished: whoever signs in next is
    /// somebody else, perhaps.
    pub(crate) async fn end(&self, headers: &HeaderMap) -> Result<[HeaderValue; 3]> {
        if let Some(id) = self.cookie(headers) {
            let found = self.store.find(digest(&id), self.clock.now()).await?;
            self.store.remove(digest(&id)).await?;
            if let Some((session, _)) = found {
                self.ended(session.user).await?;
            }
        }
        Ok([Name::Session, Name::Consent, Name::Approved].map(|name| self.cookies.clear(name)))
    }

    pub(crate) async fn list(&self, user: &UserId) -> Result<Vec<Session>> {
        self.store.list(user, self.clock.now()).await
    }

    /// From afar: whether there was such a session of theirs.
    pub(crate) async fn end_of(&self, user: &UserId, digest: SessionDigest) -> Result<bool> {
        let was_there = self.store.remove_of(user, digest).await?;
        if was_there {
            self.ended(user.clone()).await?;
        }
        Ok(was_there)
    }

    /// What was kept is one for all browsers of a person: it ends with whichever they leave.
    pub(crate) async fn ended(&self, user: UserId) -> Result<()> {
        if let Some(keeper) = &self.keeper {
            keeper.forget(&user).await?;
        }
        self.record(user, Action::SignOut).await
    }

    async fn record(&self, user: UserId, action: Action) -> Result<()> {
        let event = AuditEvent {
            at: self.clock.now(),
            user: Some(user),
            server: None,
            method: None,
            action,
            outcome: Outcome::Success,
            request_id: None,
            count: None,
        };
        self.audit.append(&[event]).await
    }

    pub(crate) fn cookie(&self, headers: &HeaderMap) -> Option<Secret> {
        self.cookies.read(headers, Name::Session)
    }
}

fn digest(id: &Secret) -> SessionDigest {
    SessionDigest(sha256(id.expose().as_bytes()))
}

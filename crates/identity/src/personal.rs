//! Personal access tokens: what a person gives a program of theirs that cannot sign in.

mod token;

use std::{sync::Arc, time::Duration};

use attache_core::{
    Clock, Principal, Reach, Secret, Timestamp, TokenId, UserId,
    audit::{Action, AuditEvent, Outcome},
    authenticator::AuthnError,
    principal::AuthenticatedBy,
    store::{AuditStore, PersonalToken, PersonalTokenStore, StoreError},
};
use attache_crypto::{
    digest::{base64url, sha256},
    random::Random,
};

use crate::{
    admission::Admission,
    bearer::{SWITCHED_OFF, unavailable},
};

/// What one person may have at once.
pub const TOKENS_PER_PERSON: u32 = 50;
/// How long a token lives when its owner says nothing, and at most.
pub const DEFAULT_LIFE: Duration = Duration::from_hours(30 * 24);
pub const LONGEST_LIFE: Duration = Duration::from_hours(365 * 24);
/// Bytes of a token's name.
pub const LONGEST_NAME: usize = 64;
/// That it was used is written down at most this often.
const TOUCHED_EVERY: Duration = Duration::from_mins(1);
/// Of a token's id: it names one among a person's.
const ID_BYTES: usize = 9;

/// What a person asks for.
#[derive(Clone, Debug)]
pub struct NewToken {
    pub name: TokenName,
    pub reach: Reach,
    pub life: TokenLife,
}

/// 1 to [`LONGEST_NAME`] bytes on one line.
#[derive(Clone, Debug)]
pub struct TokenName(String);

impl TokenName {
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let fits = (1..=LONGEST_NAME).contains(&text.len()) && !text.contains(char::is_control);
        fits.then(|| Self(text.to_owned()))
    }
}

/// One day at least, [`LONGEST_LIFE`] at most.
#[derive(Clone, Copy, Debug)]
pub struct TokenLife(Duration);

impl TokenLife {
    pub fn of_days(days: u32) -> Option<Self> {
        let life = Duration::from_hours(24 * u64::from(days));
        (days > 0 && life <= LONGEST_LIFE).then_some(Self(life))
    }
}

#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The person's move: revoke one that is not needed any more.
    #[error("there are {TOKENS_PER_PERSON} tokens already")]
    TooMany,
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[derive(Debug)]
pub(crate) struct PersonalTokens {
    pub(crate) store: Arc<dyn PersonalTokenStore>,
    pub(crate) audit: Arc<dyn AuditStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) admission: Admission,
}

/// Whether a bearer token calls itself one of these.
pub(crate) fn is_personal(token: &str) -> bool {
    token.starts_with(token::PREFIX)
}

impl PersonalTokens {
    /// The token is shown once, to whom this returns it; nobody can have it again.
    pub(crate) async fn create(
        &self,
        user: &UserId,
        asked: NewToken,
    ) -> Result<(Secret, PersonalToken), TokenError> {
        let now = self.clock.now();
        let mut id = [0; ID_BYTES];
        self.random.fill(&mut id);
        let secret = token::generate(&*self.random);
        let token = PersonalToken {
            id: TokenId::new(base64url(&id)),
            user: user.clone(),
            name: asked.name.0,
            reach: asked.reach,
            created_at: now,
            expires_at: now.plus(asked.life.0),
            last_used_at: None,
        };
        // Written down before it is there: no token that the audit does not know.
        self.record(user, Action::TokenCreate, now).await?;
        let digest = sha256(secret.expose().as_bytes());
        if !self.store.insert(&token, digest, TOKENS_PER_PERSON).await? {
            return Err(TokenError::TooMany);
        }
        Ok((secret, token))
    }

    pub(crate) async fn list(&self, user: &UserId) -> Result<Vec<PersonalToken>, StoreError> {
        self.store.list(user).await
    }

    /// Whether there was such a token of theirs.
    pub(crate) async fn revoke(&self, user: &UserId, id: &TokenId) -> Result<bool, StoreError> {
        let was_there = self.store.remove(user, id).await?;
        if was_there {
            self.record(user, Action::TokenRevoke, self.clock.now()).await?;
        }
        Ok(was_there)
    }

    /// Groups and address are those of the person's last sign-in.
    pub(crate) async fn authenticate(&self, presented: &str) -> Result<Principal, AuthnError> {
        if !token::is_well_formed(presented) {
            return Err(AuthnError::Rejected("the personal access token was not copied whole"));
        }
        let now = self.clock.now();
        let found = self.store.find(sha256(presented.as_bytes()), now).await;
        let Some((token, person)) = found.map_err(unavailable)? else {
            return Err(AuthnError::Rejected("the personal access token is expired or revoked"));
        };
        if person.disabled {
            return Err(SWITCHED_OFF);
        }
        if !self.admission.permits(person.profile.email.as_deref()) {
            return Err(AuthnError::Rejected("this person is not of an allowed e-mail domain"));
        }
        if !self.admission.is_vouched_for(&person, now) {
            return Err(AuthnError::SignInAgain);
        }
        self.touch(&token, now).await;
        Ok(Principal {
            user: person.id,
            issuer: person.issuer,
            subject: person.subject,
            email: person.profile.email,
            name: person.profile.name,
            groups: person.profile.groups,
            authenticated_by: AuthenticatedBy::PersonalToken(token.id),
            reach: token.reach,
            expires_at: token.expires_at,
        })
    }

    /// Whether the token is still there: for streams that were begun with it.
    pub(crate) async fn is_there(&self, user: &UserId, id: &TokenId) -> Result<bool, StoreError> {
        Ok(self.store.list(user).await?.iter().any(|token| token.id == *id))
    }

    /// Nobody is refused because this cannot be written.
    async fn touch(&self, token: &PersonalToken, now: Timestamp) {
        let before = now.minus(TOUCHED_EVERY);
        if token.last_used_at.is_some_and(|last| last > before) {
            return;
        }
        if let Err(error) = self.store.touch(&token.id, before, now).await {
            tracing::warn!(%error, "when a token was last used is not written down");
        }
    }

    async fn record(&self, user: &UserId, action: Action, at: Timestamp) -> Result<(), StoreError> {
        let event = AuditEvent {
            at,
            user: Some(user.clone()),
            server: None,
            method: None,
            action,
            outcome: Outcome::Success,
            request_id: None,
            count: None,
        };
        self.audit.append(&[event]).await
    }
}

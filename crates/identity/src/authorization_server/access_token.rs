//! Our own access tokens: JWTs of RFC 9068, good for one resource and for minutes (AS-21).

use std::{sync::Arc, time::Duration};

use attache_core::{
    GrantId, Principal, Timestamp, UserId,
    authenticator::AuthnError,
    principal::AuthenticatedBy,
    store::{Grant, GrantStore, PersonStore, StoreError},
};
use attache_crypto::{
    jose::{self, Algorithm, JwtError, Verified},
    random::{self, Random},
};
use serde_json::{Map, Value, json};

use super::{
    keys::{KeysUnavailable, TokenKeys, verifiers},
    request::SCOPE,
    resource::{Resource, Resources},
};
use crate::{admission::Admission, bearer::unavailable, claims::Claims};

const TYPE: &str = "at+jwt";
/// Of which grant a token is: it is good while that is.
const GRANT: &str = "grant_id";

/// Makes them and takes them.
#[derive(Debug)]
pub(crate) struct OwnTokens {
    pub(super) resources: Resources,
    pub(super) keys: Arc<dyn TokenKeys>,
    pub(super) grants: Arc<dyn GrantStore>,
    pub(super) people: Arc<dyn PersonStore>,
    pub(super) admission: Admission,
    pub(super) random: Arc<dyn Random>,
    pub(super) lifetime: Duration,
}

/// One whose signature, type and times are good.
pub(crate) struct OwnToken {
    user: UserId,
    pub(super) grant: GrantId,
    pub(super) client: String,
    resource: Resource,
    expires_at: Timestamp,
}

impl OwnTokens {
    pub(crate) fn issuer(&self) -> &str {
        self.resources.origin.as_str()
    }

    /// A token, and for how long it is good: never longer than its grant.
    pub(super) async fn make(
        &self,
        grant: &Grant,
        now: Timestamp,
    ) -> Result<(String, Duration), KeysUnavailable> {
        let lifetime = self.lifetime.min(grant.expires_at.since(now));
        let claims = json!({
            "iss": self.issuer(),
            "sub": grant.user,
            "aud": grant.resource,
            "client_id": grant.client_id,
            "scope": grant.scopes.join(" "),
            "jti": random::token(&*self.random),
            "iat": now.as_seconds(),
            "exp": now.plus(lifetime).as_seconds(),
            GRANT: grant.id,
        });
        let claims: Map<String, Value> = claims.as_object().cloned().unwrap_or_default();
        Ok((self.keys.current().await?.sign(TYPE, &claims), lifetime))
    }

    pub(crate) async fn check(&self, token: &str, now: Timestamp) -> Result<OwnToken, AuthnError> {
        let keys = verifiers(&*self.keys).await?;
        let verified = jose::verify(token, &keys, Algorithm::ALL).map_err(|error| {
            AuthnError::Rejected(match error {
                JwtError::Malformed => "the token is not a signed JSON web token",
                JwtError::UnknownKey => "the token is signed with a key that is not ours",
                JwtError::Algorithm => "the token is signed with an algorithm not allowed here",
                JwtError::Signature => "the signature of the token is wrong",
            })
        })?;
        let read = self.read(&verified).ok_or(AuthnError::Rejected("the token is not for this"))?;
        if read.expires_at <= now {
            return Err(AuthnError::Rejected("the token has expired"));
        }
        Ok(read)
    }

    /// Whoever the token is of, while its grant is good and they are let in.
    pub(crate) async fn recognize(
        &self,
        token: OwnToken,
        now: Timestamp,
    ) -> Result<Principal, AuthnError> {
        let grant = self.grants.find(&token.grant, now).await.map_err(unavailable)?;
        let grant = grant.filter(|grant| grant.user == token.user);
        grant.ok_or(AuthnError::Rejected("what the token was given for has ended"))?;
        let person = self.people.find(&token.user).await.map_err(unavailable)?;
        let person = person
            .filter(|person| !person.disabled)
            .filter(|person| self.admission.permits(person.profile.email.as_deref()))
            .ok_or(AuthnError::Rejected("this person's access was switched off"))?;
        Ok(Principal {
            user: person.id,
            issuer: person.issuer,
            subject: person.subject,
            email: person.profile.email,
            name: person.profile.name,
            groups: person.profile.groups,
            authenticated_by: AuthenticatedBy::Client(token.grant),
            reach: token.resource.opens.reach(),
            expires_at: token.expires_at,
        })
    }

    /// Whether the grant is still there: for streams that were begun with a token of it.
    pub(crate) async fn is_there(
        &self,
        user: &UserId,
        grant: &GrantId,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let found = self.grants.find(grant, now).await?;
        Ok(found.is_some_and(|grant| grant.user == *user))
    }

    fn read(&self, verified: &Verified) -> Option<OwnToken> {
        let claims = Claims(&verified.claims);
        let ours = verified.typ.as_deref() == Some(TYPE)
            && claims.text("iss") == Some(self.issuer())
            && claims.text("scope")?.split(' ').any(|scope| scope == SCOPE);
        ours.then_some(OwnToken {
            user: UserId::new(claims.text("sub")?),
            grant: GrantId::new(claims.text(GRANT)?),
            client: verified.claims.get("client_id")?.as_str()?.to_owned(),
            resource: self.resources.parse(claims.text("aud")?)?,
            expires_at: claims.time("exp")?,
        })
    }
}

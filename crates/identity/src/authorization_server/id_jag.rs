//! Identity assertion authorization grants (ID-JAG, AS-25): what the company's identity provider
//! asserts to us about a person, for one client, is an approval of that client. Nobody is asked.

use std::{sync::Arc, time::Duration};

use attache_core::{
    ClaimName, ConnectionName, Reach, RequestId, Secret, Timestamp,
    audit::{Action, Outcome},
    authenticator::AuthnError,
    store::{Code, Grant},
};
use attache_crypto::{digest::sha256, jose::Verified, random};
use attache_oauth::issuer::Issuer;
use serde_json::Value;

use super::{
    AuthorizationServer, CODE_LIFE, MAX_GRANTS, SPENT,
    client::Client,
    error::OAuthError,
    params::Params,
    refresh_token::RefreshToken,
    request::SCOPE,
    resource::{Opens, Resource},
    token::Tokens,
};
use crate::{
    bearer::{AccessToken, SKEW, verify},
    claims::Claims,
};

/// RFC 7523 section 2.1.
pub(super) const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// What clients read that we take.
pub(super) const PROFILE: &str = "urn:ietf:params:oauth:grant-profile:id-jag";
const TYPE: &str = "oauth-id-jag+jwt";
/// From an assertion's issue to its end, at most.
const LONGEST_LIFE: Duration = Duration::from_mins(5);
/// How long what a person sees of it lasts: for so long a client's next assertions are of the same
/// grant.
const GRANT_LIFE: Duration = Duration::from_hours(1);

/// Whose assertions are believed.
#[derive(Debug)]
pub(crate) struct Asserter {
    pub(crate) issuer: Arc<Issuer>,
    /// What its people are known by, as when they sign in.
    pub(crate) subject_claim: String,
    pub(crate) groups_claim: ClaimName,
}

/// One that is for us, of this client, and good.
struct Assertion {
    about: AccessToken,
    resource: Option<String>,
    /// Of issuer and `jti`.
    digest: [u8; 32],
    forget_at: Timestamp,
}

impl AuthorizationServer {
    /// A token without a refresh token: for the next one the identity provider is asked again.
    pub(super) async fn redeem_id_jag(
        &self,
        client: &Client,
        params: &Params,
        request: Option<RequestId>,
    ) -> Result<Tokens, OAuthError> {
        let asserter = self.asserter.as_ref().ok_or(OAuthError::UnsupportedGrantType)?;
        // Whoever steals an assertion is no client yet.
        if !client.is_trusted() || !client.is_confidential() {
            return Err(OAuthError::UnauthorizedClient);
        }
        let redeemed = self.believe(asserter, client, params, request.clone()).await;
        if let Err(error) = &redeemed {
            let outcome = Outcome::Failure(error.reason());
            self.write(Action::TokenIssue, outcome, None, None, request).await?;
        }
        redeemed
    }

    async fn believe(
        &self,
        asserter: &Asserter,
        client: &Client,
        params: &Params,
        request: Option<RequestId>,
    ) -> Result<Tokens, OAuthError> {
        let text = params.get("assertion");
        let text = text.ok_or(OAuthError::InvalidRequest("assertion is missing"))?;
        let now = self.clock.now();
        let verified = verify(&asserter.issuer, text).await?;
        let assertion = asserter.read(verified, self.own.issuer(), client, now)?;
        let resource = self.resources().asked(assertion.resource.as_deref());
        let resource = resource.filter(Resource::is_servers).ok_or(OAuthError::InvalidTarget)?;
        let who = self.bearers.recognize(assertion.about).await?;
        let asked = Grant {
            expires_at: now.plus(GRANT_LIFE),
            ..self.unredeemed(client, &resource.url, &who, now)
        };
        self.fits(client, &asked, params)?;
        if !self.spent.spend(assertion.digest, assertion.forget_at, SPENT, now).await? {
            return Err(OAuthError::InvalidGrant("the assertion was used before"));
        }
        let grant = self.standing(asked, now).await?;
        let (access_token, expires_in) = self.own.make(&grant, now).await?;
        self.record(Action::TokenIssue, Outcome::Success, &grant, request).await?;
        Ok(Tokens {
            access_token: Secret::new(access_token),
            expires_in,
            refresh_token: None,
            scope: grant.scopes.join(" "),
        })
    }

    /// The client's grant for this, if it outlives a token; else `asked`, begun.
    async fn standing(&self, asked: Grant, now: Timestamp) -> Result<Grant, OAuthError> {
        let is_it = |one: &Grant| {
            one.client_id == asked.client_id
                && one.resource == asked.resource
                && one.expires_at >= now.plus(self.own.lifetime)
        };
        let active = self.grants.list(&asked.user, now).await?;
        if let Some(one) = active.into_iter().map(|one| one.grant).find(is_it) {
            return Ok(one);
        }
        // A code and a family that nobody is given.
        let code = Code {
            digest: sha256(random::token(&*self.random).as_bytes()),
            challenge: String::new(),
            redirect_uri: String::new(),
            expires_at: now.plus(CODE_LIFE),
        };
        let unknown = RefreshToken::first(&*self.random);
        self.grants.insert(&asked, &code, MAX_GRANTS, now).await?;
        let (family, turn) = (unknown.family(), unknown.turn());
        self.grants.redeem(code.digest, family, turn, asked.expires_at, now).await?;
        Ok(asked)
    }
}

impl Asserter {
    fn read(
        &self,
        verified: Verified,
        us: &str,
        client: &Client,
        now: Timestamp,
    ) -> Result<Assertion, OAuthError> {
        let refused = |why| Err(OAuthError::InvalidGrant(why));
        let claims = Claims(&verified.claims);
        let typ = verified.typ.as_deref().map(str::to_ascii_lowercase);
        let typ = typ.as_deref().map(|typ| typ.strip_prefix("application/").unwrap_or(typ));
        if typ != Some(TYPE) {
            return refused("the assertion is not an ID-JAG");
        }
        if claims.text("iss") != Some(self.issuer.id.as_str()) {
            return refused("the assertion is of another issuer");
        }
        if only(verified.claims.get("aud")) != Some(us) {
            return refused("the assertion is for another authorization server");
        }
        if claims.text("client_id") != Some(&client.id) {
            return refused("the assertion is for another client");
        }
        // Of what we do not understand, nothing is left out.
        if claims.has("cnf") || claims.has("authorization_details") {
            return refused("the assertion asks for more than is done here");
        }
        let (Some(from), Some(until)) = (claims.time("iat"), claims.time("exp")) else {
            return refused("the assertion does not say when it is good");
        };
        if until.plus(SKEW) <= now {
            return refused("the assertion has expired");
        }
        let too_early = |at: Timestamp| at > now.plus(SKEW);
        let not_before = claims.has("nbf").then(|| claims.time("nbf"));
        if too_early(from) || not_before.is_some_and(|at| at.is_none_or(too_early)) {
            return refused("the assertion is not good yet");
        }
        if until > from.plus(LONGEST_LIFE) {
            return refused("the assertion lives longer than five minutes");
        }
        let Some(id) = claims.text("jti") else {
            return refused("the assertion has no jti");
        };
        let scopes = claims.has("scope").then(|| claims.text("scope").unwrap_or_default());
        if scopes.is_some_and(|scopes| !scopes.split(' ').any(|scope| scope == SCOPE)) {
            return Err(OAuthError::InvalidScope);
        }
        let Some(subject) = claims.subject(&self.subject_claim) else {
            return refused("the assertion does not say whom it is about");
        };
        let resource = match verified.claims.get("resource") {
            None => None,
            some => Some(only(some).ok_or(OAuthError::InvalidTarget)?.to_owned()),
        };
        let issuer = self.issuer.id.clone();
        Ok(Assertion {
            digest: sha256(format!("{TYPE}\n{issuer}\n{id}").as_bytes()),
            forget_at: until.plus(SKEW),
            resource,
            about: AccessToken {
                issuer,
                subject,
                reach: Reach::only::<ConnectionName>([]),
                presented: None,
                issued_at: Some(from),
                expires_at: until,
                claims: verified.claims,
                groups_claim: self.groups_claim.clone(),
            },
        })
    }
}

impl Resource {
    /// What a company's policy may speak of: not our API, nor everything.
    fn is_servers(&self) -> bool {
        matches!(self.opens, Opens::Upstream(_) | Opens::Together)
    }
}

/// A text, or a list of one.
fn only(value: Option<&Value>) -> Option<&str> {
    match value? {
        Value::Array(items) => match items.as_slice() {
            [item] => item.as_str(),
            _ => None,
        },
        value => value.as_str(),
    }
}

/// Nothing of it is the client's but the assertion.
impl From<AuthnError> for OAuthError {
    fn from(error: AuthnError) -> Self {
        match error {
            AuthnError::Rejected(why) | AuthnError::Malformed(why) => Self::InvalidGrant(why),
            AuthnError::Unavailable(cause) => {
                tracing::error!(%cause, "an assertion cannot be checked");
                Self::Unavailable
            }
            AuthnError::Missing | AuthnError::SignInAgain => {
                Self::InvalidGrant("the person has to sign in again")
            }
        }
    }
}

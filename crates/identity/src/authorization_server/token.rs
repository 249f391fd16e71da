//! The token endpoint (RFC 6749 sections 4.1.3 and 6, AS-19, AS-20) and revocation (RFC 7009, AS-22).

use std::{sync::Arc, time::Duration};

use attache_core::{
    RequestId, Secret, Timestamp, UserId,
    audit::{Action, Outcome},
    store::{Grant, Issued},
};
use attache_crypto::digest::{base64url, same, sha256};
use http::HeaderMap;

use super::{
    AuthorizationServer, client::Client, client_proof::ClientProof, device, document::Asker,
    error::OAuthError, id_jag, params::Params, refresh_token::RefreshToken, resource::Resource,
};

/// How long a family of refresh tokens lives, however it is used: then the person is asked again.
const FAMILY_LIFE: Duration = Duration::from_hours(90 * 24);

/// What a client gets (RFC 6749 section 5.1).
#[derive(Debug)]
pub struct Tokens {
    pub access_token: Secret,
    pub expires_in: Duration,
    /// None for an assertion: the next one is asked for instead.
    pub refresh_token: Option<Secret>,
    pub scope: String,
}

impl AuthorizationServer {
    /// Answers a form that was posted to the token endpoint.
    pub async fn token(
        &self,
        form: &[u8],
        headers: &HeaderMap,
        request: Option<RequestId>,
    ) -> Result<Tokens, OAuthError> {
        let params = Params::parse(form);
        if params.is_repeated("resource") {
            return Err(OAuthError::InvalidTarget);
        }
        if params.has_repeated() {
            return Err(OAuthError::InvalidRequest("a parameter is there twice"));
        }
        let client = self.client(&params, headers).await?;
        match params.get("grant_type") {
            Some("authorization_code") => self.redeem(&client, &params, request).await,
            Some("refresh_token") => self.refresh(&client, &params, request).await,
            Some(device::GRANT_TYPE) => self.redeem_device(&client, &params, request).await,
            Some(id_jag::GRANT_TYPE) => self.redeem_id_jag(&client, &params, request).await,
            Some(_) => Err(OAuthError::UnsupportedGrantType),
            None => Err(OAuthError::InvalidRequest("grant_type is missing")),
        }
    }

    /// Ends the grant of a token, and says whose it was. What is not a token of this client is nobody's
    /// to end, and no error.
    pub async fn revoke(
        &self,
        form: &[u8],
        headers: &HeaderMap,
        request: Option<RequestId>,
    ) -> Result<Option<UserId>, OAuthError> {
        let params = Params::parse(form);
        if params.has_repeated() {
            return Err(OAuthError::InvalidRequest("a parameter is there twice"));
        }
        let client = self.client(&params, headers).await?;
        let token = params.get("token").ok_or(OAuthError::InvalidRequest("token is missing"))?;
        let now = self.clock.now();
        let grant = match RefreshToken::parse(token) {
            Some(token) => {
                let found = self.grants.find_family(token.family(), now).await?;
                found.map(|family| family.grant)
            }
            None => match self.own.check(token, now).await {
                Ok(token) if token.client == client.id => {
                    self.grants.find(&token.grant, now).await?
                }
                _ => None,
            },
        };
        match grant.filter(|grant| grant.client_id == client.id) {
            Some(grant) => {
                self.end(&grant, Action::GrantRevoke, Outcome::Success, request).await?;
                Ok(Some(grant.user))
            }
            None => Ok(None),
        }
    }

    async fn redeem(
        &self,
        client: &Client,
        params: &Params,
        request: Option<RequestId>,
    ) -> Result<Tokens, OAuthError> {
        let code = params.get("code").ok_or(OAuthError::InvalidRequest("code is missing"))?;
        let digest = sha256(code.as_bytes());
        let now = self.clock.now();
        let issued = self.grants.find_code(digest, now).await?;
        // Whose it is comes first: nobody else can end a grant by bringing its code again (AS-9).
        let issued = issued.filter(|issued| issued.grant.client_id == client.id);
        let issued = issued.ok_or(NO_CODE)?;
        if issued.redeemed {
            return self.replayed(&issued.grant, request).await;
        }
        self.judge(client, &issued, params, now).await?;
        self.issue(digest, issued.grant, request).await
    }

    /// Spends the code of this digest, and begins the family of the grant's tokens.
    pub(super) async fn issue(
        &self,
        code: [u8; 32],
        grant: Grant,
        request: Option<RequestId>,
    ) -> Result<Tokens, OAuthError> {
        let now = self.clock.now();
        // The first token is made before the code is spent: what fails can be tried again.
        let grant = Grant { expires_at: grant.created_at.plus(FAMILY_LIFE), ..grant };
        let tokens = RefreshToken::first(&*self.random);
        let made = self.own.make(&grant, now).await?;
        let (family, turn) = (tokens.family(), tokens.turn());
        if !self.grants.redeem(code, family, turn, grant.expires_at, now).await? {
            return self.replayed(&grant, request).await;
        }
        self.record(Action::TokenIssue, Outcome::Success, &grant, request).await?;
        Ok(answer(&grant, made, &tokens))
    }

    /// What whoever brings a code must prove, before it is spent.
    async fn judge(
        &self,
        client: &Client,
        issued: &Issued,
        params: &Params,
        now: Timestamp,
    ) -> Result<(), OAuthError> {
        let Issued { grant, code, .. } = issued;
        if now >= code.expires_at {
            return Err(NO_CODE);
        }
        if params.get("redirect_uri") != Some(&code.redirect_uri) {
            return Err(OAuthError::InvalidGrant("redirect_uri is not that of the request"));
        }
        let verifier = params.get("code_verifier").filter(|verifier| is_verifier(verifier));
        let proved = verifier.is_some_and(|verifier| {
            let challenge = base64url(&sha256(verifier.as_bytes()));
            same(challenge.as_bytes(), code.challenge.as_bytes())
        });
        if !proved {
            return Err(OAuthError::InvalidGrant("code_verifier is not that of code_challenge"));
        }
        self.fits(client, grant, params)?;
        self.is_let_in(grant).await
    }

    async fn refresh(
        &self,
        client: &Client,
        params: &Params,
        request: Option<RequestId>,
    ) -> Result<Tokens, OAuthError> {
        let given = params.get("refresh_token");
        let given = given.ok_or(OAuthError::InvalidRequest("refresh_token is missing"))?;
        let given = RefreshToken::parse(given).ok_or(NO_REFRESH)?;
        let now = self.clock.now();
        let found = self.grants.find_family(given.family(), now).await?;
        let known = found.filter(|known| known.grant.client_id == client.id).ok_or(NO_REFRESH)?;
        self.fits(client, &known.grant, params)?;
        self.is_let_in(&known.grant).await?;

        let next = given.successor(&*self.keys.succession().await?);
        let made = self.own.make(&known.grant, now).await?;
        let (family, turn) = (given.family(), given.turn());
        let rotated =
            same(&turn, &known.turn) && self.grants.rotate(family, turn, next.turn(), now).await?;
        if !rotated {
            // Somebody was faster, or it was spent before: by a client that did not hear the answer,
            // or by somebody it was stolen by, or from.
            let known = self.grants.find_family(family, now).await?.ok_or(NO_REFRESH)?;
            let again = known.last_turn.is_some_and(|last| same(&last, &turn))
                && now < known.turned_at.plus(self.refresh_grace);
            if !again {
                return self.replayed(&known.grant, request).await;
            }
        }
        self.record(Action::TokenRefresh, Outcome::Success, &known.grant, request).await?;
        Ok(answer(&known.grant, made, &next))
    }

    /// The client, who proved that it is itself as far as it can.
    pub(super) async fn client(
        &self,
        params: &Params,
        headers: &HeaderMap,
    ) -> Result<Arc<Client>, OAuthError> {
        let proof = ClientProof::parse(params, headers)?;
        let refused = OAuthError::InvalidClient { header: proof.header };
        let asker = self.asker(&proof.id, params).await?;
        let client = match self.clients.find(&proof.id, asker).await.map_err(OAuthError::from) {
            Err(OAuthError::InvalidClient { .. }) => return Err(refused),
            found => found?,
        };
        if client.accepts(proof.secret.as_ref()) { Ok(client) } else { Err(refused) }
    }

    /// Whether somebody let the client of this id in, as far as what it brings shows.
    async fn asker(&self, client: &str, params: &Params) -> Result<Asker, OAuthError> {
        let now = self.clock.now();
        let code = params.get("code").or_else(|| params.get("device_code"));
        let code = code.map(|code| sha256(code.as_bytes()));
        let refresh = params.get("refresh_token").or_else(|| params.get("token"));
        let grant = match (code, refresh.and_then(RefreshToken::parse)) {
            (Some(digest), _) => self.grants.find_code(digest, now).await?.map(|found| found.grant),
            (None, Some(token)) => {
                self.grants.find_family(token.family(), now).await?.map(|found| found.grant)
            }
            (None, None) => None,
        };
        let is_theirs = grant.is_some_and(|grant| grant.client_id == client);
        Ok(if is_theirs { Asker::LetIn } else { Asker::Stranger })
    }

    /// Whether no more is asked for than was approved, and the client may still have that.
    pub(super) fn fits(
        &self,
        client: &Client,
        grant: &Grant,
        params: &Params,
    ) -> Result<(), OAuthError> {
        let approved = self.resources().parse(&grant.resource);
        let is_for = |resource: Resource| self.resources().are_for(client, &resource.opens);
        if !approved.is_some_and(is_for) {
            return Err(OAuthError::InvalidGrant("what was approved is not given any more"));
        }
        if let Some(resource) = params.get("resource") {
            let asked = self.resources().asked(Some(resource));
            if asked.is_none_or(|asked| asked.url != grant.resource) {
                return Err(OAuthError::InvalidTarget);
            }
        }
        let scopes = params.get("scope").map(attache_oauth::scope::parse).unwrap_or_default();
        if scopes.iter().all(|scope| grant.scopes.contains(scope)) {
            Ok(())
        } else {
            Err(OAuthError::InvalidScope)
        }
    }

    /// Who was switched off gets nothing more, and who did not sign in for long nothing until then.
    pub(super) async fn is_let_in(&self, grant: &Grant) -> Result<(), OAuthError> {
        let person = self.people.find(&grant.user).await?;
        let person = person
            .filter(|person| !person.disabled)
            .filter(|person| self.admission.permits(person.profile.email.as_deref()))
            .ok_or(OAuthError::InvalidGrant("the person has no access"))?;
        if self.admission.is_vouched_for(&person, self.clock.now()) {
            Ok(())
        } else {
            Err(OAuthError::InvalidGrant("the person has to sign in again"))
        }
    }

    /// Something that was spent came back: whoever has the rest of it may have stolen it.
    pub(super) async fn replayed<T>(
        &self,
        grant: &Grant,
        request: Option<RequestId>,
    ) -> Result<T, OAuthError> {
        let spent = OAuthError::InvalidGrant("it was used before, and everything of it has ended");
        let outcome = Outcome::Failure(spent.reason());
        self.end(grant, Action::TokenReplay, outcome, request).await?;
        Err(spent)
    }
}

const NO_CODE: OAuthError = OAuthError::InvalidGrant("there is no such code, or it has expired");
const NO_REFRESH: OAuthError =
    OAuthError::InvalidGrant("there is no such refresh token, or it has expired");

/// RFC 7636 section 4.1.
fn is_verifier(text: &str) -> bool {
    (43..=128).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
}

fn answer(grant: &Grant, made: (String, Duration), refresh: &RefreshToken) -> Tokens {
    let (access_token, expires_in) = made;
    Tokens {
        access_token: Secret::new(access_token),
        expires_in,
        refresh_token: Some(refresh.text()),
        scope: grant.scopes.join(" "),
    }
}

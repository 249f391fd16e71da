//! Who allowed what to whom, and which codes and tokens came of it.

use std::time::Duration;

use attache_core::Timestamp;
use attache_crypto::digest::{base64url, same, sha256};

use crate::{
    Ambient, Holder, authorize::AuthorizationRequest, bounded::Bounded, client::Client,
    params::Params,
};

const CODE_TTL: Duration = Duration::from_mins(1);
const LIFETIME: Duration = Duration::from_hours(1);

/// What happened since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Consents that were given.
    pub authorizations: u64,
    pub code_exchanges: u64,
    pub refreshes: u64,
    /// Revocations of a token that was known (RFC 7009).
    pub revocations: u64,
    /// Codes and refresh tokens that came a second time; each ended its grant.
    pub reuses: u64,
    /// Requests that followed a redirect of the token endpoint.
    pub trapped: u64,
}

#[derive(Debug)]
pub(super) struct Ledger {
    pub(super) lifetime: Duration,
    pub(super) stats: Stats,
    ambient: Ambient,
    codes: Bounded<Code>,
    grants: Bounded<Grant>,
    access_tokens: Bounded<AccessToken>,
    refresh_tokens: Bounded<RefreshToken>,
}

#[derive(Debug)]
struct Code {
    grant: String,
    redirect_uri: String,
    challenge: String,
    issued_at: Timestamp,
    spent: bool,
}

/// What one consent allows. All tokens that come of it live and die with it.
#[derive(Clone, Debug)]
struct Grant {
    account: &'static str,
    client_id: String,
    scopes: Vec<String>,
    resource: Option<String>,
    ended: bool,
}

#[derive(Debug)]
struct AccessToken {
    grant: String,
    until: Timestamp,
}

#[derive(Debug)]
struct RefreshToken {
    grant: String,
    spent: bool,
}

/// An answer of the token endpoint that grants (RFC 6749 section 5.1).
#[derive(Debug)]
pub(super) struct Issued {
    pub(super) access_token: String,
    pub(super) lifetime: Duration,
    pub(super) refresh_token: Option<String>,
    pub(super) scopes: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    Incomplete,
    NoGrant,
    /// Another resource than the one that was allowed (RFC 8707 section 2).
    OtherTarget,
}

impl Ledger {
    pub(super) fn new(ambient: Ambient) -> Self {
        Self {
            lifetime: LIFETIME,
            stats: Stats::default(),
            ambient,
            codes: Bounded::default(),
            grants: Bounded::default(),
            access_tokens: Bounded::default(),
            refresh_tokens: Bounded::default(),
        }
    }

    /// Writes a consent down and returns its code.
    pub(super) fn authorize(
        &mut self,
        account: &'static str,
        request: AuthorizationRequest,
    ) -> String {
        let (grant, code) = (self.ambient.token("grant"), self.ambient.token("code"));
        self.codes.insert(
            code.clone(),
            Code {
                grant: grant.clone(),
                redirect_uri: request.way_back.redirect_uri.into(),
                challenge: request.code_challenge,
                issued_at: self.ambient.now(),
                spent: false,
            },
        );
        self.grants.insert(
            grant,
            Grant {
                account,
                client_id: request.client_id,
                scopes: request.scopes,
                resource: request.resource,
                ended: false,
            },
        );
        count(&mut self.stats.authorizations);
        code
    }

    /// Trades a code for tokens. A code that comes a second time from its client ends the grant
    /// (RFC 6749 section 4.1.2).
    pub(super) fn exchange(
        &mut self,
        client: &Client,
        params: &Params,
        with_refresh_token: bool,
    ) -> Result<Issued, Refused> {
        let presented = params.get("code").ok_or(Refused::Incomplete)?;
        let verifier = params.get("code_verifier").ok_or(Refused::Incomplete)?;
        let challenge = base64url(&sha256(verifier.as_bytes()));
        let now = self.ambient.now();

        let code = self.codes.get_mut(presented).ok_or(Refused::NoGrant)?;
        let grant = code.grant.clone();
        let allowed = live(&self.grants, &grant, client)?;
        let good = params.get("redirect_uri") == Some(code.redirect_uri.as_str())
            && same(challenge.as_bytes(), code.challenge.as_bytes())
            && now.since(code.issued_at) < CODE_TTL;
        if !good {
            return Err(Refused::NoGrant);
        }
        same_target(params, allowed)?;
        if std::mem::replace(&mut code.spent, true) {
            return Err(self.reused(&grant));
        }
        count(&mut self.stats.code_exchanges);
        self.issue(&grant, with_refresh_token)
    }

    /// Trades a refresh token for an access token and, when it rotates, its successor. One that was
    /// traded before ends the grant (RFC 9700 section 4.14.2).
    pub(super) fn refresh(
        &mut self,
        client: &Client,
        params: &Params,
        rotate: bool,
    ) -> Result<Issued, Refused> {
        let presented = params.get("refresh_token").ok_or(Refused::Incomplete)?;
        let token = self.refresh_tokens.get_mut(presented).ok_or(Refused::NoGrant)?;
        let grant = token.grant.clone();
        same_target(params, live(&self.grants, &grant, client)?)?;
        if token.spent {
            return Err(self.reused(&grant));
        }
        token.spent = rotate;
        count(&mut self.stats.refreshes);
        self.issue(&grant, rotate)
    }

    /// Ends the grant behind a token of this client; any other token is none of its business (RFC
    /// 7009 section 2.1).
    pub(super) fn revoke(&mut self, client: &Client, token: &str) {
        let refresh = self.refresh_tokens.get(token).map(|it| &it.grant);
        let Some(id) = refresh.or_else(|| self.access_tokens.get(token).map(|it| &it.grant)) else {
            return;
        };
        if let Some(grant) = self.grants.get_mut(id).filter(|it| it.client_id == client.id) {
            grant.ended = true;
            count(&mut self.stats.revocations);
        }
    }

    /// Whose an access token is.
    pub(super) fn holder(&self, token: &str) -> Option<Holder> {
        let token = self.access_tokens.get(token).filter(|it| it.until > self.ambient.now())?;
        let grant = self.grants.get(&token.grant).filter(|grant| !grant.ended)?;
        Some(Holder {
            account: grant.account.to_owned(),
            scopes: grant.scopes.clone(),
            resource: grant.resource.clone(),
        })
    }

    pub(super) fn withdraw(&mut self, account: &str) {
        for grant in self.grants.values_mut().filter(|grant| grant.account == account) {
            grant.ended = true;
        }
    }

    pub(super) fn expire_access_tokens(&mut self) {
        let now = self.ambient.now();
        for token in self.access_tokens.values_mut() {
            token.until = token.until.min(now);
        }
    }

    pub(super) fn secrets(&self) -> Vec<String> {
        let tokens = self.access_tokens.keys().chain(self.refresh_tokens.keys());
        self.codes.keys().chain(tokens).map(str::to_owned).collect()
    }

    fn issue(&mut self, grant: &str, with_refresh_token: bool) -> Result<Issued, Refused> {
        let scopes = self.grants.get(grant).ok_or(Refused::NoGrant)?.scopes.clone();
        let access_token = self.ambient.token("at");
        let until = self.ambient.now().plus(self.lifetime);
        self.access_tokens
            .insert(access_token.clone(), AccessToken { grant: grant.to_owned(), until });
        let refresh_token = with_refresh_token.then(|| self.ambient.token("rt"));
        if let Some(token) = &refresh_token {
            let fresh = RefreshToken { grant: grant.to_owned(), spent: false };
            self.refresh_tokens.insert(token.clone(), fresh);
        }
        Ok(Issued { access_token, lifetime: self.lifetime, refresh_token, scopes })
    }

    fn reused(&mut self, grant: &str) -> Refused {
        count(&mut self.stats.reuses);
        if let Some(grant) = self.grants.get_mut(grant) {
            grant.ended = true;
        }
        Refused::NoGrant
    }
}

fn live<'a>(grants: &'a Bounded<Grant>, id: &str, client: &Client) -> Result<&'a Grant, Refused> {
    grants
        .get(id)
        .filter(|grant| !grant.ended && grant.client_id == client.id)
        .ok_or(Refused::NoGrant)
}

fn same_target(params: &Params, grant: &Grant) -> Result<(), Refused> {
    match params.get("resource") {
        Some(wanted) if grant.resource.as_deref() != Some(wanted) => Err(Refused::OtherTarget),
        _ => Ok(()),
    }
}

fn count(counter: &mut u64) {
    *counter = counter.saturating_add(1);
}

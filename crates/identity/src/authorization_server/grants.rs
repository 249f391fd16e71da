//! What a person let clients do, for them to see and to end.

use attache_core::{
    GrantId, Principal, RequestId, Timestamp,
    audit::{Action, Outcome},
    store::{ActiveGrant, Result},
};

use super::{AuthorizationServer, client::Vouched, resource::Opens};

/// A client that a person let in.
#[derive(Clone, Debug)]
pub struct LetIn {
    pub grant: GrantId,
    /// As it was shown to them.
    pub client: String,
    pub vouched: Vouched,
    pub opens: Opens,
    pub since: Timestamp,
    /// When it got an access token last, each good for `access_token_ttl`.
    pub renewed_at: Timestamp,
    /// When they are asked about it again.
    pub expires_at: Timestamp,
}

impl AuthorizationServer {
    /// Whom this person let in, the newest first.
    pub async fn let_in_by(&self, who: &Principal) -> Result<Vec<LetIn>> {
        let grants = self.grants.list(&who.user, self.clock.now()).await?;
        let let_in = grants.into_iter().map(|ActiveGrant { grant, renewed_at }| LetIn {
            vouched: self.clients.vouched(&grant.client_id),
            opens: self.opened_by(&grant),
            grant: grant.id,
            client: grant.client_name,
            since: grant.created_at,
            renewed_at,
            expires_at: grant.expires_at,
        });
        Ok(let_in.collect())
    }

    /// Ends a grant of this person's: no token of it is good from here on, elsewhere as soon as it is
    /// heard. Whether there was such a one.
    pub async fn let_out(
        &self,
        who: &Principal,
        grant: &GrantId,
        request: Option<RequestId>,
    ) -> Result<bool> {
        let found = self.grants.find(grant, self.clock.now()).await?;
        let Some(grant) = found.filter(|grant| grant.user == who.user) else { return Ok(false) };
        self.end(&grant, Action::GrantRevoke, Outcome::Success, request).await?;
        Ok(true)
    }
}

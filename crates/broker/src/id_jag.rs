//! `id_jag`: the identity provider asserts to the upstream's authorization server who somebody is
//! (an ID-JAG), and that server gives a token for it. The person consents to nothing: whoever
//! administers the identity provider decided.

use std::sync::Arc;

use attache_core::{Clock, IssuerId, audit::Reason, outbound::Outbound};
use attache_oauth::token::{ExchangedToken, IdJagGrant};

use crate::{
    authority::Authority,
    connect::ProviderError,
    subject::{Subject, SubjectTokens},
};

/// Both servers, and who we are to each.
#[derive(Debug)]
pub struct CrossAppAccess {
    /// Where people sign in, and who asserts that they did.
    pub sign_in: Arc<SubjectTokens>,
    /// The upstream's authorization server, found by the upstream's address.
    pub authority: Authority,
    pub clock: Arc<dyn Clock>,
}

impl CrossAppAccess {
    /// An assertion is for one server, is shown to that one, and is gone when this returns.
    pub(crate) async fn ask(
        &self,
        outbound: &dyn Outbound,
        subject: &Subject,
    ) -> Result<ExchangedToken, ProviderError> {
        const UNFIT: ProviderError = ProviderError::Refused(Reason::Misconfigured);
        let proof = subject.proof().ok_or(UNFIT)?;
        let terms = self.authority.terms(outbound, &*self.clock).await?;
        let audience = terms.issuer.as_ref().map(IssuerId::as_str).ok_or(UNFIT)?;
        let resource = terms.resource.as_deref().ok_or(UNFIT)?;
        let grant = IdJagGrant { proof, audience, resource, scopes: &terms.scopes };
        let provider = self.sign_in.terms().await?;
        let id_jag = provider.token.id_jag(outbound, grant).await?;
        let redeemed = terms.token.redeem_id_jag(outbound, &id_jag, &terms.scopes).await;
        redeemed.map_err(|error| match error.into() {
            // About the assertion and its person: nothing of it is cured by another sign-in.
            ProviderError::GrantEnded
            | ProviderError::Refused(Reason::AccessDenied | Reason::InvalidRequest) => {
                ProviderError::Refused(Reason::AssertionRefused)
            }
            error @ ProviderError::Refused(Reason::InvalidClient) => {
                self.authority.doubt(&terms, &*self.clock);
                error
            }
            error => error,
        })
    }
}

//! `identity.oidc.store_subject_token`.

use std::sync::Arc;

use attache_broker::SubjectTokens;
use attache_oauth::issuer::Issuer;

use super::Common;
use crate::wire::identity_client;

/// `None` where nothing is kept.
pub(super) fn wire(common: &Common<'_>) -> Option<SubjectTokens> {
    let oidc = common.identity.oidc.as_ref().filter(|oidc| oidc.store_subject_token)?;
    let (outbound, clock) = (Arc::clone(&common.outbound), Arc::clone(&common.world.clock));
    let issuer = Issuer::new(oidc.issuer.clone(), None, Arc::clone(&outbound), &clock);
    let ours = common.identity.jwt.iter().filter(|jwt| jwt.issuer == oidc.issuer);
    let audiences = ours.map(|jwt| jwt.audience.clone()).collect();
    SubjectTokens::new(Arc::new(issuer), identity_client(oidc), audiences, outbound, clock)
}

//! What is exchanged at an upstream of mode `token_exchange` or `entra_obo`, of whom.

use attache_config::model::Identity;
use attache_core::IssuerId;

use super::report::{Check, Finding};

/// `issuer` is whose access tokens the upstream's provider exchanges.
pub(super) fn examine(issuer: &IssuerId, identity: &Identity) -> Vec<Finding> {
    let ours = identity.jwt.iter().filter(|jwt| jwt.issuer == *issuer);
    let audiences: Vec<&str> = ours.map(|jwt| jwt.audience.as_str()).collect();
    if audiences.is_empty() {
        let found = format!("access tokens of {issuer} are exchanged, and none is accepted here");
        let next = "add an [[identity.jwt]] with this issuer";
        return vec![Finding::wrong(Check::SubjectToken, found).write("identity.jwt", next)];
    }
    let own = format!(
        "first the caller's own, an access token of {issuer} for {}",
        audiences.join(" or ")
    );
    vec![Finding::ok(Check::SubjectToken, own), kept(issuer, identity)]
}

fn kept(issuer: &IssuerId, identity: &Identity) -> Finding {
    let check = Check::SubjectToken;
    match identity.oidc.as_ref().filter(|oidc| oidc.issuer == *issuer) {
        None => Finding::ok(check, "people sign in elsewhere, so nothing else is exchanged"),
        Some(oidc) if !oidc.store_subject_token => {
            let found = "who calls with a token of this gateway has nothing to exchange";
            let next = "write true, where such callers are meant to get through";
            Finding::warning(check, found).write("identity.oidc.store_subject_token", next)
        }
        Some(oidc) if !oidc.scopes.iter().any(|scope| scope == "offline_access") => {
            let found = "then what their sign-in left, which may end within the hour: \
                         offline_access is not asked for";
            let next = "add \"offline_access\", unless your provider renews without";
            Finding::warning(check, found).write("identity.oidc.scopes", next)
        }
        Some(_) => Finding::ok(check, "then, of who calls with a token of ours, their sign-in's"),
    }
}

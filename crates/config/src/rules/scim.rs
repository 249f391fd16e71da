//! `[identity.scim]`

use url::Url;

use crate::{
    diagnose::Place,
    model::Scim,
    rules::forward_auth::own_secret,
    schema::{self, Oidc},
    secrets::Secrets,
};

pub(super) fn parse(
    section: &schema::Scim,
    oidc: Option<&Oidc>,
    secrets: &Secrets<'_>,
    place: &Place<'_>,
) -> Option<Scim> {
    let missing = "identity.scim.token is required";
    let token = own_secret(section.token.as_ref(), missing, secrets, &place.key("token"));
    let Some(oidc) = oidc else {
        place.error(
            "there is no identity provider whose people these could be",
            "add [identity.oidc] with issuer and client_id",
        );
        return None;
    };
    let tenant = if oidc.subject_claim == "oid" { Some(tenant(oidc, place)?) } else { None };
    Some(Scim { token: token?, matched: section.matched, tenant, offboard: section.offboard })
}

/// People who are known by `oid` are known by their directory, too, which no attribute says.
fn tenant(oidc: &Oidc, place: &Place<'_>) -> Option<String> {
    let issuer = oidc.issuer.as_deref().and_then(|issuer| Url::parse(issuer).ok());
    let first = issuer.as_ref().and_then(|issuer| issuer.path_segments()?.next());
    let tenant = first.filter(|first| first.contains('-')).map(str::to_owned);
    if tenant.is_none() {
        place.error(
            "people are known by oid, and identity.oidc.issuer does not say of which directory",
            "write https://login.microsoftonline.com/TENANT-ID/v2.0, with the id of yours",
        );
    }
    tenant
}

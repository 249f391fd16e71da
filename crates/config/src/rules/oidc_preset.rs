//! `identity.oidc.preset`, and what must not be said of these providers without one.

use crate::{
    diagnose::Place,
    rules::entra::is_directory_id,
    schema::{Oidc, OidcPreset},
};

const GOOGLE: &str = "https://accounts.google.com";
const ENTRA: &str = "https://login.microsoftonline.com/";
/// Of a directory's people: `sub` is another one in every application.
const ENTRA_SUBJECT: &str = "oid";

/// Says what the preset says, and reports what is not one company's.
pub(super) fn fill(oidc: &mut Oidc, place: &Place<'_>) {
    match oidc.preset {
        Some(OidcPreset::Google) => google(oidc, place),
        Some(OidcPreset::Entra) => entra(oidc, place),
        None if oidc.tenant.is_some() => {
            place.key("tenant").error("only preset \"entra\" has a tenant", "remove it");
        }
        None => {}
    }
    let issuer = oidc.issuer.as_deref().unwrap_or_default();
    if issuer == GOOGLE && oidc.hosted_domains.is_empty() && oidc.preset.is_none() {
        place.key("hosted_domains").warning(
            "everybody who has a Google account may sign in",
            "write hosted_domains = [\"your-domain.example\"]: an address of yours is no proof, \
             anybody can have a Google account with it",
        );
    }
    let tenant = issuer.strip_prefix(ENTRA).and_then(|path| path.split('/').next());
    if matches!(tenant, Some("common" | "organizations" | "consumers")) {
        place.key("issuer").error(
            "this is every directory there is, and no issuer of any token",
            "write preset = \"entra\" and tenant = the id of your directory",
        );
    }
}

fn google(oidc: &mut Oidc, place: &Place<'_>) {
    only(&mut oidc.issuer, GOOGLE.to_owned(), &place.key("issuer"));
    if oidc.hosted_domains.is_empty() {
        place.missing(
            "identity.oidc.hosted_domains is required with preset \"google\"",
            "write the domains of your Google Workspace: without them everybody who has a Google \
             account may sign in",
        );
    }
    if oidc.tenant.is_some() {
        place.key("tenant").error("only preset \"entra\" has a tenant", "remove it");
    }
}

fn entra(oidc: &mut Oidc, place: &Place<'_>) {
    const HELP: &str = "write the id of your directory, such as \
                        \"72f988bf-86f1-41af-91ab-2d7cd011db47\"; a name, common and organizations are none";
    match oidc.tenant.as_deref().map(str::to_ascii_lowercase) {
        Some(tenant) if is_directory_id(&tenant) => {
            only(&mut oidc.issuer, format!("{ENTRA}{tenant}/v2.0"), &place.key("issuer"));
        }
        Some(_) => place.key("tenant").error("this is not the id of an Entra directory", HELP),
        None => place.missing("identity.oidc.tenant is required with preset \"entra\"", HELP),
    }
    match oidc.subject_claim.as_str() {
        "sub" | ENTRA_SUBJECT => ENTRA_SUBJECT.clone_into(&mut oidc.subject_claim),
        _ => place.key("subject_claim").error(
            "people of Entra are known by oid",
            "remove subject_claim: a name or an address is given to somebody else one day",
        ),
    }
}

/// What the preset says is all that may be said.
fn only(said: &mut Option<String>, known: String, place: &Place<'_>) {
    if said.as_ref().is_some_and(|said| *said != known) {
        place.error(format!("with this preset the issuer is {known}"), "remove the issuer");
    }
    *said = Some(known);
}

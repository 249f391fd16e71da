//! `[upstream.auth_broker]` in mode `entra_obo`: what Microsoft Entra's On-Behalf-Of wants.

use attache_core::Secret;
use url::Url;

use crate::{
    diagnose::Place,
    rules::secret,
    schema::{AuthBroker, ClientAuth, Mode, SecretSource},
    secrets::Secrets,
};

/// The directory of `token_endpoint`. Its id and not its name: tokens say which gave them by id.
/// `None` for what was reported.
pub(super) fn tenant(section: &AuthBroker, place: &Place<'_>) -> Option<String> {
    confidential(section, place);
    scopes_alone(section, place);
    let text = section.token_endpoint.as_deref()?;
    let tenant = Url::parse(text).ok().and_then(|url| tenant_of(&url));
    if tenant.is_none() {
        place.key("token_endpoint").error(
            "this is not the token endpoint of one Entra directory",
            "write https://login.microsoftonline.com/TENANT-ID/oauth2/v2.0/token, with the id of \
             yours: common and organizations are none",
        );
    }
    tenant
}

fn tenant_of(endpoint: &Url) -> Option<String> {
    let tenant = endpoint.path().strip_prefix('/')?.strip_suffix("/oauth2/v2.0/token")?;
    let tenant = tenant.to_ascii_lowercase();
    is_directory_id(&tenant).then_some(tenant)
}

/// In lower case.
pub(super) fn is_directory_id(text: &str) -> bool {
    let lengths = text.split('-').map(str::len);
    text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-') && lengths.eq([8, 4, 4, 4, 12])
}

/// Nobody else acts for others there.
fn confidential(section: &AuthBroker, place: &Place<'_>) {
    if section.client_secret.is_none() && section.client_certificate.is_none() {
        place.key("client_secret").missing(
            "auth_broker.client_secret is required for mode \"entra_obo\"",
            "add the secret of the application, or its client_certificate",
        );
    } else if section.client_secret.is_some() && section.client_certificate.is_some() {
        place.key("client_certificate").error(
            "there is a client_secret, too, and only one of them can be sent",
            "remove the client_secret",
        );
    } else if section.client_auth.is_some_and(|method| method != ClientAuth::Post) {
        place.key("client_auth").error(
            "mode \"entra_obo\" sends the client_secret in the form",
            "remove client_auth: it follows from client_secret or client_certificate",
        );
    }
}

pub(super) fn certificate(
    source: &SecretSource,
    mode: Option<Mode>,
    secrets: &Secrets<'_>,
    place: &Place<'_>,
) -> Option<Secret> {
    if mode.is_some_and(|mode| mode != Mode::EntraObo) {
        place.error("client_certificate is for mode \"entra_obo\"", "remove it");
        return None;
    }
    secret(source, secrets, place)
}

/// The second version of the endpoint refuses `resource` (AADSTS9010010).
fn scopes_alone(section: &AuthBroker, place: &Place<'_>) {
    if section.scopes.is_empty() {
        place.key("scopes").missing(
            "auth_broker.scopes is required for mode \"entra_obo\"",
            "write what the upstream's API exposes, such as [\"api://APP-ID/.default\"]",
        );
    }
    if section.scopes.iter().any(|scope| scope == "offline_access") {
        place.key("scopes").warning(
            "offline_access brings a refresh token that is thrown away",
            "remove it: a token is had anew for whoever calls",
        );
    }
    for (name, given) in
        [("resource", section.resource.is_some()), ("audience", section.audience.is_some())]
    {
        if given {
            place.key(name).error(
                format!("auth_broker.{name} has no place in mode \"entra_obo\""),
                "remove it: scopes say what the token is for",
            );
        }
    }
}

//! `[authorization_server]`

use std::time::Duration;

use crate::{
    diagnose::Place,
    model::{AuthorizationServer, OAuthClient},
    rules::{positive, required, secret},
    schema::{self, Span},
    secrets::Secrets,
};

/// What is stolen with an access token is good for so long (AS-21).
const LONGEST_TOKEN: Duration = Duration::from_mins(15);
/// A refresh token that was stolen would be good for so long after it was used.
const LONGEST_GRACE: Duration = Duration::from_mins(5);

/// Schemes that a browser itself does something with.
const OPENED_BY_BROWSERS: [&str; 13] = [
    "about",
    "blob",
    "chrome",
    "data",
    "file",
    "ftp",
    "http",
    "https",
    "intent",
    "javascript",
    "mailto",
    "view-source",
    "ws",
];

pub(super) fn parse(
    section: &schema::AuthorizationServer,
    secrets: &Secrets<'_>,
    place: &Place<'_>,
) -> Option<AuthorizationServer> {
    let ttl = &place.key("access_token_ttl");
    let access_token_ttl = positive(section.access_token_ttl, "access_token_ttl", ttl)
        .and_then(|_| at_most(section.access_token_ttl, LONGEST_TOKEN, "15m", ttl));
    let grace = &place.key("refresh_grace");
    let refresh_grace = at_most(section.refresh_grace, LONGEST_GRACE, "5m", grace);
    let schemes = place.key("private_use_schemes");
    for scheme in section.private_use_schemes.iter().filter(|scheme| !is_private(scheme)) {
        schemes.error(
            format!("{scheme} is not a scheme of a program"),
            "write the scheme alone, in lower case, such as \"cursor\"",
        );
    }
    let clients: Vec<Option<OAuthClient>> = section
        .client
        .iter()
        .enumerate()
        .map(|(index, one)| client(one, section.id_jag, secrets, &place.key("client").index(index)))
        .collect();
    let clients: Vec<OAuthClient> = clients.into_iter().collect::<Option<_>>()?;
    for (index, one) in clients.iter().enumerate() {
        if clients.iter().take(index).any(|other| other.id == one.id) {
            let place = place.key("client").index(index).key("id");
            place.error(format!("there are two clients with the id {}", one.id), "");
        }
    }
    Some(AuthorizationServer {
        dynamic_registration: section.dynamic_registration,
        client_id_metadata_documents: section.client_id_metadata_documents,
        id_jag: section.id_jag,
        access_token_ttl: access_token_ttl?,
        refresh_grace: refresh_grace?,
        gateway_audience: section.gateway_audience,
        all_servers_for_anybody: section.all_servers_for_anybody,
        client_id_hosts: section.client_id_hosts.iter().map(|one| one.to_lowercase()).collect(),
        private_use_schemes: section.private_use_schemes.clone(),
        clients,
    })
}

fn client(
    section: &schema::OAuthClient,
    id_jag: bool,
    secrets: &Secrets<'_>,
    place: &Place<'_>,
) -> Option<OAuthClient> {
    let id = required(section.id.as_deref(), "a client needs an id", &place.key("id"));
    let asks_nobody = id_jag && section.client_secret.is_some();
    if section.redirect_uris.is_empty() && !asks_nobody {
        place.key("redirect_uris").error(
            "a client needs a redirect URI",
            "write the addresses at which it takes codes, such as \"http://127.0.0.1/callback\"",
        );
    }
    let secret = match &section.client_secret {
        Some(source) => secret(source, secrets, &place.key("client_secret")).map(Some),
        None => Some(None),
    };
    let id = id?.to_owned();
    Some(OAuthClient {
        name: section.name.clone().unwrap_or_else(|| id.clone()),
        id,
        redirect_uris: section.redirect_uris.clone(),
        secret: secret?,
    })
}

fn at_most(span: Span, longest: Duration, written: &str, place: &Place<'_>) -> Option<Duration> {
    if span.0 > longest {
        place.error("this is longer than is safe", format!("write \"{written}\" or less"));
        return None;
    }
    Some(span.0)
}

/// RFC 3986 section 3.1.
fn is_private(scheme: &str) -> bool {
    let plain =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte);
    scheme.starts_with(|first: char| first.is_ascii_lowercase())
        && scheme.bytes().all(plain)
        && !OPENED_BY_BROWSERS.contains(&scheme)
}

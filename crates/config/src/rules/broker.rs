//! `[upstream.auth_broker]`: mcpproxy's rules, in its words where it has them, and ours.

use std::time::Duration;

use attache_core::{
    Dialect,
    dialect::{Params, ResourceForm},
};
use url::Url;

use crate::{
    diagnose::Place,
    model::{AuthBroker, ClientAuth, ClientSecret, KeyKind, KeyTest, Leniency, Mode},
    provider::{Templates, fill},
    rules::{entra, header, net, secret},
    schema::{self, BASIC_HEADER_FORMAT, DEFAULT_HEADER, DEFAULT_HEADER_FORMAT},
    secrets::Secrets,
};

pub(super) fn auth_broker(
    section: &mut schema::AuthBroker,
    secrets: &Secrets<'_>,
    templates: &Templates,
    place: &Place<'_>,
) -> Option<AuthBroker> {
    let dialect = fill(section, templates, place);
    let header = section.header.get_or_insert_with(|| DEFAULT_HEADER.to_owned());
    let header = header::injection(header, &place.key("header"));
    let key_kind = section.key_kind.unwrap_or(KeyKind::Key);
    let default_format = match key_kind {
        KeyKind::Key => DEFAULT_HEADER_FORMAT,
        KeyKind::Basic => BASIC_HEADER_FORMAT,
    };
    let header_format = section.header_format.get_or_insert_with(|| default_format.to_owned());
    let header_format = header::format(header_format, &place.key("header_format"));
    let step_up = *section.step_up.get_or_insert(true);
    let section = &*section;
    let mode = mode(section, place);
    if let Some(mode) = mode {
        endpoints_fit(section, mode, place);
        keys_fit(section, mode, place);
    }
    match mode {
        Some(Mode::OauthConnect) => issuer_fits(section, place),
        Some(Mode::IdJag) => is_known_there(section, place),
        _ => {}
    }
    let authorization_endpoint =
        endpoint(section.authorization_endpoint.as_deref(), &place.key("authorization_endpoint"));
    let token_endpoint = endpoint(section.token_endpoint.as_deref(), &place.key("token_endpoint"));
    let revocation_endpoint =
        endpoint(section.revocation_endpoint.as_deref(), &place.key("revocation_endpoint"));
    let issuer =
        optional(section.issuer.as_deref(), |text| net::issuer(text, &place.key("issuer")));
    let client_secret = optional(section.client_secret.as_ref(), |source| {
        client_secret(source, secrets, &place.key("client_secret"))
    });
    let client_auth = client_auth(section, place);
    let client_certificate = optional(section.client_certificate.as_ref(), |source| {
        entra::certificate(source, mode, secrets, &place.key("client_certificate"))
    });
    let key_test = key_test(section, place);
    scopes(&section.scopes, &place.key("scopes"));
    let resource =
        optional(section.resource.as_deref(), |text| resource(text, &place.key("resource")));

    let longest_connection = optional(section.longest_connection.as_ref(), |span| {
        longest_connection(*span, mode, &place.key("longest_connection"))
    });
    let token_params = token_params(section, mode, &place.key("token_params"));
    let tenant = match mode {
        Some(Mode::EntraObo) => Some(entra::tenant(section, place)),
        _ => None,
    };
    let (dialect, form) = (dialect?, section.resource_parameter.map(ResourceForm::from));
    Some(AuthBroker {
        mode: mode?,
        dialect: Dialect {
            resource: form.unwrap_or(dialect.resource),
            token_params: [dialect.token_params, token_params?].concat(),
            ..dialect
        },
        authorization_endpoint: authorization_endpoint.ok()?,
        token_endpoint: token_endpoint.ok()?,
        revocation_endpoint: revocation_endpoint.ok()?,
        issuer: issuer.ok()?,
        client_id: section.client_id.clone(),
        client_secret: client_secret.ok()?,
        client_auth,
        client_certificate: client_certificate.ok()?,
        scopes: section.scopes.clone(),
        resource: resource.ok()?,
        tenant: tenant.map_or(Some(None), |found| found.map(Some))?,
        audience: section.audience.clone(),
        leniency: Leniency {
            pkce: section.assume_pkce,
            resource_metadata: section.allow_missing_metadata,
        },
        prefer_registration: section.prefer_registration,
        key_kind,
        key_test: key_test?,
        step_up,
        longest_connection: longest_connection.ok()?,
        header: header?,
        header_format: header_format?,
    })
}

fn longest_connection(
    span: schema::Span,
    mode: Option<Mode>,
    place: &Place<'_>,
) -> Option<Duration> {
    /// Whoever has to approve more often approves without looking.
    const SHORTEST: Duration = Duration::from_hours(1);
    if mode.is_some_and(|mode| mode != Mode::OauthConnect) {
        place.error("only what people connect by consent ends by itself", "remove it");
        return None;
    }
    if span.0 < SHORTEST {
        place.error("people would connect all day", "write \"1h\" or more");
        return None;
    }
    Some(span.0)
}

fn mode(section: &schema::AuthBroker, place: &Place<'_>) -> Option<Mode> {
    if section.mode.is_none() {
        place.key("mode").missing(
            "auth_broker.mode is required (one of token_exchange, entra_obo, oauth_connect, \
             id_jag, api_key)",
            "",
        );
    }
    section.mode
}

/// What a mode needs, and what it has no use for.
fn endpoints_fit(section: &schema::AuthBroker, mode: Mode, place: &Place<'_>) {
    let token = section.token_endpoint.is_some();
    let authorization = section.authorization_endpoint.is_some();
    let token_required = match mode {
        Mode::OauthConnect => authorization,
        Mode::TokenExchange | Mode::EntraObo => true,
        Mode::IdJag | Mode::ApiKey => false,
    };
    if token_required && !token {
        place.key("token_endpoint").missing("auth_broker.token_endpoint is required", "");
    }
    if mode == Mode::OauthConnect && token && !authorization {
        place.key("authorization_endpoint").missing(
            "auth_broker.authorization_endpoint is required for mode \"oauth_connect\"",
            "add authorization_endpoint, the page of the authorization server where people consent",
        );
    }
    let without = match mode {
        Mode::ApiKey => Some("api_key"),
        Mode::IdJag => Some("id_jag"),
        _ => None,
    };
    if let Some(word) = without {
        let client = mode == Mode::ApiKey;
        for (name, given) in [
            ("token_endpoint", token),
            ("authorization_endpoint", authorization),
            ("revocation_endpoint", section.revocation_endpoint.is_some()),
            ("client_id", client && section.client_id.is_some()),
            ("client_secret", client && section.client_secret.is_some()),
        ] {
            if given {
                place.key(name).warning(
                    format!("auth_broker.{name} has no use in mode \"{word}\""),
                    "remove it",
                );
            }
        }
    } else if token && section.client_id.as_deref().is_none_or(str::is_empty) {
        place.key("client_id").missing(
            "auth_broker.client_id is required with a static token_endpoint",
            "register the gateway at the authorization server and write the id it gave",
        );
    }
}

/// What is only for people who enter a key.
fn keys_fit(section: &schema::AuthBroker, mode: Mode, place: &Place<'_>) {
    if mode == Mode::ApiKey {
        return;
    }
    for (name, given) in [
        ("key_kind", section.key_kind.is_some()),
        ("key_test_url", section.key_test_url.is_some()),
        ("key_test", section.key_test.is_some()),
    ] {
        if given {
            place.key(name).warning(
                format!("auth_broker.{name} has a use in mode \"api_key\" only"),
                "remove it",
            );
        }
    }
}

fn key_test(section: &schema::AuthBroker, place: &Place<'_>) -> Option<KeyTest> {
    match &section.key_test_url {
        Some(_) if section.key_test == Some(false) => {
            place
                .key("key_test")
                .error("there is a key_test_url, and it is never asked", "write one of the two");
            None
        }
        Some(text) => net::secure_url(text, &place.key("key_test_url")).map(KeyTest::At),
        None if section.key_test == Some(false) => Some(KeyTest::Skipped),
        None => Some(KeyTest::Upstream),
    }
}

/// What an exchange says itself: no configuration says whose token it is, or who asks.
const RESERVED: [&str; 15] = [
    "actor_token",
    "actor_token_type",
    "assertion",
    "audience",
    "client_assertion",
    "client_assertion_type",
    "client_id",
    "client_secret",
    "grant_type",
    "requested_token_type",
    "requested_token_use",
    "resource",
    "scope",
    "subject_token",
    "subject_token_type",
];

fn token_params(
    section: &schema::AuthBroker,
    mode: Option<Mode>,
    place: &Place<'_>,
) -> Option<Params> {
    let is_exchange = mode == Some(Mode::TokenExchange);
    if !section.token_params.is_empty() && !is_exchange {
        place.error("token_params are for mode \"token_exchange\"", "remove them");
        return None;
    }
    let mut fine = true;
    for name in section.token_params.keys().filter(|name| RESERVED.contains(&name.as_str())) {
        place.key(name).wrong_key(
            format!("{name} cannot be set here"),
            "audience, resource and scopes have keys of their own; the rest is the gateway's",
        );
        fine = false;
    }
    fine.then(|| section.token_params.clone().into_iter().collect())
}

/// What is shown to one authorization server alone needs its name (OC-6, OC-10).
fn issuer_fits(section: &schema::AuthBroker, place: &Place<'_>) {
    let discovered = section.token_endpoint.is_none() && section.provider.is_none();
    let signs = section.client_auth == Some(ClientAuth::PrivateKeyJwt);
    if section.issuer.is_some() {
        return;
    }
    if signs && !discovered {
        place.key("issuer").missing(
            "auth_broker.issuer is required with client_auth \"private_key_jwt\"",
            "add the authorization server's issuer: what we sign is for it alone",
        );
    } else if section.client_secret.is_some() && discovered {
        place.key("issuer").missing(
            "auth_broker.issuer is required with a client_secret",
            "add the issuer that gave the secret: without it the upstream would say who gets it",
        );
    }
}

/// Who the identity provider names as the audience and the client of what it asserts.
fn is_known_there(section: &schema::AuthBroker, place: &Place<'_>) {
    if section.issuer.is_none() {
        place.key("issuer").missing(
            "auth_broker.issuer is required for mode \"id_jag\"",
            "add the issuer of the upstream's authorization server: what is asserted is for it alone",
        );
    }
    if section.client_id.as_deref().is_none_or(str::is_empty) {
        place.key("client_id").missing(
            "auth_broker.client_id is required for mode \"id_jag\"",
            "register the gateway at the upstream's authorization server and write the id it gave",
        );
    }
}

fn client_secret(
    source: &schema::ClientSecret,
    secrets: &Secrets<'_>,
    place: &Place<'_>,
) -> Option<ClientSecret> {
    let [first, second] = match source {
        schema::ClientSecret::One(source) => {
            return Some(ClientSecret { first: secret(source, secrets, place)?, second: None });
        }
        schema::ClientSecret::Two(sources) => sources,
    };
    let first = secret(first, secrets, &place.index(0));
    let second = secret(second, secrets, &place.index(1));
    let (first, second) = (first?, second?);
    let two = first.expose() != second.expose();
    if !two {
        place.index(1).warning("this is the first secret once more", "write one of them alone");
    }
    Some(ClientSecret { first, second: two.then_some(second) })
}

/// Absent is fine; wrong was reported.
pub(super) fn optional<T, U>(
    given: Option<T>,
    parse: impl FnOnce(T) -> Option<U>,
) -> Result<Option<U>, ()> {
    given.map(|given| parse(given).ok_or(())).transpose()
}

fn endpoint(text: Option<&str>, place: &Place<'_>) -> Result<Option<Url>, ()> {
    optional(text, |text| net::secure_url(text, place))
}

/// As configured; otherwise, where there is nobody to ask, what mcpproxy does (RFC 6749 section
/// 2.3.1).
fn client_auth(section: &schema::AuthBroker, place: &Place<'_>) -> Option<ClientAuth> {
    let default = if section.client_secret.is_some() { ClientAuth::Post } else { ClientAuth::None };
    let default = section.token_endpoint.is_some().then_some(default);
    let client_auth = section.client_auth.or(default)?;
    match (client_auth, &section.client_secret) {
        (ClientAuth::Basic | ClientAuth::Post, None) => place.key("client_secret").missing(
            "this client_auth needs a client_secret",
            "add client_secret = { env = \"NAME\" }, or write client_auth = \"none\"",
        ),
        (ClientAuth::None | ClientAuth::PrivateKeyJwt, Some(_)) => {
            place.key("client_secret").warning(
                "client_secret is never sent with this client_auth",
                "write client_auth = \"basic\" or \"post\", or remove client_secret",
            );
        }
        _ => {}
    }
    Some(client_auth)
}

/// RFC 6749 section 3.3.
pub(crate) fn scopes(scopes: &[String], place: &Place<'_>) {
    let token = |b: u8| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    for (index, scope) in scopes.iter().enumerate() {
        if scope.is_empty() || !scope.bytes().all(token) {
            place.index(index).error(
                "this is not a scope",
                "one scope an item, of visible ASCII without spaces, such as [\"repo\", \"user\"]",
            );
        }
    }
}

/// RFC 8707 section 2.
fn resource(text: &str, place: &Place<'_>) -> Option<String> {
    match Url::parse(text) {
        Ok(uri) if uri.fragment().is_none() => Some(text.to_owned()),
        _ => {
            place.error("resource must be an absolute URI without a fragment", "");
            None
        }
    }
}

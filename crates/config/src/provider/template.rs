//! From the shape of a template to what it says. Like `rules`: every function parses, reports at
//! its [`Place`], and none stops at the first problem.

use std::collections::BTreeMap;

use attache_core::{
    Dialect,
    dialect::{AccountEndpoint, BaseUrl, HostPattern, JsonPath, Params, ResponsePaths, Success},
};
use http::{HeaderName, HeaderValue, header};
use url::Url;

use super::{
    Provider,
    schema::{self, Template},
};
use crate::{
    diagnose::Place,
    rules::{header as headers, net, scopes},
};

/// Parameters that a request speaks for itself, whatever it is.
const RESERVED: &[&str] = &[
    "client_assertion",
    "client_assertion_type",
    "client_id",
    "client_secret",
    "code",
    "code_challenge",
    "code_challenge_method",
    "code_verifier",
    "grant_type",
    "redirect_uri",
    "refresh_token",
    "request",
    "request_uri",
    "resource",
    "response_mode",
    "response_type",
    "state",
];

/// `parameters` are those of `shape`, checked, and `client_id`.
pub(super) fn read(
    shape: &Template,
    parameters: &BTreeMap<String, String>,
    place: &Place<'_>,
) -> Option<Provider> {
    let addresses = Addresses { parameters, place };
    let authorization_endpoint =
        addresses.required(shape.authorization_endpoint.as_ref(), "authorization_endpoint");
    let token_endpoint = addresses.required(shape.token_endpoint.as_ref(), "token_endpoint");
    let revocation_endpoint = shape.revoke.as_ref().and_then(|revoke| {
        addresses.within(&place.key("revoke")).required(revoke.url.as_ref(), "url")
    });
    let issuer = shape.issuer.as_ref().and_then(|text| {
        let place = place.key("issuer");
        let text = substitute(text, parameters, &place)?;
        net::issuer(&text, &place).map(|_| text)
    });
    scopes(&shape.scopes, &place.key("scopes"));
    if let Some(name) = &shape.header {
        headers::injection(name, &place.key("header"));
    }
    if let Some(format) = &shape.header_format {
        headers::format(format, &place.key("header_format"));
    }
    for (name, parameter) in &shape.params {
        if parameter.description.is_none() {
            let place = place.key("params").key(name).key("description");
            place.missing("description is required", "say what an operator should write");
        }
    }
    let dialect = dialect(shape, &addresses, place);
    Some(Provider {
        authorization_endpoint: authorization_endpoint?.into(),
        token_endpoint: token_endpoint?.into(),
        revocation_endpoint: revocation_endpoint.map(String::from),
        issuer,
        client_auth: shape.client_auth,
        scopes: shape.scopes.clone(),
        header: shape.header.clone(),
        header_format: shape.header_format.clone(),
        dialect,
    })
}

fn dialect(shape: &Template, addresses: &Addresses<'_>, place: &Place<'_>) -> Dialect {
    let named = |text: &Option<String>, usual: String, key: &str| {
        word(text.as_deref(), usual, &place.key(key))
    };
    let usual = Dialect::default();
    let response = paths(&shape.response_paths, &place.key("response_paths"));
    Dialect {
        authorize_params: extra(&shape.authorize_params, &place.key("authorize_params")),
        pkce: shape.pkce.into(),
        client_id_param: named(&shape.client_id_param, usual.client_id_param, "client_id_param"),
        scope_param: named(&shape.scope_param, usual.scope_param, "scope_param"),
        scope_separator: separator(shape.scope_separator.as_deref(), &place.key("scope_separator"))
            .map_or(usual.scope_separator, String::from),
        resource: shape.resource.into(),
        code_param: named(&shape.callback_code_param, usual.code_param, "callback_code_param"),
        callback_capture: callback_capture(shape, &place.key("callback_capture")),
        body: shape.body.into(),
        basic: shape.basic.into(),
        token_params: extra(&shape.token_params, &place.key("token_params")),
        refresh_params: extra(&shape.refresh_params, &place.key("refresh_params")),
        token_headers: token_headers(&shape.token_headers, &place.key("token_headers")),
        refresh_endpoint: addresses.optional(shape.refresh_url.as_ref(), "refresh_url"),
        refresh_scope: matches!(shape.refresh_scope, schema::Sending::Send),
        rotation: shape.rotation.into(),
        refresh_lifetime: shape.rt_lifetime.map(|span| span.0),
        refresh_inactivity: shape.rt_inactivity.map(|span| span.0),
        refresh_response: match &shape.refresh_response_paths {
            Some(shape) => paths(shape, &place.key("refresh_response_paths")),
            None => response.clone(),
        },
        response,
        bearer_types: shape.bearer_types.clone(),
        success: shape
            .success_predicate
            .as_ref()
            .and_then(|success| predicate(success, &place.key("success_predicate"))),
        error_path: or_usual(
            shape.error_path.as_deref(),
            usual.error_path,
            &place.key("error_path"),
        ),
        error_map: shape
            .error_map
            .iter()
            .map(|(code, word)| (code.clone(), (*word).into()))
            .collect(),
        expires_unit: shape.expires_unit.into(),
        default_expires_in: shape.default_expires_in.map(|span| span.0),
        token_capture: token_capture(shape, &place.key("token_capture")),
        base_url: base_url(shape, addresses.parameters, place),
        account: shape.account_identity.as_ref().and_then(|account| {
            let place = place.key("account_identity");
            if account.path.is_none() {
                place.key("path").missing("path is required", "");
            }
            let url = addresses.within(&place).required(account.url.as_ref(), "url");
            let path = path(account.path.as_deref()?, &place.key("path"));
            Some(AccountEndpoint { url: url?, path: path? })
        }),
        revocation: shape.revoke.as_ref().map(|revoke| revoke.style).unwrap_or_default().into(),
    }
}

// --- addresses ----------------------------------------------------------------------------------

/// URLs of one table.
struct Addresses<'a> {
    parameters: &'a BTreeMap<String, String>,
    place: &'a Place<'a>,
}

impl Addresses<'_> {
    fn within<'a>(&'a self, place: &'a Place<'a>) -> Addresses<'a> {
        Addresses { parameters: self.parameters, place }
    }

    fn required(&self, text: Option<&String>, key: &str) -> Option<Url> {
        if text.is_none() {
            self.place.key(key).missing(format!("{key} is required"), "");
        }
        self.optional(text, key)
    }

    fn optional(&self, text: Option<&String>, key: &str) -> Option<Url> {
        let place = self.place.key(key);
        net::secure_url(&substitute(text?, self.parameters, &place)?, &place)
    }
}

fn substitute(
    text: &str,
    parameters: &BTreeMap<String, String>,
    place: &Place<'_>,
) -> Option<String> {
    let text = with(text, parameters);
    if let Some(unknown) = placeholder(&text) {
        place.error(
            format!("there is no parameter {{{unknown}}}"),
            "declare it under params, or write what belongs here",
        );
        return None;
    }
    Some(text)
}

fn with(text: &str, parameters: &BTreeMap<String, String>) -> String {
    parameters
        .iter()
        .fold(text.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
}

/// The first name in braces.
fn placeholder(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once('{')?;
    Some(rest.split_once('}').map_or(rest, |(name, _)| name))
}

fn base_url(
    shape: &Template,
    parameters: &BTreeMap<String, String>,
    place: &Place<'_>,
) -> Option<BaseUrl> {
    let hosts_place = place.key("allowed_hosts");
    let allowed_hosts: Vec<HostPattern> = shape
        .allowed_hosts
        .iter()
        .enumerate()
        .filter_map(|(index, text)| host(text, parameters, &hosts_place.index(index)))
        .collect();
    let Some(template) = &shape.base_url else {
        if !shape.allowed_hosts.is_empty() {
            hosts_place.wrong_key("allowed_hosts has no use without base_url", "remove it");
        }
        return None;
    };
    let place = place.key("base_url");
    if shape.allowed_hosts.is_empty() {
        hosts_place.missing(
            "allowed_hosts is required with base_url",
            "name the hosts that credentials may be sent to, such as [\"*.example.com\"]",
        );
    }
    let template = with(template, parameters);
    let captured = |name: &str| {
        shape.token_capture.contains_key(name) || shape.callback_capture.contains_key(name)
    };
    match placeholder(&template) {
        None => place.error("base_url names nothing that was captured", "such as {instance_url}"),
        Some(name) if !captured(name) => place.error(
            format!("{{{name}}} is not captured"),
            "name it under token_capture or callback_capture",
        ),
        Some(_) => {}
    }
    Some(BaseUrl { template, allowed_hosts })
}

fn host(
    text: &str,
    parameters: &BTreeMap<String, String>,
    place: &Place<'_>,
) -> Option<HostPattern> {
    let parsed = HostPattern::parse(&substitute(text, parameters, place)?);
    if parsed.is_none() {
        place.error(
            "this is not a host name",
            "write \"api.example.com\", or \"*.example.com\" for what is below it",
        );
    }
    parsed
}

// --- names --------------------------------------------------------------------------------------

fn word(text: Option<&str>, usual: String, place: &Place<'_>) -> String {
    let Some(text) = text else { return usual };
    if !is_word(text) {
        place.error("this is not the name of a parameter", "letters, digits, _ and -");
    }
    text.to_owned()
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

fn separator(text: Option<&str>, place: &Place<'_>) -> Option<char> {
    let text = text?;
    let mut characters = text.chars();
    match (characters.next(), characters.next()) {
        (Some(one), None) if one == ' ' || one.is_ascii_punctuation() => Some(one),
        _ => {
            place.error("this is not a separator", "one character, such as \",\"");
            None
        }
    }
}

fn extra(given: &BTreeMap<String, String>, place: &Place<'_>) -> Params {
    for name in given.keys() {
        if RESERVED.contains(&name.as_str()) {
            place.key(name).wrong_key(
                format!("{name} cannot be set: every request speaks for itself there"),
                "leave it out",
            );
        } else if !is_word(name) {
            place.key(name).wrong_key("this is not the name of a parameter", "");
        }
    }
    given.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn token_headers(
    given: &BTreeMap<String, String>,
    place: &Place<'_>,
) -> Vec<(HeaderName, HeaderValue)> {
    let ours = [header::ACCEPT, header::AUTHORIZATION, header::CONTENT_TYPE];
    let mut parsed = Vec::new();
    for (name, value) in given {
        let place = place.key(name);
        let Some(header) = headers::parse(name, &place) else { continue };
        if headers::structural(&header) || ours.contains(&header) {
            place.wrong_key(format!("{name} cannot be set: every request has its own"), "");
        } else if let Ok(value) = HeaderValue::from_str(value) {
            parsed.push((header, value));
        } else {
            place.error("a header's value is visible ASCII without line breaks", "");
        }
    }
    parsed
}

// --- answers ------------------------------------------------------------------------------------

fn path(text: &str, place: &Place<'_>) -> Option<JsonPath> {
    let parsed = JsonPath::parse(text);
    if parsed.is_none() {
        place.error(
            "this is not a path",
            "names joined by dots, six at most, such as \"authed_user.access_token\"",
        );
    }
    parsed
}

fn or_usual(text: Option<&str>, usual: JsonPath, place: &Place<'_>) -> JsonPath {
    text.and_then(|text| path(text, place)).unwrap_or(usual)
}

fn paths(shape: &schema::Paths, place: &Place<'_>) -> ResponsePaths {
    let usual = ResponsePaths::default();
    let at = |text: &Option<String>, usual, name: &str| {
        or_usual(text.as_deref(), usual, &place.key(name))
    };
    ResponsePaths {
        access_token: at(&shape.access_token, usual.access_token, "access_token"),
        token_type: at(&shape.token_type, usual.token_type, "token_type"),
        refresh_token: at(&shape.refresh_token, usual.refresh_token, "refresh_token"),
        expires_in: at(&shape.expires_in, usual.expires_in, "expires_in"),
        scope: at(&shape.scope, usual.scope, "scope"),
        scope_separator: separator(shape.scope_separator.as_deref(), &place.key("scope_separator")),
        account: shape.account_id.as_ref().and_then(|text| path(text, &place.key("account_id"))),
    }
}

fn predicate(shape: &schema::Predicate, place: &Place<'_>) -> Option<Success> {
    if shape.path.is_none() || shape.equals.is_none() {
        place.error("a predicate is a path and what is there", "{ path = \"ok\", equals = true }");
    }
    Some(Success { path: path(shape.path.as_deref()?, &place.key("path"))?, equals: shape.equals? })
}

fn token_capture(shape: &Template, place: &Place<'_>) -> BTreeMap<String, JsonPath> {
    let given = shape.token_capture.iter();
    given.filter_map(|(name, text)| Some((name.clone(), path(text, &place.key(name))?))).collect()
}

fn callback_capture(shape: &Template, place: &Place<'_>) -> BTreeMap<String, String> {
    const OURS: [&str; 4] = ["code", "error", "iss", "state"];
    for (name, parameter) in &shape.callback_capture {
        if OURS.contains(&parameter.as_str()) || !is_word(parameter) {
            place.key(name).error("this parameter of the redirect cannot be kept", "");
        }
    }
    shape.callback_capture.clone()
}

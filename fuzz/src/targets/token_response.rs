//! A token endpoint's answer (RFC 6749 section 5), as the RFC has it and as Slack and Salesforce do.
//!
//! Tokens fit a header, lifetimes and lists are bounded, a label is one line, a base URL is on a host
//! that is allowed, no refusal is taken for a success, and a reader that lets the last of equal names
//! win sees the same token.

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
    time::Duration,
};

use attache_core::{
    Dialect, Secret,
    dialect::{BaseUrl, HostPattern, JsonPath, ResponsePaths, Success},
};
use attache_oauth::{
    client_auth::{Client, ClientAuthentication},
    error::TokenError,
    token::{CodeGrant, RefreshGrant, TokenEndpoint, TokenResponse},
};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::Value;
use url::Url;

use super::{
    check::{Elsewhere, assert_scopes},
    scripted::{Scripted, ready},
};
use crate::Outcome;

static DIALECTS: LazyLock<[Arc<Dialect>; 3]> =
    LazyLock::new(|| [Dialect::default(), slack(), salesforce()].map(Arc::new));

pub(crate) fn run(input: &[u8]) -> Outcome {
    let document = Elsewhere::read(input);
    let mut outcome = Outcome::default();
    for (index, dialect) in DIALECTS.iter().enumerate() {
        let answered = |status| Scripted {
            status,
            headers: HeaderMap::new(),
            body: Bytes::copy_from_slice(input),
        };
        let endpoint = endpoint(dialect);
        let refused = exchange(&endpoint, &answered(StatusCode::BAD_REQUEST));
        assert!(refused.is_err(), "400 is no success, whatever it says");
        match exchange(&endpoint, &answered(StatusCode::OK)) {
            Ok(response) => {
                assert_usable(&response, dialect);
                if let Some(document) = document.value() {
                    assert_same_token(&response, &dialect.response, document);
                    let error = &document["error"];
                    assert!(error.is_null() || *error == "", "an error is no success");
                }
                outcome = outcome.and(Outcome::read([
                    index,
                    usize::from(response.expires_in.is_some()),
                    usize::from(response.refresh_token.is_some()),
                    response.scopes.map_or(9, |scopes| scopes.len().min(3)),
                    usize::from(response.account.is_some()),
                    usize::from(response.base_url.is_some()),
                ]));
            }
            Err(error) => outcome = outcome.and(Outcome::refused(&error)),
        }
        if let Ok(response) = refresh(&endpoint, &answered(StatusCode::OK)) {
            assert_usable(&response, dialect);
        }
    }
    outcome
}

fn assert_usable(response: &TokenResponse, dialect: &Dialect) {
    let tokens =
        [Some(&response.access_token), response.refresh_token.as_ref(), response.id_token.as_ref()];
    for token in tokens.into_iter().flatten().map(Secret::expose) {
        assert!((1..=16 * 1024).contains(&token.len()));
        assert!(token.bytes().all(|byte| byte.is_ascii_graphic()), "a token fits a header");
    }
    assert!(response.token_type.eq_ignore_ascii_case("bearer"));
    let life = Duration::ZERO..=Duration::from_hours(10 * 365 * 24);
    assert!(response.expires_in.is_none_or(|expires_in| life.contains(&expires_in)));
    assert_scopes(response.scopes.as_deref().unwrap_or_default());
    if let Some(account) = &response.account {
        assert!((1..=256).contains(&account.len()) && !account.contains(char::is_control));
        let turns = |c| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        assert!(!account.contains(turns), "nothing turns what stands around it");
    }
    if let Some(url) = &response.base_url {
        let base = dialect.base_url.as_ref().expect("only a dialect that wants one gets one");
        assert!(base.allows(url));
    }
}

fn assert_same_token(response: &TokenResponse, paths: &ResponsePaths, document: &Value) {
    let mut here = document;
    for step in paths.access_token.steps() {
        here = match here {
            Value::Array(items) => &items[step.parse::<usize>().unwrap_or_default()],
            other => &other[step],
        };
    }
    assert_eq!(here.as_str(), Some(response.access_token.expose()), "two readers agree");
}

fn endpoint(dialect: &Arc<Dialect>) -> TokenEndpoint {
    TokenEndpoint {
        url: Url::parse("https://as.example.com/token").expect("a URL"),
        client: Client { id: "c".to_owned(), authentication: ClientAuthentication::None },
        dialect: Arc::clone(dialect),
    }
}

fn exchange(endpoint: &TokenEndpoint, server: &Scripted) -> Result<TokenResponse, TokenError> {
    let (code, verifier) = (Secret::new("c"), Secret::new("v"));
    ready(endpoint.exchange_code(
        server,
        CodeGrant {
            code: &code,
            verifier: &verifier,
            redirect_uri: "https://gw.example.com/cb",
            resource: None,
            captured: &BTreeMap::new(),
        },
    ))
}

fn refresh(endpoint: &TokenEndpoint, server: &Scripted) -> Result<TokenResponse, TokenError> {
    let refresh_token = &Secret::new("r");
    ready(endpoint.refresh(server, RefreshGrant { refresh_token, resource: None, scopes: &[] }))
}

fn path(text: &str) -> JsonPath {
    JsonPath::parse(text).expect("a path")
}

fn slack() -> Dialect {
    Dialect {
        response: ResponsePaths {
            access_token: path("authed_user.access_token"),
            token_type: path("authed_user.token_type"),
            refresh_token: path("authed_user.refresh_token"),
            expires_in: path("authed_user.expires_in"),
            scope: path("authed_user.scope"),
            scope_separator: Some(','),
            account: Some(path("team.name")),
        },
        bearer_types: vec!["user".to_owned()],
        success: Some(Success { path: path("ok"), equals: true }),
        ..Dialect::default()
    }
}

fn salesforce() -> Dialect {
    Dialect {
        token_capture: BTreeMap::from([("at".to_owned(), path("instance_url"))]),
        base_url: Some(BaseUrl {
            template: "{at}".to_owned(),
            allowed_hosts: vec![HostPattern::parse("*.salesforce.com").expect("a pattern")],
        }),
        ..Dialect::default()
    }
}

//! `Retry-After` and `Cache-Control` (RFC 9110 section 10.2.3, RFC 9111 section 5.2.2): one value a
//! line, the same for both.
//!
//! A server can neither lock people out for longer than an hour, nor have its metadata believed for
//! longer than a day, nor asked for more often than every five minutes.

use std::time::Duration;

use attache_core::IssuerId;
use attache_oauth::{
    client_metadata::{ClientMetadata, Ourselves},
    discover::OpenIdProvider,
    register::{RegistrationError, register},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use url::Url;

use super::scripted::{Scripted, ready};
use crate::Outcome;

pub(crate) fn run(input: &[u8]) -> Outcome {
    let mut headers = HeaderMap::new();
    for line in input.split(|byte| *byte == b'\n').take(64) {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(header::RETRY_AFTER, value.clone());
            headers.append(header::CACHE_CONTROL, value);
        }
    }
    let document = Bytes::from_static(
        br#"{"issuer":"https://as.example.com","authorization_endpoint":"https://as.example.com/a",
            "token_endpoint":"https://as.example.com/t","jwks_uri":"https://as.example.com/j"}"#,
    );
    let mut server = Scripted { status: StatusCode::OK, headers, body: document };
    let issuer = IssuerId::new("https://as.example.com");
    let found = ready(OpenIdProvider::discover(&server, &issuer)).expect("it is there");
    let fresh_for = found.fresh_for;
    assert!((Duration::from_mins(5)..=Duration::from_hours(24)).contains(&fresh_for));

    server.status = StatusCode::TOO_MANY_REQUESTS;
    let retry_after = match ready(register(&server, &issuer, &url(), &metadata(), None)) {
        Err(RegistrationError::Unavailable { retry_after }) => retry_after,
        other => unreachable!("429 is for later: {other:?}"),
    };
    assert!(retry_after.is_none_or(|wait| wait <= Duration::from_hours(1)));
    let kind = |time: Duration| time.as_secs().checked_ilog2().map_or(0, |log| log as usize + 1);
    Outcome::read([kind(fresh_for), retry_after.map_or(99, kind)])
}

fn url() -> Url {
    Url::parse("https://as.example.com/register").expect("a URL")
}

fn metadata() -> ClientMetadata {
    let us = Ourselves { client_name: "attache", redirect_uri: &url(), jwks_uri: None };
    ClientMetadata::new(&us, attache_oauth::auth_method::AuthMethod::None)
        .expect("no key is needed")
}

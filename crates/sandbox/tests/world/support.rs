use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use attache_core::{Clock, Secret, Timestamp};
use attache_crypto::{
    digest::{base64url, sha256},
    random::SystemRandom,
};
use attache_sandbox::{Ambient, AuthorizationServer, Browser, Client, Page, people::ADA};
use bytes::Bytes;
use http::{Method, Request, header};
use serde_json::Value;
use url::Url;

pub(crate) const ANYWHERE: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// Nothing listens there; the tests steal what would arrive.
pub(crate) const CALLBACK: &str = "http://127.0.0.1:1/callback";
pub(crate) const VERIFIER: &str = "a-verifier-of-forty-three-characters-or-more";

/// A clock that moves when it is told to.
#[derive(Debug)]
pub(crate) struct Hour(AtomicI64);

impl Hour {
    pub(crate) fn passes(&self, span: Duration) {
        self.0.fetch_add(i64::try_from(span.as_millis()).unwrap(), Ordering::Relaxed);
    }
}

impl Clock for Hour {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }
}

pub(crate) fn ambient() -> (Ambient, Arc<Hour>) {
    let hour = Arc::new(Hour(AtomicI64::new(1_795_435_200_000)));
    (Ambient { clock: Arc::clone(&hour) as _, random: Arc::new(SystemRandom) }, hour)
}

pub(crate) fn gateway() -> Client {
    Client {
        id: "gateway".to_owned(),
        secret: Some(Secret::new("hush")),
        redirect_prefix: CALLBACK.to_owned(),
    }
}

/// An authorization server that knows the gateway.
pub(crate) async fn notes() -> (AuthorizationServer, Arc<Hour>) {
    let (ambient, hour) = ambient();
    let notes = AuthorizationServer::start(ANYWHERE, ambient).await.unwrap();
    notes.register(gateway());
    (notes, hour)
}

/// An authorization request of the gateway at `base`, with these parameters changed or, when
/// empty, left out.
pub(crate) fn authorization_url(base: &Url, changes: &[(&str, &str)]) -> Url {
    let challenge = base64url(&sha256(VERIFIER.as_bytes()));
    let usual = [
        ("response_type", "code"),
        ("client_id", "gateway"),
        ("redirect_uri", CALLBACK),
        ("state", "a state"),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ];
    let mut url = base.join("/authorize").unwrap();
    let is_usual = |name: &str| !changes.iter().any(|(it, _)| *it == name);
    url.query_pairs_mut()
        .extend_pairs(usual.iter().filter(|(name, _)| is_usual(name)))
        .extend_pairs(changes.iter().filter(|(_, value)| !value.is_empty()));
    url
}

/// The values of a parameter of the URL a redirect leads to.
pub(crate) fn returned(page: &Page, name: &str) -> Vec<String> {
    let url = page.location().expect("a redirect");
    url.query_pairs().filter(|(it, _)| it == name).map(|(_, value)| value.into_owned()).collect()
}

/// Ada's code, for `resource`.
pub(crate) async fn code_of_ada(notes: &AuthorizationServer, resource: &str) -> String {
    let url = authorization_url(notes.url(), &[("resource", resource)]);
    let page = Browser::of(ADA).open(&url).await.unwrap();
    returned(&page, "code").concat()
}

pub(crate) async fn post(url: &Url, fields: &[(&str, &str)]) -> Page {
    Browser::new().send(form_request(url, fields)).await.unwrap()
}

pub(crate) fn form_request(url: &Url, fields: &[(&str, &str)]) -> Request<Bytes> {
    let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    Request::post(url.as_str())
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(form.into())
        .unwrap()
}

/// The fields of a token request for a code.
pub(crate) fn for_code(code: &str) -> Vec<(&str, &str)> {
    vec![
        ("grant_type", "authorization_code"),
        ("client_id", "gateway"),
        ("client_secret", "hush"),
        ("code", code),
        ("code_verifier", VERIFIER),
        ("redirect_uri", CALLBACK),
    ]
}

/// The fields of a token request for a refresh token.
pub(crate) fn for_refresh(token: &str) -> Vec<(&str, &str)> {
    vec![
        ("grant_type", "refresh_token"),
        ("client_id", "gateway"),
        ("client_secret", "hush"),
        ("refresh_token", token),
    ]
}

pub(crate) async fn token(notes: &AuthorizationServer, fields: &[(&str, &str)]) -> Page {
    post(&notes.url().join("/token").unwrap(), fields).await
}

/// A member of a JSON answer as text; empty when it is not there.
pub(crate) fn member(page: &Page, name: &str) -> String {
    let json = page.json().unwrap_or_default();
    json.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

pub(crate) async fn call(
    method: Method,
    url: &Url,
    bearer: Option<&str>,
    body: impl Into<Bytes>,
) -> Page {
    let mut request = Request::builder().method(method).uri(url.as_str());
    if let Some(token) = bearer {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    let request = request
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::ACCEPT, "application/json, text/event-stream")
        .body(body.into())
        .unwrap();
    Browser::new().send(request).await.unwrap()
}

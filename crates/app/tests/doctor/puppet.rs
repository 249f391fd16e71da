//! An upstream and its authorization server on one host, that say whatever a test wants.

use std::{
    collections::HashMap,
    net::Ipv4Addr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use attache_core::{Clock as _, SystemClock};
use attache_sandbox::MARKER;
use axum::{Router, extract::State, response::Response};
use http::{StatusCode, Uri, header};
use serde_json::{Value, json};
use tokio::{net::TcpListener, runtime::Handle};

pub(crate) const AS_METADATA: &str = "/.well-known/oauth-authorization-server/as";
const RESOURCE_METADATA: &str = "/.well-known/oauth-protected-resource/mcp";

#[derive(Clone, Debug)]
pub(crate) struct Puppet {
    origin: String,
    state: Arc<Mutex<Mood>>,
}

#[derive(Clone, Debug, Default)]
struct Mood {
    says: HashMap<&'static str, Said>,
    clock_ahead: Duration,
    greets_anybody: bool,
}

#[derive(Clone, Debug)]
struct Said {
    status: u16,
    kind: &'static str,
    body: String,
}

impl Puppet {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let puppet = Self { origin: format!("http://{address}"), state: Arc::default() };
        puppet.behave();
        let routes = Router::new().fallback(answer).with_state(puppet.clone());
        Handle::current().spawn(async move { axum::serve(listener, routes).await });
        puppet
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    /// As a server should.
    pub(crate) fn behave(&self) {
        let json = |status, body: &Value| Said {
            status,
            kind: "application/json",
            body: body.to_string(),
        };
        let server = json!({
            "issuer": self.url("/as"),
            "authorization_endpoint": self.url("/as/authorize"),
            "token_endpoint": self.url("/as/token"),
            "revocation_endpoint": self.url("/as/revoke"),
            "scopes_supported": ["notes", "offline_access"],
            "token_endpoint_auth_methods_supported": ["client_secret_post"],
            "code_challenge_methods_supported": ["S256"],
        });
        let resource = json!({
            "resource": self.url("/mcp"),
            "authorization_servers": [self.url("/as")],
        });
        let refusal = json!({ "error": "invalid_grant", "error_description": MARKER });
        let mut state = self.state();
        state.clock_ahead = Duration::ZERO;
        state.greets_anybody = false;
        state.says = HashMap::from([
            ("/mcp", json(401, &Value::Null)),
            (RESOURCE_METADATA, json(200, &resource)),
            (AS_METADATA, json(200, &server)),
            ("/as/token", json(400, &refusal)),
        ]);
    }

    /// A field of the authorization server's metadata.
    pub(crate) fn publish_as(&self, name: &str, value: &Value) {
        self.publish(AS_METADATA, name, value);
    }

    /// A field of the upstream's.
    pub(crate) fn publish_resource(&self, name: &str, value: &Value) {
        self.publish(RESOURCE_METADATA, name, value);
    }

    /// Answers with this status and an object.
    pub(crate) fn show(&self, path: &'static str, status: u16) {
        let body = json!({ "error": MARKER }).to_string();
        self.state().says.insert(path, Said { status, kind: "application/json", body });
    }

    pub(crate) fn show_page(&self, path: &'static str, status: u16) {
        let body = format!("<!doctype html><p>{MARKER}</p>");
        self.state().says.insert(path, Said { status, kind: "text/html; charset=utf-8", body });
    }

    pub(crate) fn set_clock_ahead(&self, ahead: Duration) {
        self.state().clock_ahead = ahead;
    }

    /// Answers `initialize` without a token, and nothing after it.
    pub(crate) fn greet_anybody(&self) {
        self.state().greets_anybody = true;
    }

    fn publish(&self, path: &str, name: &str, value: &Value) {
        let mut state = self.state();
        let said = state.says.get_mut(path).expect("it is published");
        let mut document: Value = serde_json::from_str(&said.body).expect("a document");
        document[name] = value.clone();
        said.body = document.to_string();
    }

    fn state(&self) -> MutexGuard<'_, Mood> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn answer(State(puppet): State<Puppet>, uri: Uri, body: String) -> Response {
    let state = puppet.state().clone();
    let now = SystemClock.now().plus(state.clock_ahead).as_seconds();
    let now = jiff::Timestamp::from_second(now).expect("a time of our days");
    let date = now.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let plain = |status| Said { status, kind: "text/plain", body: MARKER.to_owned() };
    let said = if state.greets_anybody && body.contains("initialize") {
        plain(200)
    } else {
        state.says.get(uri.path()).cloned().unwrap_or_else(|| plain(404))
    };
    let metadata = puppet.url(RESOURCE_METADATA);
    let challenge = format!("Bearer realm=\"{MARKER}\", resource_metadata=\"{metadata}\"");
    Response::builder()
        .status(StatusCode::from_u16(said.status).expect("a status"))
        .header(header::DATE, date)
        .header(header::CONTENT_TYPE, said.kind)
        .header(header::LOCATION, "https://elsewhere.example.com/")
        .header(header::WWW_AUTHENTICATE, challenge)
        .body(said.body.into())
        .expect("a response")
}

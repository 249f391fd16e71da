//! Callers' tokens that are exchanged for the upstream's: whose, at whom, and what comes back.

use std::sync::{Arc, Mutex, PoisonError};

use attache_sandbox::people::{ADA, GRACE};
use axum::{
    Form, Router,
    extract::State,
    response::{IntoResponse as _, Response},
    routing::post,
};
use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use serde_json::json;
use tokio::{net::TcpListener, runtime::Handle};

use crate::world::{CLIENT_SECRET, Surroundings, World};

/// A server that exchanges tokens, and counts those it gives. It lies on request.
#[derive(Clone, Debug)]
pub(crate) struct Exchanger {
    url: String,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Debug, Default)]
struct Seen {
    forms: Vec<Vec<(String, String)>>,
    /// Given instead of the truth, the last first.
    lies: Vec<(u16, &'static str)>,
}

const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

impl Exchanger {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/token", listener.local_addr().expect("an address"));
        let exchanger = Self { url, seen: Arc::default() };
        let routes = Router::new().route("/token", post(exchange)).with_state(exchanger.clone());
        Handle::current().spawn(async move { axum::serve(listener, routes).await });
        exchanger
    }

    async fn world(&self) -> World {
        self.world_among(Surroundings::default()).await
    }

    pub(crate) async fn world_among(&self, surroundings: Surroundings) -> World {
        let more = surroundings.more + &self.upstream("hr");
        let surroundings = Surroundings { more, ..surroundings };
        World::among("sqlite:attache.db", surroundings).await
    }

    /// One for which tokens are exchanged here.
    pub(crate) fn upstream(&self, name: &str) -> String {
        format!(
            r#"
[[upstream]]
name = "{name}"
url = "{{bare}}{name}"
protocol = "http"
[upstream.auth_broker]
mode = "token_exchange"
token_endpoint = "{}"
client_id = "attache"
client_secret = "{CLIENT_SECRET}"
audience = "hr-api"
scopes = ["read"]
token_params = {{ connection = "hr" }}
"#,
            self.url
        )
    }

    pub(crate) fn lie(&self, status: u16, body: &'static str) {
        self.seen().lies.push((status, body));
    }

    pub(crate) fn asked(&self) -> usize {
        self.seen().forms.len()
    }

    pub(crate) fn said(&self, name: &str) -> Vec<String> {
        let seen = self.seen();
        let form = seen.forms.last().expect("it was asked");
        form.iter().filter(|(key, _)| key == name).map(|(_, value)| value.clone()).collect()
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn exchange(
    State(exchanger): State<Exchanger>,
    Form(form): Form<Vec<(String, String)>>,
) -> Response {
    let mut seen = exchanger.seen();
    seen.forms.push(form);
    let number = seen.forms.len();
    let json = [(header::CONTENT_TYPE, "application/json")];
    if let Some((status, body)) = seen.lies.pop() {
        return (StatusCode::from_u16(status).expect("a status"), json, body).into_response();
    }
    let body = format!(
        r#"{{"access_token":"given-{number}","issued_token_type":"{ACCESS_TOKEN}",
            "token_type":"Bearer","expires_in":600}}"#
    );
    (json, body).into_response()
}

/// What the upstream was called with last.
pub(crate) fn arrived(world: &World) -> Vec<String> {
    let last = world.bare.arrived().pop().expect("a request");
    last.all("authorization").into_iter().map(str::to_owned).collect()
}

#[tokio::test]
async fn everybody_is_called_for_with_a_token_of_their_own_sign_in() {
    let exchanger = Exchanger::start().await;
    let world = exchanger.world().await;
    let (ada, grace) = (world.program(ADA), world.program(GRACE));
    for (program, token) in [(&ada, "Bearer given-1"), (&grace, "Bearer given-2")] {
        for _ in 0..3 {
            let page = program.get("/http/hr/me").await;
            assert_eq!(page.status, 200, "{}", page.body);
            assert_eq!(arrived(&world), [token], "had once, used by its person alone");
        }
        assert_eq!(exchanger.said("subject_token"), [program.token.as_str()]);
    }
    for (name, value) in [
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("subject_token_type", ACCESS_TOKEN),
        ("requested_token_type", ACCESS_TOKEN),
        ("audience", "hr-api"),
        ("scope", "read"),
        ("connection", "hr"),
        ("client_id", "attache"),
    ] {
        assert_eq!(exchanger.said(name), [value]);
    }
    assert_eq!(exchanger.said("actor_token"), Vec::<String>::new());

    // Whoever signs in anew, perhaps with less, is asked about anew.
    world.later(std::time::Duration::from_secs(1));
    assert_eq!(world.program(ADA).get("/http/hr/me").await.status, 200);
    assert_eq!((arrived(&world), exchanger.asked()), (vec!["Bearer given-3".to_owned()], 3));

    // There is nothing to connect, and nothing is stored.
    assert_eq!(world.count("credential").await, 0);
    let mut visitor = world.ada().await;
    assert_eq!(visitor.visit("/connect/hr").await.url.path(), "/ui/connections");
    let own = visitor.url("/").origin().ascii_serialization();
    let begin = Request::builder()
        .method(Method::POST)
        .uri(visitor.url("/connect/hr").as_str())
        .header(header::ORIGIN, own)
        .body(Bytes::new());
    assert_eq!(visitor.send(begin.unwrap()).await.status, 404);
    world.end().await;
}

/// TX-4: a token of another issuer is not shown to the exchanging server, which could use it.
#[tokio::test]
async fn what_another_issuer_gave_is_not_exchanged() {
    let exchanger = Exchanger::start().await;
    let world = exchanger.world().await;
    let claims = json!({
        "iss": world.forge.issuer,
        "aud": world.origin.origin().ascii_serialization(),
        "sub": "ada",
        "exp": world.now() + 600,
    });
    let program = world.program_with(&world.forge.sign("at+jwt", &claims));
    let told = program.get("/http/hr/me").await;
    assert_eq!(told.status, 403, "{}", told.body);
    assert!(told.body.contains("/problems/exchange-refused"), "{}", told.body);
    assert!(told.body.contains("cannot be exchanged"), "{}", told.body);
    assert_eq!((exchanger.asked(), world.bare.arrived().len()), (0, 0));
    world.end().await;
}

/// TX-1, TX-2: what is not exactly what was asked for is sent nowhere, whatever it is called.
#[tokio::test]
async fn an_exchange_that_lies_gives_nothing() {
    const AWAY: &str = "credential-unavailable";
    const REFUSED: &str = "exchange-refused";
    let exchanger = Exchanger::start().await;
    let world = exchanger.world().await;
    for (status, body, kind) in [
        (
            200,
            r#"{"access_token":"x","issued_token_type":"urn:ietf:params:oauth:token-type:id-jag","token_type":"N_A"}"#,
            AWAY,
        ),
        (
            200,
            r#"{"access_token":"x","issued_token_type":"urn:ietf:params:oauth:token-type:access_token","token_type":"N_A"}"#,
            AWAY,
        ),
        (200, r#"{"access_token":"x","token_type":"Bearer"}"#, AWAY),
        (
            200,
            r#"{"access_token":"x\r\nX-Admin: 1","issued_token_type":"urn:ietf:params:oauth:token-type:access_token","token_type":"Bearer"}"#,
            AWAY,
        ),
        (503, "", AWAY),
        (400, r#"{"error":"invalid_request","error_description":"attacker-words"}"#, REFUSED),
        (400, r#"{"error":"invalid_grant"}"#, REFUSED),
        (400, r#"{"error":"access_denied"}"#, REFUSED),
        (400, r#"{"error":"invalid_target"}"#, "credential-misconfigured"),
    ] {
        let (asked, ada) = (exchanger.asked(), world.program(ADA));
        exchanger.lie(status, body);
        for _ in 0..2 {
            let told = ada.get("/http/hr/me").await;
            assert!(told.body.contains(&format!("/problems/{kind}")), "{body}: {}", told.body);
            assert!(!told.body.contains("attacker-words"), "{}", told.body);
        }
        assert_eq!(exchanger.asked(), asked + 1, "{body}: it is not asked again at once");
        assert_eq!(world.bare.arrived().len(), 0, "{body}");
        world.later(std::time::Duration::from_mins(2));
    }
    assert_eq!(world.program(ADA).get("/http/hr/me").await.status, 200, "nothing of it sticks");
    world.end().await;
}

#[tokio::test]
async fn a_token_that_the_upstream_refuses_is_had_anew_once() {
    let exchanger = Exchanger::start().await;
    let world = exchanger.world().await;
    let ada = world.program(ADA);
    world.bare.refuse_next(1);
    assert_eq!(ada.get("/http/hr/me").await.status, 200);
    assert_eq!((arrived(&world), exchanger.asked()), (vec!["Bearer given-2".to_owned()], 2));

    world.bare.refuse_next(100);
    for _ in 0..5 {
        let told = ada.get("/http/hr/me").await;
        assert_eq!(told.status, 502, "{}", told.body);
        assert!(told.body.contains("refuses the token"), "{}", told.body);
    }
    assert_eq!(exchanger.asked(), 2, "an upstream that refuses all drives nobody");
    world.end().await;
}

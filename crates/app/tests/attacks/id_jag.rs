//! Upstreams whose authorization server believes the company's identity provider: what it is shown,
//! for whom, and who hears of it when either says no.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use attache_sandbox::{
    IdJagAnswer, TokenAnswer,
    people::{ADA, GRACE},
};
use axum::{
    Form, Json, Router,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use http::{StatusCode, header};
use serde_json::{Map, Value, json};
use tokio::{net::TcpListener, runtime::Handle};

use crate::{
    program::Program,
    subject_tokens::{AGAIN, KEPT, program, refused},
    tokens,
    world::{CLIENT_SECRET, Surroundings, World},
};

/// An upstream and its authorization server in one, which takes each assertion once.
#[derive(Clone, Debug)]
struct Partner {
    origin: String,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Debug, Default)]
struct Seen {
    /// Claims, in the order in which they came.
    assertions: Vec<Map<String, Value>>,
    /// As they came.
    raw: Vec<String>,
    /// What the upstream was called with.
    called_with: Vec<String>,
    /// Given instead of the truth, the last first.
    lies: Vec<(u16, &'static str)>,
}

impl Partner {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let origin = format!("http://{}", listener.local_addr().expect("an address"));
        let partner = Self { origin, seen: Arc::default() };
        let routes = Router::new()
            .route("/.well-known/oauth-authorization-server", get(metadata))
            .route("/.well-known/oauth-protected-resource/hr", get(resource))
            .route("/token", post(redeem))
            .route("/hr/me", get(me))
            .with_state(partner.clone());
        Handle::current().spawn(async move { axum::serve(listener, routes).await });
        partner
    }

    async fn world(&self) -> World {
        let more = format!(
            r#"
[[upstream]]
name = "hr"
url = "{origin}/hr"
protocol = "http"
[upstream.auth_broker]
mode = "id_jag"
issuer = "{origin}"
client_id = "gateway"
client_secret = "{CLIENT_SECRET}"
scopes = ["read"]
"#,
            origin = self.origin
        );
        let surroundings = Surroundings { more, oidc: KEPT.to_owned(), ..Surroundings::default() };
        let world = World::among("sqlite:attache.db", surroundings).await;
        world.idp.give_tokens_for(&world.origin.origin().ascii_serialization());
        world
    }

    fn lie(&self, status: u16, body: &'static str) {
        self.seen().lies.push((status, body));
    }

    fn asked(&self) -> usize {
        self.seen().raw.len()
    }

    fn called_with(&self) -> Vec<String> {
        self.seen().called_with.clone()
    }

    /// A claim of the last assertion.
    fn asserted(&self, name: &str) -> Value {
        let seen = self.seen();
        seen.assertions.last().expect("it was asked").get(name).cloned().unwrap_or_default()
    }

    /// Neither an assertion nor what it was had for is anywhere to be found.
    async fn end(&self, world: World) {
        for assertion in &self.seen().raw {
            world.keep_secret(assertion);
        }
        world.end().await;
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn metadata(State(partner): State<Partner>) -> Json<Value> {
    let issuer = &partner.origin;
    Json(json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "grant_types_supported": ["urn:ietf:params:oauth:grant-type:jwt-bearer"],
        "token_endpoint_auth_methods_supported": ["client_secret_post"],
    }))
}

async fn resource(State(partner): State<Partner>) -> Json<Value> {
    let issuer = &partner.origin;
    Json(json!({ "resource": format!("{issuer}/hr"), "authorization_servers": [issuer] }))
}

async fn redeem(
    State(partner): State<Partner>,
    Form(form): Form<Vec<(String, String)>>,
) -> Response {
    let said = |name: &str| {
        let found = form.iter().find(|(key, _)| key == name);
        found.map_or("", |(_, value)| value.as_str())
    };
    let assertion = said("assertion").to_owned();
    let claims = attache_crypto::jose::unproved_claims(&assertion).expect("a JWT");
    let mut seen = partner.seen();
    let fine = said("grant_type") == "urn:ietf:params:oauth:grant-type:jwt-bearer"
        && (said("client_id"), said("client_secret")) == ("gateway", CLIENT_SECRET)
        && said("scope") == "read"
        && claims.get("aud").and_then(Value::as_str) == Some(&partner.origin)
        && !seen.raw.contains(&assertion);
    seen.raw.push(assertion);
    seen.assertions.push(claims);
    let number = seen.raw.len();
    let json = [(header::CONTENT_TYPE, "application/json")];
    if let Some((status, body)) = seen.lies.pop() {
        return (StatusCode::from_u16(status).expect("a status"), json, body).into_response();
    }
    if !fine {
        return (StatusCode::BAD_REQUEST, json, r#"{"error":"invalid_grant"}"#).into_response();
    }
    let body =
        format!(r#"{{"access_token":"given-{number}","token_type":"Bearer","expires_in":3600}}"#);
    (json, body).into_response()
}

async fn me(State(partner): State<Partner>, request: Request) -> StatusCode {
    let Some(value) = request.headers().get(header::AUTHORIZATION) else {
        return StatusCode::UNAUTHORIZED;
    };
    partner.seen().called_with.push(value.to_str().unwrap_or_default().to_owned());
    StatusCode::OK
}

async fn call(program: &Program) {
    let page = program.get("/http/hr/me").await;
    assert_eq!(page.status, 200, "{}", page.body);
}

/// Whether as many exchanges are written down as `ended`: nobody waits for that to be written.
async fn are_written(world: &World, ended: &str, times: i64) -> bool {
    let log = format!(
        "audit_event WHERE action = 'acquire' AND method = 'id_jag' AND server = 'hr' AND \
         coalesce(reason, outcome) = '{ended}'"
    );
    for _ in 0..200 {
        if world.count(&log).await >= times {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    false
}

/// A person consents to nothing, and a program of theirs needs no token of the provider.
#[tokio::test]
async fn everybody_is_called_for_by_an_assertion_about_them_alone() {
    let partner = Partner::start().await;
    let world = partner.world().await;
    let (mut ada, mut grace) = (world.ada().await, world.grace().await);
    let (adas, graces) = (program(&world, &mut ada).await, program(&world, &mut grace).await);
    for (program, name, token) in [(&adas, "ada", "given-1"), (&graces, "grace", "given-2")] {
        for _ in 0..3 {
            call(program).await;
            let last = partner.called_with().pop();
            assert_eq!(last, Some(format!("Bearer {token}")), "had once, used by one");
        }
        assert_eq!(partner.asserted("sub"), name);
        assert_eq!(partner.asserted("aud"), partner.origin.as_str(), "no other server takes it");
        assert_eq!(partner.asserted("resource"), format!("{}/hr", partner.origin));
    }
    // Who brings a token of the provider is the same person.
    call(&world.program(ADA)).await;
    assert_eq!(partner.asked(), 2);
    assert_eq!(world.count("credential").await, 2, "of each the sign-in, and no assertion");
    assert!(are_written(&world, "success", 2).await);
    let counted = world.counted("attache_token_exchanges_total").await;
    let line = r#"attache_token_exchanges_total{upstream="hr",outcome="success"} 2"#;
    assert!(counted.iter().any(|one| one == line), "{counted:?}");

    let listed = adas.get("/api/v1/user/credentials").await.json().expect("JSON");
    let all = listed["credentials"].as_array().expect("a list");
    let one = all.iter().find(|one| one["server"] == "hr").expect("it is listed");
    assert_eq!((&one["mode"], &one["obtained_via"]), (&json!("id_jag"), &json!("id_jag")));
    partner.end(world).await;
}

/// ID tokens live for minutes; a sign-in lasts as long as the provider renews it.
#[tokio::test]
async fn a_sign_in_that_grew_old_is_renewed_before_it_is_shown() {
    let partner = Partner::start().await;
    let world = partner.world().await;
    let mut ada = world.ada().await;
    let adas = program(&world, &mut ada).await;
    call(&adas).await;
    world.later(Duration::from_mins(6));
    call(&adas).await;
    assert_eq!((partner.asked(), partner.asserted("sub")), (2, json!("ada")));

    // A provider that gives no new ID token is shown its refresh token.
    world.later(Duration::from_mins(6));
    world.idp.renewals().next(TokenAnswer::NoIdToken);
    call(&adas).await;
    assert_eq!((partner.asked(), partner.asserted("sub")), (3, json!("ada")));

    world.later(Duration::from_mins(6));
    world.idp.renewals().next(TokenAnswer::InvalidGrant);
    for _ in 0..2 {
        refused(&adas, 403, AGAIN).await;
    }
    assert_eq!(partner.asked(), 3, "nobody is asked about who is not signed in");
    partner.end(world).await;
}

#[tokio::test]
async fn who_never_signed_in_or_signed_out_is_asserted_to_nobody() {
    let partner = Partner::start().await;
    let world = partner.world().await;
    refused(&world.program(GRACE), 403, AGAIN).await;
    let mut ada = world.ada().await;
    let adas = program(&world, &mut ada).await;
    call(&adas).await;
    let gone = tokens::post(&mut ada, "/logout", "").await;
    assert_eq!(gone.status, 303, "{}", gone.body);
    refused(&adas, 403, AGAIN).await;
    assert_eq!(partner.asked(), 1);

    // A token of another issuer is nobody of this provider's.
    let claims = json!({
        "iss": world.forge.issuer,
        "aud": world.origin.origin().ascii_serialization(),
        "sub": "ada",
        "exp": world.now() + 600,
    });
    let forged = world.program_with(&world.forge.sign("at+jwt", &claims));
    refused(&forged, 403, "cannot be exchanged").await;
    assert_eq!(partner.asked(), 1);
    partner.end(world).await;
}

/// TX-1, TX-2: each no, and each lie, of the identity provider.
#[tokio::test]
async fn what_the_identity_provider_says_instead_of_an_assertion_goes_no_further() {
    let partner = Partner::start().await;
    let world = partner.world().await;
    let mut ada = world.ada().await;
    let adas = program(&world, &mut ada).await;
    for (answer, times, status, says, word) in [
        (IdJagAnswer::Typed("access_token", "Bearer"), 1, 503, "unavailable", "malformed_response"),
        (IdJagAnswer::Typed("id-jag", "Bearer"), 1, 503, "unavailable", "malformed_response"),
        (IdJagAnswer::Away, 1, 503, "unavailable", "provider_unavailable"),
        (IdJagAnswer::Error("access_denied"), 1, 403, "exchange-refused", "exchange_denied"),
        (IdJagAnswer::Error("invalid_target"), 1, 502, "misconfigured", "invalid_target"),
        (IdJagAnswer::Error("invalid_client"), 1, 502, "misconfigured", "invalid_client"),
        // Shown once more, renewed.
        (IdJagAnswer::Error("invalid_grant"), 2, 403, AGAIN, "subject_refused"),
    ] {
        drop(world.ada().await); // nothing is renewed meanwhile
        world.idp.id_jags().repeat(answer, times);
        for _ in 0..2 {
            refused(&adas, status, says).await;
        }
        world.idp.id_jags().clear();
        assert!(are_written(&world, word, 1).await, "{answer:?} is in the audit");
        let counted = world.counted("attache_token_exchanges_total").await;
        let label = format!("outcome=\"{word}\"");
        assert!(counted.iter().any(|line| line.contains(&label)), "{answer:?}: {counted:?}");
        world.later(Duration::from_mins(2));
    }
    assert_eq!((partner.asked(), partner.called_with().len()), (0, 0));
    call(&adas).await;
    partner.end(world).await;
}

/// The same of the upstream's authorization server; what it was shown it is not shown again.
#[tokio::test]
async fn what_the_other_server_says_of_an_assertion_ends_nobodys_sign_in() {
    let partner = Partner::start().await;
    let world = partner.world().await;
    let mut ada = world.ada().await;
    let adas = program(&world, &mut ada).await;
    for (status, body, answered, says, word) in [
        (
            400,
            r#"{"error":"invalid_grant","error_description":"attacker-words"}"#,
            403,
            "does not accept what",
            "assertion_refused",
        ),
        (403, r#"{"error":"access_denied"}"#, 403, "does not accept what", "assertion_refused"),
        (401, r#"{"error":"invalid_client"}"#, 502, "misconfigured", "invalid_client"),
        (400, r#"{"error":"invalid_scope"}"#, 502, "misconfigured", "invalid_scope"),
        (
            200,
            r#"{"access_token":"x","token_type":"N_A"}"#,
            503,
            "unavailable",
            "malformed_response",
        ),
        (200, r#"{"access_token":"x"}"#, 503, "unavailable", "malformed_response"),
        (503, "", 503, "unavailable", "provider_unavailable"),
    ] {
        drop(world.ada().await); // nothing is renewed meanwhile
        let asked = partner.asked();
        partner.lie(status, body);
        for _ in 0..2 {
            refused(&adas, answered, says).await;
        }
        assert_eq!(partner.asked(), asked + 1, "{body}: it is not asked again at once");
        assert!(are_written(&world, word, 1).await, "{body} is in the audit");
        world.later(Duration::from_mins(2));
    }
    assert_eq!(partner.called_with().len(), 0);
    call(&adas).await;
    partner.end(world).await;
}

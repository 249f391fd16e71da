//! Tokens that say nothing themselves: who is asked what they are, how often, and what is believed.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use attache_sandbox::people::ADA;
use axum::{
    Form, Json, Router,
    extract::State,
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use http::{HeaderMap, StatusCode, header};
use serde_json::{Value, json};
use tokio::{net::TcpListener, runtime::Handle};

use crate::{
    tokens::{EVERYTHING, holder, token},
    world::{CLIENT_SECRET, Surroundings, World},
};

const FOR_FREE: &str = "/api/v1/user/credentials";

/// An issuer whose tokens are words. What each is, a test says.
#[derive(Clone, Debug)]
struct Issuer {
    url: String,
    state: Arc<Mutex<Words>>,
}

#[derive(Debug, Default)]
struct Words {
    known: HashMap<String, Value>,
    asked: Vec<String>,
    is_away: bool,
}

impl Issuer {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let issuer = Self { url, state: Arc::default() };
        let routes = Router::new()
            .route("/.well-known/openid-configuration", get(metadata))
            .route("/introspect", post(introspect))
            .with_state(issuer.clone());
        Handle::current().spawn(async move { axum::serve(listener, routes).await });
        issuer
    }

    async fn world(&self) -> World {
        let more = format!(
            "[[identity.introspection]]\nissuer = \"{}\"\naudience = \"{{origin}}\"\n\
             client_id = \"attache\"\nclient_secret = \"{CLIENT_SECRET}\"\n",
            self.url
        );
        World::among("sqlite:attache.db", Surroundings { more, ..Surroundings::default() }).await
    }

    /// A good answer, but for what is changed; `null` leaves a member out.
    fn knows(&self, world: &World, token: &str, changed: &Value) {
        let mut said = json!({
            "active": true, "iss": self.url, "aud": world.origin.origin().ascii_serialization(),
            "sub": "mallory", "token_type": "Bearer", "exp": world.now() + 3600,
        });
        if let (Some(said), Some(changed)) = (said.as_object_mut(), changed.as_object()) {
            said.extend(changed.clone());
            said.retain(|_, value| !value.is_null());
        }
        self.words().known.insert(token.to_owned(), said);
    }

    fn forgets(&self, token: &str) {
        self.words().known.remove(token);
    }

    fn goes_away(&self, is_away: bool) {
        self.words().is_away = is_away;
    }

    fn asked(&self) -> usize {
        self.words().asked.len()
    }

    fn words(&self) -> MutexGuard<'_, Words> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn metadata(State(issuer): State<Issuer>) -> Json<Value> {
    let url = issuer.url;
    Json(json!({
        "issuer": url, "authorization_endpoint": format!("{url}/authorize"),
        "token_endpoint": format!("{url}/token"), "jwks_uri": format!("{url}/jwks"),
        "introspection_endpoint": format!("{url}/introspect"),
    }))
}

async fn introspect(
    State(issuer): State<Issuer>,
    headers: HeaderMap,
    Form(form): Form<HashMap<String, String>>,
) -> Response {
    let mut words = issuer.words();
    let token = form.get("token").cloned().unwrap_or_default();
    words.asked.push(token.clone());
    if words.is_away || !headers.contains_key(header::AUTHORIZATION) {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let said = words.known.get(&token).cloned();
    Json(said.unwrap_or_else(|| json!({ "active": false }))).into_response()
}

#[tokio::test]
async fn a_token_is_what_its_issuer_says_and_for_us() {
    let issuer = Issuer::start().await;
    let world = issuer.world().await;
    let now = world.now();
    for (what, changed, status) in [
        ("not active", json!({ "active": false }), 401),
        ("for others", json!({ "aud": "https://other.example" }), 401),
        ("for nobody", json!({ "aud": null }), 401),
        ("of another issuer", json!({ "iss": world.idp.issuer() }), 401),
        ("of nobody", json!({ "sub": null }), 401),
        ("over", json!({ "exp": now - 120 }), 401),
        ("not yet", json!({ "nbf": now + 600 }), 401),
        ("bound to a key", json!({ "cnf": { "jkt": "x" } }), 401),
        ("bound by its type", json!({ "token_type": "DPoP" }), 401),
        ("to refresh", json!({ "token_type": "refresh_token" }), 401),
        // Nobody said that it is none, either.
        ("active in words", json!({ "active": "true" }), 503),
        ("without a word", json!({ "active": null }), 503),
    ] {
        let token = format!("opaque-{}", what.replace(' ', "-"));
        issuer.knows(&world, &token, &changed);
        let program = world.program_with(&token);
        for path in ["/mcp/notes", "/http/api/me", FOR_FREE] {
            assert_eq!(program.get(path).await.status, status, "{what} at {path}");
        }
    }
    let unknown = world.program_with("opaque-unknown").get(FOR_FREE).await;
    assert_eq!(unknown.status, 401, "{}", unknown.body);
    assert_eq!(world.count("person").await, 0, "nobody became anybody");

    issuer.knows(&world, "opaque-good", &json!({}));
    let good = world.program_with("opaque-good");
    assert!(good.whoami("notes").await.contains("/connect/notes"), "an honest one does");
    let narrow = world.origin.join("mcp/notes").expect("a path").to_string();
    issuer.knows(&world, "opaque-narrow", &json!({ "aud": narrow, "iss": null, "exp": null }));
    let narrow = world.program_with("opaque-narrow");
    assert!(narrow.whoami("notes").await.contains("/connect/notes"));
    assert_eq!(narrow.get(FOR_FREE).await.status, 401, "what its audience names, and no more");
    world.end().await;
}

/// A token is shown to nobody who did not give it.
#[tokio::test]
async fn what_says_itself_whose_it_is_is_shown_to_no_other_issuer() {
    let issuer = Issuer::start().await;
    let world = issuer.world().await;
    let mut ada = world.ada().await;
    let personal = holder(&world, &token(&mut ada, EVERYTHING).await);
    assert_eq!(personal.get(FOR_FREE).await.status, 200);
    assert_eq!(world.program(ADA).get(FOR_FREE).await.status, 200);
    let foreign = json!({ "iss": "https://elsewhere.example", "sub": "x" });
    let nameless = json!({ "sub": "x" });
    for claims in [foreign, nameless] {
        let program = world.program_with(&world.forge.sign("at+jwt", &claims));
        assert_eq!(program.get(FOR_FREE).await.status, 401, "{claims}");
    }
    assert_eq!(issuer.asked(), 0);
    world.end().await;
}

#[tokio::test]
async fn an_answer_is_believed_for_a_minute_and_a_refusal_for_seconds() {
    let issuer = Issuer::start().await;
    let world = issuer.world().await;
    issuer.knows(&world, "a-word-of-theirs", &json!({}));
    let program = world.program_with("a-word-of-theirs");
    for _ in 0..3 {
        assert_eq!(program.get(FOR_FREE).await.status, 200);
    }
    assert_eq!(issuer.asked(), 1);
    issuer.forgets("a-word-of-theirs");
    world.later(Duration::from_mins(1));
    for _ in 0..3 {
        assert_eq!(program.get(FOR_FREE).await.status, 401);
    }
    assert_eq!(issuer.asked(), 2);
    issuer.knows(&world, "a-word-of-theirs", &json!({ "exp": world.now() + 65 }));
    world.later(Duration::from_secs(10));
    assert_eq!(program.get(FOR_FREE).await.status, 200);
    issuer.goes_away(true);
    world.later(Duration::from_secs(56));
    assert_eq!(program.get(FOR_FREE).await.status, 503, "no longer than until its end");
    world.end().await;
}

/// A 401 would have the program throw away a token that is good.
#[tokio::test]
async fn while_the_issuer_is_away_nobody_is_told_that_their_token_is_none() {
    let issuer = Issuer::start().await;
    let world = issuer.world().await;
    for name in ["opaque-known", "opaque-new"] {
        issuer.knows(&world, name, &json!({}));
    }
    let [known, new] = ["opaque-known", "opaque-new"].map(|name| world.program_with(name));
    assert_eq!(known.get(FOR_FREE).await.status, 200);
    issuer.goes_away(true);
    assert_eq!(known.get(FOR_FREE).await.status, 200);
    let page = new.get(FOR_FREE).await;
    assert_eq!((page.status.as_u16(), page.header("retry-after")), (503, Some("30")));
    assert_eq!(new.get("/mcp/notes").await.status, 503);
    issuer.goes_away(false);
    assert_eq!(new.get(FOR_FREE).await.status, 200);
    world.end().await;
}

#[tokio::test]
async fn a_flood_of_unknown_tokens_does_not_reach_the_issuer() {
    let issuer = Issuer::start().await;
    let world = issuer.world().await;
    issuer.knows(&world, "a-word-of-theirs", &json!({}));
    let program = world.program_with("a-word-of-theirs");
    assert_eq!(program.get(FOR_FREE).await.status, 200);
    let mut statuses = HashMap::new();
    for number in 0..80 {
        let page = world.program_with(&format!("opaque-{number}")).get(FOR_FREE).await;
        *statuses.entry(page.status.as_u16()).or_insert(0) += 1;
    }
    assert_eq!(statuses, HashMap::from([(401, 60), (503, 20)]));
    assert_eq!(issuer.asked(), 61);
    assert_eq!(program.get(FOR_FREE).await.status, 200, "who is known goes on");
    world.later(Duration::from_secs(1));
    assert_eq!(world.program_with("opaque-late").get(FOR_FREE).await.status, 401);
    assert_eq!(issuer.asked(), 62, "one a second");
    world.end().await;
}

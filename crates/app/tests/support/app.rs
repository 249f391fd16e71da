//! An MCP client as the authorization server meets it: it registers itself, sends a browser, and
//! redeems what comes back.

use attache_crypto::{
    digest::{base64url, sha256},
    random::{SystemRandom, token},
};
use attache_sandbox::{Browser, Page};
use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use serde_json::{Value, json};
use url::{Url, form_urlencoded};

use crate::{program::Program, visitor::Visitor, world::World};

/// Where nobody listens: the tests look at the address only.
pub(crate) const CALLBACK: &str = "http://127.0.0.1:9/callback";

#[derive(Clone)]
pub(crate) struct App {
    pub(crate) id: String,
    pub(crate) verifier: String,
    origin: Url,
}

impl App {
    /// Registered at the gateway of `world`, as a public client.
    pub(crate) async fn new(world: &World) -> Self {
        Self::registered(world, &json!({ "client_name": "Notepad" })).await
    }

    /// With more to say about itself.
    pub(crate) async fn registered(world: &World, metadata: &Value) -> Self {
        let answer = Self::register(world, metadata).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
        let answer = answer.json().expect("JSON");
        let id = text(&answer, "client_id");
        Self { id, verifier: token(&SystemRandom), origin: world.origin.clone() }
    }

    pub(crate) async fn register(world: &World, metadata: &Value) -> Page {
        let usual = json!({
            "redirect_uris": [CALLBACK], "token_endpoint_auth_method": "none",
        });
        let members = |value: &Value| value.as_object().cloned().unwrap_or_default();
        let whole: Value = members(&usual).into_iter().chain(members(metadata)).collect();
        let url = world.origin.join("/oauth/register").expect("a path");
        let request = Request::post(url.as_str())
            .header(header::CONTENT_TYPE, "application/json")
            .body(Bytes::from(whole.to_string()))
            .expect("a request");
        Browser::new().send(request).await.expect("the gateway answers")
    }

    pub(crate) fn resource(&self, path: &str) -> String {
        format!("{}{path}", self.origin.origin().ascii_serialization())
    }

    /// The path of an authorization request for `/mcp/notes`, with some parameters changed; an
    /// empty one is left out.
    pub(crate) fn request(&self, changed: &[(&str, &str)]) -> String {
        let challenge = base64url(&sha256(self.verifier.as_bytes()));
        let resource = self.resource("/mcp/notes");
        let usual = [
            ("response_type", "code"),
            ("client_id", &self.id),
            ("redirect_uri", CALLBACK),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
            ("resource", &resource),
            ("scope", "mcp:use"),
            ("state", "a state=of&its own"),
        ];
        let kept = usual.iter().filter(|(name, _)| !changed.iter().any(|(one, _)| one == name));
        let all = kept.chain(changed).filter(|(_, value)| !value.is_empty());
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(all).finish();
        format!("/oauth/authorize?{query}")
    }

    /// The person lets it in and connects nothing: what the browser brings back.
    pub(crate) async fn approved_by(&self, person: &mut Visitor) -> Landed {
        self.approved_for(person, &self.request(&[])).await
    }

    pub(crate) async fn approved_for(&self, person: &mut Visitor, request: &str) -> Landed {
        let asked = person.visit(request).await;
        let decided = press(person, &asked, "allow").await;
        let page = person.follow_until(decided, is_callback).await;
        Landed::of(&not_now(person, page).await)
    }

    /// Tokens for a code, or what was said instead.
    pub(crate) async fn redeem(&self, code: &str) -> Page {
        self.redeem_with(code, &[]).await
    }

    pub(crate) async fn redeem_with(&self, code: &str, changed: &[(&str, &str)]) -> Page {
        let usual = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("client_id", &self.id),
            ("redirect_uri", CALLBACK),
            ("code_verifier", &self.verifier),
        ];
        self.post("/oauth/token", &usual, changed).await
    }

    pub(crate) async fn refresh(&self, refresh_token: &str) -> Page {
        self.refresh_with(refresh_token, &[]).await
    }

    pub(crate) async fn refresh_with(&self, token: &str, changed: &[(&str, &str)]) -> Page {
        let usual =
            [("grant_type", "refresh_token"), ("refresh_token", token), ("client_id", &self.id)];
        self.post("/oauth/token", &usual, changed).await
    }

    pub(crate) async fn revoke(&self, token: &str) -> Page {
        self.post("/oauth/revoke", &[("token", token), ("client_id", &self.id)], &[]).await
    }

    /// The whole way, without connecting: its tokens.
    pub(crate) async fn signed_in(world: &World, person: &mut Visitor) -> (Self, Tokens) {
        let app = Self::new(world).await;
        let landed = app.approved_by(person).await;
        let tokens = Tokens::of(world, &app.redeem(&landed.code()).await);
        (app, tokens)
    }

    async fn post(&self, path: &str, usual: &[(&str, &str)], changed: &[(&str, &str)]) -> Page {
        let kept = usual.iter().filter(|(name, _)| !changed.iter().any(|(one, _)| one == name));
        let all = kept.chain(changed).filter(|(_, value)| !value.is_empty());
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(all).finish();
        let url = self.origin.join(path).expect("a path");
        let request = Request::builder()
            .method(Method::POST)
            .uri(url.as_str())
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Bytes::from(form))
            .expect("a request");
        Browser::new().send(request).await.expect("the gateway answers")
    }
}

/// Presses a button of the consent page.
pub(crate) async fn press(person: &mut Visitor, asked: &Page, decision: &str) -> Page {
    assert_eq!(asked.status, StatusCode::OK, "{}", asked.body);
    let form = asked.forms().into_iter().find(|form| form.action.path() == "/oauth/authorize");
    let form = form.expect("the consent page has its form");
    let button = form.buttons.iter().find(|button| button.value == decision);
    person.browser.submit(asked, &form, button).await.expect("the gateway answers")
}

/// Where `page` asks to connect something, no.
pub(crate) async fn not_now(person: &mut Visitor, page: Page) -> Page {
    let action = "/oauth/authorize/continue";
    let form = page.forms().into_iter().find(|form| form.action.path() == action);
    match form {
        Some(form) => {
            let pressed = person.browser.submit(&page, &form, form.buttons.first()).await;
            pressed.expect("the gateway answers")
        }
        None => page,
    }
}

pub(crate) fn is_callback(url: &Url) -> bool {
    url.as_str().starts_with(CALLBACK)
}

/// What a browser brings back to the client.
#[derive(Debug)]
pub(crate) struct Landed {
    pub(crate) url: Url,
}

impl Landed {
    pub(crate) fn of(page: &Page) -> Self {
        assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.body);
        let url = page.location().filter(is_callback).expect("the client's address");
        let landed = Self { url };
        assert_eq!(landed.says("state").as_deref(), Some("a state=of&its own"));
        assert_eq!(landed.says("iss"), Some(page.url.origin().ascii_serialization()));
        landed
    }

    pub(crate) fn says(&self, name: &str) -> Option<String> {
        let mut pairs = self.url.query_pairs();
        pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }

    pub(crate) fn code(&self) -> String {
        self.says("code").expect("a code")
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Tokens {
    pub(crate) access: String,
    pub(crate) refresh: String,
}

impl Tokens {
    pub(crate) fn of(world: &World, page: &Page) -> Self {
        assert_eq!(page.status, StatusCode::OK, "{}", page.body);
        assert_eq!(page.header("cache-control"), Some("no-store"));
        let answer = page.json().expect("JSON");
        assert_eq!(text(&answer, "token_type"), "Bearer");
        assert_eq!(text(&answer, "scope"), "mcp:use");
        let (access, refresh) = (text(&answer, "access_token"), text(&answer, "refresh_token"));
        // Neither is ever logged, stored or sent on.
        drop(world.program_with(&refresh));
        drop(world.program_with(&access));
        Self { access, refresh }
    }

    pub(crate) fn program(&self, world: &World) -> Program {
        world.program_with(&self.access)
    }
}

/// What a client is told instead of tokens.
pub(crate) fn error(page: &Page) -> (u16, String) {
    let answer = page.json().unwrap_or_default();
    (page.status.as_u16(), text(&answer, "error"))
}

/// A member of an answer; nothing where there is none.
fn text(answer: &Value, name: &str) -> String {
    answer.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

//! Devices without a browser, and whoever would like to be let in as one (RFC 8628, section 5).

use std::time::Duration;

use attache_sandbox::{Browser, Form, Page, people::GRACE};
use bytes::Bytes;
use http::{Request, StatusCode, header};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use url::form_urlencoded;

use crate::{
    app::{App, Landed, Tokens, error},
    visitor::Visitor,
    world::{Surroundings, World},
};

const CLI: &str = "attache-cli";
/// How often a device may ask.
const PACE: Duration = Duration::from_secs(5);

/// A device that shows a code.
struct Device {
    code: String,
    user_code: String,
    link: String,
}

impl Device {
    /// The command line, which wants the API.
    async fn new(world: &World) -> Self {
        let resource = format!("{}/api/v1", world.origin.origin().ascii_serialization());
        Self::of(world, CLI, &resource).await
    }

    async fn of(world: &World, client: &str, resource: &str) -> Self {
        let begun = begin(world, &[("client_id", client), ("resource", resource)], &[]).await;
        assert_eq!(begun.status, StatusCode::OK, "{}", begun.body);
        assert_eq!(begun.header("cache-control"), Some("no-store"));
        let says = begun.json().expect("JSON");
        let text = |name: &str| says.get(name).and_then(Value::as_str).expect("a text").to_owned();
        assert_eq!(says.get("expires_in"), Some(&json!(600)));
        assert_eq!(says.get("interval"), Some(&json!(5)));
        let device = Self {
            code: text("device_code"),
            user_code: text("user_code"),
            link: text("verification_uri_complete"),
        };
        assert_eq!(
            device.link,
            format!("{}?user_code={}", text("verification_uri"), device.user_code)
        );
        // Nobody but the device and the gateway ever sees it.
        drop(world.program_with(&device.code));
        device
    }

    async fn poll(&self, world: &World) -> Page {
        self.poll_as(world, CLI).await
    }

    async fn poll_as(&self, world: &World, client: &str) -> Page {
        let grant = "urn:ietf:params:oauth:grant-type:device_code";
        let form =
            [("grant_type", grant), ("device_code", self.code.as_str()), ("client_id", client)];
        post(world, "/oauth/token", &form, &[]).await
    }

    /// Waits as it was told, and asks.
    async fn asks(&self, world: &World) -> (u16, String) {
        world.later(PACE);
        error(&self.poll(world).await)
    }

    /// Types its code: the page that asks.
    async fn typed_by(&self, person: &mut Visitor) -> Page {
        typed(person, &self.user_code).await
    }

    async fn decided_by(&self, person: &mut Visitor, decision: &str) -> Page {
        let asked = self.typed_by(person).await;
        press(person, &asked, decision).await
    }
}

async fn begin(world: &World, form: &[(&str, &str)], headers: &[(&str, &str)]) -> Page {
    post(world, "/oauth/device_authorization", form, headers).await
}

async fn post(world: &World, path: &str, form: &[(&str, &str)], headers: &[(&str, &str)]) -> Page {
    let url = world.origin.join(path).expect("a path");
    let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let mut request = Request::post(url.as_str())
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Bytes::from(form)).expect("a request");
    Browser::new().send(request).await.expect("the gateway answers")
}

async fn typed(person: &mut Visitor, code: &str) -> Page {
    let page = person.visit("/device").await;
    let mut form = form_to(&page, "/device");
    form.set("user_code", code);
    person.browser.submit(&page, &form, form.buttons.first()).await.expect("the gateway answers")
}

async fn press(person: &mut Visitor, asked: &Page, decision: &str) -> Page {
    let form = form_to(asked, "/device/decision");
    let button = form.buttons.iter().find(|button| button.value == decision);
    person.browser.submit(asked, &form, button).await.expect("the gateway answers")
}

fn form_to(page: &Page, path: &str) -> Form {
    let form = page.forms().into_iter().find(|form| form.action.path() == path);
    form.unwrap_or_else(|| unreachable!("no form for {path}: {} {}", page.status, page.body))
}

fn says(code: &str) -> (u16, String) {
    (400, code.to_owned())
}

#[tokio::test]
async fn a_device_is_let_in_by_who_types_its_code() {
    let mut world = World::new().await;
    let metadata = Browser::new()
        .open(&world.origin.join("/.well-known/oauth-authorization-server").unwrap())
        .await;
    let metadata: Value = metadata.unwrap().json().unwrap();
    let endpoint = world.origin.join("/oauth/device_authorization").unwrap();
    assert_eq!(metadata["device_authorization_endpoint"], endpoint.as_str());

    let device = Device::new(&world).await;
    assert_eq!(device.asks(&world).await, says("authorization_pending"));
    assert_eq!(error(&device.poll(&world).await), says("slow_down"));
    // Whoever makes codes up is not told to slow down, and slows nobody down.
    let made_up = Device { code: "made-up".to_owned(), ..Device::new(&world).await };
    for _ in 0..2 {
        assert_eq!(error(&made_up.poll(&world).await), says("invalid_grant"));
    }
    // Ada is not signed in yet: she comes back to the page.
    let mut ada = world.stranger(attache_sandbox::people::ADA);
    let asked = device.typed_by(&mut ada).await;
    for words in [
        &device.user_code,
        "attache on the command line",
        "from <strong>127.0.0.1</strong>, where you are too",
        "just now",
        "It can use no server",
    ] {
        assert!(asked.body.contains(words), "{words}: {}", asked.body);
    }
    assert_eq!(device.asks(&world).await, says("authorization_pending"));
    let done = press(&mut ada, &asked, "allow").await;
    assert!(done.body.contains("The device is let in"), "{}", done.body);

    world.restart().await;
    let tokens = Tokens::of(&world, &device.poll(&world).await);
    let listed = tokens.program(&world).get("/api/v1/user/credentials").await;
    assert_eq!(listed.status, StatusCode::OK, "{}", listed.body);
    let mut app = App::new(&world).await;
    app.id = CLI.to_owned();
    let tokens = Tokens::of(&world, &app.refresh(&tokens.refresh).await);
    assert_eq!(app.revoke(&tokens.refresh).await.status, StatusCode::OK);
    let listed = tokens.program(&world).get("/api/v1/user/credentials").await;
    assert_eq!(listed.status, StatusCode::UNAUTHORIZED);
    world.end().await;
}

/// What the command line is let in for is looking after connections, and not using them, whoever
/// asks in its name: Eve does, and would send Ada the link.
#[tokio::test]
async fn a_token_of_the_command_line_opens_no_server() {
    let more = "[authorization_server]\ngateway_audience = true\n".to_owned();
    let surroundings = Surroundings { more, ..Surroundings::default() };
    let world = World::among("sqlite:attache.db", surroundings).await;
    let mut ada = world.ada().await;
    let mut cli = App::new(&world).await;
    cli.id = CLI.to_owned();
    for path in ["/mcp", "/mcp/notes", "/http/api", ""] {
        let resource = cli.resource(path);
        let begun = begin(&world, &[("client_id", CLI), ("resource", &resource)], &[]).await;
        assert_eq!(error(&begun), says("invalid_target"), "{path}");
        let request = ada.url(&cli.request(&[("resource", &resource)]));
        let asked = ada.open(&request).await;
        let told = Landed::of(&asked).says("error");
        assert_eq!(told.as_deref(), Some("invalid_target"), "{path}");
    }
    ada.connect("notes").await;
    let device = Device::new(&world).await;
    device.decided_by(&mut ada, "allow").await;
    let program = Tokens::of(&world, &device.poll(&world).await).program(&world);
    for upstream in ["notes", "vip", "rooms", "nothing"] {
        let page = program.mcp(upstream, "tools/list", &json!({})).await;
        assert_eq!(page.status, StatusCode::UNAUTHORIZED, "{upstream}");
    }
    for path in ["/http/api/", "/mcp"] {
        assert_eq!(program.get(path).await.status, StatusCode::UNAUTHORIZED, "{path}");
    }
    assert_eq!(world.mcp.recorder().requests().len(), 0, "nothing went out");
    world.end().await;
}

/// One that the operator set up may have what any client may, and nothing beside it.
#[tokio::test]
async fn a_device_of_the_operators_gets_the_server_it_names() {
    let more = "[[authorization_server.client]]\nid = \"tv\"\nname = \"Screen\"\n\
         redirect_uris = [\"https://tv.example.com/cb\"]\n"
        .to_owned();
    let surroundings = Surroundings { more, ..Surroundings::default() };
    let world = World::among("sqlite:attache.db", surroundings).await;
    let mut ada = world.ada().await;
    let resource = format!("{}/mcp/notes", world.origin.origin().ascii_serialization());
    let device = Device::of(&world, "tv", &resource).await;
    let asked = device.typed_by(&mut ada).await;
    assert!(asked.body.contains("Screen"), "{}", asked.body);
    assert!(asked.body.contains("Use <strong>notes</strong> through this gateway"));
    press(&mut ada, &asked, "allow").await;
    let program = Tokens::of(&world, &device.poll_as(&world, "tv").await).program(&world);
    let said = program.whoami("notes").await;
    assert!(said.contains("/connect/notes"), "{said}");
    assert_eq!(program.get("/api/v1/user/credentials").await.status, StatusCode::UNAUTHORIZED);
    let other = program.mcp("mail", "tools/list", &json!({})).await;
    assert_eq!(other.status, StatusCode::UNAUTHORIZED);
    world.end().await;
}

/// The code that a device holds is spent once; whoever brings it again has stolen it, or was
/// stolen from.
#[tokio::test]
async fn a_device_code_is_redeemed_once() {
    let world = World::new().await;
    let mut ada = world.ada().await;
    let device = Device::new(&world).await;
    device.decided_by(&mut ada, "allow").await;
    // An authorization code it never was, whatever is sent along.
    let mut app = App::new(&world).await;
    app.id = CLI.to_owned();
    for changed in [&[][..], &[("redirect_uri", ""), ("code_verifier", "")]] {
        let redeemed = app.redeem_with(&device.code, changed).await;
        assert_eq!(error(&redeemed), says("invalid_grant"));
    }
    let tokens = Tokens::of(&world, &device.poll(&world).await);
    let other = App::new(&world).await;
    world.later(PACE);
    assert_eq!(error(&device.poll_as(&world, &other.id).await), says("invalid_grant"));
    let listed = tokens.program(&world).get("/api/v1/user/credentials").await;
    assert_eq!(listed.status, StatusCode::OK, "another client's word ends nothing");

    assert_eq!(device.asks(&world).await, says("invalid_grant"));
    let listed = tokens.program(&world).get("/api/v1/user/credentials").await;
    assert_eq!(listed.status, StatusCode::UNAUTHORIZED, "it ended what it began");
    assert_eq!(error(&app.refresh(&tokens.refresh).await), says("invalid_grant"));
    world.end().await;
}

#[tokio::test]
async fn who_was_asked_decides_and_nobody_else() {
    let world = World::new().await;
    let (mut ada, mut grace) = (world.ada().await, world.grace().await);
    let device = Device::new(&world).await;
    // What Grace was shown, sent by Ada's browser; and by Grace's, without a ticket.
    let asked = device.typed_by(&mut grace).await;
    let forged = press(&mut ada, &asked, "allow").await;
    assert_eq!(forged.status, StatusCode::BAD_REQUEST, "{}", forged.body);
    let mut form = form_to(&asked, "/device/decision");
    form.set("ticket", "");
    let allow = form.buttons.iter().find(|button| button.value == "allow").cloned();
    let bare = grace.browser.submit(&asked, &form, allow.as_ref()).await.unwrap();
    assert_eq!(bare.status, StatusCode::BAD_REQUEST);
    // A ticket of one code is none of another.
    let other = Device::new(&world).await;
    let mut form = form_to(&asked, "/device/decision");
    form.set("user_code", &other.user_code);
    let bent = grace.browser.submit(&asked, &form, allow.as_ref()).await.unwrap();
    assert_eq!(bent.status, StatusCode::BAD_REQUEST);
    assert_eq!(world.count("oauth_grant").await, 0);

    // Both were asked; the first decision counts.
    let hers = device.typed_by(&mut ada).await;
    press(&mut grace, &asked, "refuse").await;
    let late = press(&mut ada, &hers, "allow").await;
    assert_eq!(late.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", late.body);
    assert_eq!(device.asks(&world).await, says("access_denied"));
    assert_eq!(device.typed_by(&mut ada).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(world.count("oauth_grant").await, 0);
    world.end().await;
}

/// Eve begins, and sends Ada the link: it asks her to compare, and does nothing by itself.
#[tokio::test]
async fn a_link_lets_nobody_in() {
    let world = World::new().await;
    let mut ada = world.ada().await;
    let device = Device::new(&world).await;
    let (_, query) = device.link.split_once('?').unwrap();
    let page = ada.visit(&format!("/device?{query}")).await;
    assert!(page.body.contains("Compare this code"), "{}", page.body);
    assert!(page.body.contains(&device.user_code));
    assert!(!page.body.contains("value=\"allow\""), "it asks for the code first");
    for page in [&page, &device.typed_by(&mut ada).await] {
        assert!(page.header("content-security-policy").unwrap().contains("frame-ancestors 'none'"));
        assert_eq!(page.header("x-frame-options"), Some("DENY"));
    }
    let nothing = ada.visit("/device?user_code=%3Cb%3E&user_code=x").await;
    assert!(!nothing.body.contains("<b>"));

    // Another page has her browser post the forms.
    for path in ["/device", "/device/decision"] {
        for (origin, site) in [("http://evil.test", "cross-site"), ("null", "cross-site")] {
            let form = format!("user_code={}&decision=allow", device.user_code);
            let request = Request::post(ada.url(path).as_str())
                .header(header::ORIGIN, origin)
                .header("sec-fetch-site", site)
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(Bytes::from(form))
                .unwrap();
            assert_eq!(ada.send(request).await.status, StatusCode::FORBIDDEN, "{path} {origin}");
        }
    }
    assert_eq!(device.asks(&world).await, says("authorization_pending"));
    world.end().await;
}

/// A page that Ada visits begins in her browser: it would be at her address, and know the code.
#[tokio::test]
async fn no_page_begins_in_somebodys_browser() {
    let world = World::new().await;
    let resource = format!("{}/api/v1", world.origin.origin().ascii_serialization());
    let form = [("client_id", CLI), ("resource", &*resource)];
    for headers in [
        &[("origin", "http://evil.test"), ("sec-fetch-site", "cross-site")][..],
        &[("origin", "http://evil.test")],
        &[("origin", "null"), ("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "cross-site")],
    ] {
        let page = begin(&world, &form, headers).await;
        assert_eq!(page.status, StatusCode::FORBIDDEN, "{headers:?}");
        assert_eq!(page.header("access-control-allow-origin"), None);
    }
    assert_eq!(world.count("device_authorization").await, 0);
    world.end().await;
}

/// Eve, who works here, types codes until one is somebody's.
#[tokio::test]
async fn codes_cannot_be_guessed() {
    let world = World::new().await;
    let device = Device::new(&world).await;
    let mut eve = world.visitor(GRACE).await;
    for guess in ["", "WDJB", "WDJB-MJHTX", "AEIO-UAEI", "%"] {
        let page = typed(&mut eve, guess).await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY, "{guess}");
    }
    for _ in 0..10 {
        let page = typed(&mut eve, "BBBB-BBBB").await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    }
    let right = device.typed_by(&mut eve).await;
    assert_eq!(right.status, StatusCode::TOO_MANY_REQUESTS, "{}", right.body);
    let mut ada = world.ada().await;
    assert_eq!(device.typed_by(&mut ada).await.status, StatusCode::OK, "others are not locked out");
    world.later(Duration::from_mins(1));
    assert_eq!(device.typed_by(&mut eve).await.status, StatusCode::OK);
    world.end().await;
}

#[tokio::test]
async fn a_code_that_nobody_typed_in_time_is_over() {
    let world = World::new().await;
    let mut ada = world.ada().await;
    let (late, approved) = (Device::new(&world).await, Device::new(&world).await);
    let asked = late.typed_by(&mut ada).await;
    approved.decided_by(&mut ada, "allow").await;
    world.later(Duration::from_mins(10));
    assert!(press(&mut ada, &asked, "allow").await.status.is_client_error());
    assert_eq!(late.typed_by(&mut ada).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(late.asks(&world).await, says("expired_token"));
    assert_eq!(approved.asks(&world).await, says("expired_token"), "let in, and never came");
    // Swept by the next, it is unknown.
    Device::new(&world).await;
    assert_eq!(late.asks(&world).await, says("invalid_grant"));
    world.end().await;
}

/// A name that anybody may give themselves is not put to people who cannot see where it is.
#[tokio::test]
async fn only_clients_of_the_operator_are_devices() {
    let world = World::new().await;
    let app = App::new(&world).await;
    let resource = app.resource("/mcp/notes");
    let api = app.resource("/api/v1");
    for (form, code) in [
        (&[("client_id", app.id.as_str()), ("resource", &resource)][..], "unauthorized_client"),
        (&[("client_id", app.id.as_str()), ("resource", &api)], "unauthorized_client"),
        (&[("client_id", CLI), ("resource", "https://evil.test/mcp/notes")], "invalid_target"),
        (&[("client_id", CLI), ("scope", "admin"), ("resource", &api)], "invalid_scope"),
        (&[("client_id", CLI)], "invalid_target"),
        (&[("resource", &api)], "invalid_request"),
        (&[("client_id", CLI), ("client_id", CLI), ("resource", &api)], "invalid_request"),
    ] {
        assert_eq!(error(&begin(&world, form, &[]).await), says(code), "{form:?}");
    }
    let nobody = begin(&world, &[("client_id", "client-nobody"), ("resource", &api)], &[]).await;
    assert_eq!(error(&nobody), (401, "invalid_client".to_owned()));

    // Nor does such a client get the API with a browser.
    let mut ada = world.ada().await;
    let request = ada.url(&app.request(&[("resource", &api)]));
    let page = ada.open(&request).await;
    let told = page.location().unwrap();
    assert!(told.query_pairs().any(|(name, value)| name == "error" && value == "invalid_target"));
    assert_eq!(world.count("device_authorization").await, 0);
    world.end().await;
}

#[tokio::test]
async fn whoever_begins_a_thousand_fills_nothing() {
    let world = World::new().await;
    let mut ada = world.ada().await;
    let device = Device::new(&world).await;
    let resource = format!("{}/api/v1", world.origin.origin().ascii_serialization());
    let form = [("client_id", CLI), ("resource", &*resource)];
    for number in 1..10 {
        assert_eq!(begin(&world, &form, &[]).await.status, StatusCode::OK, "{number}");
    }
    let refused = begin(&world, &form, &[]).await;
    assert_eq!(error(&refused), (429, "temporarily_unavailable".to_owned()));
    assert_eq!(world.count("device_authorization").await, 10);
    device.decided_by(&mut ada, "allow").await;
    Tokens::of(&world, &device.poll(&world).await);
    world.end().await;
}

/// Both answers were lost, or two processes of one program ask at once.
#[tokio::test]
async fn of_devices_that_ask_at_once_one_is_answered() {
    let world = World::new().await;
    let mut ada = world.ada().await;
    let device = Device::new(&world).await;
    device.decided_by(&mut ada, "allow").await;
    let mut racing = JoinSet::new();
    for _ in 0..8 {
        let url = world.origin.join("/oauth/token").unwrap();
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "urn:ietf:params:oauth:grant-type:device_code")
            .append_pair("device_code", &device.code)
            .append_pair("client_id", CLI)
            .finish();
        let request = Request::post(url.as_str())
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Bytes::from(form))
            .unwrap();
        racing.spawn(async move { Browser::new().send(request).await.unwrap() });
    }
    let answers = racing.join_all().await;
    let (good, rest): (Vec<_>, Vec<_>) =
        answers.iter().partition(|page| page.status == StatusCode::OK);
    assert_eq!(good.len(), 1);
    assert!(rest.iter().all(|page| error(page) == says("slow_down")));
    Tokens::of(&world, good[0]);
    world.end().await;
}

//! Upstreams that want more than they were given, and more than anybody would give (OC-14).

use attache_sandbox::{Page, UnknownScopes, people::ADA};
use http::StatusCode;
use serde_json::{Value, json};

use crate::{program::Program, visitor::Visitor, world::World};

const PROMPT: &str = "The server asks for more permissions than were approved.";
const GIVEN_UP: &str = "The server asks for permissions that its provider does not grant.";

const TITLE: &str = "Approve more permissions first";

/// What an MCP client hears from `rooms`, whose upstream is bare.
async fn hears(program: &Program) -> String {
    let page = program.mcp("rooms", "tools/call", &json!({ "name": "anything" })).await;
    assert_eq!(page.status, 200, "{}", page.body);
    let answer = page.json().expect("JSON");
    let text = answer.pointer("/result/content/0/text").and_then(Value::as_str);
    text.unwrap_or_default().to_owned()
}

/// The scopes that an approval of `rooms` asks for, in the address of the authorization server.
async fn asked(visitor: &mut Visitor) -> String {
    let authorization = visitor.begin("rooms").await;
    let scopes = authorization.query_pairs().find(|(name, _)| name == "scope");
    scopes.map(|(_, scopes)| scopes.into_owned()).unwrap_or_default()
}

fn shows_connect(page: &Page) -> bool {
    page.body.contains("Continue to")
}

/// Everybody is told in their own language, the caller's own token is not spoken of, and what was
/// given goes on working.
#[tokio::test]
async fn a_demand_is_told_in_three_languages_and_takes_nothing_away() {
    let world = World::new().await;
    world.notes.set_unknown_scopes(UnknownScopes::Grant);
    let mut ada = world.ada().await;
    for upstream in ["rooms", "keyed"] {
        ada.connect(upstream).await;
    }
    let program = world.program(ADA);
    for status in [StatusCode::FORBIDDEN, StatusCode::UNAUTHORIZED] {
        let challenge = "Basic realm=x, Bearer error=\"insufficient_scope\", scope=\"write\"";
        world.bare.challenge(status, challenge);
        let connect = format!("{}connect/rooms", world.origin);
        for method in ["tools/call", "resources/read"] {
            let page = program.mcp("rooms", method, &json!({ "name": "x" })).await;
            assert_eq!(page.status, 200);
            assert!(page.body.contains(PROMPT) && page.body.contains(&connect), "{}", page.body);
        }
        let listed = program.mcp("rooms", "tools/list", &json!({})).await;
        assert!(listed.body.contains("connect_rooms"), "{}", listed.body);

        let page = program.get("/http/keyed/x").await;
        let problem = page.json().expect("a problem");
        assert_eq!((page.status.as_u16(), problem["title"].as_str()), (403, Some(TITLE)));
        assert_eq!(problem["connect_url"], format!("{}connect/keyed", world.origin));
        assert_eq!(page.header("www-authenticate"), None, "that was for the gateway");
    }
    world.bare.relent();
    let before = world.bare.arrived().len();
    assert_eq!(program.mcp("rooms", "ping", &json!({})).await.status, 200);
    assert_eq!(world.bare.arrived().len(), before + 1, "the old credential serves the rest");
    assert_eq!(world.status(ADA, "rooms").await, "connected: insufficient_scope");

    assert_eq!(asked(&mut ada).await, "notes write", "what the provider gave unasked, too");
    assert_eq!(ada.connect("rooms").await.outcome, "connected");
    assert_eq!(world.status(ADA, "rooms").await, "connected");
    world.end().await;
}

/// A provider that leaves out what it does not grant: approving again and again helps nobody.
#[tokio::test]
async fn an_upstream_that_is_never_content_is_given_up() {
    let world = World::new().await;
    world.notes.set_unknown_scopes(UnknownScopes::LeaveOut);
    let mut ada = world.ada().await;
    ada.connect("rooms").await;
    let program = world.program(ADA);
    world.bare.demand("everything");
    for _ in 0..3 {
        assert!(hears(&program).await.contains(PROMPT));
        assert_eq!(ada.connect("rooms").await.outcome, "connected");
    }
    let said = hears(&program).await;
    assert!(said.contains(GIVEN_UP) && !said.contains("/connect/"), "{said}");

    world.bare.relent();
    assert_eq!(hears(&program).await, "", "an answer of the upstream itself");
    assert_eq!(world.status(ADA, "rooms").await, "connected");
    world.end().await;
}

/// It words its demand anew each time, so that none is the same as before.
#[tokio::test]
async fn demands_without_end_have_an_end() {
    let world = World::new().await;
    world.notes.set_unknown_scopes(UnknownScopes::Grant);
    let mut ada = world.ada().await;
    ada.connect("rooms").await;
    let program = world.program(ADA);
    let mut prompts = 0;
    for number in 0..100 {
        world.bare.demand(&format!("more-{number}"));
        let said = hears(&program).await;
        if said.contains(GIVEN_UP) {
            break;
        }
        assert!(said.contains(PROMPT), "{said}");
        prompts += 1;
    }
    assert_eq!(prompts, 64);
    assert_eq!(world.count("demanded_scope").await, 64);
    let huge: Vec<_> = (0..40).map(|number| format!("{number}-{}", "x".repeat(200))).collect();
    world.bare.demand(&huge.join(" "));
    assert!(hears(&program).await.contains(GIVEN_UP));
    assert!(shows_connect(&ada.visit("/connect/rooms").await), "the page stands all the same");
    assert_eq!(ada.connect("rooms").await.outcome, "connected");
    world.end().await;
}

/// A made-up scope must not keep a person from ever connecting again.
#[tokio::test]
async fn a_scope_that_nobody_knows_locks_nobody_out() {
    let world = World::new().await;
    let mut ada = world.ada().await;
    ada.connect("rooms").await;
    let program = world.program(ADA);
    world.bare.demand("made-up");
    assert!(hears(&program).await.contains(PROMPT));
    assert_eq!(ada.connect("rooms").await.outcome, "invalid_scope");
    assert_eq!(ada.connect("rooms").await.outcome, "connected");
    assert!(hears(&program).await.contains(GIVEN_UP));
    world.end().await;
}

/// They come from a server that anybody may have written.
#[tokio::test]
async fn foreign_scopes_are_text_on_the_page_and_nowhere_else() {
    let world = World::new().await;
    world.notes.set_unknown_scopes(UnknownScopes::Grant);
    let mut ada = world.ada().await;
    ada.connect("rooms").await;
    let program = world.program(ADA);
    let hostile = "<img/src=x/onerror=alert(1)>";
    world.bare.demand(&format!("{hostile} ok&state=forged ok\t{}", "y".repeat(300)));
    let said = hears(&program).await;
    assert!(said.contains(PROMPT) && !said.contains("img"), "{said}");
    let page = ada.visit("/connect/rooms").await.body;
    assert!(!page.contains(hostile) && page.contains("&#60;img/src=x/onerror=alert(1)&#62;"));
    assert!(!ada.visit("/ui/connections").await.body.contains(hostile));

    let authorization = ada.begin("rooms").await;
    let states: Vec<_> = authorization.query_pairs().filter(|(name, _)| name == "state").collect();
    assert!(states.len() == 1 && states[0].1 != "forged", "{authorization}");
    assert_eq!(asked(&mut ada).await, format!("notes {hostile} ok ok&state=forged"));
    assert!(!crate::witness::log().contains(hostile));
    world.end().await;
}

/// What Ada's upstream wants of her is nothing to Grace.
#[tokio::test]
async fn one_persons_demands_are_nobody_elses() {
    let world = World::new().await;
    world.notes.set_unknown_scopes(UnknownScopes::Grant);
    let (mut ada, mut grace) = (world.ada().await, world.grace().await);
    ada.connect("rooms").await;
    grace.connect("rooms").await;
    world.bare.demand("of-ada-alone");
    assert!(hears(&world.program(ADA)).await.contains(PROMPT));

    for page in ["/connect/rooms", "/ui/connections", "/api/v1/user/credentials"] {
        assert!(ada.visit(page).await.body.contains("of-ada-alone"), "{page}");
        assert!(!grace.visit(page).await.body.contains("of-ada-alone"), "{page}");
    }
    assert_eq!(asked(&mut grace).await, "");
    assert_eq!(asked(&mut ada).await, "notes of-ada-alone");
    world.end().await;
}

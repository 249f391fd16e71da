//! The pages of administrators: for everybody else they are not there, and no other site presses a
//! button on them.

use attache_sandbox::{Page, people::GRACE};
use bytes::Bytes;
use http::{Method, Request};
use serde_json::Value;

use crate::{
    tokens::{EVERYTHING, holder, token},
    visitor::Visitor,
    world::{Surroundings, World},
};

const PAGES: [&str; 8] = [
    "/ui/admin",
    "/ui/admin/people",
    "/ui/admin/people?q=ada",
    "/ui/admin/audit?since=all",
    "/ui/admin/audit.jsonl?since=all",
    "/ui/admin/keys",
    "/api/v1/admin/audit",
    "/api/v1/admin/keys",
];

/// Ada administers.
async fn world() -> World {
    let more = "[identity]\nadmins = { groups = [\"engineering\"] }\n".to_owned();
    World::among("sqlite:attache.db", Surroundings { more, ..Surroundings::default() }).await
}

async fn post(who: &mut Visitor, path: &str, origin: &str) -> Page {
    let request = Request::post(who.url(path).as_str()).header("origin", origin);
    who.send(request.body(Bytes::new()).expect("a request")).await
}

async fn id_of(ada: &mut Visitor, email: &str) -> String {
    let listed = ada.visit("/api/v1/admin/users").await.json().expect("JSON");
    let users = listed.get("users").and_then(Value::as_array).expect("a list");
    let user = users.iter().find(|user| user["email"] == email).expect("somebody");
    user["id"].as_str().expect("a text").to_owned()
}

#[tokio::test]
async fn for_who_is_no_administrator_the_pages_are_not_there() {
    let world = world().await;
    let (mut ada, mut grace) = (world.ada().await, world.grace().await);
    let script = holder(&world, &token(&mut ada, EVERYTHING).await);
    let nobody = world.program_with("a.b.c");
    let adas = format!("/ui/admin/people/{}", id_of(&mut ada, "ada@example.com").await);
    for path in PAGES.into_iter().chain([&*adas]) {
        assert_eq!(ada.visit(path).await.status, 200, "{path}");
        assert_eq!(grace.visit(path).await.status, 404, "{path}");
        assert_eq!(script.get(path).await.status, 404, "{path} with a program's token");
        assert_eq!(nobody.get(path).await.status, 404, "{path} with nobody's token");
    }
    let ours = ada.url("/").origin().ascii_serialization();
    for deed in ["disable", "enable", "offboard"] {
        let path = format!("{adas}/{deed}");
        assert_eq!(post(&mut grace, &path, &ours).await.status, 404, "{deed}");
        let by_script = script.request(Method::POST, &path).body(Bytes::new()).expect("a request");
        assert_eq!(script.send(by_script).await.status, 404, "{deed} with a program's token");
    }
    assert!(ada.is_signed_in().await, "nothing was done");
    assert!(!grace.visit("/ui/connections").await.body.contains("/ui/admin"));
    assert!(ada.visit("/ui/connections").await.body.contains("/ui/admin"));
    world.end().await;
}

#[tokio::test]
async fn no_other_site_has_somebody_erased() {
    let world = world().await;
    let (mut ada, mut grace) = (world.ada().await, world.grace().await);
    grace.connect("notes").await;
    let hers = format!("/ui/admin/people/{}", id_of(&mut ada, GRACE.email).await);
    for deed in ["disable", "offboard"] {
        let path = format!("{hers}/{deed}");
        for origin in ["https://evil.example", "null"] {
            assert_eq!(post(&mut ada, &path, origin).await.status, 403, "{deed} from {origin}");
        }
        assert_eq!(ada.visit(&path).await.status, 405, "{deed} by a link");
    }
    assert!(grace.is_signed_in().await);

    let ours = ada.url("/").origin().ascii_serialization();
    let receipt = post(&mut ada, &format!("{hers}/offboard"), &ours).await;
    assert_eq!(receipt.status, 200, "{}", receipt.body);
    assert!(receipt.body.contains("Revoked") && receipt.body.contains("notes"), "{}", receipt.body);
    assert!(!grace.is_signed_in().await);
    assert_eq!(world.count("credential").await, 0);
    assert_eq!(world.notes.stats().trapped, 0);

    // Who did it, and to whom, is in the audit that she can read.
    let written = ada.visit("/ui/admin/audit.jsonl?since=all").await.body;
    let events: Vec<Value> =
        written.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let of = |action: &str| events.iter().find(|event| event["action"] == action).expect("it is");
    let ordered = of("administer");
    assert_eq!(ordered["request_id"], of("offboard")["request_id"]);
    assert_ne!(ordered["user"], of("offboard")["user"]);
    world.end().await;
}

/// What is looked for is a text: no pattern, no SQL, no HTML, and no length but one.
#[tokio::test]
async fn a_search_finds_what_is_written_and_nothing_else() {
    let world = world().await;
    let mut ada = world.ada().await;
    drop(world.grace().await);
    let long = "a".repeat(10_000);
    for (sought, finds) in [
        ("grace", true),
        ("GRACE%40EXAMPLE", true),
        ("%25", false),
        ("_race", false),
        ("%27%20OR%201%3D1--", false),
        ("%3Cscript%3Ex%3C%2Fscript%3E", false),
        (&*long, true),
    ] {
        let page = ada.visit(&format!("/ui/admin/people?q={sought}")).await;
        assert_eq!(page.status, 200, "{sought}");
        assert_eq!(page.body.contains("Grace Hopper"), finds, "{sought}");
        assert!(!page.body.contains("<script"), "{sought}");
    }
    for bad in ["action=everything", "since=yesterday", "server=A%2FB"] {
        assert_eq!(ada.visit(&format!("/ui/admin/audit?{bad}")).await.status, 404, "{bad}");
    }
    world.end().await;
}

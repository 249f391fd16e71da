//! Connections that were made for a while.

use std::time::Duration;

use attache_sandbox::people::{ADA, GRACE};
use http::header;

use crate::{
    policy::program,
    program::{Stream, status},
    streams::WEBSOCKET,
    tokens::post,
    visitor::Visitor,
    world::{Surroundings, World},
};

const HOUR: Duration = Duration::from_hours(1);
/// Longer than it takes until somebody looks for what is over.
const A_ROUND: Duration = Duration::from_secs(15);

const ENDED: &str = "audit_event WHERE action = 'disconnect' AND reason = 'term_ended'";

/// Chooses on the connect page, and approves.
async fn connect(who: &mut Visitor, upstream: &str, term: &str) {
    let begun = post(who, &format!("/connect/{upstream}"), &format!("term={term}")).await;
    let authorization = begun.header("location").expect("somewhere to approve").to_owned();
    let callback = who.approve(&authorization.parse().expect("a URL")).await;
    who.finish(&callback).await;
}

#[tokio::test]
async fn nothing_is_served_past_the_end_that_its_person_chose() {
    let world = World::new().await;
    let mut ada = world.ada().await;
    for (upstream, term) in [("keyed", "3600"), ("rooms", "3600"), ("notes", "28800"), ("api", "")]
    {
        connect(&mut ada, upstream, term).await;
    }
    let program = program(&world, ADA);
    let mut open = [
        program.open("GET /mcp/rooms", "Accept: text/event-stream\r\nX-Play: silent\r\n").await,
        program.open("GET /http/keyed/socket", WEBSOCKET).await,
    ];
    assert_eq!(open.each_ref().map(|stream: &Stream| status(&stream.head)), [Some(200), Some(101)]);
    assert_eq!(program.get("/http/keyed/x").await.status, 200);
    let (before, revoked) = (world.bare.arrived().len(), world.notes.stats().revocations);

    // Not even what is in memory, at the very moment.
    world.later(HOUR);
    let told = program.get("/http/keyed/x").await;
    assert_eq!(told.status, 403, "{}", told.body);
    assert!(told.body.contains("/connect/keyed") && told.body.contains("The time is up"));
    assert_eq!(world.bare.arrived().len(), before);
    assert_eq!(program.whoami("notes").await, "You are ada at Sandbox Notes");
    assert_eq!(program.get("/http/api/me").await.status, 200);

    // What is open ends, also at the provider, though nobody asks for it.
    for stream in &mut open {
        assert!(stream.ends_within(A_ROUND).await, "it is open past its end");
    }
    for _ in 0..100 {
        if world.notes.stats().revocations > revoked + 1 && world.count(ENDED).await == 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(world.count("connection_end").await, 1, "of notes");
    let listed = program.get("/api/v1/user/credentials").await;
    assert!(listed.body.contains("term_ended"), "{}", listed.body);
    assert!(world.notes.stats().revocations > revoked, "its tokens live on at the provider");
    assert_eq!(world.count(ENDED).await, 2);

    connect(&mut ada, "keyed", "3600").await;
    assert_eq!(program.get("/http/keyed/x").await.status, 200);
    world.end().await;
}

/// By another form than the page has, or by the way of a link: nobody gets more than the operator
/// lets them.
#[tokio::test]
async fn nobody_connects_for_longer_than_the_operator_lets_them() {
    let more = "[[upstream]]\nname = \"brief\"\nurl = \"{bare}base\"\nprotocol = \"http\"\n\
                [upstream.auth_broker]\n{broker}longest_connection = \"4h\"\n";
    let surroundings = Surroundings { more: more.to_owned(), ..Surroundings::default() };
    let world = World::among("sqlite:attache.db", surroundings).await;
    let mut ada = world.ada().await;
    let page = ada.visit("/connect/brief").await;
    assert!(page.body.contains("4 hours") && !page.body.contains("Until I disconnect"));
    for term in ["", "2592000", "99999999999999999999", "-1", "soon"] {
        connect(&mut ada, "brief", term).await;
        let program = program(&world, ADA);
        assert_eq!(program.get("/http/brief/x").await.status, 200);
        let listed = program.get("/api/v1/user/credentials").await.json().expect("JSON");
        let all = listed["credentials"].as_array().expect("a list");
        let brief = all.iter().find(|one| one["server"] == "brief").expect("it is listed");
        let ends_at = brief["ends_at"].as_str().expect("an end").to_owned();
        let latest = attache_core::Timestamp::from_seconds(world.now()).plus(4 * HOUR).to_string();
        assert!(ends_at <= latest, "{term}: {ends_at}");
    }
    // The time that is chosen comes back with the state, and is worth nothing when it is changed.
    let mut grace = world.visitor(GRACE).await;
    let begun = post(&mut grace, "/connect/notes", "term=3600").await;
    let authorization = begun.header(header::LOCATION.as_str()).expect("somewhere").to_owned();
    let callback = grace.approve(&authorization.parse().expect("a URL")).await;
    let longer = callback.as_str().replace(".3600", ".360000");
    assert_ne!(longer, callback.as_str());
    let landing = grace.finish(&longer.parse().expect("a URL")).await;
    assert_eq!(landing.outcome, "flow_unknown");
    world.end().await;
}

//! What was done in somebody's name is theirs to see, and nobody else's.

use std::time::Duration;

use attache_sandbox::people::{ADA, GRACE};
use serde_json::Value;
use tokio::time::sleep;

use crate::{
    program::Program,
    tokens::{holder, token},
    world::World,
};

/// Uses are written down within half a second.
const WRITTEN: Duration = Duration::from_millis(700);

/// What the API says was done, and where it goes on.
async fn activity(program: &Program, query: &str) -> (Vec<(String, String)>, Option<String>) {
    let page = program.get(&format!("/api/v1/user/activity{query}")).await;
    assert_eq!(page.status, 200, "{}", page.body);
    let answer = page.json().expect("JSON");
    let text = |event: &Value, name: &str| {
        event.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let events = answer.get("activity").and_then(Value::as_array).expect("a list").iter();
    let events = events.map(|event| (text(event, "action"), text(event, "request_id")));
    (events.collect(), answer.get("next").and_then(Value::as_str).map(str::to_owned))
}

#[tokio::test]
async fn nobody_sees_what_others_did_wherever_their_list_goes_on() {
    let world = World::new().await;
    let (mut ada, mut grace) = (world.ada().await, world.grace().await);
    ada.connect("notes").await;
    grace.connect("mail").await;
    let (hers, others) = (world.program(ADA), world.program(GRACE));
    for _ in 0..120 {
        assert!(hers.whoami("notes").await.contains("ada"));
    }
    sleep(WRITTEN).await;
    let (newest, next) = activity(&hers, "").await;
    assert_eq!(newest.len(), 100);
    let next = next.expect("there is more");
    let (rest, end) = activity(&hers, &format!("?before={next}")).await;
    assert_eq!(end, None);
    let all = [newest, rest].concat();
    let used = all.iter().filter(|(action, _)| action == "inject").count();
    assert_eq!(used, 120, "each once");
    assert!(all.iter().any(|(action, _)| action == "connect"));

    // Grace comes with Ada's place, and with one of her own making.
    for query in ["", &format!("?before={next}"), "?before=9999999999999.9999", "?user=ada"] {
        let (seen, _) = activity(&others, query).await;
        let adas = seen.iter().find(|event| !event.1.is_empty() && all.contains(event));
        assert_eq!(adas, None, "{query}");
        assert!(seen.iter().all(|(action, _)| action != "inject"), "{query}: {seen:?}");
    }
    let page = grace.visit("/ui/activity").await;
    assert!(page.body.contains("mail") && !page.body.contains("notes"), "{}", page.body);
    assert!(ada.visit("/ui/activity").await.body.contains("Used for"));

    // A token for one server does not open it, nor what people say about themselves.
    let narrow = token(&mut ada, "name=n&reach=servers&server=notes&access=act&days=1").await;
    let narrow = holder(&world, &narrow).get("/api/v1/user/activity").await;
    assert_eq!(narrow.status, 401, "{}", narrow.body);
    world.end().await;
}

/// Instructions name no server that is not this person's.
#[tokio::test]
async fn what_to_add_to_a_program_is_what_one_may_use() {
    let world = World::new().await;
    let (mut ada, mut grace) = (world.ada().await, world.grace().await);
    assert!(ada.visit("/ui/clients").await.body.contains("vip"));
    let page = grace.visit("/ui/clients").await;
    assert!(page.body.contains("notes") && !page.body.contains("vip"), "{}", page.body);
    assert_eq!(ada.visit("/ui/clients?server=vip").await.status, 200);
    let closed = grace.visit("/ui/clients?server=vip").await;
    let missing = grace.visit("/ui/clients?server=nowhere").await;
    assert_eq!((closed.status, missing.status.as_u16()), (missing.status, 404));
    world.end().await;
}

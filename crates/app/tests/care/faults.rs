//! The store's file while the gateway runs: no room for it, pages that cannot be read, taken away.

use std::fs;

use attache_sandbox::people::{ADA, GRACE};
use http::Method;

use crate::world::World;

/// What is in memory serves on, nothing is promised that was not stored, nothing is lost, and it
/// goes on by itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_survived() {
    let mut world = World::new().await;
    world.connect(ADA).await;
    world.connect(GRACE).await;
    world.gets_through(ADA).await;

    world.limit_files(Some(1));
    world.gets_through(ADA).await;
    let said = world.until_ready(|status, _| status == 503).await;
    assert!(said.contains("a quota or a limit is reached"), "{said}");
    for _ in 0..3 {
        world.gets_through(ADA).await;
    }
    // What must be stored fails, and says so.
    let program = world.program(GRACE);
    let request = program.request(Method::DELETE, "/api/v1/user/credentials/api");
    let page = program.send(request.body(bytes::Bytes::new()).expect("a request")).await;
    assert_eq!(page.status, 503, "{}", page.body);
    assert_eq!(world.status(GRACE).await, "connected");
    let page = world.visitor(GRACE).visit("/ui/connections").await;
    assert_eq!(page.status, 503, "{}", page.body);
    // A refresh would spend a token whose successor has no place.
    world.notes.expire_access_tokens();
    let refreshes = world.notes.stats().refreshes;
    world.is_told_of_the_store(GRACE).await;
    assert_eq!(world.notes.stats().refreshes, refreshes);
    let log = world.log();
    assert_eq!(log.matches("the store takes no writes").count(), 1, "{log}");

    world.limit_files(None);
    world.until_ready(|status, _| status == 200).await;
    assert!(world.log().contains("the store takes writes again"), "{}", world.log());
    world.gets_through(ADA).await;
    world.gets_through(GRACE).await;

    world.kill();
    world.start().await;
    world.gets_through(ADA).await;
    world.gets_through(GRACE).await;
    world.does(&["audit", "verify"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_page_is_told_truthfully_and_a_backup_mends_it() {
    let mut world = World::new().await;
    world.connect(ADA).await;
    world.does(&["store", "check"]);
    world.does(&["backup", "good.db"]);
    world.stop();
    world.folder.spoil("credential").await;

    world.start().await;
    world.is_told_of_the_store(ADA).await;
    let ready = world.until_ready(|status, body| status == 200 && body.contains("damaged")).await;
    assert!(ready.contains("attache store check"), "{ready}");
    let log = world.log();
    assert_eq!(log.matches("cannot be read in places").count(), 1, "{log}");
    let page = world.program(ADA).get("/api/v1/user/credentials").await;
    assert_eq!(page.status, 503, "{}", page.body);
    let found = world.refused(&["store", "check"], 1);
    assert!(found.contains("restore a backup"), "{found}");
    let refused = world.refused(&["backup", "bad.db"], 1);
    assert!(refused.contains("damaged"), "{refused}");
    assert!(!world.folder.path("bad.db").exists());

    world.stop();
    world.does(&["store", "check", "good.db"]);
    world.folder.restore(&world.folder.path("good.db"));
    world.start().await;
    world.gets_through(ADA).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_taken_away_is_missed_and_may_come_back() {
    let mut world = World::new().await;
    world.connect(ADA).await;
    world.gets_through(ADA).await;
    let (home, away) = (world.folder.path("attache.db"), world.folder.path("away.db"));
    fs::rename(&home, &away).unwrap();
    let said = world.until_ready(|status, _| status == 503).await;
    assert!(said.contains("moved, removed or replaced"), "{said}");
    world.gets_through(ADA).await;
    world.is_told_of_the_store(GRACE).await;

    // Another file in its place is not it.
    fs::write(&home, "").unwrap();
    world.is_told_of_the_store(GRACE).await;
    fs::rename(away, home).unwrap();
    world.until_ready(|status, _| status == 200).await;
    world.connect(GRACE).await;
    world.kill();
    world.start().await;
    world.gets_through(GRACE).await;
}

//! A backup that is made while the gateway writes, and put in its place.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
};

use attache_sandbox::people::{ADA, GRACE};
use tokio::task::JoinSet;

use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn what_was_committed_before_a_backup_is_there_after_a_restore() {
    let mut world = World::new().await;
    world.connect(ADA).await;
    world.gets_through(ADA).await;

    // Somebody is in the middle of connecting, and everybody is busy.
    let mut grace = world.visitor(GRACE);
    grace.visit("/ui/connections").await;
    let authorization = grace.begin("api").await;
    let over = Arc::new(AtomicBool::new(false));
    let mut busy = JoinSet::new();
    {
        let (program, over) = (world.program(ADA), Arc::clone(&over));
        busy.spawn(async move {
            let mut calls = 0;
            while !over.load(SeqCst) {
                assert_eq!(program.get("/http/api/me").await.status, 200);
                calls += 1;
            }
            calls
        });
    }
    let backup = world.folder.path("copy.db");
    world.does(&["backup", "copy.db"]);
    over.store(true, SeqCst);
    assert!(busy.join_next().await.unwrap().unwrap() > 0);
    assert_eq!(fs::metadata(&backup).unwrap().permissions().mode() & 0o777, 0o600);
    let said = world.refused(&["backup", "copy.db"], 1);
    assert!(said.contains("exists already"), "{said}");
    let said = world.refused(&["backup", "nowhere/copy.db"], 1);
    assert!(said.contains("cannot be written"), "{said}");

    // What comes after the backup: Ada's refresh token is spent, Grace is connected.
    world.notes.expire_access_tokens();
    world.gets_through(ADA).await;
    let callback = grace.approve(&authorization).await;
    assert_eq!(grace.finish(&callback).await.outcome, "connected");
    world.does(&["audit", "verify"]);
    world.kill();

    world.does(&["store", "check", "copy.db"]);
    world.folder.restore(&backup);
    world.start().await;
    // Who signed in before is signed in; who had not connected has not, and the old flow is no
    // way in: its code is spent.
    assert_eq!(grace.open(&world.url("/ui/connections")).await.status, 200);
    assert_eq!(world.status(GRACE).await, "not_connected");
    assert_ne!(grace.finish(&callback).await.outcome, "connected");
    // The truth about a spent refresh token: the provider ended it, connect again.
    assert_eq!(world.status(ADA).await, "connected");
    let page = world.call(ADA).await;
    assert_eq!(page.status, 403, "{}", page.body);
    assert!(page.body.contains("/connect/api"), "{}", page.body);
    assert_eq!(world.status(ADA).await, "needs_reconnect");
    world.connect(ADA).await;
    world.gets_through(ADA).await;
    grace.connect("api").await;
    world.gets_through(GRACE).await;

    // The audit is what it was then, and says where it broke off.
    let report = world.does(&["audit", "verify"]);
    assert_eq!(report.matches("running or killed").count(), 2, "{report}");
}

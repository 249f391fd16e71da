//! From SQLite to PostgreSQL.

use attache_sandbox::people::{ADA, GRACE};

use crate::{postgres::Cluster, world::World};

#[tokio::test(flavor = "multi_thread")]
async fn everybody_is_still_there_on_postgresql() {
    let mut world = World::new().await;
    let mut ada = world.connect(ADA).await;
    world.connect(GRACE).await;
    world.gets_through(ADA).await;

    let cluster = Cluster::start();
    let to = cluster.url();
    let copy = ["store", "copy", "--from", "sqlite:attache.db", "--to", to.expose()];
    let said = world.refused(&copy, 1);
    assert!(said.contains("stop the gateway first"), "{said}");
    world.kill();
    let told = world.does(&copy);
    for table in ["person", "session", "credential", "data_key", "audit_event", "audit_writer"] {
        let mut lines = told.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let line = lines.find(|line| line.first() == Some(&table)).expect(table);
        assert_ne!(line.get(1), Some(&"0"), "{told}");
    }

    world.configure(to.expose());
    world.start().await;
    let page = ada.open(&world.url("/ui/connections")).await;
    assert_eq!(page.status, 200, "her session is good: {}", page.body);
    world.gets_through(ADA).await;
    world.notes.expire_access_tokens();
    world.gets_through(GRACE).await;
    world.does(&["audit", "verify"]);
    let said = world.refused(&copy, 1);
    assert!(said.contains("has rows already"), "{said}");
    let said = world.refused(&["backup", "copy.db"], 2);
    assert!(said.contains("pg_dump"), "{said}");
}

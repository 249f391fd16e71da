//! Who has to go, goes everywhere at once: two gateways on one `PostgreSQL`.

use std::time::{Duration, Instant};

use attache::gateway::Gateway;
use attache_sandbox::people::{ADA, GRACE};
use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::json;
use sqlx::{Connection as _, PgConnection};
use url::Url;

use crate::{postgres::Cluster, program::Program, world::World};

/// What "at once" may take on a machine that is busy with everything else.
const AT_ONCE: Duration = Duration::from_millis(500);

struct Replicas {
    world: World,
    other: Gateway,
    other_origin: Url,
}

impl Replicas {
    /// Ada and Grace are connected to `notes`, and both gateways have it in memory.
    async fn on(cluster: &Cluster) -> Self {
        let world = World::on(cluster.url().expose()).await;
        let (other, other_origin) = world.replica().await;
        world.ada().await.connect("notes").await;
        world.grace().await.connect("notes").await;
        let replicas = Self { world, other, other_origin };
        for (person, called) in [(ADA, "ada"), (GRACE, "grace")] {
            for program in replicas.programs(person) {
                let said = program.whoami("notes").await;
                assert!(said.to_lowercase().contains(called), "{said}");
            }
        }
        replicas
    }

    fn programs(&self, person: attache_sandbox::Person) -> [Program; 2] {
        [self.world.program(person), self.world.program_at(person, &self.other_origin)]
    }

    async fn end(self) {
        self.other.stop().await;
        self.world.end().await;
    }
}

async fn disconnect(program: &Program, upstream: &str) {
    let path = format!("/api/v1/user/credentials/{upstream}");
    let request = program.request(Method::DELETE, &path).body(Bytes::new()).expect("a request");
    let page = program.send(request).await;
    assert!(page.status.is_success(), "{}", page.body);
}

async fn is_connected(program: &Program) -> bool {
    !program.whoami("notes").await.contains("/connect/notes")
}

async fn is_let_in(program: &Program) -> bool {
    let page = program.mcp("notes", "tools/call", &json!({ "name": "whoami" })).await;
    page.status != StatusCode::UNAUTHORIZED
}

async fn at_once(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !holds().await {
        assert!(start.elapsed() < AT_ONCE, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_goes_is_gone_on_every_replica_at_once() {
    let cluster = Cluster::start();
    let replicas = Replicas::on(&cluster).await;
    let [here, there] = replicas.programs(ADA);
    assert!(is_connected(&there).await);
    disconnect(&here, "notes").await;
    assert!(!is_connected(&here).await);
    tokio::time::sleep(AT_ONCE).await;
    let before = replicas.world.mcp.recorder().arrived();
    assert!(!is_connected(&there).await);
    let after = replicas.world.mcp.recorder().arrived();
    assert_eq!(after, before, "the token was revoked, too, but nobody had to find out that way");

    // By somebody at a prompt, whom no gateway sees.
    let [here, there] = replicas.programs(GRACE);
    assert!(is_connected(&here).await && is_connected(&there).await);
    let mut prompt = PgConnection::connect(cluster.socket_url().expose()).await.expect("a prompt");
    let switch = "UPDATE person SET disabled = TRUE WHERE email = 'grace@example.com'";
    let switched = sqlx::query(switch).execute(&mut prompt).await.expect("good SQL");
    assert_eq!(switched.rows_affected(), 1);
    for program in [&here, &there] {
        at_once("switched off", async || !is_let_in(program).await).await;
    }
    replicas.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_the_database_stops_nobody_and_hides_nothing() {
    let cluster = Cluster::start();
    let replicas = Replicas::on(&cluster).await;
    let [here, there] = replicas.programs(ADA);
    assert!(is_connected(&here).await && is_connected(&there).await);

    // Longer than anything is believed unchecked.
    cluster.crash();
    replicas.world.later(Duration::from_mins(2));
    assert!(is_connected(&there).await, "one waits to find out");
    let start = Instant::now();
    for _ in 0..50 {
        assert!(is_connected(&there).await);
    }
    assert!(start.elapsed() < Duration::from_secs(4), "and no other");

    cluster.run_server();
    let mut prompt = PgConnection::connect(cluster.url().expose()).await.expect("a prompt");
    sqlx::query("DELETE FROM credential").execute(&mut prompt).await.expect("good SQL");
    for program in [&here, &there] {
        let mut seconds = 0..20;
        while is_connected(program).await {
            seconds.next().expect("it is noticed");
            replicas.world.later(Duration::from_secs(1));
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    replicas.end().await;
}

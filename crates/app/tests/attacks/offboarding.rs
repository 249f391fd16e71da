//! Who has to go, goes everywhere at once: two gateways on one `PostgreSQL`, and a command beside
//! them.

use std::{
    fs,
    process::{Command, Output},
    time::{Duration, Instant},
};

use attache::gateway::Gateway;
use attache_sandbox::people::{ADA, GRACE};
use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};
use url::Url;

use crate::{
    app::{App, Tokens, error},
    configuration,
    postgres::Cluster,
    program::Program,
    tokens::{EVERYTHING, holder, token},
    world::World,
};

/// What "at once" may take on a machine that is busy with everything else.
pub(crate) const AT_ONCE: Duration = Duration::from_millis(500);

pub(crate) struct Replicas {
    pub(crate) world: World,
    other: Gateway,
    other_origin: Url,
}

impl Replicas {
    /// Ada and Grace are connected to `notes`, and both gateways have it in memory.
    pub(crate) async fn on(cluster: &Cluster) -> Self {
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

    pub(crate) fn programs(&self, person: attache_sandbox::Person) -> [Program; 2] {
        [self.world.program(person), self.world.program_at(person, &self.other_origin)]
    }

    pub(crate) async fn end(self) {
        self.other.stop().await;
        self.world.end().await;
    }
}

pub(crate) async fn disconnect(program: &Program, upstream: &str) {
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

/// `attache user …` beside the gateways, as its operator runs it.
pub(crate) fn user(world: &World, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_attache"))
        .arg("user")
        .args(arguments)
        .arg("--config")
        .arg(world.home.config_file())
        .env_remove("ATTACHE_KEY")
        .output()
        .expect("it runs")
}

/// What it said, and that it said no secret.
fn said(output: &Output, code: i32) -> String {
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{words}");
    words
}

/// `server`, `revoked` and `reason` of every receipt.
pub(crate) fn receipts(output: &Output) -> Vec<String> {
    let data: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let receipts = data.get("receipts").and_then(Value::as_array).expect("a list");
    receipts
        .iter()
        .map(|one| format!("{} {} {}", one["server"], one["revoked"], one["reason"]))
        .collect()
}

/// OC-28: everywhere, each provider told, and refused at once although their token is good.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_offboarded_is_ended_at_every_provider_and_let_in_nowhere() {
    let cluster = Cluster::start();
    let replicas = Replicas::on(&cluster).await;
    let world = &replicas.world;
    world.ada().await.connect("mail").await;
    fs::write(world.home.config_file(), configuration::text(world)).expect("a disk");

    let gone = user(world, &["offboard", "Ada@Example.com", "-o", "json"]);
    assert!(said(&gone, 0).contains("ada@example.com is erased"));
    assert_eq!(receipts(&gone), ["\"mail\" true null", "\"notes\" true null"]);
    for program in &replicas.programs(ADA) {
        at_once("offboarded", async || !is_let_in(program).await).await;
    }
    assert_eq!(world.stranger(ADA).visit("/ui/connections").await.status, 403);
    for program in &replicas.programs(GRACE) {
        assert!(is_connected(program).await, "somebody else's");
    }
    let mut prompt = PgConnection::connect(cluster.url().expose()).await.expect("a prompt");
    for (what, sql) in [
        ("grace's", "SELECT count(*) FROM credential"),
        ("grace's", "SELECT count(*) FROM data_key"),
        ("a name that is barred", "SELECT count(*) FROM person WHERE disabled"),
    ] {
        let count: i64 = sqlx::query_scalar(sql).fetch_one(&mut prompt).await.expect("good SQL");
        assert_eq!(count, 1, "{what}");
    }
    let log = "SELECT action FROM audit_event WHERE action IN
        ('disable', 'disconnect', 'revoke', 'offboard') ORDER BY id";
    let log: Vec<String> = sqlx::query_scalar(log).fetch_all(&mut prompt).await.expect("good SQL");
    let each = ["disconnect", "revoke"];
    assert_eq!(log, [&["disable"][..], &each, &each, &["offboard"]].concat());
    replicas.end().await;
}

/// Where the database tells nobody of changes, the gateway looks again within a minute.
#[tokio::test(flavor = "multi_thread")]
async fn on_sqlite_it_takes_a_minute_and_what_could_not_be_told_is_said() {
    let world = World::new().await;
    for upstream in ["notes", "mail"] {
        world.ada().await.connect(upstream).await;
    }
    let program = world.program(ADA);
    assert!(is_connected(&program).await);
    let text = configuration::text(&world);
    let (without_mail, _) = text.split_once("[[upstream]]\nname = \"mail\"").expect("it is last");
    fs::write(world.home.config_file(), without_mail).expect("a disk");

    said(&user(&world, &["disable", "ada@example.com"]), 0);
    let listed = user(&world, &["list"]);
    assert!(String::from_utf8_lossy(&listed.stdout).contains(" off"), "{listed:?}");
    world.later(Duration::from_mins(1));
    assert!(!is_let_in(&program).await);
    said(&user(&world, &["enable", "ada@example.com"]), 0);
    world.later(Duration::from_mins(1));
    assert!(is_connected(&program).await, "nothing was lost");

    assert!(said(&user(&world, &["offboard", "nobody@example.com"]), 1).contains("nobody is"));
    let gone = user(&world, &["offboard", "ada@example.com", "-o", "json"]);
    assert!(said(&gone, 1).contains("1 credentials may go on working"));
    assert_eq!(receipts(&gone), ["\"mail\" false \"misconfigured\"", "\"notes\" true null"]);
    world.later(Duration::from_mins(1));
    assert!(!is_let_in(&program).await);
    assert_eq!((world.count("credential").await, world.count("data_key").await), (0, 0));
    world.end().await;
}

/// Whoever was switched off because something of theirs was stolen is not let in with it again.
#[tokio::test]
async fn who_is_switched_on_again_begins_anew() {
    let world = World::new().await;
    let mut ada = world.ada().await;
    ada.connect("notes").await;
    let script = holder(&world, &token(&mut ada, EVERYTHING).await);
    let (app, client) = App::signed_in(&world, &mut ada).await;
    let client_program = client.program(&world);
    assert!(is_connected(&script).await && is_connected(&client_program).await);
    fs::write(world.home.config_file(), configuration::text(&world)).expect("a disk");

    said(&user(&world, &["disable", "ada@example.com"]), 0);
    said(&user(&world, &["enable", "ada@example.com"]), 0);
    world.later(Duration::from_mins(1));
    assert!(!ada.is_signed_in().await);
    assert!(!is_let_in(&script).await && !is_let_in(&client_program).await);
    assert_eq!(error(&app.refresh(&client.refresh).await), (400, "invalid_grant".to_owned()));

    // She herself is, and has what she connected.
    let mut ada = world.ada().await;
    assert!(is_connected(&holder(&world, &token(&mut ada, EVERYTHING).await)).await);
    assert!(is_connected(&world.program(ADA)).await);
    world.end().await;
}

/// Whom the identity provider switched off signs in no more: what they made here ends with that,
/// within `identity.reauthenticate_after`.
#[tokio::test]
async fn what_somebody_made_here_does_not_outlive_their_sign_in() {
    let mut world = World::new().await;
    let (mut ada, mut grace) = (world.ada().await, world.grace().await);
    let year = "name=a&reach=everything&access=act&days=365";
    let script = holder(&world, &token(&mut ada, year).await);
    let graces = holder(&world, &token(&mut grace, year).await);
    let (app, client) = App::signed_in(&world, &mut ada).await;
    assert!(is_let_in(&script).await);

    // A sign-in elsewhere with the same provider counts: her programs go on.
    world.later(Duration::from_hours(20 * 24));
    let refreshed = Tokens::of(&world, &app.refresh(&client.refresh).await);
    assert!(is_let_in(&world.program(ADA)).await);
    world.later(Duration::from_hours(20 * 24));
    assert!(is_let_in(&script).await && !is_let_in(&graces).await);
    let refreshed = Tokens::of(&world, &app.refresh(&refreshed.refresh).await);
    world.later(Duration::from_hours(11 * 24));
    for path in ["/mcp/notes", "/api/v1/user/tokens"] {
        let refused = script.get(path).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{path}");
        assert!(refused.body.contains(&format!("{}login", world.origin)), "{}", refused.body);
        let challenge = refused.header("www-authenticate").expect("a challenge");
        assert!(challenge.contains("invalid_token"), "{challenge}");
    }
    let refused = app.refresh(&refreshed.refresh).await;
    assert_eq!(error(&refused), (400, "invalid_grant".to_owned()));
    assert!(refused.body.contains("sign in again"), "{}", refused.body);
    world.restart().await;
    assert!(!is_let_in(&script).await);

    // She signs in, and nothing has to be made again.
    drop(world.ada().await);
    assert!(is_let_in(&script).await && !is_let_in(&graces).await);
    Tokens::of(&world, &app.refresh(&refreshed.refresh).await);
    world.end().await;
}

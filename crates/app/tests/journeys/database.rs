//! The database goes away in every way there is, and the gateway goes on as far as it can.

use std::{
    thread,
    time::{Duration, Instant},
};

use attache_core::Secret;
use sqlx::{Connection as _, PgConnection};

use crate::support::{
    cable::Cable,
    clients::RustClient,
    people::Person,
    postgres::Cluster,
    stage::{Setting, Stage, journey_on},
};

/// Until `/readyz` says what is the case.
const NOTICED: Duration = Duration::from_secs(8);
/// What the first caller who finds out waits at most, and how long everybody else does.
const FOUND_OUT: Duration = Duration::from_secs(10);
const AT_ONCE: Duration = Duration::from_millis(500);
const CALLS: usize = 20;

/// A server, and the cable between it and the gateway.
struct Database {
    cluster: Cluster,
    cable: Cable,
}

impl Database {
    fn new() -> Self {
        let cluster = Cluster::start();
        let cable = Cable::to(address(&cluster).parse().expect("an address"));
        Self { cluster, cable }
    }

    /// By way of the cable.
    fn url(&self) -> String {
        let cable = self.cable.address().to_string();
        self.cluster.url().expose().replace(&address(&self.cluster), &cable)
    }

    /// By way of the socket, whatever happens to the cable.
    fn count(&self, sql: &'static str) -> i64 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let url: Secret = self.cluster.socket_url();
        runtime.expect("a runtime").block_on(async {
            let mut connection = PgConnection::connect(url.expose()).await.expect("a server");
            sqlx::query_scalar(sql).fetch_one(&mut connection).await.expect(sql)
        })
    }
}

fn address(cluster: &Cluster) -> String {
    let url = cluster.url();
    let (_, rest) = url.expose().split_once('@').expect("a user");
    rest.split_once('/').expect("a database").0.to_owned()
}

/// Calls many times, and counts who had to wait: for no longer than [`FOUND_OUT`].
fn slow(call: impl Fn()) -> usize {
    let took = (0..CALLS).map(|_| {
        let start = Instant::now();
        call();
        start.elapsed()
    });
    let waited: Vec<_> = took.filter(|took| *took > AT_ONCE).collect();
    assert!(waited.iter().all(|took| *took < FOUND_OUT), "{waited:?}");
    waited.len()
}

fn wait_for(stage: &Stage, readiness: u16) {
    let start = Instant::now();
    while stage.gateway.probe("/readyz") != Some(readiness) {
        assert!(start.elapsed() < NOTICED, "/readyz does not say {readiness}");
        thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(stage.gateway.probe("/healthz"), Some(200));
}

#[test]
fn whoever_is_known_goes_on_and_everybody_else_is_told() {
    let database = Database::new();
    journey_on(&database.url(), Setting::CALM, |stage| {
        let mut ada = Person::new(stage, "ada");
        ada.connect("notes");
        let session = RustClient::connect(&stage.notes(), &ada.bearer);
        assert_eq!(session.whoami().text, "ada");
        let grace = Person::new(stage, "grace");
        let injected = "SELECT count(*) FROM audit_event WHERE action = 'inject'";
        thread::sleep(Duration::from_secs(1));
        let mut known = database.count(injected);

        for trouble in [Cable::cut, Cable::swallow] {
            trouble(&database.cable);
            let waited = slow(|| assert_eq!(session.whoami().text, "ada"));
            assert!(waited <= 2, "{waited} known callers waited");
            wait_for(stage, 503);

            let waited = slow(|| {
                let answer = stage.api(&grace.bearer).send().expect("the gateway answers");
                assert_eq!(answer.status(), 503);
                assert!(answer.headers().contains_key("retry-after"));
            });
            assert!(waited <= 2, "{waited} callers waited for what somebody knew");
            let page = ada.open(&format!("{}/ui/connections", stage.url), None);
            assert_eq!(page["status"], 503, "{page}");
            assert_eq!(session.whoami().text, "ada");

            database.cable.mend();
            wait_for(stage, 200);
            assert_eq!(stage.api(&grace.bearer).send().expect("an answer").status(), 403);
            assert_eq!(ada.open(&format!("{}/ui/connections", stage.url), None)["status"], 200);

            known += i64::try_from(CALLS).expect("few") + 1;
            let start = Instant::now();
            while database.count(injected) < known {
                assert!(start.elapsed() < FOUND_OUT, "the audit has {}", database.count(injected));
                thread::sleep(Duration::from_millis(100));
            }
            thread::sleep(Duration::from_secs(1));
            assert_eq!(database.count(injected), known, "what happened once is written once");
        }
        let ours = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'attache'";
        assert!(database.count(ours) <= 11, "connections are left over");
    });
}

/// The old refresh token is spent, so the new one must not be lost.
#[test]
fn what_was_refreshed_while_it_was_away_is_stored_afterwards() {
    let database = Database::new();
    let slow = Setting { token_delay: Duration::from_millis(1500), ..Setting::EXPIRING };
    journey_on(&database.url(), slow, |stage| {
        let mut ada = Person::new(stage, "ada");
        ada.connect("api");
        thread::sleep(Setting::EXPIRING.access_token + Duration::from_millis(500));
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(slow.token_delay / 2);
                database.cable.cut(); // while the provider thinks
            });
            assert_eq!(stage.whoami_by_api(&ada.bearer), "ada");
        });
        wait_for(stage, 503);
        database.cable.mend();
        wait_for(stage, 200);

        thread::sleep(Duration::from_secs(2));
        stage.gateway.kill();
        stage.gateway.start_again();
        thread::sleep(Setting::EXPIRING.access_token);
        assert_eq!(stage.whoami_by_api(&ada.bearer), "ada", "the refresh token was stored");
        assert_eq!(stage.count("/refresh_token/refused"), 0);
        assert_eq!(stage.count("/reused"), 0);
    });
}

#[test]
fn a_start_waits_for_it_alive_and_unready() {
    let database = Database::new();
    journey_on(&database.url(), Setting::CALM, |stage| {
        stage.gateway.kill();
        database.cluster.crash();
        stage.gateway.begin_again();
        let start = Instant::now();
        while stage.gateway.probe("/healthz").is_none() {
            assert!(start.elapsed() < NOTICED, "it does not live");
            thread::sleep(Duration::from_millis(50));
        }
        assert_eq!(stage.gateway.probe("/readyz"), Some(503));
        stage.gateway.stop();

        stage.gateway.begin_again();
        thread::sleep(Duration::from_secs(1));
        database.cluster.run_server();
        stage.gateway.wait_until_ready();
    });
}

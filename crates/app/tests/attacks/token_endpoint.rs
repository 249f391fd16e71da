//! A token endpoint that fails in every way it can: while a person connects, while their token is
//! still good, and after it has ended.

use std::{
    fs,
    time::{Duration, Instant},
};

use attache_sandbox::{
    TokenAnswer,
    people::{ADA, GRACE},
};
use tokio::time::sleep;

use crate::world::World;

/// What may go wrong before the grant is looked at, and what the person is told.
const FAILURES: [(TokenAnswer, &str); 7] = [
    (TokenAnswer::OkWithError("invalid_client"), "invalid_client"),
    (TokenAnswer::OkWithError("<b>sandbox-marker"), "other"),
    (TokenAnswer::InvalidClient, "invalid_client"),
    (TokenAnswer::Status500, "provider_unavailable"),
    (TokenAnswer::Html, "malformed_response"),
    (TokenAnswer::Redirect, "malformed_response"),
    (TokenAnswer::DropConnection, "provider_unavailable"),
];

/// Tokens that must not be used; the code or refresh token is spent on them.
const BAD_TOKENS: [TokenAnswer; 2] = [TokenAnswer::CrLfToken, TokenAnswer::WrongTokenType];

/// An hour's token is renewed from the 54th minute on.
const DUE: Duration = Duration::from_mins(55);
/// Between two looks at what goes on in the background.
const PAUSE: Duration = Duration::from_millis(5);
/// Beyond what the provider is left alone for after a failure.
const RESTED: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_failure_while_connecting_stores_nothing() {
    let world = World::new().await;
    let mut ada = world.ada().await;
    let bad_tokens = BAD_TOKENS.map(|answer| (answer, "malformed_response"));
    for (answer, label) in FAILURES.into_iter().chain(bad_tokens) {
        world.notes.token_answers().next(answer);
        let landing = ada.connect("notes").await;
        assert_eq!(landing.outcome, label, "{answer:?}");
        assert!(landing.page.body.contains("Connecting notes did not finish."), "{answer:?}");
        assert_eq!(world.count("credential").await, 0, "{answer:?}");
        assert_eq!(world.status(ADA, "notes").await, "not_connected");
    }
    assert_eq!(world.mcp.recorder().arrived(), 0);
    assert_eq!(ada.connect("notes").await.outcome, "connected", "nothing of it sticks");
    world.end().await;
}

#[tokio::test]
async fn a_failed_renewal_does_not_spoil_a_token_that_is_still_good() {
    let world = World::new().await;
    world.notes.set_lifetime(Duration::from_hours(10));
    world.ada().await.connect("notes").await;
    world.later(Duration::from_hours(9));
    let ada = world.program(ADA);
    for (answer, _) in FAILURES {
        let asked_before = world.notes.recorder().arrived();
        world.notes.token_answers().next(answer);
        // The renewal goes on beside the calls, and rests after a failure.
        while world.notes.recorder().arrived() == asked_before {
            assert_eq!(ada.whoami("notes").await, "You are ada at Sandbox Notes", "{answer:?}");
            assert_eq!(world.status(ADA, "notes").await, "connected", "{answer:?}");
            world.later(Duration::from_secs(2));
            sleep(PAUSE).await;
        }
    }
    assert_eq!(ada.whoami("notes").await, "You are ada at Sandbox Notes");
    world.end().await;
}

/// A line break in a token would be a header of the attacker's at the upstream.
#[tokio::test]
async fn a_renewed_token_that_is_none_is_not_used() {
    for answer in BAD_TOKENS {
        let world = World::new().await;
        world.ada().await.connect("api").await;
        world.later(DUE);
        world.notes.token_answers().next(answer);
        let before = world.notes.recorder().arrived();
        let still_good = world.program(ADA).get("/http/api/me").await;
        assert_eq!(still_good.status, 200, "{answer:?}");
        eventually(|| world.notes.recorder().arrived() > before).await;

        world.later(Duration::from_hours(1));
        world.program(ADA).get("/http/api/me").await;
        let [seen] = world.api.recorder().requests().try_into().unwrap();
        assert_eq!(seen.header("x-injected"), None);
        assert_eq!(world.status(ADA, "api").await, "needs_reconnect: refresh_interrupted");
        world.end().await;
    }
}

#[tokio::test]
async fn a_failed_renewal_of_an_ended_token_asks_nobody_to_connect() {
    let world = World::new().await;
    world.ada().await.connect("notes").await;
    world.later(Duration::from_hours(2));
    for (answer, label) in FAILURES {
        world.notes.token_answers().next(answer);
        let said = world.program(ADA).whoami("notes").await;
        assert!(!said.contains("/connect/"), "{answer:?}: {said}");
        assert_eq!(world.status(ADA, "notes").await, format!("unavailable: {label}"));
        world.later(RESTED);
    }
    assert_eq!(world.mcp.recorder().arrived(), 0, "nothing was sent with a dead token");

    let said = world.program(ADA).whoami("notes").await;
    assert_eq!(said, "You are ada at Sandbox Notes", "the refresh token was kept through it all");
    world.end().await;
}

/// However many call for however long: a provider that is away hears of it a bounded number of times.
#[tokio::test]
async fn a_provider_that_is_away_is_left_alone() {
    const CALLS: usize = 50;
    let world = World::new().await;
    let mut ada = world.ada().await;
    for (visitor, upstream) in [(&mut ada, "notes"), (&mut world.grace().await, "notes")] {
        visitor.connect(upstream).await;
    }
    world.later(Duration::from_hours(2));
    world.notes.token_answers().repeat(TokenAnswer::Status500, CALLS);
    let before = world.notes.recorder().arrived();
    let asked = || world.notes.recorder().arrived() - before;
    for _ in 0..CALLS {
        for person in [ADA, GRACE] {
            let said = world.program(person).whoami("notes").await;
            assert!(said.contains("not answering"), "{said}");
            assert!(!said.contains("/connect/"), "{said}");
        }
        world.later(Duration::from_secs(2));
    }
    // Two and two more after each person's rest, one to open it, and one after 5, 10, 20 and 40 s.
    assert!((5..=10).contains(&asked()), "{} calls in 100 s", asked());

    assert_eq!(world.health(ADA, "notes").await, "provider_unavailable");
    let page = ada.visit("/ui/connections").await.body;
    assert!(page.contains("Unavailable") && page.contains("The provider is 127.0.0.1."), "{page}");
    let state = r#"attache_provider_state{upstream="notes",state="provider_unavailable"} 1"#;
    assert!(world.counted("attache_provider_state").await.iter().any(|line| line == state));

    world.notes.token_answers().clear();
    world.later(Duration::from_mins(2));
    for person in [ADA, GRACE] {
        let said = world.program(person).whoami("notes").await;
        assert!(said.ends_with(" at Sandbox Notes"), "{said}");
    }
    assert_eq!(world.health(ADA, "notes").await, "connected");
    world.end().await;
}

/// `invalid_grant` is the one failure that ends a connection.
#[tokio::test]
async fn a_withdrawn_grant_asks_to_reconnect_and_keeps_no_token() {
    let world = World::new().await;
    world.ada().await.connect("notes").await;
    world.notes.withdraw(ADA.id);
    world.later(Duration::from_hours(2));

    let said = world.program(ADA).whoami("notes").await;
    assert!(said.contains("/connect/notes"), "{said}");
    assert_eq!(world.status(ADA, "notes").await, "needs_reconnect: invalid_grant");
    let refreshes = world.notes.recorder().arrived();
    world.program(ADA).whoami("notes").await;
    assert_eq!(world.notes.recorder().arrived(), refreshes, "and is not asked for again");
    assert_eq!(world.mcp.recorder().arrived(), 0);
    world.end().await;
}

#[tokio::test]
async fn a_hundred_megabytes_are_not_read() {
    let world = World::new().await;
    let mut ada = world.ada().await;
    let (began, peak) = (Instant::now(), peak_memory());
    world.notes.token_answers().next(TokenAnswer::Huge);
    assert_eq!(ada.connect("notes").await.outcome, "malformed_response");
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    let grown = peak_memory().saturating_sub(peak);
    assert!(grown < 64 * 1024, "{grown} KiB more");
    world.nobody_is_connected().await;
    world.end().await;
}

#[tokio::test]
async fn an_endpoint_that_hangs_is_given_up() {
    let world = World::new().await;
    let mut ada = world.ada().await;
    let began = Instant::now();
    world.notes.token_answers().next(TokenAnswer::Hang);
    assert_eq!(ada.connect("notes").await.outcome, "provider_unavailable");
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    world.nobody_is_connected().await;
    world.end().await;
}

async fn eventually(happened: impl Fn() -> bool) {
    let began = Instant::now();
    while !happened() {
        assert!(began.elapsed() < Duration::from_secs(10), "it did not happen");
        sleep(PAUSE).await;
    }
}

/// The most this process ever held, in KiB.
fn peak_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or_default()
}

//! Renewal: once for however many ask, never lost, and never anybody's reconnect without need.

use std::time::Duration;

use attache_broker::{ObtainError, Status};
use attache_core::{
    audit::{Action, Outcome, Reason},
    store::Health,
};
use tokio::task::JoinSet;

use crate::support::{
    Gateway, LIFE, Manner, Operation, Someone, Trouble, World, bearer, eventually,
};

/// Into the last tenth of a token's life: it is due, and still good.
const DUE: Duration = Duration::from_mins(55);
/// From there to its end.
const LEFT: Duration = Duration::from_mins(5);
/// Longer than a provider without `Retry-After` is left alone.
const REST: Duration = Duration::from_secs(5);
/// Longer than a refresh may be held.
const LEASE: Duration = Duration::from_mins(1);

fn not_connected<T>(reason: Reason) -> Result<T, ObtainError> {
    Err(ObtainError::NotConnected { reason })
}

fn ready(world: &World, gateway: &Gateway, person: &Someone) -> Option<String> {
    let ready = gateway.broker.ready(&person.who, gateway.upstream("notes"), None, world.now());
    ready.map(|injection| bearer(&injection))
}

/// OC-25 within one process.
#[tokio::test(flavor = "multi_thread")]
async fn fifty_callers_cause_one_refresh() {
    let world = World::new().await;
    let (gateway, ada) = (world.gateway(), &world.ada);
    gateway.connect(ada, "notes").await;
    let expired = gateway.obtain(ada, "notes").await.unwrap();
    world.clock.advance(LIFE);

    let mut callers = JoinSet::new();
    for _ in 0..50 {
        callers.spawn(gateway.obtain_beside(ada, "notes"));
    }
    let tokens: Vec<_> = callers.join_all().await.into_iter().map(Result::unwrap).collect();
    assert!(tokens.iter().all(|token| *token == tokens[0] && *token != expired));
    assert_eq!(world.provider.refreshes().len(), 1);
}

/// OC-25 across processes.
#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_cause_one_refresh() {
    let world = World::new().await;
    let (one, other, ada) = (world.gateway(), world.gateway(), &world.ada);
    one.connect(ada, "notes").await;
    world.clock.advance(LIFE);

    let mut held = world.provider.hold();
    let mut callers = JoinSet::new();
    callers.spawn(one.obtain_beside(ada, "notes"));
    held.reached().await;
    callers.spawn(other.obtain_beside(ada, "notes"));
    tokio::time::sleep(Duration::from_millis(50)).await;
    held.release();
    let tokens = callers.join_all().await;
    assert!(tokens[0].is_ok() && tokens[0] == tokens[1], "{tokens:?}");
    assert_eq!(world.provider.refreshes().len(), 1);
}

/// OC-25 where clocks are further apart than a lease is long.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_ahead_takes_no_lease_before_its_time() {
    let world = World::new().await;
    let (one, other, ada) = (world.gateway(), world.gateway_ahead(2 * LEASE), &world.ada);
    one.connect(ada, "notes").await;
    world.clock.advance(LIFE);

    let mut held = world.provider.hold();
    let mut callers = JoinSet::new();
    callers.spawn(one.obtain_beside(ada, "notes"));
    held.reached().await;
    callers.spawn(other.obtain_beside(ada, "notes"));
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert_eq!(world.provider.refreshes().len(), 1, "the lease is respected");
    held.release();
    let tokens = callers.join_all().await;
    assert!(tokens.iter().all(Result::is_ok), "{tokens:?}");
    assert_eq!(world.provider.refreshes().len(), 1);
}

/// A version that a clock which is ahead had a part in would be above all that others write.
#[tokio::test]
async fn a_connection_made_again_where_the_clock_is_behind_is_no_old_copy() {
    let world = World::new().await;
    let ahead = world.gateway_ahead(Duration::from_mins(2));
    let (behind, ada) = (world.gateway(), &world.ada);
    ahead.connect(ada, "notes").await;
    ahead.obtain(ada, "notes").await.unwrap();
    world.clock.advance(Duration::from_secs(1));
    behind.disconnect(ada, "notes").await.unwrap();
    behind.connect(ada, "notes").await;
    let again = ahead.obtain(ada, "notes").await;
    assert!(again.is_ok() && again == behind.obtain(ada, "notes").await, "{again:?}");
}

/// OC-24.
#[tokio::test]
async fn a_refresh_asks_for_no_scope_and_keeps_what_the_answer_does_not_name() {
    let world = World::new().await;
    let (gateway, ada) = (world.gateway(), &world.ada);
    gateway.connect(ada, "notes").await;
    let silent = Manner { rotates: false, names_scopes: false, ..Manner::default() };
    for manner in [Manner::default(), silent, Manner::default(), Manner::default()] {
        world.provider.behave(manner);
        world.clock.advance(LIFE);
        gateway.obtain(ada, "notes").await.unwrap();
        assert_eq!(gateway.connection(ada, "notes").await.scopes, ["read", "write"]);
    }
    let sent = world.provider.refreshes();
    for form in &sent {
        let names: Vec<_> = form.keys().map(String::as_str).collect();
        assert_eq!(names, ["grant_type", "refresh_token", "resource"]);
        assert_eq!(form["resource"], "https://notes.example.com/mcp");
    }
    let tokens: Vec<_> = sent.iter().map(|form| &form["refresh_token"]).collect();
    assert_ne!(tokens[0], tokens[1], "a rotated one replaces the old one");
    assert_eq!(tokens[1], tokens[2], "one that was not rotated is kept");
    assert_ne!(tokens[2], tokens[3]);
}

#[tokio::test]
async fn what_is_due_is_renewed_behind_the_back_of_who_is_served() {
    let world = World::new().await;
    let (gateway, ada) = (world.gateway(), &world.ada);
    gateway.connect(ada, "notes").await;
    let served = gateway.broker.obtain(&ada.who, gateway.upstream("notes"), None).await.unwrap();
    let (first, due) = (bearer(&served), served.refresh_at.unwrap());
    world.clock.advance(due.minus(Duration::from_secs(10)).since(world.now()));
    assert_eq!(gateway.obtain(ada, "notes").await.as_ref(), Ok(&first));
    assert!(world.provider.refreshes().is_empty(), "it is not due yet");
    world.clock.advance(Duration::from_secs(10));
    assert_eq!(ready(&world, &gateway, ada).as_ref(), Some(&first));
    eventually("the renewed one is ready", async || {
        ready(&world, &gateway, ada).is_some_and(|token| token != first)
    })
    .await;
    assert_eq!(world.provider.refreshes().len(), 1);

    // Whoever comes seldom does not wait either.
    let second = gateway.obtain(ada, "notes").await.unwrap();
    world.clock.advance(DUE);
    assert_eq!(gateway.obtain(ada, "notes").await.as_ref(), Ok(&second));
    eventually("it is renewed", async || world.provider.refreshes().len() == 2).await;
}

/// OC-26: the grant is over, and only that makes a person connect again.
#[tokio::test]
async fn an_ended_grant_loses_its_tokens_and_keeps_its_row() {
    let world = World::new().await;
    let (gateway, ada) = (world.gateway(), &world.ada);
    gateway.connect(ada, "notes").await;
    world.provider.withdraw_consent();
    world.clock.advance(LIFE);
    for _ in 0..3 {
        assert_eq!(gateway.obtain(ada, "notes").await, not_connected(Reason::InvalidGrant));
    }
    assert_eq!(world.provider.refreshes().len(), 1, "asked once");

    let record = world.stored(ada, "notes").await.unwrap().record;
    assert_eq!(record.health, Health::NeedsReconnect(Reason::InvalidGrant));
    let kept = gateway.vault.open(&ada.key("notes"), &record, None, None).await.unwrap();
    assert!(kept.access_token.is_none() && kept.refresh_token.is_none());
    let connection = gateway.connection(ada, "notes").await;
    assert_eq!(connection.status, Status::NeedsReconnect);
    assert_eq!(connection.reason, Some(Reason::InvalidGrant));
    assert_eq!(connection.scopes, ["read", "write"]);

    gateway.connect(ada, "notes").await;
    gateway.obtain(ada, "notes").await.unwrap();
}

/// OC-26: whatever else a provider answers, tokens stay, a good one is served on, and the provider
/// is left alone for a while.
#[tokio::test]
async fn a_failing_provider_costs_nobody_their_connection() {
    let unavailable = |reason, seconds| {
        let retry_after = Some(Duration::from_secs(seconds));
        ObtainError::Unavailable { reason, retry_after }
    };
    let operator = |reason| ObtainError::Operator { reason };
    for (trouble, expected, rest, may_be_spent) in [
        (Trouble::Silence, unavailable(Reason::ProviderUnavailable, 5), REST, true),
        (Trouble::status(500), unavailable(Reason::ProviderUnavailable, 5), REST, true),
        (
            Trouble::error(503, "invalid_grant"),
            unavailable(Reason::ProviderUnavailable, 5),
            REST,
            false,
        ),
        (
            Trouble::busy("60"),
            unavailable(Reason::ProviderUnavailable, 60),
            // Who asked twice in vain lets others ask first.
            Duration::from_mins(2),
            false,
        ),
        (Trouble::busy("0"), unavailable(Reason::ProviderUnavailable, 5), REST, false),
        (Trouble::status(200), unavailable(Reason::MalformedResponse, 5), REST, true),
        (Trouble::status(302), unavailable(Reason::MalformedResponse, 5), REST, true),
        // For everybody at once, and longer each time.
        (Trouble::error(401, "invalid_client"), operator(Reason::InvalidClient), 2 * REST, false),
        (
            Trouble::error(400, "unauthorized_client"),
            operator(Reason::UnauthorizedClient),
            REST,
            false,
        ),
        (Trouble::error(400, "invalid_scope"), operator(Reason::InvalidScope), REST, false),
        (Trouble::error(400, "made_up"), operator(Reason::Other), REST, false),
    ] {
        let world = World::new().await;
        let (gateway, ada) = (world.gateway(), &world.ada);
        gateway.connect(ada, "notes").await;
        let before = world.stored(ada, "notes").await.unwrap().record;
        let first = gateway.obtain(ada, "notes").await.unwrap();
        world.provider.fail(trouble.clone());

        world.clock.advance(DUE);
        for _ in 0..3 {
            assert_eq!(gateway.obtain(ada, "notes").await.as_ref(), Ok(&first), "{trouble:?}");
            assert_eq!(ready(&world, &gateway, ada).as_ref(), Some(&first), "{trouble:?}");
        }
        assert_eq!(world.provider.refreshes().len(), 1, "left alone after {trouble:?}");
        assert_eq!(gateway.connection(ada, "notes").await.status, Status::Connected);

        world.clock.advance(LEFT);
        for _ in 0..3 {
            assert_eq!(gateway.obtain(ada, "notes").await, Err(expected), "{trouble:?}");
            assert_eq!(ready(&world, &gateway, ada), None, "{trouble:?}");
        }
        assert_eq!(world.provider.refreshes().len(), 2, "left alone after {trouble:?}");
        let connection = gateway.connection(ada, "notes").await;
        assert_eq!(connection.status, Status::Unavailable, "{trouble:?}");
        assert_eq!(connection.reason, Some(expected.reason()), "{trouble:?}");
        let after = world.stored(ada, "notes").await.unwrap();
        assert_eq!(after.record, before, "{trouble:?}");
        assert_eq!(after.interrupted.is_some(), may_be_spent, "{trouble:?}");

        world.provider.recover();
        assert_eq!(gateway.obtain(ada, "notes").await, Err(expected), "{trouble:?}");
        world.clock.advance(rest);
        assert_ne!(gateway.obtain(ada, "notes").await.unwrap(), first, "{trouble:?}");
        assert_eq!(gateway.connection(ada, "notes").await.status, Status::Connected);
    }
}

/// A rotated refresh token whose answer nobody waits for any more is the only one there is.
#[tokio::test]
async fn a_refresh_outlives_the_caller_that_hung_up() {
    let world = World::new().await;
    let (gateway, ada) = (world.gateway(), &world.ada);
    gateway.connect(ada, "notes").await;
    let before = world.version(ada, "notes").await;
    world.clock.advance(LIFE);

    let mut held = world.provider.hold();
    let mut callers = JoinSet::new();
    callers.spawn(gateway.obtain_beside(ada, "notes"));
    held.reached().await;
    callers.shutdown().await;
    held.release();
    eventually("the refreshed one is stored", async || world.version(ada, "notes").await > before)
        .await;
    gateway.obtain(ada, "notes").await.unwrap();
    assert_eq!(world.provider.refreshes().len(), 1);
}

#[tokio::test]
async fn a_store_that_is_away_at_the_commit_loses_nothing() {
    let world = World::new().await;
    let (gateway, ada) = (world.gateway(), &world.ada);
    gateway.connect(ada, "notes").await;
    let before = world.version(ada, "notes").await;
    world.clock.advance(LIFE);

    world.faulty.refuse(Operation::Commit, 2);
    let renewed = gateway.obtain(ada, "notes").await.unwrap();
    assert_eq!(world.version(ada, "notes").await, before);
    assert_eq!(ready(&world, &gateway, ada).as_ref(), Some(&renewed));
    assert_eq!(gateway.obtain(ada, "notes").await.as_ref(), Ok(&renewed));
    assert_eq!(world.provider.refreshes().len(), 1, "the old refresh token is spent");

    eventually("it is stored", async || world.version(ada, "notes").await > before).await;
    assert_eq!(gateway.obtain(ada, "notes").await.as_ref(), Ok(&renewed));
    assert_eq!(world.gateway().obtain(ada, "notes").await.as_ref(), Ok(&renewed));
    assert_eq!(world.provider.refreshes().len(), 1);
}

/// A full disk: it reads and does not write. Nobody waits for it, and nothing is lost by it.
#[tokio::test]
async fn a_store_that_writes_nothing_for_long_keeps_nobody_waiting() {
    for refused in [false, true] {
        let world = World::new().await;
        let (gateway, ada) = (world.gateway(), &world.ada);
        gateway.connect(ada, "notes").await;
        gateway.reject(ada, "notes").await;
        world.faulty.refuse(Operation::Commit, 1_000);
        gateway.obtain(ada, "notes").await.unwrap();
        gateway.obtain(ada, "notes").await.unwrap();

        let reason = Reason::StoreUnavailable;
        let away = Err(ObtainError::Unavailable { reason, retry_after: None });
        if refused {
            gateway.reject(ada, "notes").await;
        } else {
            world.clock.advance(LIFE);
        }
        let answer = gateway.obtain(ada, "notes");
        let at_once = tokio::time::timeout(Duration::from_secs(1), answer).await;
        assert_eq!(at_once.unwrap(), away);
        assert_eq!(world.provider.refreshes().len(), 1);

        world.clock.advance(LIFE);
        world.faulty.mend();
        eventually("it goes on", async || gateway.obtain(ada, "notes").await.is_ok()).await;
        assert_eq!(world.provider.refreshes().len(), 2);
    }
}

/// The late commit of what was refreshed before does not come over it, and memory notices.
#[tokio::test]
async fn who_reconnects_at_a_replica_meanwhile_gets_the_new_grant() {
    let world = World::new().await;
    let (gateway, replica, ada) = (world.gateway(), world.gateway(), &world.ada);
    gateway.connect(ada, "notes").await;
    world.clock.advance(LIFE);
    world.faulty.refuse(Operation::Commit, 1);
    gateway.obtain(ada, "notes").await.unwrap();
    replica.connect(ada, "notes").await;
    let reconnected = replica.obtain(ada, "notes").await;
    assert_eq!(gateway.obtain(ada, "notes").await, reconnected);

    eventually("it is forgotten", async || ready(&world, &gateway, ada).is_none()).await;
    assert_eq!(gateway.obtain(ada, "notes").await, reconnected);
}

/// Until it is committed, a rotated refresh token exists nowhere else.
#[tokio::test]
async fn a_refresh_is_kept_before_it_is_written_down() {
    let world = World::new().await;
    let (gateway, ada) = (world.gateway(), &world.ada);
    gateway.connect(ada, "notes").await;
    let before = world.version(ada, "notes").await;
    world.clock.advance(LIFE);
    let mut held = world.faulty.hold_call(Operation::Append);
    let mut callers = JoinSet::new();
    callers.spawn(gateway.obtain_beside(ada, "notes"));
    held.reached().await;
    assert!(world.version(ada, "notes").await > before);
    callers.join_all().await.remove(0).expect("nobody waits for the audit");
    held.release();
    gateway.stop.cancel();
    gateway.tasks.drained().await;
    let refreshed = (Action::Refresh, Outcome::Success);
    assert_eq!(world.audited().await.last(), Some(&refreshed), "but the end of the process does");
}

#[tokio::test]
async fn a_commit_whose_answer_was_lost_is_done() {
    let world = World::new().await;
    let (gateway, ada) = (world.gateway(), &world.ada);
    gateway.connect(ada, "notes").await;
    world.clock.advance(LIFE);
    world.faulty.lose_answer(Operation::Commit);
    let renewed = gateway.obtain(ada, "notes").await;
    assert!(renewed.is_ok());
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(gateway.obtain(ada, "notes").await, renewed);
    assert_eq!(world.provider.refreshes().len(), 1);
    assert!(world.provider.revocations().is_empty());
}

#[tokio::test]
async fn a_store_that_is_away_is_nobodys_reconnect() {
    let world = World::new().await;
    let (gateway, ada) = (world.gateway(), &world.ada);
    gateway.connect(ada, "notes").await;
    let token = gateway.obtain(ada, "notes").await.unwrap();
    for operation in [Operation::Find, Operation::Lease] {
        world.clock.advance(LIFE);
        world.faulty.refuse(operation, 1);
        let away = ObtainError::Unavailable { reason: Reason::StoreUnavailable, retry_after: None };
        assert_eq!(gateway.obtain(ada, "notes").await, Err(away), "{operation:?}");
        assert_ne!(gateway.obtain(ada, "notes").await.unwrap(), token, "{operation:?}");
    }
    world.faulty.refuse(Operation::Find, 1);
    assert!(ready(&world, &gateway, ada).is_some(), "memory does not ask the store");
}

/// OC-25: what a loser is told must not touch what the winner got.
#[tokio::test]
async fn the_losers_invalid_grant_leaves_the_winners_token() {
    let world = World::new().await;
    let (slow, fast, ada) = (world.gateway(), world.gateway(), &world.ada);
    slow.connect(ada, "notes").await;
    world.clock.advance(LIFE);

    world.provider.fail(Trouble::error(400, "invalid_grant"));
    let mut held = world.provider.hold();
    let mut callers = JoinSet::new();
    callers.spawn(slow.obtain_beside(ada, "notes"));
    held.reached().await;

    world.provider.recover();
    world.clock.advance(LEASE);
    let winner = fast.obtain(ada, "notes").await;
    assert!(winner.is_ok());
    held.release();
    assert_eq!(callers.join_all().await, [winner]);
    assert_eq!(fast.connection(ada, "notes").await.status, Status::Connected);
}

/// A disconnect beats a refresh, and what the refresh brought must not live on at the provider.
#[tokio::test]
async fn a_disconnect_during_a_refresh_is_final() {
    let world = World::new().await;
    let (gateway, ada) = (world.gateway(), &world.ada);
    gateway.connect(ada, "notes").await;
    world.clock.advance(LIFE);

    let mut held = world.provider.hold();
    let mut callers = JoinSet::new();
    callers.spawn(gateway.obtain_beside(ada, "notes"));
    held.reached().await;
    gateway.disconnect(ada, "notes").await.unwrap();
    let told = world.provider.revocations().len();
    held.release();

    assert_eq!(callers.join_all().await, [not_connected(Reason::NotConnected)]);
    assert!(world.stored(ada, "notes").await.is_none());
    assert_eq!(ready(&world, &gateway, ada), None);
    let spent = &world.provider.refreshes()[0]["refresh_token"];
    let revoked = world.provider.revocations().split_off(told);
    assert_eq!(revoked.len(), 2, "the new refresh token, then the new access token");
    assert_ne!(revoked[0]["token"], *spent);
}

#[tokio::test]
async fn a_reconnect_during_a_refresh_wins() {
    let world = World::new().await;
    let (gateway, ada) = (world.gateway(), &world.ada);
    gateway.connect(ada, "notes").await;
    world.clock.advance(LIFE);

    let mut held = world.provider.hold();
    let mut callers = JoinSet::new();
    callers.spawn(gateway.obtain_beside(ada, "notes"));
    held.reached().await;
    gateway.connect(ada, "notes").await;
    let reconnected = world.gateway().obtain(ada, "notes").await;
    held.release();

    assert_eq!(callers.join_all().await, [reconnected]);
    assert_eq!(world.provider.refreshes().len(), 1);
    assert!(world.provider.revocations().is_empty(), "the person is still connected");
}

/// A read that was overtaken looks like a row put back from an old copy, and is none.
#[tokio::test]
async fn a_reconnect_during_a_read_is_no_rollback() {
    let world = World::new().await;
    let (gateway, ada) = (world.gateway(), &world.ada);
    gateway.connect(ada, "notes").await;
    let first = gateway.obtain(ada, "notes").await.unwrap();

    let mut held = world.faulty.hold_answer(Operation::Find);
    let mut callers = JoinSet::new();
    callers.spawn(gateway.obtain_beside(ada, "notes"));
    held.reached().await;
    gateway.connect(ada, "notes").await;
    held.release();
    let before = callers.join_all().await.remove(0);
    assert!(before.is_ok() && before.as_ref() != Ok(&first), "also who asked before: {before:?}");
    assert_eq!(ready(&world, &gateway, ada), before.ok());
}

/// OC-24: once on an upstream's 401; an upstream that refuses everything does not drive its
/// authorization server.
#[tokio::test]
async fn an_upstreams_refusal_causes_one_refresh() {
    let world = World::new().await;
    let (gateway, ada) = (world.gateway(), &world.ada);
    gateway.connect(ada, "notes").await;
    let refused = gateway.obtain(ada, "notes").await.unwrap();

    gateway.reject(ada, "notes").await;
    assert_eq!(ready(&world, &gateway, ada), None);
    let renewed = gateway.obtain(ada, "notes").await.unwrap();
    assert_ne!(renewed, refused);
    assert_eq!(world.provider.refreshes().len(), 1);
    assert_eq!(gateway.connection(ada, "notes").await.status, Status::Connected);

    gateway.reject(ada, "notes").await;
    for _ in 0..3 {
        assert_eq!(gateway.obtain(ada, "notes").await, not_connected(Reason::UpstreamRejected));
    }
    assert_eq!(world.provider.refreshes().len(), 1);
    let connection = gateway.connection(ada, "notes").await;
    assert_eq!(connection.status, Status::NeedsReconnect);
    assert_eq!(connection.reason, Some(Reason::UpstreamRejected));

    world.clock.advance(Duration::from_secs(30));
    assert_ne!(gateway.obtain(ada, "notes").await.unwrap(), renewed, "once more, later");
    assert_eq!(world.provider.refreshes().len(), 2);
}

#[tokio::test]
async fn a_reconnect_ends_the_memory_of_refusals() {
    let world = World::new().await;
    let (gateway, ada) = (world.gateway(), &world.ada);
    gateway.connect(ada, "notes").await;
    for _ in 0..2 {
        gateway.reject(ada, "notes").await;
        gateway.obtain(ada, "notes").await.unwrap();
        gateway.reject(ada, "notes").await;
        assert_eq!(gateway.obtain(ada, "notes").await, not_connected(Reason::UpstreamRejected));
        gateway.connect(ada, "notes").await;
    }
    assert_eq!(world.provider.refreshes().len(), 2);
}

#[tokio::test]
async fn many_refusals_of_one_version_cause_one_refresh() {
    let world = World::new().await;
    let (gateway, ada) = (world.gateway(), &world.ada);
    let upstream = gateway.upstream("notes");
    gateway.connect(ada, "notes").await;
    let old = gateway.broker.obtain(&ada.who, upstream, None).await.unwrap().version;
    gateway.broker.rejected(&ada.who, upstream, None, old);
    let renewed = gateway.obtain(ada, "notes").await;

    gateway.broker.rejected(&ada.who, upstream, None, old);
    assert_eq!(gateway.obtain(ada, "notes").await, renewed, "a late 401 is about the old one");
    gateway.reject(ada, "notes").await;
    gateway.broker.rejected(&ada.who, upstream, None, old);
    assert_eq!(
        gateway.obtain(ada, "notes").await,
        not_connected(Reason::UpstreamRejected),
        "a late 401 about the old one does not excuse the new one"
    );
    assert_eq!(world.provider.refreshes().len(), 1);
}

#[tokio::test]
async fn a_refused_token_without_a_successor_needs_the_person() {
    let world = World::new().await;
    let (gateway, ada) = (world.gateway(), &world.ada);
    let forever = Manner { gives_refresh_tokens: false, expires_in: None, ..Manner::default() };
    world.provider.behave(forever);
    gateway.connect(ada, "notes").await;
    world.clock.advance(Duration::from_hours(24 * 365));
    gateway.reject(ada, "notes").await;
    assert_eq!(gateway.obtain(ada, "notes").await, not_connected(Reason::UpstreamRejected));
    assert_eq!(gateway.connection(ada, "notes").await.status, Status::NeedsReconnect);
    gateway.connect(ada, "notes").await;
    gateway.obtain(ada, "notes").await.unwrap();
}

/// OC-27: a process that died between the provider's answer and the commit had the only good
/// refresh token in it. To all others it is one whose answer never comes.
#[tokio::test]
async fn a_refresh_that_nobody_finished_is_told_apart() {
    let world = World::new().await;
    let (dead, restarted, ada) = (world.gateway(), world.gateway(), &world.ada);
    dead.connect(ada, "notes").await;
    world.clock.advance(LIFE);
    let mut held = world.provider.hold();
    let mut callers = JoinSet::new();
    callers.spawn(dead.obtain_beside(ada, "notes"));
    held.reached().await;

    callers.spawn(restarted.obtain_beside(ada, "notes"));
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert_eq!(world.provider.refreshes().len(), 1, "the lease is respected");
    world.clock.advance(LEASE);
    let interrupted = not_connected(Reason::RefreshInterrupted);
    assert_eq!(callers.join_next().await.unwrap().unwrap(), interrupted);
    let connection = restarted.connection(ada, "notes").await;
    assert_eq!(connection.status, Status::NeedsReconnect);
    assert_eq!(connection.reason, Some(Reason::RefreshInterrupted));

    // and should it only have been very slow, it changes nothing any more
    held.release();
    assert_eq!(callers.join_all().await, [interrupted]);
    assert_eq!(world.provider.refreshes().len(), 2);
}

/// OC-27 without a crash: whoever lost an answer says so when the token turns out to be spent.
#[tokio::test]
async fn an_answer_that_was_lost_is_told_apart() {
    let world = World::new().await;
    let (gateway, ada) = (world.gateway(), &world.ada);
    gateway.connect(ada, "notes").await;
    world.clock.advance(LIFE);
    world.provider.fail(Trouble::LostAnswers);
    let unavailable = gateway.obtain(ada, "notes").await;
    assert!(matches!(unavailable, Err(ObtainError::Unavailable { .. })), "{unavailable:?}");
    world.provider.recover();
    world.clock.advance(REST);
    let interrupted = not_connected(Reason::RefreshInterrupted);
    assert_eq!(gateway.obtain(ada, "notes").await, interrupted);
    assert_eq!(world.provider.refreshes().len(), 2);
}

/// The same before the provider spent anything: nobody notices.
#[tokio::test]
async fn a_refresh_that_was_interrupted_early_costs_nothing() {
    let world = World::new().await;
    let (dead, restarted, ada) = (world.gateway(), world.gateway(), &world.ada);
    dead.connect(ada, "notes").await;
    world.clock.advance(LIFE);
    world.provider.fail(Trouble::Silence);
    let mut held = world.provider.hold();
    let mut callers = JoinSet::new();
    callers.spawn(dead.obtain_beside(ada, "notes"));
    held.reached().await;

    world.provider.recover();
    world.clock.advance(LEASE);
    let renewed = restarted.obtain(ada, "notes").await.unwrap();
    let stored = world.stored(ada, "notes").await.unwrap();
    assert_eq!((stored.record.health, stored.interrupted), (Health::Good, None));
    held.release();
    callers.join_all().await;
    assert_eq!(dead.obtain(ada, "notes").await, Ok(renewed));
}

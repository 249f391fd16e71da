//! What is old goes; what stays is proved, and says that the rest was ours to remove.

use std::time::Duration;

use attache_broker::audit::{
    retention::Retained,
    verify::{Place, Problem, Report},
};
use attache_core::{Clock as _, audit::Action, store::AuditStore as _};

use crate::desk::Desk;

const DAY: Duration = Duration::from_hours(24);

#[tokio::test(flavor = "multi_thread")]
async fn what_stays_is_proved_on_sqlite() {
    story(&Desk::sqlite("retention").await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stays_is_proved_on_postgresql() {
    story(&Desk::postgres().await).await;
}

async fn story(desk: &Desk) {
    let retention = 30 * DAY;
    desk.write_a_log().await;
    let old = desk.writers().await;
    let living = desk.gateway().await;
    // More than one run removes at once.
    let events: Vec<_> = (0..600).map(|number| desk.event(number)).collect();
    living.append(&events).await.expect("no faults here");
    desk.clock.advance(20 * DAY);
    living.append(&[desk.event(601)]).await.expect("no faults here");

    // Nothing is old yet.
    let cutoff = || desk.clock.now().minus(retention);
    assert_eq!(living.expire(cutoff()).await.expect("no faults here"), Retained::Everything);
    assert_eq!(desk.report().await.rows, 11 + 602);

    desk.clock.advance(15 * DAY);
    let other = desk.gateway().await;
    other.checkpoint().await.expect("no faults here");
    assert_eq!(living.expire(cutoff()).await.expect("no faults here"), Retained::More);
    assert!(desk.problems().await.is_empty(), "provable at every step");
    // Two replicas at once.
    let (one, two) = tokio::join!(living.expire(cutoff()), other.expire(cutoff()));
    assert_eq!(
        (one.expect("no faults here"), two.expect("no faults here")),
        (Retained::Everything, Retained::Everything)
    );
    let report = desk.report().await;
    assert!(report.problems.is_empty(), "{report:?}");
    assert!(report.chains.iter().all(|chain| !old.contains(&chain.writer)), "the old are gone");
    let events = desk.store.stores().audit.list(None, 1_000).await.expect("no faults here");
    assert_eq!(events.iter().filter(|event| event.action == Action::Refresh).count(), 1);
    let writer = *desk.writers().await.first().expect("the living");

    // What retention removed does not come back.
    desk.run(
        "INSERT INTO audit_event (at, action, outcome, writer, sequence, seal)
         SELECT at, action, outcome, writer, 5, seal FROM audit_event WHERE writer = {A} LIMIT 1",
    )
    .await;
    let problems = desk.problems().await;
    assert!(matches!(problems[..], [(Problem::Stray, Place::Row(_))]), "{problems:?}");
    desk.run("DELETE FROM audit_event WHERE writer = {A} AND sequence = 5").await;

    // And long after, when the entries that say what was removed are old themselves.
    for _ in 0..10 {
        desk.clock.advance(9 * DAY);
        living.checkpoint().await.expect("no faults here");
        other.checkpoint().await.expect("no faults here");
        while living.expire(cutoff()).await.expect("no faults here") == Retained::More {}
        let report = desk.report().await;
        assert!(report.problems.is_empty(), "{report:?}");
    }
    assert!(desk.report().await.rows < 30);

    // Evidence stays: an entry that was made to look old is not removed with the old ones.
    living.append(&[desk.event(1)]).await.expect("no faults here");
    desk.run("UPDATE audit_event SET at = 0 WHERE writer = {A}").await;
    let before = desk.report().await;
    assert!(before.problems.contains_key(&Problem::Altered));
    other.expire(cutoff()).await.expect("no faults here");
    let first = |report: &Report| report.problems.get(&Problem::Altered).map(|found| found.first);
    assert_eq!(first(&desk.report().await), first(&before));
    assert!(matches!(first(&before), Some(Place::Entry(at)) if at.writer == writer));
}

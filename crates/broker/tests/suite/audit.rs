//! Which act writes which words, and that no word comes from outside.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use attache_broker::ConnectError;
use attache_core::{
    RequestId,
    audit::{
        Action::{self, Acquire, Connect, Deny, Disconnect, Inject, Refresh, Revoke},
        Method,
        Outcome::{self, Failure, Success},
        Reason,
    },
};
use tracing_subscriber::fmt::MakeWriter;

use crate::support::{LIFE, MARK, Operation, Trouble, World, server};

#[tokio::test]
async fn every_act_writes_its_words() {
    let world = World::new().await;
    let (gateway, ada) = (world.gateway(), &world.ada);
    let mut expected: Vec<(Action, Outcome)> = Vec::new();

    gateway.connect(ada, "notes").await;
    expected.extend([(Acquire, Success), (Connect, Success)]);
    let query = gateway.consent(ada, "notes").await;
    let denied = query.replace("code=", "error=access_denied&x=");
    gateway.callback(&world.grace, "notes", &query).await.unwrap_err();
    expected.push((Connect, Failure(Reason::WrongPerson)));
    gateway.callback(ada, "notes", &denied).await.unwrap_err();
    expected.push((Deny, Failure(Reason::AccessDenied)));

    world.clock.advance(LIFE);
    world.provider.fail(Trouble::status(500));
    gateway.obtain(ada, "notes").await.unwrap_err();
    expected.push((Refresh, Failure(Reason::ProviderUnavailable)));
    world.provider.recover();
    world.clock.advance(LIFE);
    gateway.obtain(ada, "notes").await.unwrap();
    gateway.obtain(ada, "notes").await.unwrap();
    expected.push((Refresh, Success));
    let refreshes =
        [("notes", "provider_unavailable", 1), ("notes", "success", 1), ("tickets", "success", 0)]
            .map(|(upstream, outcome, count)| {
                format!("refreshes_total{{upstream=\"{upstream}\",outcome=\"{outcome}\"}} {count}")
            });
    let mut counted = world.counted("refreshes_total");
    counted.sort();
    assert_eq!(counted, refreshes);

    gateway.disconnect(ada, "notes").await.unwrap();
    expected.extend([(Disconnect, Success), (Revoke, Success)]);
    gateway.disconnect(ada, "notes").await.unwrap();

    gateway.connect(ada, "notes").await;
    world.provider.fail(Trouble::Silence);
    gateway.disconnect(ada, "notes").await.unwrap();
    let failed = Failure(Reason::ProviderUnavailable);
    expected.extend([(Acquire, Success), (Connect, Success)]);
    expected.extend([(Disconnect, Success), (Revoke, failed)]);

    assert_eq!(world.audited().await, expected);
    for event in world.stores.audit.list(Some(&ada.who.user), 100).await.unwrap() {
        assert_eq!(event.server, Some(server("notes")));
        assert_eq!(event.method, Some(Method::Connect));
    }
    let graces = world.stores.audit.list(Some(&world.grace.who.user), 100).await.unwrap();
    assert_eq!(graces.len(), 1, "the one who tried is named, not the one who began");
}

/// A name that is not configured is somebody's text.
#[tokio::test]
async fn an_unknown_upstream_is_not_named() {
    let world = World::new().await;
    let (gateway, ada) = (world.gateway(), &world.ada);
    gateway.callback(ada, "made-up-by-the-caller", "").await.unwrap_err();
    let events = world.stores.audit.list(None, 100).await.unwrap();
    assert_eq!(events.len(), 1);
    assert_eq!((&events[0].server, events[0].method), (&None, None));
    assert_eq!(events[0].outcome, Failure(Reason::WrongUpstream));
}

#[tokio::test]
async fn an_injection_is_written_before_the_process_ends() {
    let world = World::new().await;
    let (gateway, ada) = (world.gateway(), &world.ada);
    let requests = ["r-1", "r-2", "r-3"].map(RequestId::new);
    for request in &requests {
        gateway.broker.injected(&ada.who, gateway.upstream("notes"), None, request);
    }
    gateway.stop.cancel();
    gateway.tasks.drained().await;
    let events = world.stores.audit.list(Some(&ada.who.user), 100).await.unwrap();
    let written: Vec<_> = events.iter().rev().map(|event| event.request_id.clone()).collect();
    assert_eq!(written, requests.map(Some));
    for event in events {
        assert_eq!((event.action, event.outcome), (Inject, Success));
        assert_eq!((event.server, event.method), (Some(server("notes")), Some(Method::Connect)));
    }
}

/// More than the queue holds, and a database that is away: what is missing is said.
#[tokio::test]
async fn injections_that_were_not_written_leave_a_mark() {
    let world = World::new().await;
    let (gateway, ada) = (world.gateway(), &world.ada);
    for number in 0..33_576 {
        let request = RequestId::new(number.to_string());
        gateway.broker.injected(&ada.who, gateway.upstream("notes"), None, &request);
    }
    gateway.stop.cancel();
    gateway.tasks.drained().await;
    let events = world.stores.audit.list(None, 40_000).await.unwrap();
    let written = events.iter().filter(|event| event.action == Inject).count();
    let marks = events.iter().filter(|event| event.action == Action::Dropped);
    assert_eq!((written, marks.map(|mark| mark.count).collect()), (32_768, vec![Some(808)]));
}

/// A database that is away for a while costs no entry, and none is written twice.
#[tokio::test]
async fn injections_wait_for_the_store() {
    let world = World::new().await;
    let (gateway, ada) = (world.gateway(), &world.ada);
    let requests = ["r-1", "r-2", "r-3"].map(RequestId::new);
    world.faulty.refuse(Operation::Append, 2);
    for request in &requests {
        gateway.broker.injected(&ada.who, gateway.upstream("notes"), None, request);
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let list = async || world.stores.audit.list(None, 100).await.unwrap();
    while list().await.len() < requests.len() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    gateway.stop.cancel();
    gateway.tasks.drained().await;
    let events = list().await;
    let written: Vec<_> = events.iter().rev().map(|event| event.request_id.clone()).collect();
    assert_eq!(written, requests.map(Some));
}

/// A security act fails with its audit.
#[tokio::test]
async fn an_act_that_cannot_be_written_down_is_no_success() {
    let world = World::new().await;
    let (gateway, ada) = (world.gateway(), &world.ada);
    let query = gateway.consent(ada, "notes").await;
    world.faulty.refuse(Operation::Append, 1);
    let connected = gateway.callback(ada, "notes", &query).await;
    assert_eq!(connected, Err(ConnectError(Reason::StoreUnavailable)));
    assert!(world.stored(ada, "notes").await.is_none());
    assert_eq!(world.provider.revocations().len(), 2, "what is not kept does not live on there");

    gateway.connect(ada, "notes").await;
    world.faulty.refuse(Operation::Append, 1);
    gateway.disconnect(ada, "notes").await.unwrap_err();
    assert!(world.stored(ada, "notes").await.is_none());
    assert_eq!(world.provider.revocations().len(), 4, "the provider is told all the same");
}

/// Tokens, codes and the texts of the authorization server carry a mark; it is in no row, no answer
/// and no log line, also not of the tests that run beside this one.
#[tokio::test]
async fn nothing_from_outside_is_written_anywhere() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(log.clone())
        .finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();

    let world = World::new().await;
    let (gateway, ada) = (world.gateway(), &world.ada);
    let mut answers = Vec::new();
    for error in [MARK, "server_error"] {
        let query = gateway.consent(ada, "notes").await;
        let query = query.replace("code=", &format!("error={error}&error_description={MARK}&x="));
        answers.push(format!("{:?}", gateway.callback(ada, "notes", &query).await));
    }
    gateway.connect(ada, "notes").await;
    for trouble in [Trouble::status(500), Trouble::status(200), Trouble::error(400, MARK)] {
        world.clock.advance(LIFE);
        world.provider.fail(trouble);
        answers.push(format!("{:?}", gateway.obtain(ada, "notes").await));
        answers.push(format!("{:?}", gateway.connections.list(&ada.who).await));
    }
    world.provider.recover();
    world.clock.advance(LIFE);
    world.faulty.refuse(Operation::Commit, 1);
    let served = gateway.broker.obtain(&ada.who, gateway.upstream("notes"), None).await;
    answers.push(format!("{:?}", served.unwrap()));
    world.provider.fail(Trouble::error(400, MARK));
    answers.push(format!("{:?}", gateway.disconnect(ada, "notes").await));
    answers.push(format!("{gateway:?}"));

    let rows = format!("{:?}", world.stores.audit.list(None, 1_000).await.unwrap());
    let log = log.text();
    assert!(log.contains("could not be refreshed"), "the log is listened to: {log}");
    for (place, text) in [("audit", rows), ("log", log), ("answers", answers.join("\n"))] {
        assert!(!text.contains(MARK), "{place}: {text}");
    }
}

#[derive(Clone, Debug, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().expect("no test panicked here")
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

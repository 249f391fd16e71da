//! Streams that are held for callers, and who waits for what on them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use attache_core::{ConnectionName, UserId};
use bytes::Bytes;
use http::{HeaderValue, uri::PathAndQuery};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::{
    select,
    sync::mpsc,
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use super::relay::Relayed;
use crate::events::{EventReader, Parts};

/// Streams held in all, and for one person at one upstream.
const SESSIONS: usize = 1000;
const OF_A_PERSON: usize = 8;
/// Requests that wait for their answers on one stream.
const WAITING: usize = 32;
/// Messages that nobody took yet.
const QUEUE: usize = 16;
/// How long one who takes nothing may keep the others of their session waiting.
const SLOWEST: Duration = Duration::from_secs(30);
/// Without a request under way and nobody who listens.
const IDLE: Duration = Duration::from_mins(15);

#[derive(Debug, Default)]
pub(crate) struct SseSessions(Mutex<HashMap<String, Arc<SseSession>>>);

impl SseSessions {
    /// `None`: not held here, or not for this person at this account.
    pub(super) fn of(
        &self,
        user: &UserId,
        server: &ConnectionName,
        id: &HeaderValue,
    ) -> Option<Arc<SseSession>> {
        let held = self.lock().get(id.to_str().ok()?).cloned()?;
        let is_theirs = (&held.user, &held.server) == (user, server);
        (is_theirs && !held.over.is_cancelled()).then_some(held)
    }

    /// `None`: there are too many, of this person or of all.
    pub(super) fn hold(&self, session: SseSession) -> Option<Arc<SseSession>> {
        let mut all = self.lock();
        let is_of =
            |one: &&Arc<SseSession>| (&one.user, &one.server) == (&session.user, &session.server);
        if all.len() >= SESSIONS || all.values().filter(is_of).count() >= OF_A_PERSON {
            return None;
        }
        let held = Arc::new(session);
        all.insert(held.id.clone(), Arc::clone(&held));
        Some(held)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<SseSession>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stream of an upstream, and the caller's session that it is for.
#[derive(Debug)]
pub(super) struct SseSession {
    pub(super) id: String,
    user: UserId,
    server: ConnectionName,
    pub(super) endpoint: PathAndQuery,
    over: CancellationToken,
    ears: Mutex<Ears>,
}

/// Who waits for what.
#[derive(Debug)]
struct Ears {
    /// By the id of the request, as it was written.
    waiting: HashMap<String, mpsc::Sender<Bytes>>,
    listener: Option<mpsc::Sender<Bytes>>,
    used: Instant,
}

/// A message as far as it says for whom it is.
#[derive(Deserialize)]
struct Addressed<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    method: Option<serde::de::IgnoredAny>,
    #[serde(borrow, default)]
    params: Option<Params<'a>>,
}

#[derive(Deserialize)]
struct Params<'a> {
    #[serde(borrow, rename = "progressToken")]
    progress: Option<&'a RawValue>,
}

impl SseSession {
    pub(super) fn new(
        id: String,
        user: UserId,
        server: ConnectionName,
        endpoint: PathAndQuery,
    ) -> Self {
        let ears = Ears { waiting: HashMap::new(), listener: None, used: Instant::now() };
        let (over, ears) = (CancellationToken::new(), Mutex::new(ears));
        Self { id, user, server, endpoint, over, ears }
    }

    /// `None`: too many wait, or one for this very id.
    pub(super) fn wait_for(self: &Arc<Self>, id: &str) -> Option<Relayed> {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let mut ears = self.ears();
        if ears.waiting.len() >= WAITING || ears.waiting.contains_key(id) {
            return None;
        }
        ears.used = Instant::now();
        ears.waiting.insert(id.to_owned(), sender);
        Some(Relayed::new(receiver, Some((Arc::clone(self), id.to_owned()))))
    }

    /// In the place of who listened before.
    pub(super) fn listen(&self) -> Relayed {
        let (sender, receiver) = mpsc::channel(QUEUE);
        self.ears().listener = Some(sender);
        Relayed::new(receiver, None)
    }

    /// Whoever waited does not any more.
    pub(super) fn forget(&self, id: &str) {
        let mut ears = self.ears();
        ears.waiting.remove(id);
        ears.used = Instant::now();
    }

    pub(super) fn end(&self) {
        self.over.cancel();
    }

    /// Hands out what comes until one of the two ends it.
    pub(super) async fn read(self: Arc<Self>, mut events: EventReader, all: Arc<SseSessions>) {
        loop {
            let event = select! {
                biased;
                () = self.over.cancelled() => break,
                event = events.next() => event,
                () = sleep_until(self.idle_at()) => if self.is_idle() { break } else { continue },
            };
            let Some(event) = event else { break };
            self.hand_out(event).await;
        }
        self.over.cancel();
        all.lock().remove(&self.id);
        // Their streams end with these.
        let mut ears = self.ears();
        ears.waiting.clear();
        ears.listener = None;
    }

    fn idle_at(&self) -> Instant {
        let ears = self.ears();
        ears.used.max(Instant::now() - IDLE / 2) + IDLE
    }

    fn is_idle(&self) -> bool {
        let ears = self.ears();
        let is_heard = ears.listener.as_ref().is_some_and(|ear| !ear.is_closed());
        ears.waiting.is_empty() && !is_heard && ears.used.elapsed() >= IDLE
    }

    async fn hand_out(&self, event: Bytes) {
        let ear = Parts::of(&event).and_then(|parts| match parts.kind() {
            "message" if !parts.data.is_empty() => self.ear_for(&parts.data),
            _ => None,
        });
        if let Some(ear) = ear
            && timeout(SLOWEST, ear.send(event)).await.is_err()
        {
            tracing::debug!(upstream = %self.server, "a caller takes nothing of a stream");
        }
    }

    /// An answer is for who asked; everything else for who listens, or any who waits.
    fn ear_for(&self, message: &str) -> Option<mpsc::Sender<Bytes>> {
        let message: Addressed<'_> = serde_json::from_str(message).ok()?;
        let mut ears = self.ears();
        if let (Some(id), None) = (message.id, &message.method) {
            return ears.waiting.remove(id.get());
        }
        let progress = message.params.and_then(|params| params.progress);
        let of_request = progress.and_then(|token| ears.waiting.get(token.get()));
        let listener = ears.listener.as_ref().filter(|ear| !ear.is_closed());
        of_request.or(listener).or_else(|| ears.waiting.values().next()).cloned()
    }

    fn ears(&self) -> MutexGuard<'_, Ears> {
        self.ears.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;
    use crate::body::ResponseBody;

    fn session(user: &str, number: usize) -> SseSession {
        let server = "notes".parse().unwrap();
        let endpoint = PathAndQuery::from_static("/m");
        SseSession::new(format!("s-{number}"), UserId::new(user), server, endpoint)
    }

    #[test]
    fn a_stream_is_one_persons_and_there_are_not_many() {
        let all = SseSessions::default();
        for number in 0..OF_A_PERSON {
            assert!(all.hold(session("ada", number)).is_some());
        }
        assert!(all.hold(session("ada", 99)).is_none());
        assert!(all.hold(session("grace", 100)).is_some());
        let (notes, work) = ("notes".parse().unwrap(), "notes@work".parse().unwrap());
        let of = |user: &str, server, id| {
            all.of(&UserId::new(user), server, &HeaderValue::from_static(id)).is_some()
        };
        assert!(of("ada", &notes, "s-0"));
        assert!(!of("grace", &notes, "s-0") && !of("ada", &work, "s-0") && !of("ada", &notes, "s"));
    }

    #[tokio::test]
    async fn each_message_goes_to_who_waits_for_it() {
        let held = Arc::new(session("ada", 1));
        let (one, other) = (held.wait_for("1").unwrap(), held.wait_for("\"b\"").unwrap());
        assert!(held.wait_for("1").is_none(), "its answer could be either's");
        let events = [
            r#"{"method":"notifications/progress","params":{"progressToken":"b"}}"#,
            r#"{"id":"b","result":{}}"#,
            r#"{"id":2,"result":"nobody's"}"#,
            r#"{"id":9,"method":"roots/list"}"#,
            r#"{"id":1,"result":{}}"#,
        ];
        let text = events.map(|event| format!("data: {event}\n\n")).concat();
        let body = ResponseBody::from(format!(": x\n\nevent: y\ndata: 1\n\n{text}"));
        let stream = EventReader::new(body, &Arc::default(), &UserId::new("ada"));
        held.read(stream, Arc::default()).await;
        let heard = async |relayed| {
            let body = ResponseBody::Relayed(Box::new(relayed));
            #[expect(clippy::disallowed_methods, reason = "it is the test's own")]
            let whole = body.collect().await.unwrap().to_bytes();
            String::from_utf8(whole.to_vec()).unwrap()
        };
        let event = |number: usize| format!("data: {}\n\n", events[number]);
        assert_eq!(heard(other).await, [event(0), event(1)].concat());
        assert_eq!(heard(one).await, [event(3), event(4)].concat());
    }
}

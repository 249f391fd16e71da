//! An upstream as a server that the gateway asks itself, in a caller's name.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use attache_broker::{Injection, ObtainError};
use attache_core::{ConnectionName, Principal, RequestId, Timestamp, policy::Denial};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header, request};
use http_body::{Body as _, SizeHint};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{
    runtime::Handle,
    time::{Instant, timeout},
};

use crate::{
    body::{Arriving, ResponseBody},
    forward::Outcome,
    front::{Front, Learned, Visit},
    gather::gather,
    listing::LIST_LIMIT,
    mcp::{LATEST_LEGACY, PROTOCOL_VERSION, legacy},
    refusal::Refusal,
    session::MCP_SESSION_ID,
    snapshot::{Protocol, Route, Snapshot},
};

/// How long an upstream may take to begin a session, and to end one.
pub(crate) const BEGIN_LIMIT: Duration = Duration::from_secs(10);

/// An upstream that the caller may use.
#[derive(Clone)]
pub(crate) struct Member {
    pub(crate) front: Front,
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) id: RequestId,
    /// The caller, as far as they reach this upstream.
    pub(crate) who: Arc<Principal>,
    pub(crate) route: Arc<Route>,
    pub(crate) name: ConnectionName,
    pub(crate) way: Way,
}

/// In which words an upstream is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Its own: those of a session.
    Straight,
    /// Those of a session, whatever it speaks.
    Bridged,
}

/// What an upstream and the gateway agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) version: &'static str,
    /// As it is towards the caller; `None` where the upstream has no sessions.
    pub(crate) id: Option<HeaderValue>,
}

/// Why it gives no answer.
#[derive(Debug)]
pub(crate) enum Absent {
    NoCredential(ObtainError),
    Refused(Refusal),
}

impl From<Refusal> for Absent {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

pub(crate) const SILENT: Absent = Absent::Refused(Refusal::UpstreamSilent);
pub(crate) const UNREADABLE: Absent = Absent::Refused(Refusal::UpstreamUnreadable);

impl Member {
    pub(crate) fn now(&self) -> Timestamp {
        self.front.now()
    }

    /// What is ready to be written on a request; `None`: nothing is, or nothing needs to be.
    pub(crate) fn ready(&self) -> Option<Arc<Injection>> {
        let upstream = self.route.broker.as_ref()?;
        self.front.ready(&self.who, upstream, &self.name)
    }

    pub(crate) fn judge(&self) -> Result<(), Denial> {
        self.front.judge(&self.who, &self.route, &self.name, &self.id)
    }

    /// Whether what was ready then is what is now.
    pub(crate) fn is_with(
        &self,
        then: Option<&Weak<Injection>>,
        now: Option<&Arc<Injection>>,
    ) -> bool {
        match (then, now) {
            (None, None) => self.route.broker.is_none(),
            (Some(then), Some(now)) => std::ptr::eq(then.as_ptr(), Arc::as_ptr(now)),
            _ => false,
        }
    }

    /// `None` where there is none to be had.
    pub(crate) async fn credential(&self) -> Option<Result<Arc<Injection>, ObtainError>> {
        let upstream = self.route.broker.as_ref()?;
        Some(self.front.credential(&self.who, upstream, &self.name).await)
    }

    /// Some servers say 400 of a session that is over, and of a call that they began to carry out:
    /// to repeat that could do it twice.
    pub(crate) async fn has_forgotten(&self, session: &Session) -> bool {
        let asked = timeout(BEGIN_LIMIT, self.ask(session, 0, "ping", &json!({}))).await;
        matches!(asked, Ok(Err(Absent::Refused(Refusal::UnknownSession))))
    }

    /// As it was when it had none.
    pub(crate) fn without_session(&self) -> Option<Session> {
        let version = self.route.live.sessionless.version()?;
        Some(Session { version, id: None })
    }

    /// A session of the gateway's own. It declares nothing: what a server asks of its client would
    /// reach nobody (PX-3).
    pub(crate) async fn begin(&self) -> Result<Fresh, Absent> {
        timeout(BEGIN_LIMIT, self.initialize()).await.map_err(|_| SILENT)?
    }

    async fn initialize(&self) -> Result<Fresh, Absent> {
        let params = json!({
            "protocolVersion": LATEST_LEGACY,
            "capabilities": {},
            "clientInfo": { "name": "attache", "version": env!("CARGO_PKG_VERSION") },
        });
        let unspoken = Session { version: LATEST_LEGACY, id: None };
        let mut answered = self.post(&unspoken, &self.message(0, "initialize", &params)).await?;
        let id = answered.headers_mut().remove(MCP_SESSION_ID);
        let answer = self.read(answered, 0).await?;
        let begun: Initialized = serde_json::from_str(&answer).map_err(|_| UNREADABLE)?;
        let version = legacy(&begun.protocol_version).ok_or(UNREADABLE)?;
        self.route.live.sessionless.note(id.is_none().then_some(version));
        let mut fresh = self.with(Session { version, id });
        fresh.about = answer;
        let ready = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        self.post(fresh.session(), &ready).await?;
        Ok(fresh)
    }

    /// Ends with what is returned.
    pub(crate) fn with(&self, session: Session) -> Fresh {
        Fresh { member: self.clone(), session, about: String::new(), is_kept: false }
    }

    pub(crate) async fn end(self, session: Session) {
        let ended = self.visit(own(Method::DELETE, &session), Bytes::new(), false);
        if !matches!(timeout(BEGIN_LIMIT, ended).await, Ok(Ok(_))) {
            tracing::debug!(upstream = %self.name, "a session was not ended");
        }
    }

    /// The result of a request of the gateway's own.
    pub(crate) async fn ask(
        &self,
        session: &Session,
        number: usize,
        method: &str,
        params: &Value,
    ) -> Result<String, Absent> {
        let answered = self.post(session, &self.message(number, method, params)).await;
        if is_over(&answered) {
            return Err(Refusal::UnknownSession.into());
        }
        self.read(answered?, number).await
    }

    fn message(&self, number: usize, method: &str, params: &Value) -> Value {
        let id = self.id_of(number);
        json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
    }

    /// Like no id of the caller's, who has requests of their own under way there (PX-15).
    pub(crate) fn id_of(&self, number: usize) -> String {
        format!("attache-{}-{number}", self.id.as_str())
    }

    pub(crate) async fn post(
        &self,
        session: &Session,
        message: &Value,
    ) -> Result<Response<ResponseBody>, Absent> {
        self.visit(own(Method::POST, session), message.to_string().into(), false).await
    }

    /// As any request to the upstream's own route.
    pub(crate) async fn visit(
        &self,
        head: request::Parts,
        body: Bytes,
        completes: bool,
    ) -> Result<Response<ResponseBody>, Absent> {
        let (began, metrics) = (Instant::now(), &self.route.live.metrics);
        let visit = Visit {
            snapshot: &self.snapshot,
            id: &self.id,
            who: &self.who,
            protocol: Protocol::Mcp,
            name: &self.name,
            completes,
            at: None,
        };
        let (body, mut learned) = (Arriving::Whole(body), Learned::default());
        let visited = match self.way {
            Way::Straight => self.front.carry(&self.route, visit, head, body, &mut learned).await,
            Way::Bridged => self.front.bridged(visit, head, body, &mut learned).await,
        };
        match visited {
            Ok(Outcome::Answered(response)) => {
                metrics.answered(response.status(), began.elapsed());
                Ok(response)
            }
            Ok(Outcome::Refused(error, _)) => Err(Absent::NoCredential(error)),
            Err(refusal) => {
                metrics.refused(refusal.kind());
                Err(refusal.into())
            }
        }
    }

    /// The result that answers request `number`, in whichever form it came.
    pub(crate) async fn read(
        &self,
        answered: Response<ResponseBody>,
        number: usize,
    ) -> Result<String, Absent> {
        if answered.status() != StatusCode::OK {
            return Err(UNREADABLE);
        }
        let gathered =
            timeout(LIST_LIMIT, gather(answered.into_body(), self.front.places(), &self.who.user))
                .await;
        let gathered = gathered.map_err(|_| SILENT)?.map_err(|_| UNREADABLE)?;
        let text = str::from_utf8(&gathered.bytes).map_err(|_| UNREADABLE)?;
        result_in(text, &self.id_of(number)).ok_or(UNREADABLE)
    }
}

#[derive(Deserialize)]
struct Initialized {
    #[serde(rename = "protocolVersion")]
    protocol_version: String,
}

#[derive(Deserialize)]
struct Reply<'a> {
    id: Option<&'a serde_json::value::RawValue>,
    #[serde(borrow)]
    result: Option<&'a serde_json::value::RawValue>,
}

/// In a message, or in one of some events.
fn result_in(text: &str, id: &str) -> Option<String> {
    let of = |message: &str| {
        let reply: Reply<'_> = serde_json::from_str(message).ok()?;
        let answers: String = serde_json::from_str(reply.id?.get()).ok()?;
        (answers == id).then(|| reply.result.map(|result| result.get().to_owned()))?
    };
    of(text).or_else(|| {
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        text.split("\n\n").find_map(|event| {
            let data = event.lines().filter_map(|line| line.strip_prefix("data:"));
            let data: Vec<&str> =
                data.map(|value| value.strip_prefix(' ').unwrap_or(value)).collect();
            of(&data.join("\n"))
        })
    })
}

/// The head of a request of the gateway's own.
pub(crate) fn own(method: Method, session: &Session) -> request::Parts {
    let (mut head, ()) = Request::new(()).into_parts();
    head.method = method;
    let json = HeaderValue::from_static("application/json");
    head.headers.insert(header::CONTENT_TYPE, json);
    let both = HeaderValue::from_static("application/json, text/event-stream");
    head.headers.insert(header::ACCEPT, both);
    speak(&mut head.headers, session);
    head
}

pub(crate) fn speak(headers: &mut HeaderMap, session: &Session) {
    headers.insert(PROTOCOL_VERSION, HeaderValue::from_static(session.version));
    if let Some(id) = &session.id {
        headers.insert(MCP_SESSION_ID, id.clone());
    }
}

/// Whether an upstream does not know the session any more, as they say it, in answer to what changes
/// nothing there.
pub(crate) fn is_over(answered: &Result<Response<ResponseBody>, Absent>) -> bool {
    match answered {
        Ok(response) => {
            matches!(response.status(), StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST)
        }
        Err(Absent::Refused(Refusal::UnknownSession)) => true,
        Err(_) => false,
    }
}

/// A session that is ended when this is dropped.
pub(crate) struct Fresh {
    member: Member,
    session: Session,
    /// What the upstream said of itself, where it was asked: the result of `initialize`.
    about: String,
    is_kept: bool,
}

impl Fresh {
    pub(crate) fn name(&self) -> &ConnectionName {
        &self.member.name
    }

    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    pub(crate) fn about(&self) -> &str {
        &self.about
    }

    /// It goes on; its end is the caller's.
    pub(crate) fn keep(mut self) -> (ConnectionName, Session) {
        self.is_kept = true;
        (self.member.name.clone(), self.session.clone())
    }

    pub(crate) fn last_as_long_as(self, body: ResponseBody) -> ResponseBody {
        if self.session.id.is_none() {
            return body;
        }
        ResponseBody::Parting(Box::new(Parting { body, _session: self }))
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        if self.is_kept || self.session.id.is_none() {
            return;
        }
        // On this worker, whose connections they are; elsewhere, at the end, nobody waits for it.
        if let Ok(worker) = Handle::try_current() {
            worker.spawn(self.member.clone().end(self.session.clone()));
        }
    }
}

/// An answer, and the session that it came in.
pub struct Parting {
    body: ResponseBody,
    _session: Fresh,
}

impl std::fmt::Debug for Parting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parting").finish_non_exhaustive()
    }
}

impl Parting {
    pub(crate) fn body(&mut self) -> &mut ResponseBody {
        &mut self.body
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_found_in_either_form() {
        let answer = r#"{"jsonrpc":"2.0","id":"a-1","result":{"tools":[]}}"#;
        let events = format!(
            ": here\n\nevent: message\ndata: {{\"method\":\"x\"}}\n\nid: 3\r\ndata: {answer}\r\n\r\n"
        );
        for (text, id, expected) in [
            (answer, "a-1", Some(r#"{"tools":[]}"#)),
            (&events, "a-1", Some(r#"{"tools":[]}"#)),
            (&events, "a-2", None),
            (r#"{"id":"a-1","error":{"code":1}}"#, "a-1", None),
            (r#"{"id":1,"result":{}}"#, "1", None),
            ("", "a-1", None),
        ] {
            assert_eq!(result_in(text, id).as_deref(), expected, "{text}");
        }
    }
}

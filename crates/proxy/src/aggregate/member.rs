//! One upstream among all: what the gateway asks it itself, and what a caller does.

use std::{sync::Arc, time::Duration};

use attache_broker::{Injection, ObtainError};
use attache_core::{ConnectionName, Principal, RequestId, Timestamp, policy::Denial};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header, request,
};
use http_body::{Body as _, SizeHint};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{
    runtime::Handle,
    task::JoinSet,
    time::{Instant, timeout},
};

use super::{name, session::Session};
use crate::{
    body::{Arriving, ResponseBody},
    forward::Outcome,
    front::{Front, Learned, Visit},
    gather::gather,
    listing::LIST_LIMIT,
    mcp::{LATEST_LEGACY, PROTOCOL_VERSION, is_modern, legacy},
    refusal::Refusal,
    session::MCP_SESSION_ID,
    snapshot::{Protocol, Route, Snapshot},
};

/// Upstreams that are asked at the same time for one request.
const AT_ONCE: usize = 16;
/// How long an upstream may take to begin a session, and to end one.
const BEGIN_LIMIT: Duration = Duration::from_secs(10);

/// What a message repeats of itself is not true of what it becomes.
const OF_THE_MESSAGE: [HeaderName; 4] = [
    header::CONTENT_LENGTH,
    MCP_SESSION_ID,
    HeaderName::from_static("mcp-method"),
    HeaderName::from_static("mcp-name"),
];

/// An upstream that the caller may use here.
#[derive(Clone)]
pub(crate) struct Member {
    front: Front,
    snapshot: Arc<Snapshot>,
    id: RequestId,
    /// The caller, as far as they reach this upstream.
    pub(super) who: Arc<Principal>,
    pub(super) route: Arc<Route>,
    pub(super) name: ConnectionName,
}

/// Why one of them gives no answer.
#[derive(Debug)]
pub(super) enum Absent {
    NoCredential(ObtainError),
    Refused(Refusal),
}

impl From<Refusal> for Absent {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

pub(super) const SILENT: Absent = Absent::Refused(Refusal::UpstreamSilent);
pub(super) const UNREADABLE: Absent = Absent::Refused(Refusal::UpstreamUnreadable);

/// `work` for each, in no order; what is under way ends when nobody waits for it any more.
pub(super) async fn each<T, F>(members: Vec<Member>, work: impl Fn(Member) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let (mut waiting, mut tasks) = (members.into_iter(), JoinSet::new());
    let mut done = Vec::new();
    for member in waiting.by_ref().take(AT_ONCE) {
        tasks.spawn(work(member));
    }
    while let Some(ended) = tasks.join_next().await {
        match ended {
            Ok(result) => done.push(result),
            Err(panicked) => tracing::error!(%panicked, "an upstream could not be asked"),
        }
        if let Some(member) = waiting.next() {
            tasks.spawn(work(member));
        }
    }
    done
}

impl Member {
    /// `None`: not an MCP server, not theirs, not within their token's reach, or called so that its
    /// tools could be taken for another's.
    pub(super) fn of(
        front: &Front,
        snapshot: &Arc<Snapshot>,
        id: &RequestId,
        who: &Arc<Principal>,
        route: &Arc<Route>,
    ) -> Option<Self> {
        let name = ConnectionName::from(route.name.clone());
        let reach = who.reach.narrowed(&name)?;
        let is_theirs = route.protocol == Protocol::Mcp
            && route.access.permits(who)
            && name::is_plain(&route.name);
        is_theirs.then(|| Self {
            front: front.clone(),
            snapshot: Arc::clone(snapshot),
            id: id.clone(),
            who: Arc::new(Principal { reach, ..Principal::clone(who) }),
            route: Arc::clone(route),
            name,
        })
    }

    pub(super) fn front(&self) -> &Front {
        &self.front
    }

    pub(super) fn now(&self) -> Timestamp {
        self.front.now()
    }

    /// What is ready to be written on a request; `None`: nothing is, or nothing needs to be.
    pub(super) fn ready(&self) -> Option<Arc<Injection>> {
        let upstream = self.route.broker.as_ref()?;
        self.front.ready(&self.who, upstream, &self.name)
    }

    pub(super) fn judge(&self) -> Result<(), Denial> {
        self.front.judge(&self.who, &self.route, &self.name, &self.id)
    }

    /// `None` where there is none to be had.
    pub(super) async fn credential(&self) -> Option<Result<Arc<Injection>, ObtainError>> {
        let upstream = self.route.broker.as_ref()?;
        Some(self.front.credential(&self.who, upstream, &self.name).await)
    }

    /// Carries a call there: in the session `kept`, if the upstream still has it, else in one that
    /// lasts as long as the answer.
    pub(super) async fn call(
        &self,
        kept: Option<&Session>,
        head: &request::Parts,
        body: Bytes,
    ) -> Result<Response<ResponseBody>, Absent> {
        let completes = is_modern(&head.headers);
        if let Some(session) = kept.cloned().or_else(|| self.without_session()) {
            let answered = self.visit(within(head, &session), body.clone(), completes).await;
            let status = answered.as_ref().map(Response::status);
            let is_over = match status {
                Ok(StatusCode::BAD_REQUEST) => self.has_forgotten(&session).await,
                _ => is_over(&answered),
            };
            if !is_over {
                return answered.map(stripped);
            }
        }
        let fresh = self.begin().await?;
        let answered = self.visit(within(head, fresh.session()), body, completes).await?;
        if answered.status() == StatusCode::NOT_FOUND {
            // To the caller's client that would be the end of its own session, with all of them.
            return Err(UNREADABLE);
        }
        Ok(stripped(answered).map(|body| fresh.last_as_long_as(body)))
    }

    /// Some servers say 400 of a session that is over, and of a call that they began to carry out:
    /// to repeat that could do it twice.
    async fn has_forgotten(&self, session: &Session) -> bool {
        let asked = timeout(BEGIN_LIMIT, self.ask(session, 0, "ping", &json!({}))).await;
        matches!(asked, Ok(Err(Absent::Refused(Refusal::UnknownSession))))
    }

    /// Carries what nobody answers to an upstream that was told of the session.
    pub(super) async fn notify(&self, session: &Session, head: &request::Parts, body: Bytes) {
        let told = self.visit(within(head, session), body, false);
        if !matches!(timeout(BEGIN_LIMIT, told).await, Ok(Ok(_))) {
            tracing::debug!(upstream = %self.name, "an upstream was not told");
        }
    }

    /// As it was when it had none.
    pub(super) fn without_session(&self) -> Option<Session> {
        let version = self.route.live.sessionless.version()?;
        Some(Session { version, id: None })
    }

    /// A session of the gateway's own. It declares nothing: what a server asks of its client would
    /// reach nobody (PX-3).
    pub(super) async fn begin(&self) -> Result<Fresh, Absent> {
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
        let fresh = self.with(Session { version, id });
        let ready = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        self.post(fresh.session(), &ready).await?;
        Ok(fresh)
    }

    /// Ends with what is returned.
    pub(super) fn with(&self, session: Session) -> Fresh {
        Fresh { member: self.clone(), session, is_kept: false }
    }

    async fn end(self, session: Session) {
        let ended = self.visit(own(Method::DELETE, &session), Bytes::new(), false);
        if !matches!(timeout(BEGIN_LIMIT, ended).await, Ok(Ok(_))) {
            tracing::debug!(upstream = %self.name, "a session was not ended");
        }
    }

    /// The result of a request of the gateway's own.
    pub(super) async fn ask(
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
    fn id_of(&self, number: usize) -> String {
        format!("attache-{}-{number}", self.id.as_str())
    }

    async fn post(
        &self,
        session: &Session,
        message: &Value,
    ) -> Result<Response<ResponseBody>, Absent> {
        self.visit(own(Method::POST, session), message.to_string().into(), false).await
    }

    /// As any request to the upstream's own route.
    async fn visit(
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
        };
        let body = Arriving::Whole(body);
        match self.front.visit(visit, head, body, None, &mut Learned::default()).await {
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
    async fn read(
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

/// Of a request of the gateway's own.
fn own(method: Method, session: &Session) -> request::Parts {
    let (mut head, ()) = Request::new(()).into_parts();
    head.method = method;
    let json = HeaderValue::from_static("application/json");
    head.headers.insert(header::CONTENT_TYPE, json);
    let both = HeaderValue::from_static("application/json, text/event-stream");
    head.headers.insert(header::ACCEPT, both);
    speak(&mut head.headers, session);
    head
}

/// A caller's, in `session`.
fn within(head: &request::Parts, session: &Session) -> request::Parts {
    let mut head = head.clone();
    for name in OF_THE_MESSAGE {
        head.headers.remove(name);
    }
    speak(&mut head.headers, session);
    head
}

fn speak(headers: &mut HeaderMap, session: &Session) {
    headers.insert(PROTOCOL_VERSION, HeaderValue::from_static(session.version));
    if let Some(id) = &session.id {
        headers.insert(MCP_SESSION_ID, id.clone());
    }
}

/// Whether an upstream does not know the session any more, as they say it, in answer to what changes
/// nothing there.
fn is_over(answered: &Result<Response<ResponseBody>, Absent>) -> bool {
    match answered {
        Ok(response) => {
            matches!(response.status(), StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST)
        }
        Err(Absent::Refused(Refusal::UnknownSession)) => true,
        Err(_) => false,
    }
}

/// It is the gateway's, or in the caller's own id.
fn stripped(mut response: Response<ResponseBody>) -> Response<ResponseBody> {
    response.headers_mut().remove(MCP_SESSION_ID);
    response
}

/// A session that is ended when this is dropped.
pub(super) struct Fresh {
    member: Member,
    session: Session,
    is_kept: bool,
}

impl Fresh {
    pub(super) fn name(&self) -> &ConnectionName {
        &self.member.name
    }

    pub(super) fn session(&self) -> &Session {
        &self.session
    }

    /// It goes on; its end is the caller's.
    pub(super) fn keep(mut self) -> (ConnectionName, Session) {
        self.is_kept = true;
        (self.member.name.clone(), self.session.clone())
    }

    fn last_as_long_as(self, body: ResponseBody) -> ResponseBody {
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

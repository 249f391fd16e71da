//! Upstreams of the HTTP+SSE transport (MCP 2024-11-05), for callers of Streamable HTTP.
//!
//! Such a server has one stream, on which everything comes, and an address of its own for each
//! session, to which everything is sent. The gateway holds the stream as long as the caller's session
//! lasts, and hands each message to whoever waits for it. The stream is this process's: elsewhere, and
//! after a restart, the session is unknown, and clients begin another.

mod endpoint;
mod relay;
mod session;

use std::sync::Arc;

use attache_crypto::digest::base64url;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, header, request};
use tokio::{runtime::Handle, time::timeout};

use self::{endpoint::endpoint, session::SseSession};
pub(crate) use self::{relay::Relayed, session::SseSessions};
use crate::{
    body::{Arriving, ResponseBody},
    bridge::TurnedBody,
    events::EventReader,
    forward::Outcome,
    front::{BODY_LIMIT, Front, Learned, Visit, empty},
    gate::message,
    inspect::Message,
    refusal::Refusal,
    session::MCP_SESSION_ID,
    snapshot::Route,
};

/// What a message is not accompanied by: the transport is older.
const OF_STREAMABLE_HTTP: [HeaderName; 3] =
    [MCP_SESSION_ID, HeaderName::from_static("last-event-id"), header::CONTENT_LENGTH];

impl Front {
    /// As [`Front::visit`], to an upstream of this transport.
    pub(crate) async fn by_sse(
        &self,
        route: &Arc<Route>,
        visit: Visit<'_>,
        head: request::Parts,
        body: Arriving,
        learned: &mut Learned,
    ) -> Result<Outcome, Refusal> {
        let stream = match head.headers.get(MCP_SESSION_ID) {
            Some(id) => {
                let stream = self.sse().of(&visit.who.user, visit.name, id);
                Some(stream.ok_or(Refusal::UnknownSession)?)
            }
            None => None,
        };
        let answered = |response| Ok(Outcome::Answered(response));
        match (&head.method, stream) {
            (&Method::POST, stream) => {
                let talk = Talk { front: self, route, visit };
                talk.post(head, body, stream, learned).await
            }
            (&Method::GET, Some(stream)) => answered(events(stream.listen())),
            (&Method::DELETE, Some(stream)) => {
                stream.end();
                answered(empty(StatusCode::NO_CONTENT))
            }
            _ => {
                let open = HeaderValue::from_static("POST");
                let mut response = empty(StatusCode::METHOD_NOT_ALLOWED);
                response.headers_mut().insert(header::ALLOW, open);
                answered(response)
            }
        }
    }
}

/// One request to such an upstream.
struct Talk<'a> {
    front: &'a Front,
    route: &'a Arc<Route>,
    visit: Visit<'a>,
}

impl Talk<'_> {
    async fn post(
        &self,
        head: request::Parts,
        body: Arriving,
        stream: Option<Arc<SseSession>>,
        learned: &mut Learned,
    ) -> Result<Outcome, Refusal> {
        let whole = message(body, self.front.places(), self.visit.who).await?.into_bytes();
        let message = Message::parse(&head.headers, &whole).map_err(Refusal::Unclear)?;
        let begins = stream.is_none();
        let stream = match stream {
            Some(stream) => stream,
            // Whoever forgot to begin would wait for an answer that nobody gives.
            None if message.method.as_deref() != Some("initialize") => {
                return Ok(Outcome::Answered(empty(StatusCode::BAD_REQUEST)));
            }
            None => match self.begin(&head, learned).await.map_err(|no| no.about(&whole))? {
                Ok(stream) => stream,
                Err(error) => return Ok(Outcome::Refused(error, Some(whole))),
            },
        };
        let waits = message.method.is_some().then_some(message.id).flatten();
        let answer = match waits {
            Some(id) => Some(stream.wait_for(id.get()).ok_or(Refusal::TooManyRequests)?),
            None => None,
        };
        let mut sent = head;
        for name in OF_STREAMABLE_HTTP {
            sent.headers.remove(name);
        }
        let visit = Visit { at: Some(&stream.endpoint), ..self.visit };
        let body = Arriving::Whole(whole.clone());
        let response = match self.front.visit(visit, sent, body, None, learned).await? {
            Outcome::Answered(response) => response,
            Outcome::Refused(error, _) => return Ok(Outcome::Refused(error, Some(whole))),
        };
        match (response.status(), answer) {
            (StatusCode::NOT_FOUND | StatusCode::GONE, _) => {
                stream.end();
                Err(Refusal::UnknownSession)
            }
            (status, _) if !status.is_success() => Ok(Outcome::Answered(response)),
            (_, None) => Ok(Outcome::Answered(empty(StatusCode::ACCEPTED))),
            (_, Some(answer)) => {
                let mut response = events(answer);
                if self.visit.completes {
                    let (places, user) = (self.front.places(), &self.visit.who.user);
                    response = response.map(|body| {
                        let events = EventReader::new(body, places, user);
                        ResponseBody::Turned(Box::new(TurnedBody::completing(events)))
                    });
                }
                if begins {
                    let id = HeaderValue::try_from(stream.id.as_str());
                    let id = id.map_err(|_| Refusal::UpstreamUnreadable)?;
                    response.headers_mut().insert(MCP_SESSION_ID, id);
                }
                Ok(Outcome::Answered(response))
            }
        }
    }

    /// Opens the stream, and learns from its first event where messages go.
    async fn begin(
        &self,
        asked: &request::Parts,
        learned: &mut Learned,
    ) -> Result<Result<Arc<SseSession>, attache_broker::ObtainError>, Refusal> {
        let (mut head, ()) = Request::new(()).into_parts();
        head.headers.clone_from(&asked.headers);
        // It ends with the gateway, as what is listened to does.
        head.extensions.clone_from(&asked.extensions);
        for name in OF_STREAMABLE_HTTP.iter().chain(&[header::CONTENT_TYPE]) {
            head.headers.remove(name);
        }
        head.headers.insert(header::ACCEPT, HeaderValue::from_static("text/event-stream"));
        head.headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let nothing = Arriving::Whole(bytes::Bytes::new());
        let response = match self.front.visit(self.visit, head, nothing, None, learned).await? {
            Outcome::Answered(response) if response.status() == StatusCode::OK => response,
            Outcome::Answered(_) => return Err(Refusal::UpstreamUnreadable),
            Outcome::Refused(error, _) => return Ok(Err(error)),
        };
        let mut events =
            EventReader::new(response.into_body(), self.front.places(), &self.visit.who.user);
        let first =
            timeout(BODY_LIMIT, events.next()).await.map_err(|_| Refusal::UpstreamSilent)?;
        let endpoint = first.and_then(|event| endpoint(&self.route.target.endpoint(), &event));
        let endpoint = endpoint.ok_or(Refusal::UpstreamUnreadable)?;
        let mut id = [0; 18];
        self.front.fill(&mut id);
        let (user, server) = (self.visit.who.user.clone(), self.visit.name.clone());
        let stream = SseSession::new(base64url(&id), user, server, endpoint);
        let stream = self.front.sse().hold(stream).ok_or(Refusal::TooManyRequests)?;
        // On this worker, whose connection it is.
        let reading = Arc::clone(&stream).read(events, Arc::clone(self.front.sse()));
        Handle::try_current().map_err(|_| Refusal::UpstreamUnreachable)?.spawn(reading);
        Ok(Ok(stream))
    }
}

fn events(relayed: Relayed) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::Relayed(Box::new(relayed)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response
}

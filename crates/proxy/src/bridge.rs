//! Between the eras of MCP: callers and upstreams of which one speaks in sessions and the other in
//! requests that stand for themselves (PX-2, PX-3).
//!
//! Where both speak alike, everything passes as it is. Nobody is asked what they speak: where a
//! request is refused as one of the other era would be, it is sent once more in that one, and what
//! was learned is remembered for a while. What cannot be said in the other era is refused in the
//! protocol's own words.

mod envelope;
mod eras;
mod kept;
mod modern;
mod sessions;
mod turned;

use std::{borrow::Cow, pin::Pin, sync::Arc};

use attache_net::body::read_at_most;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header, request};
use http_body::Body as _;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::timeout;

use self::envelope::Meta;
pub(crate) use self::{
    envelope::{decoded, unwrapped},
    eras::Eras,
    kept::KeptSessions,
    turned::TurnedBody,
};
use crate::{
    body::{Arriving, REPLAY_LIMIT, ResponseBody},
    events::{EventBuffer, Parts},
    forward::{OF_THE_WHOLE, Outcome},
    front::{BODY_LIMIT, Front, Learned, Visit, empty},
    gather::{Gathered, gather},
    inspect::Message,
    listing::LIST_LIMIT,
    mcp::{MODERN, is_modern},
    member::{Absent, Member, Way},
    refusal::Refusal,
    session::{MCP_SESSION_ID, is_bridged},
    snapshot::{Route, Transport},
};

/// What changes nothing, and so may be sent in both eras.
const REPEATED: [&str; 9] = [
    DISCOVER,
    "tools/list",
    "prompts/list",
    "prompts/get",
    "resources/list",
    "resources/templates/list",
    "resources/read",
    "completion/complete",
    "subscriptions/listen",
];
const INITIALIZE: &str = "initialize";
const DISCOVER: &str = "server/discover";

impl Front {
    /// As [`Front::visit`], whatever the upstream speaks.
    pub(crate) async fn cross(
        &self,
        visit: Visit<'_>,
        head: request::Parts,
        body: Arriving,
        learned: &mut Learned,
    ) -> Result<Outcome, Refusal> {
        let route = Arc::clone(visit.permitted()?);
        learned.route = Some(Arc::clone(&route));
        let eras = &route.live.eras;
        let (modern, legacy) = match route.transport {
            Transport::StreamableHttp => (eras.modern.known(), eras.legacy.known()),
            Transport::Sse => (Some(false), Some(true)),
        };
        let crossing = Crossing { front: self, visit, route: &route };
        if is_modern(&head.headers) {
            return match (modern, legacy) {
                (Some(false), Some(true)) => {
                    Box::pin(crossing.by_session(&head, body, learned)).await
                }
                (None, _) => Box::pin(crossing.watched(head, body, learned)).await,
                _ => crossing.carry(visit, head, body, learned).await,
            };
        }
        let session = head.headers.get(MCP_SESSION_ID);
        match (modern, legacy) {
            _ if session.is_some_and(is_bridged) => {
                Box::pin(crossing.by_request(&head, body, learned)).await
            }
            (Some(true), Some(false)) => Box::pin(crossing.by_request(&head, body, learned)).await,
            (_, None) if session.is_none() => Box::pin(crossing.watched(head, body, learned)).await,
            _ => crossing.carry(visit, head, body, learned).await,
        }
    }

    /// As [`Front::visit`], by the transport of the upstream.
    pub(crate) async fn carry(
        &self,
        route: &Arc<Route>,
        visit: Visit<'_>,
        head: request::Parts,
        body: Arriving,
        learned: &mut Learned,
    ) -> Result<Outcome, Refusal> {
        match route.transport {
            Transport::StreamableHttp => self.visit(visit, head, body, None, learned).await,
            Transport::Sse => Box::pin(self.by_sse(route, visit, head, body, learned)).await,
        }
    }

    /// As [`Front::cross`], for who is on the way over already.
    pub(crate) fn bridged<'a>(
        &'a self,
        visit: Visit<'a>,
        head: request::Parts,
        body: Arriving,
        learned: &'a mut Learned,
    ) -> Pin<Box<dyn Future<Output = Result<Outcome, Refusal>> + Send + 'a>> {
        Box::pin(self.cross(visit, head, body, learned))
    }
}

/// One request on its way over.
struct Crossing<'a> {
    front: &'a Front,
    visit: Visit<'a>,
    route: &'a Arc<Route>,
}

/// What came of sending a request as it is.
#[derive(Debug, PartialEq, Eq)]
enum Heard {
    /// It says nothing about eras.
    Nothing,
    Result {
        names_modern: bool,
    },
    /// As one of the other era would be, unless a server of the modern era says that it is one.
    Refused {
        by_modern: bool,
    },
}

impl Crossing<'_> {
    /// As it is, by the transport of the upstream.
    async fn carry(
        &self,
        visit: Visit<'_>,
        head: request::Parts,
        body: Arriving,
        learned: &mut Learned,
    ) -> Result<Outcome, Refusal> {
        self.front.carry(self.route, visit, head, body, learned).await
    }

    /// Sends a request as it is, and once more in the other era where it is refused for its own.
    /// Only a small one is remembered for that; clients begin with such.
    async fn watched(
        &self,
        head: request::Parts,
        body: Arriving,
        learned: &mut Learned,
    ) -> Result<Outcome, Refusal> {
        let size = body.size_hint().exact().and_then(|size| usize::try_from(size).ok());
        if head.method != Method::POST || size.is_none_or(|size| size > REPLAY_LIMIT) {
            return self.carry(self.visit, head, body, learned).await;
        }
        let whole = whole(body).await?;
        let is_modern = is_modern(&head.headers);
        let Some(method) = asked(&head, &whole).filter(|it| is_modern || it == INITIALIZE) else {
            return self.carry(self.visit, head, Arriving::Whole(whole), learned).await;
        };
        if is_modern && !REPEATED.contains(&method.as_str()) {
            return self.after_asking(&head, whole, learned).await;
        }
        let body = Arriving::Whole(whole.clone());
        let outcome = self.carry(self.visit, head.clone(), body, learned).await?;
        let Outcome::Answered(response) = outcome else { return Ok(outcome) };
        let (told, response) = self.hear(response, &method).await?;
        let eras = &self.route.live.eras;
        match told {
            Heard::Result { names_modern } if is_modern => {
                if names_modern {
                    eras.modern.note(true);
                }
            }
            Heard::Result { .. } => eras.legacy.note(true),
            Heard::Refused { by_modern: true } if is_modern => eras.modern.note(true),
            // It can begin a session itself, and be asked there.
            Heard::Refused { .. } if is_modern && Meta::of(&whole).can_be_asked() => {}
            Heard::Refused { .. } => {
                let way = async {
                    if is_modern {
                        self.unless_modern(&head, &whole, learned).await
                    } else {
                        self.unless_legacy(&head, &whole).await
                    }
                };
                // What is refused either way is not a matter of eras.
                if let Ok(Some(answered)) = Box::pin(way).await {
                    return Ok(answered);
                }
            }
            Heard::Nothing => {}
        }
        Ok(Outcome::Answered(response))
    }

    /// What may have been done although it was refused is not sent twice: the upstream is asked first
    /// what it speaks.
    async fn after_asking(
        &self,
        head: &request::Parts,
        whole: Bytes,
        learned: &mut Learned,
    ) -> Result<Outcome, Refusal> {
        if let Some(answered) = Box::pin(self.unless_modern(head, &whole, learned)).await? {
            return Ok(answered);
        }
        self.carry(self.visit, head.clone(), Arriving::Whole(whole), learned).await
    }

    /// A request may be refused for what is wrong with it alone, and nobody's mistake decides how
    /// others are spoken to: only who refuses the gateway's own does not speak so. `None`: it does,
    /// or it is not known.
    async fn unless_modern(
        &self,
        head: &request::Parts,
        asked: &Bytes,
        learned: &mut Learned,
    ) -> Result<Option<Outcome>, Refusal> {
        match self.discover().await {
            Ok(()) => self.route.live.eras.modern.note(true),
            Err(Absent::Refused(Refusal::UpstreamUnreadable)) => {
                return self.in_a_session(head, asked, learned).await;
            }
            Err(_) => {}
        }
        Ok(None)
    }

    /// The same of `initialize`.
    async fn unless_legacy(
        &self,
        head: &request::Parts,
        asked: &Bytes,
    ) -> Result<Option<Outcome>, Refusal> {
        match self.member().begin().await {
            // Dropped, it ends.
            Ok(_) => self.route.live.eras.legacy.note(true),
            Err(Absent::Refused(Refusal::UpstreamUnreadable)) => {
                return self.in_requests(head, asked).await;
            }
            Err(_) => {}
        }
        Ok(None)
    }

    /// What an answer says of its server, and the answer again.
    async fn hear(
        &self,
        response: Response<ResponseBody>,
        method: &str,
    ) -> Result<(Heard, Response<ResponseBody>), Refusal> {
        let opens = matches!(method, INITIALIZE | DISCOVER);
        let status = response.status();
        let is_refused = matches!(
            status,
            StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED
        );
        let is_told = is_refused || (opens && status == StatusCode::OK);
        if !is_told {
            return Ok((Heard::Nothing, response));
        }
        if method == INITIALIZE && !is_refused && is_events(&response) {
            // Its stream may go on.
            return Ok((Heard::Result { names_modern: false }, response));
        }
        let (parts, text) = self.read(response).await?;
        let told = heard(&text, status, method);
        Ok((told, Response::from_parts(parts, text.into())))
    }

    /// A whole answer.
    async fn read(
        &self,
        response: Response<ResponseBody>,
    ) -> Result<(http::response::Parts, Bytes), Refusal> {
        let (head, body) = response.into_parts();
        let gathered = gather(body, self.front.places(), &self.visit.who.user);
        let gathered = timeout(LIST_LIMIT, gathered).await.map_err(|_| Refusal::UpstreamSilent)?;
        let gathered = gathered.map_err(|_| Refusal::UpstreamUnreadable)?;
        Ok((head, Gathered::into_bytes(gathered)))
    }

    /// The upstream as a server that the gateway asks for the caller.
    fn member(&self) -> Member {
        let Visit { snapshot, id, who, name, .. } = self.visit;
        Member {
            front: self.front.clone(),
            snapshot: Arc::clone(snapshot),
            id: id.clone(),
            who: Arc::clone(who),
            route: Arc::clone(self.route),
            name: name.clone(),
            way: Way::Straight,
        }
    }

    /// What is answered when the upstream cannot be asked for the caller.
    fn absent(absent: Absent, asked: &Bytes) -> Result<Option<Outcome>, Refusal> {
        match absent {
            Absent::NoCredential(error) => Ok(Some(Outcome::Refused(error, Some(asked.clone())))),
            // It does not speak so.
            Absent::Refused(Refusal::UpstreamUnreadable) => Ok(None),
            Absent::Refused(refusal) => Err(refusal.about(asked)),
        }
    }

    /// What is answered without asking the upstream is closed by the same rules.
    fn judge(&self, asked: &Bytes) -> Result<(), Refusal> {
        let Visit { who, name, id, .. } = self.visit;
        let judged = self.front.judge(who, self.route, name, id);
        judged.map_err(|denial| Refusal::Denied(denial, Some(asked.clone())))
    }
}

/// The method of a request; nothing for what is none, or is unclear.
fn asked(head: &request::Parts, body: &[u8]) -> Option<String> {
    let message = Message::parse(&head.headers, body).ok()?;
    message.id.and(message.method).map(Cow::into_owned)
}

/// A message that is remembered.
async fn whole(body: Arriving) -> Result<Bytes, Refusal> {
    let whole = timeout(BODY_LIMIT, read_at_most(body, REPLAY_LIMIT)).await;
    whole.map_err(|_| Refusal::BodyTooSlow)?.map_err(|_| Refusal::BodyTooLarge)
}

#[derive(Deserialize)]
struct Reply<'a> {
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    error: Option<ReplyError>,
}

#[derive(Deserialize)]
struct ReplyError {
    code: i64,
    #[serde(default)]
    data: Option<Supported>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Supported {
    Versions { supported: Vec<String> },
    Else(serde::de::IgnoredAny),
}

fn heard(text: &[u8], status: StatusCode, method: &str) -> Heard {
    let by_modern = |error: &ReplyError| match error.code {
        -32020 | -32021 => true,
        -32022 => match &error.data {
            Some(Supported::Versions { supported }) => supported.iter().any(|one| one == MODERN),
            _ => false,
        },
        // What such a server must know it cannot miss.
        -32601 => status == StatusCode::NOT_FOUND && method != DISCOVER,
        _ => false,
    };
    let message = message_in(text);
    let reply = message.as_deref().and_then(|text| serde_json::from_str::<Reply<'_>>(text).ok());
    match reply {
        Some(Reply { error: Some(error), .. }) => Heard::Refused { by_modern: by_modern(&error) },
        Some(Reply { result: Some(result), .. }) if status == StatusCode::OK => {
            Heard::Result { names_modern: result.get().contains(MODERN) }
        }
        _ if status == StatusCode::OK => Heard::Nothing,
        _ => Heard::Refused { by_modern: false },
    }
}

/// The last message of an answer in either form: whatever it is about, it comes before the answer.
fn message_in(text: &[u8]) -> Option<String> {
    let text = str::from_utf8(text).ok()?;
    if text.trim_start().starts_with('{') {
        return Some(text.to_owned());
    }
    let mut buffer = EventBuffer::default();
    buffer.push(text.as_bytes());
    let mut last = None;
    while let Some(event) = buffer.next() {
        last = Parts::of(&event).map(|parts| parts.data).filter(|data| !data.is_empty()).or(last);
    }
    last
}

fn is_events(response: &Response<ResponseBody>) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| kind.trim_start().starts_with("text/event-stream"))
}

/// Without what was said of an answer before its messages were turned, and without a session.
fn without_whole(headers: &mut HeaderMap) {
    headers.remove(MCP_SESSION_ID);
    for name in OF_THE_WHOLE {
        headers.remove(name);
    }
}

/// There is nothing to listen to, and nothing to end.
fn post_alone() -> Response<ResponseBody> {
    let mut response = empty(StatusCode::METHOD_NOT_ALLOWED);
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_era_is_heard_in_how_a_request_is_refused() {
        let error =
            |code: i32, data: &str| format!(r#"{{"error":{{"code":{code},"data":{data}}}}}"#);
        let modern = Heard::Refused { by_modern: true };
        let other = Heard::Refused { by_modern: false };
        for (status, method, text, expected) in [
            (400, "tools/call", error(-32020, "null"), &modern),
            (400, INITIALIZE, error(-32022, r#"{"supported":["2026-07-28"]}"#), &modern),
            (400, DISCOVER, error(-32022, r#"{"supported":["2025-11-25"]}"#), &other),
            (400, DISCOVER, error(-32022, "7"), &other),
            (404, "resources/list", error(-32601, "null"), &modern),
            (404, DISCOVER, error(-32601, "null"), &other),
            (200, DISCOVER, error(-32601, "null"), &other),
            (400, DISCOVER, error(-32000, r#"{"a":[]}"#), &other),
            (404, DISCOVER, "<h1>Not Found</h1>".to_owned(), &other),
            (400, INITIALIZE, String::new(), &other),
            (200, INITIALIZE, "(compressed)".to_owned(), &Heard::Nothing),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(&heard(text.as_bytes(), status, method), expected, "{method}: {text}");
        }
        let result = r#"{"id":1,"result":{"supportedVersions":["2026-07-28"]}}"#;
        let events =
            format!("event: message\ndata: {{\"method\":\"x\"}}\n\ndata: {result}\n\n:\n\n");
        for text in [result, &events] {
            let heard = heard(text.as_bytes(), StatusCode::OK, DISCOVER);
            assert_eq!(heard, Heard::Result { names_modern: true });
        }
    }
}

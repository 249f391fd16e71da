//! Callers who speak in sessions, towards an upstream whose requests stand for themselves.
//!
//! Their session is the gateway's alone, and all of it is in its id, sealed: who the client is, which
//! each request upstream has to say.

use bytes::Bytes;
use http::{Method, Response, StatusCode, request};
use serde::Deserialize;
use serde_json::{
    Value, json,
    value::{RawValue, to_raw_value},
};
use tokio::time::timeout;

use super::{
    Crossing, DISCOVER, INITIALIZE,
    envelope::{self, bared},
    is_events,
    kept::About,
    post_alone,
    turned::{Passage, Turn, TurnedBody},
    without_whole,
};
use crate::{
    body::{Arriving, ResponseBody},
    events::{EventReader, Turned},
    forward::Outcome,
    front::{Learned, Visit, empty},
    gate::message,
    inspect::{Message, TOOLS_CALL, TOOLS_LIST, Unclear},
    mcp::{LATEST_LEGACY, MODERN, legacy},
    member::{Absent, BEGIN_LIMIT, Member, SILENT, Session, UNREADABLE, own},
    members::Members,
    refusal::{Refusal, json_response},
    revision,
    session::MCP_SESSION_ID,
};

/// What such a server has not, or has in another form than a session's.
const NOT_THERE: [&str; 3] = ["logging/setLevel", "resources/subscribe", "resources/unsubscribe"];
/// Of what a client says of itself; a session id with more would fit no head.
const CLIENT_BYTES: usize = 512;
/// JSON-RPC 2.0 section 5.1.
const NO_METHOD: i32 = -32601;
const INTERNAL: i32 = -32603;

impl Crossing<'_> {
    pub(super) async fn by_request(
        &self,
        head: &request::Parts,
        body: Arriving,
        learned: &mut Learned,
    ) -> Result<Outcome, Refusal> {
        let session = match head.headers.get(MCP_SESSION_ID) {
            None => None,
            Some(id) => {
                let (user, server) = (&self.visit.who.user, self.visit.name);
                let opened = self.front.sessions().await?.open_bridged(user, server, id);
                Some(opened.ok_or(Refusal::UnknownSession)?)
            }
        };
        if head.method != Method::POST {
            return Ok(Outcome::Answered(post_alone()));
        }
        let answered = |response| Ok(Outcome::Answered(response));
        let asked = message(body, self.front.places(), self.visit.who).await?.into_bytes();
        self.judge(&asked)?;
        let message = Message::parse(&head.headers, &asked).map_err(Refusal::Unclear)?;
        // What the caller answers was not asked, and what they tell is told to nobody.
        let (Some(method), Some(id)) = (message.method.as_deref(), message.id) else {
            return answered(empty(StatusCode::ACCEPTED));
        };
        if let Err(misspoken) = revision::spoken(&head.headers, &asked, method) {
            return answered(misspoken.answer(Some(id)));
        }
        match method {
            INITIALIZE => {
                let begun = self.in_requests(head, &asked).await?;
                begun.ok_or_else(|| self.has_changed())
            }
            "ping" => answered(result(id, &json!({}))),
            _ if NOT_THERE.contains(&method) || method.starts_with("tasks/") => {
                let words = "There is no such method here.";
                answered(error(id, NO_METHOD, words))
            }
            _ => {
                let client = session.as_deref().map(serde_json::from_slice);
                let client = client.and_then(Result::ok).map_or_else(ourselves, Some);
                let client = client.ok_or(Refusal::UnknownSession)?;
                self.request(head, &asked, &client, method, learned).await
            }
        }
    }

    /// `initialize`; `None`: the upstream does not speak so.
    pub(super) async fn in_requests(
        &self,
        head: &request::Parts,
        asked: &Bytes,
    ) -> Result<Option<Outcome>, Refusal> {
        let initialize: Initialize<'_> =
            serde_json::from_slice(asked).map_err(|_| Refusal::Unclear(Unclear::Message))?;
        let Initialize { id, params } = initialize;
        if let Err(misspoken) = revision::spoken(&head.headers, asked, INITIALIZE) {
            return Ok(Some(Outcome::Answered(misspoken.answer(Some(id)))));
        }
        let client = params.client.filter(|client| client.get().len() <= CLIENT_BYTES);
        let client = client.map(ToOwned::to_owned).map_or_else(ourselves, Some);
        let client = client.ok_or(Refusal::Unclear(Unclear::Message))?;
        let about = match timeout(BEGIN_LIMIT, discover(&self.member(), &client)).await {
            Ok(Ok(about)) => about,
            Ok(Err(absent)) => return Self::absent(absent, asked),
            Err(_) => return Self::absent(SILENT, asked),
        };
        self.route.live.eras.note(true, false);
        let mut initialized = json!({
            "protocolVersion": legacy(&params.version).unwrap_or(LATEST_LEGACY),
            "capabilities": about.capabilities.to_json(),
            "serverInfo": about.server.as_deref().unwrap_or(&client),
        });
        if let (Some(words), Some(initialized)) = (about.instructions, initialized.as_object_mut())
        {
            initialized.insert("instructions".to_owned(), json!(words));
        }
        let mut response = result(id, &initialized);
        let sessions = self.front.sessions().await?;
        let (user, server) = (&self.visit.who.user, self.visit.name);
        if let Some(id) = sessions.seal_bridged(user, server, client.get().as_bytes()) {
            response.headers_mut().insert(MCP_SESSION_ID, id);
        }
        Ok(Some(Outcome::Answered(response)))
    }

    /// Whether the upstream speaks so.
    pub(super) async fn discover(&self) -> Result<(), Absent> {
        let client = ourselves().ok_or(UNREADABLE)?;
        let asked = timeout(BEGIN_LIMIT, discover(&self.member(), &client)).await;
        asked.map_err(|_| SILENT)?.map(drop)
    }

    async fn request(
        &self,
        head: &request::Parts,
        asked: &Bytes,
        client: &RawValue,
        method: &str,
        learned: &mut Learned,
    ) -> Result<Outcome, Refusal> {
        let unclear = || Refusal::Unclear(Unclear::Message);
        let (body, repeated) = envelope::modern(asked, client).ok_or_else(unclear)?;
        let mut alone = head.clone();
        bared(&mut alone.headers);
        repeated.write(&mut alone.headers).ok_or_else(unclear)?;
        let body = Arriving::Whole(body.into());
        let visit = Visit { completes: false, ..self.visit };
        let outcome = self.carry(visit, alone, body, learned).await;
        let outcome = outcome.map_err(|refusal| refusal.about(asked))?;
        let mut response = match outcome {
            Outcome::Answered(response) => response,
            Outcome::Refused(error, _) => return Ok(Outcome::Refused(error, Some(asked.clone()))),
        };
        without_whole(response.headers_mut());
        let turned = Turning { of: Of::method(method), is_for_modern: self.visit.completes };
        if is_events(&response) {
            let turn: Turn = Box::new(move |message| turned.turned(message));
            let (places, user) = (self.front.places(), &self.visit.who.user);
            return Ok(Outcome::Answered(response.map(|body| {
                let events = EventReader::new(body, places, user);
                ResponseBody::Turned(Box::new(TurnedBody::new(events, turn, None)))
            })));
        }
        let is_refused = matches!(
            response.status(),
            StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED
        );
        if !is_refused && response.status() != StatusCode::OK {
            return Ok(Outcome::Answered(response));
        }
        let (mut head, text) = self.read(response).await?;
        let message = str::from_utf8(&text).map_err(|_| Refusal::UpstreamUnreadable)?;
        if is_refused {
            let refused: Option<Refused> = serde_json::from_str(message).ok();
            if refused.is_none() {
                return Err(self.has_changed());
            }
            // In a session an error is an answer; this status would end it.
            head.status = StatusCode::OK;
        }
        let text = match turned.turned(message) {
            Passage::Answer(answer) | Passage::Instead(answer) => answer.into(),
            Passage::On(_) => text.clone(),
        };
        Ok(Outcome::Answered(Response::from_parts(head, text.into())))
    }

    /// The upstream is not what it was: the caller begins anew, and it is looked again.
    fn has_changed(&self) -> Refusal {
        self.route.live.eras.forget();
        Refusal::UnknownSession
    }
}

#[derive(Deserialize)]
struct Initialize<'a> {
    #[serde(borrow)]
    id: &'a RawValue,
    #[serde(borrow)]
    params: Params<'a>,
}

#[derive(Deserialize)]
struct Params<'a> {
    #[serde(rename = "protocolVersion")]
    version: String,
    #[serde(borrow, rename = "clientInfo")]
    client: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Refused {
    #[serde(rename = "error")]
    _error: serde::de::IgnoredAny,
}

#[derive(Deserialize)]
struct Discovered {
    #[serde(rename = "supportedVersions")]
    versions: Vec<String>,
    #[serde(default, rename = "_meta")]
    meta: DiscoveredMeta,
}

#[derive(Default, Deserialize)]
struct DiscoveredMeta {
    #[serde(rename = "io.modelcontextprotocol/serverInfo")]
    server: Option<Box<RawValue>>,
}

async fn discover(member: &Member, client: &RawValue) -> Result<About, Absent> {
    let asked = json!({ "jsonrpc": "2.0", "id": member.id_of(0), "method": DISCOVER });
    let (body, repeated) =
        envelope::modern(asked.to_string().as_bytes(), client).ok_or(UNREADABLE)?;
    let mut head = own(Method::POST, &Session { version: MODERN, id: None });
    repeated.write(&mut head.headers).ok_or(UNREADABLE)?;
    let answered = member.visit(head, body.into(), false).await?;
    let answer = member.read(answered, 0).await?;
    let discovered: Discovered = serde_json::from_str(&answer).map_err(|_| UNREADABLE)?;
    if !discovered.versions.iter().any(|version| version == MODERN) {
        return Err(UNREADABLE);
    }
    let about = About::parse(&answer);
    Ok(About { server: discovered.meta.server.or(about.server), ..about })
}

/// Who asks, where the client did not say, or at too great length.
fn ourselves() -> Option<Box<RawValue>> {
    to_raw_value(&json!({ "name": "attache", "version": env!("CARGO_PKG_VERSION") })).ok()
}

fn result(id: &RawValue, result: &Value) -> Response<ResponseBody> {
    let answer = json!({ "jsonrpc": "2.0", "id": id, "result": result });
    json_response(StatusCode::OK, "application/json", &answer)
}

fn error(id: &RawValue, code: i32, words: &str) -> Response<ResponseBody> {
    let error = json!({ "code": code, "message": words });
    let answer = json!({ "jsonrpc": "2.0", "id": id, "error": error });
    json_response(StatusCode::OK, "application/json", &answer)
}

/// What of a result clients up to 2025-11-25 could not read.
#[derive(Clone, Copy)]
struct Turning {
    of: Of,
    /// Who asks holds no session themselves.
    is_for_modern: bool,
}

#[derive(Clone, Copy)]
enum Of {
    Tools,
    Called,
    Plain,
}

impl Of {
    fn method(method: &str) -> Self {
        match method {
            TOOLS_LIST => Self::Tools,
            TOOLS_CALL => Self::Called,
            _ => Self::Plain,
        }
    }
}

impl Turning {
    fn turned(self, message: &str) -> Passage {
        let Ok(mut members) = serde_json::from_str::<Members<'_>>(message) else {
            return Passage::On(Turned::Same);
        };
        let result =
            members.get("result").and_then(|result| serde_json::from_str(result.get()).ok());
        let Some(mut result): Option<Members<'_>> = result else {
            return Passage::On(Turned::Same);
        };
        let kind = result.get("resultType").map(RawValue::get);
        if kind.is_some_and(|kind| kind != r#""complete""#) {
            return Passage::Answer(wants_more(members.get("id")));
        }
        let tools = self.tools(&result);
        match self.of {
            Of::Tools => {
                if let Some(tools) = &tools {
                    result.set("tools", tools);
                }
            }
            Of::Called => {
                let is_object = |value: &RawValue| value.get().starts_with('{');
                if result.get("structuredContent").is_some_and(|value| !is_object(value)) {
                    result.retain(|name| name != "structuredContent");
                }
            }
            Of::Plain => {}
        }
        if !self.is_for_modern {
            result.retain(|name| !["resultType", "ttlMs", "cacheScope"].contains(&name));
        }
        let Ok(result) = to_raw_value(&result) else { return Passage::On(Turned::Same) };
        members.set("result", &result);
        serde_json::to_string(&members).map_or(Passage::On(Turned::Same), Passage::Answer)
    }

    /// Without schemas of results that are no objects.
    fn tools(self, result: &Members<'_>) -> Option<Box<RawValue>> {
        let Of::Tools = self.of else { return None };
        let tools: Vec<Members<'_>> = serde_json::from_str(result.get("tools")?.get()).ok()?;
        let tools = tools.into_iter().map(|mut tool| {
            let schema = tool.get("outputSchema").map(|schema| serde_json::from_str(schema.get()));
            let is_object = |schema: Members<'_>| {
                schema.get("type").is_some_and(|kind| kind.get() == r#""object""#)
            };
            if schema.is_some_and(|schema| !schema.is_ok_and(is_object)) {
                tool.retain(|name| name != "outputSchema");
            }
            tool
        });
        to_raw_value(&tools.collect::<Vec<_>>()).ok()
    }
}

/// Although it was told that there is nobody to ask.
fn wants_more(id: Option<&RawValue>) -> String {
    json!({ "jsonrpc": "2.0", "id": id, "error": {
        "code": INTERNAL,
        "message": "The server wants to ask its client for something, and cannot in a session.",
    } })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_one_that_sessions_clients_read() {
        let turned = |of: Of, result: &str| match (Turning { of, is_for_modern: false })
            .turned(&format!(r#"{{"id":7,"result":{result}}}"#))
        {
            Passage::Answer(answer) => answer,
            _ => "as it is".to_owned(),
        };
        let list = r#"{"tools":[{"name":"a","outputSchema":{"type":"array"}},{"name":"b","outputSchema":{"type":"object"}}],"resultType":"complete","ttlMs":0}"#;
        let shown = r#"{"id":7,"result":{"tools":[{"name":"a"},{"name":"b","outputSchema":{"type":"object"}}]}}"#;
        assert_eq!(turned(Of::Tools, list), shown);
        let called = r#"{"content":[1e400],"structuredContent":[1],"resultType":"complete"}"#;
        assert_eq!(turned(Of::Called, called), r#"{"id":7,"result":{"content":[1e400]}}"#);
        let asks = turned(Of::Called, r#"{"resultType":"input_required"}"#);
        assert!(asks.contains("-32603"), "{asks}");
        assert_eq!(turned(Of::Plain, "7"), "as it is");
    }
}

//! Callers whose requests stand for themselves, towards an upstream that speaks in sessions.

use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header, request};
use serde_json::{
    Value, json,
    value::{RawValue, to_raw_value},
};

use super::{
    Crossing, DISCOVER, INITIALIZE,
    envelope::{self, Meta, bared},
    is_events,
    kept::About,
    post_alone,
    turned::{Passage, Turn, TurnedBody, UnderWay},
    without_whole,
};
use crate::{
    body::{Arriving, ResponseBody},
    events::{EventReader, Turned},
    forward::Outcome,
    front::{Learned, empty},
    gate::message,
    inspect::{Message, Unclear},
    mcp::MODERN,
    member::speak,
    members::Members,
    refusal::{Refusal, json_response},
    revision,
};

/// What is there in sessions alone, and what has no way through one: a stream of changes would be the
/// session's, not the request's.
const NOT_THERE: [&str; 6] = [
    INITIALIZE,
    "ping",
    "logging/setLevel",
    "resources/subscribe",
    "resources/unsubscribe",
    "subscriptions/listen",
];
/// Results that say how long they hold (2026-07-28, caching).
const CACHEABLE: [&str; 5] =
    ["tools/list", "prompts/list", "resources/list", "resources/templates/list", "resources/read"];
/// Notifications that belong to a session and to no request of it.
const OF_THE_SESSION: [&str; 5] = [
    "notifications/tools/list_changed",
    "notifications/prompts/list_changed",
    "notifications/resources/list_changed",
    "notifications/resources/updated",
    "notifications/elicitation/complete",
];
const LOGGED: &str = "notifications/message";
const NO_METHOD: i32 = -32601;
const NO_CAPABILITY: i32 = -32021;

impl Crossing<'_> {
    pub(super) async fn by_session(
        &self,
        head: &request::Parts,
        body: Arriving,
        learned: &mut Learned,
    ) -> Result<Outcome, Refusal> {
        if head.method != Method::POST {
            return Ok(Outcome::Answered(post_alone()));
        }
        let asked = message(body, self.front.places(), self.visit.who).await?.into_bytes();
        self.judge(&asked)?;
        if let Some(outcome) = self.in_a_session(head, &asked, learned).await? {
            return Ok(outcome);
        }
        self.route.live.eras.forget();
        let body = Arriving::Whole(asked);
        self.carry(self.visit, head.clone(), body, learned).await
    }

    /// `None`: the upstream begins no sessions either.
    pub(super) async fn in_a_session(
        &self,
        head: &request::Parts,
        asked: &Bytes,
        learned: &mut Learned,
    ) -> Result<Option<Outcome>, Refusal> {
        let answered = |response| Ok(Some(Outcome::Answered(response)));
        let message = match Message::parse(&head.headers, asked) {
            Err(Unclear::Headers) => return answered(revision::MISMATCH.answer(None)),
            parsed => parsed.map_err(Refusal::Unclear)?,
        };
        let Some(method) = message.method.as_deref() else {
            return answered(revision::NO_REQUEST.answer(message.id));
        };
        // None is defined towards servers (2026-07-28, Streamable HTTP, "Sending Messages").
        let Some(id) = message.id else { return answered(empty(StatusCode::ACCEPTED)) };
        if let Err(misspoken) = revision::spoken(&head.headers, asked, method) {
            return answered(misspoken.answer(Some(id)));
        }
        let meta = Meta::of(asked);
        if meta.can_be_asked() {
            return answered(revision::only_legacy().answer(Some(id)));
        }
        if NOT_THERE.contains(&method) || method.starts_with("tasks/") {
            return answered(no_method(id));
        }
        let member = self.member();
        for attempt in [1, 2] {
            let kept = match self.front.kept().of(&member).await {
                Ok(kept) => kept,
                Err(absent) => return Self::absent(absent, asked),
            };
            self.route.live.eras.note(false, true);
            if method == DISCOVER {
                return answered(discovered(id, &kept.about));
            }
            let own = member.id_of(attempt);
            let body = envelope::legacy(asked, &own).ok_or(Refusal::Unclear(Unclear::Message))?;
            let mut within = head.clone();
            bared(&mut within.headers);
            speak(&mut within.headers, &kept.session);
            let mut under_way = UnderWay::new(&member, &kept.session, &own);
            let body = Arriving::Whole(body.into());
            let outcome = self.carry(self.visit, within, body, learned).await;
            let response = match outcome {
                Ok(Outcome::Answered(response)) => response,
                Ok(Outcome::Refused(error, _)) => {
                    under_way.has_ended();
                    return Ok(Some(Outcome::Refused(error, Some(asked.clone()))));
                }
                Err(refusal) => {
                    under_way.has_ended();
                    return Err(refusal.about(asked));
                }
            };
            let is_first = attempt == 1 && kept.session.id.is_some();
            let is_over = match response.status() {
                StatusCode::NOT_FOUND => is_first,
                StatusCode::BAD_REQUEST => is_first && member.has_forgotten(&kept.session).await,
                _ => false,
            };
            if is_over {
                under_way.has_ended();
                self.front.kept().forget(&member, &kept);
                continue;
            }
            let asking = Asking {
                own,
                id: id.to_owned(),
                is_cacheable: CACHEABLE.contains(&method),
                wants_log: meta.wants_log(),
            };
            return answered(self.for_modern(response, asking, under_way).await?);
        }
        Err(Refusal::UpstreamUnreadable)
    }

    async fn for_modern(
        &self,
        mut response: Response<ResponseBody>,
        asking: Asking,
        mut under_way: UnderWay,
    ) -> Result<Response<ResponseBody>, Refusal> {
        without_whole(response.headers_mut());
        if is_events(&response) {
            let turn: Turn = Box::new(move |message| asking.turned(message));
            let (places, user) = (self.front.places(), &self.visit.who.user);
            return Ok(response.map(|body| {
                let events = EventReader::new(body, places, user);
                ResponseBody::Turned(Box::new(TurnedBody::new(events, turn, Some(under_way))))
            }));
        }
        let (mut head, text) = self.read(response).await?;
        under_way.has_ended();
        let turned = str::from_utf8(&text).ok().map(|message| asking.turned(message));
        let Some(Passage::Answer(answer) | Passage::Instead(answer)) = turned else {
            return Ok(Response::from_parts(head, text.into()));
        };
        if head.status == StatusCode::OK && says_no_method(&answer) {
            head.status = StatusCode::NOT_FOUND;
        }
        head.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(Response::from_parts(head, answer.into()))
    }
}

/// A request as the caller sent it, and as it was sent on.
struct Asking {
    own: String,
    id: Box<RawValue>,
    is_cacheable: bool,
    wants_log: bool,
}

impl Asking {
    fn turned(&self, message: &str) -> Passage {
        let Ok(mut members) = serde_json::from_str::<Members<'_>>(message) else {
            return Passage::On(Turned::Same);
        };
        let text = |value: &RawValue| serde_json::from_str::<String>(value.get()).ok();
        let (method, id) = (members.get("method").and_then(text), members.get("id"));
        match (method.as_deref(), id) {
            // It was told that there is nobody to ask.
            (Some("ping"), Some(_)) => Passage::On(Turned::Nothing),
            (Some(method), Some(_)) => Passage::Instead(self.lacks(method)),
            (Some(LOGGED), None) if !self.wants_log => Passage::On(Turned::Nothing),
            (Some(method), None) if OF_THE_SESSION.contains(&method) => {
                Passage::On(Turned::Nothing)
            }
            (Some(_), None) => Passage::On(Turned::Same),
            (None, id) => {
                let is_ours = id.and_then(text).is_some_and(|id| id == self.own);
                let is_of_none = id.is_none_or(|id| id.get() == "null");
                let is_error = is_of_none && members.get("error").is_some();
                if !is_ours && !is_error {
                    return Passage::On(Turned::Nothing);
                }
                members.put("id", &self.id);
                self.completed(members).map_or(Passage::On(Turned::Nothing), Passage::Answer)
            }
        }
    }

    /// With a result that says what it is (PX-10): for this person, and to be asked for again.
    fn completed(&self, message: Members<'_>) -> Option<String> {
        let (kind, ttl) = (to_raw_value("complete").ok()?, to_raw_value(&0).ok()?);
        let scope = to_raw_value("private").ok()?;
        let result = message.get("result").map(|result| serde_json::from_str(result.get()));
        let result = result.and_then(Result::ok).and_then(|mut result: Members<'_>| {
            result.put("resultType", &kind);
            if self.is_cacheable {
                result.put("ttlMs", &ttl);
                result.put("cacheScope", &scope);
            }
            to_raw_value(&result).ok()
        });
        let mut message = message;
        if let Some(result) = &result {
            message.set("result", result);
        }
        serde_json::to_string(&message).ok()
    }

    /// PX-3, PX-6.
    fn lacks(&self, method: &str) -> String {
        let capability = method.split('/').next().unwrap_or_default();
        let known = ["elicitation", "sampling", "roots"].into_iter().find(|one| *one == capability);
        let required: Value = known.iter().map(|one| ((*one).to_owned(), json!({}))).collect();
        json!({ "jsonrpc": "2.0", "id": self.id, "error": {
            "code": NO_CAPABILITY,
            "message": "The server asks its client for something. It can do so in sessions only.",
            "data": { "requiredCapabilities": required },
        } })
        .to_string()
    }
}

/// PX-6.
fn no_method(id: &RawValue) -> Response<ResponseBody> {
    let error = json!({ "code": NO_METHOD, "message": "There is no such method here." });
    let answer = json!({ "jsonrpc": "2.0", "id": id, "error": error });
    json_response(StatusCode::NOT_FOUND, "application/json", &answer)
}

fn says_no_method(answer: &str) -> bool {
    let answer: Value = serde_json::from_str(answer).unwrap_or_default();
    answer.pointer("/error/code").is_some_and(|code| *code == NO_METHOD)
}

/// PX-11.
fn discovered(id: &RawValue, about: &About) -> Response<ResponseBody> {
    let mut result = json!({
        "supportedVersions": [MODERN],
        "capabilities": about.capabilities.to_json(),
        "resultType": "complete",
        "ttlMs": 0,
        "cacheScope": "private",
    });
    if let Some(result) = result.as_object_mut() {
        if let Some(instructions) = &about.instructions {
            result.insert("instructions".to_owned(), json!(instructions));
        }
        if let Some(server) = &about.server {
            let meta = json!({ "io.modelcontextprotocol/serverInfo": server });
            result.insert("_meta".to_owned(), meta);
        }
    }
    let answer = json!({ "jsonrpc": "2.0", "id": id, "result": result });
    json_response(StatusCode::OK, "application/json", &answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_in_a_session_is_an_answer_to_the_request_alone() {
        let id = || RawValue::from_string("7".to_owned()).unwrap();
        let asking = |is_cacheable, wants_log| Asking {
            own: "attache-1".to_owned(),
            id: id(),
            is_cacheable,
            wants_log,
        };
        let turned = |message: &str, asking: &Asking| match asking.turned(message) {
            Passage::On(Turned::Same) => "on".to_owned(),
            Passage::On(_) => "nothing".to_owned(),
            Passage::Answer(answer) => answer,
            Passage::Instead(answer) => format!("instead {answer}"),
        };
        let plain = asking(false, false);
        for (message, expected) in [
            (
                r#"{"id":"attache-1","result":{"content":[1e400]}}"#,
                r#"{"id":7,"result":{"content":[1e400],"resultType":"complete"}}"#,
            ),
            (r#"{"id":"attache-1","error":{"code":1}}"#, r#"{"id":7,"error":{"code":1}}"#),
            (r#"{"id":null,"error":{"code":1}}"#, r#"{"id":7,"error":{"code":1}}"#),
            // Somebody else's, of the same session.
            (r#"{"id":"attache-2","result":{}}"#, "nothing"),
            (r#"{"id":7,"result":{}}"#, "nothing"),
            (r#"{"method":"notifications/progress","params":{}}"#, "on"),
            (r#"{"method":"notifications/message","params":{}}"#, "nothing"),
            (r#"{"method":"notifications/tools/list_changed"}"#, "nothing"),
            (r#"{"id":1,"method":"ping"}"#, "nothing"),
        ] {
            assert_eq!(turned(message, &plain), expected, "{message}");
        }
        let logged = r#"{"method":"notifications/message","params":{}}"#;
        assert_eq!(turned(logged, &asking(false, true)), "on");
        let list = turned(r#"{"id":"attache-1","result":{}}"#, &asking(true, false));
        assert!(list.contains(r#""ttlMs":0,"cacheScope":"private""#), "{list}");
        let asks = turned(r#"{"id":1,"method":"elicitation/create","params":{}}"#, &plain);
        assert!(asks.starts_with("instead") && asks.contains("-32021"), "{asks}");
        assert!(asks.contains(r#""requiredCapabilities":{"elicitation":{}}"#), "{asks}");
    }
}

//! `/mcp`: every MCP server that the caller may use, as one.
//!
//! The gateway answers `initialize` and the lists itself. A call goes the way of a call to the
//! upstream's own route ([`Front::visit`]): the same checks, that upstream's credential, and its
//! answer as it comes. A tool is called `{upstream}__{tool}` here, and open to whom it is open
//! there.

mod answer;
mod call;
mod kind;
mod list;
mod name;
mod session;

use std::sync::Arc;

use attache_broker::ObtainError;
use attache_core::{ConnectionName, Principal, RequestId, UpstreamName};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header, request};
use hyper::body::Incoming;
use tokio::time::{Instant, timeout};

pub(crate) use self::list::Lists;
use self::{
    answer::Answer,
    call::each,
    kind::{Kind, Wanted},
    list::{Merged, PATIENCE},
    session::Sessions,
};
use crate::{
    account::each_named,
    body::{REPLAY_LIMIT, ResponseBody},
    front::{Front, Learned, OTHER_UPSTREAM, StandIn, empty, name_request},
    gate::message,
    gather::{Gathered, Place},
    inspect::{Message, TOOLS_CALL, Unclear},
    listing::LIST_LIMIT,
    mcp::is_modern,
    member::{Absent, Member},
    refusal::{Door, Refusal},
    revision,
    session::MCP_SESSION_ID,
    snapshot::{Protocol, Route, Snapshot},
};

/// Some clients append a slash to an address they were given.
pub(crate) fn is_asked(path: &str) -> bool {
    matches!(path, "/mcp" | "/mcp/")
}

impl Front {
    pub(crate) async fn aggregate(self, request: Request<Incoming>) -> Response<ResponseBody> {
        let (id, began) = (self.request_id(), Instant::now());
        let (snapshot, method) = (self.snapshot(), request.method().clone());
        let mut learned = Learned::default();
        let answered = self.answer_for_all(&snapshot, request, &id, &mut learned).await;
        let mut response = answered
            .unwrap_or_else(|refusal| refusal.into_response(&snapshot.origin, Door::Together, &id));
        if snapshot.access_log {
            learned.log(&id, &method, response.status(), began.elapsed());
        }
        name_request(&mut response, &id);
        response
    }

    async fn answer_for_all(
        &self,
        snapshot: &Arc<Snapshot>,
        request: Request<Incoming>,
        id: &RequestId,
        learned: &mut Learned,
    ) -> Result<Response<ResponseBody>, Refusal> {
        let (head, body) = request.into_parts();
        let who = self.admit(snapshot, &head, learned).await?;
        if !who.reach.opens_any() {
            return Err(Refusal::Unauthenticated(OTHER_UPSTREAM));
        }
        let accounts = each_named(&head.headers).map_err(|_| Refusal::AccountUnclear)?;
        let sessions = match head.headers.get(MCP_SESSION_ID) {
            // Each upstream's lasts for one request, then. Later revisions have none (PX-7).
            Some(given) if !is_modern(&head.headers) => {
                let opened = self.sessions().await?.open_all(&who.user, given);
                opened.and_then(|text| Sessions::parse(&text)).ok_or(Refusal::UnknownSession)?
            }
            _ => Sessions::default(),
        };
        let desk = Desk { front: self, snapshot, id, who: &who, accounts, sessions };
        match head.method {
            Method::POST => {}
            Method::DELETE => return Ok(desk.end()),
            _ => return Err(Refusal::MethodClosed(OPEN)),
        }
        let gathered = message(body, self.places(), &who).await?;
        desk.answer(&head, gathered, learned).await
    }
}

const CANCELLED: &str = "notifications/cancelled";

/// There is no stream to listen to: the gateway asks nothing of its callers.
const OPEN: header::HeaderValue = header::HeaderValue::from_static("POST, DELETE");

const COMPLETE: &str = "completion/complete";
/// What a completion is about, in its parameters.
const REFERENCE: &str = "ref";

/// Where a message says what it wants.
struct At {
    wanted: Wanted,
    /// Within this member of its parameters, or in themselves.
    of: Option<&'static str>,
    named: String,
}

/// Where one request of one caller is answered.
struct Desk<'a> {
    front: &'a Front,
    snapshot: &'a Arc<Snapshot>,
    id: &'a RequestId,
    who: &'a Arc<Principal>,
    /// Of which upstreams another account than the first.
    accounts: Vec<ConnectionName>,
    sessions: Sessions,
}

impl Desk<'_> {
    async fn answer(
        &self,
        head: &request::Parts,
        Gathered { bytes, place }: Gathered,
        learned: &mut Learned,
    ) -> Result<Response<ResponseBody>, Refusal> {
        let message = match Message::parse(&head.headers, &bytes) {
            Err(Unclear::Headers) if is_modern(&head.headers) => {
                return Ok(revision::MISMATCH.answer(None));
            }
            parsed => parsed.map_err(Refusal::Unclear)?,
        };
        if place.is_some() && message.tool.is_none() {
            // Only calls carry files. What waits for several upstreams, and may need a place for what
            // they answer, keeps none.
            return Err(Refusal::BodyTooLarge);
        }
        let Some(method) = message.method.as_deref() else {
            return Ok(if is_modern(&head.headers) {
                revision::NO_REQUEST.answer(message.id)
            } else {
                empty(StatusCode::ACCEPTED)
            });
        };
        let Some(id) = message.id else {
            if method == CANCELLED {
                self.tell_all(head, &bytes).await;
            }
            return Ok(empty(StatusCode::ACCEPTED));
        };
        let modern = match revision::spoken(&head.headers, &bytes, method) {
            Ok(modern) => modern,
            Err(misspoken) => return Ok(misspoken.answer(Some(id))),
        };
        let answer = Answer { id, modern };
        match method {
            "initialize" if !modern => self.initialize(&answer, &bytes).await,
            "ping" if !modern => Ok(answer.done()),
            "server/discover" if modern => Ok(answer.discovered()),
            TOOLS_CALL => {
                let tool = message.tool.as_deref().unwrap_or_default();
                let renamed = |own: &str| {
                    let bytes = name::renamed(&bytes, None, "name", own)?.into();
                    Some(Gathered { bytes, place }.into_bytes())
                };
                self.call(&answer, tool, head, renamed, learned).await
            }
            COMPLETE => {
                let (wanted, key) = match name::named(&bytes, Some(REFERENCE), "type").as_deref() {
                    Some("ref/prompt") => (Wanted::Prompt, "name"),
                    Some("ref/resource") => (Wanted::Resource, "uri"),
                    _ => return Ok(answer.unknown()),
                };
                let named = name::named(&bytes, Some(REFERENCE), key).unwrap_or_default();
                let at = At { wanted, of: Some(REFERENCE), named };
                self.fetch(&answer, &at, head, &bytes, learned).await
            }
            _ => match (Kind::listed_by(method), Wanted::by(method)) {
                (Some(kind), _) => {
                    let merged = self.list(kind, head).await;
                    let place = self.place_for(&merged).await?;
                    Ok(answer.listed(kind, &merged.joined(), place))
                }
                (None, Some(wanted)) => {
                    let named = name::named(&bytes, None, wanted.key()).unwrap_or_default();
                    let at = At { wanted, of: None, named };
                    self.fetch(&answer, &at, head, &bytes, learned).await
                }
                (None, None) => Ok(answer.no_method()),
            },
        }
    }

    /// Nobody knows here which of them has the request that is cancelled; the others ignore it.
    async fn tell_all(&self, head: &request::Parts, bytes: &Bytes) {
        each(self.members(), |member| {
            let session = self.sessions.of(&member.name).filter(|session| session.id.is_some());
            let (session, head, bytes) = (session.cloned(), head.clone(), bytes.clone());
            async move {
                if let Some(session) = session {
                    member.notify(&session, &head, bytes).await;
                }
            }
        })
        .await;
    }

    /// Begins a session at each upstream; the caller holds their names, sealed, and nobody else.
    async fn initialize(
        &self,
        answer: &Answer<'_>,
        body: &[u8],
    ) -> Result<Response<ResponseBody>, Refusal> {
        let ids = self.front.sessions().await?;
        let mut sessions = Sessions::default();
        // Who is silent for long gets a session when something is asked of it.
        let begun =
            each(self.members(), |member| async move { timeout(PATIENCE, member.begin()).await });
        for fresh in begun.await.into_iter().flatten().flatten() {
            sessions.keep(fresh);
        }
        let mut response = answer.initialized(body);
        if let Some(id) = ids.seal_all(&self.who.user, sessions.to_text().as_bytes()) {
            response.headers_mut().insert(MCP_SESSION_ID, id);
        }
        Ok(response)
    }

    async fn list(&self, kind: Kind, head: &request::Parts) -> Merged {
        let mut listed = each(self.members(), |member| {
            let session = self.sessions.of(&member.name).cloned();
            async move { (member.name.clone(), member.list(kind, session).await) }
        })
        .await;
        listed.sort_by(|(one, _), (other, _)| one.cmp(other));
        let mut merged = Merged::default();
        for (name, list) in listed {
            match list {
                Ok(list) => merged.add(&name, list),
                Err(Absent::NoCredential(error @ ObtainError::NotConnected { .. }))
                    if kind == Kind::Tools =>
                {
                    let words = StandIn::new(self.snapshot, &name, head).words(error);
                    merged.add(&name, list::connect_tool(&name, &words).into());
                }
                // It is left out; the others are there.
                Err(_) => tracing::debug!(upstream = %name, "an upstream's list is left out"),
            }
        }
        merged
    }

    /// A large list is held until it is sent, like any large body of this person.
    async fn place_for(&self, merged: &Merged) -> Result<Option<Place>, Refusal> {
        if merged.size() <= REPLAY_LIMIT {
            return Ok(None);
        }
        let taken = timeout(LIST_LIMIT, self.front.places().take(&self.who.user)).await;
        taken.ok().and_then(Result::ok).map(Some).ok_or(Refusal::TooManyRequests)
    }

    async fn call(
        &self,
        answer: &Answer<'_>,
        tool: &str,
        head: &request::Parts,
        renamed: impl FnOnce(&str) -> Option<Bytes>,
        learned: &mut Learned,
    ) -> Result<Response<ResponseBody>, Refusal> {
        let unknown = || Refusal::ToolNotOpen { id: Some(answer.id.get().to_owned()) };
        if let Some(name) = name::to_connect(tool) {
            let member = self.member(name).ok_or_else(unknown)?;
            if let Err(denial) = member.judge() {
                return Ok(answer.failed(&format!("{}: {denial}", member.name)));
            }
            let words = |error| StandIn::new(self.snapshot, &member.name, head).words(error);
            return Ok(match member.credential().await.ok_or_else(unknown)? {
                Ok(_) => answer.connected(&member.name),
                Err(error) => answer.failed(&words(error)),
            });
        }
        let (prefix, own) = name::split(tool).ok_or_else(unknown)?;
        let member = self.member(prefix).ok_or_else(unknown)?;
        learned.route = Some(Arc::clone(&member.route));
        let body = renamed(own).ok_or(Refusal::Unclear(Unclear::Message))?;
        match member.call(self.sessions.of(&member.name), head, body).await {
            Ok(response) => Ok(response),
            Err(Absent::NoCredential(error)) => {
                let words = StandIn::new(self.snapshot, &member.name, head).words(error);
                Ok(answer.failed(&words))
            }
            Err(Absent::Refused(Refusal::Denied(denial, _))) => {
                Ok(answer.failed(&format!("{}: {denial}", member.name)))
            }
            // One that is away must not look to a client as if all were.
            Err(Absent::Refused(refusal)) if refusal.is_upstreams() => {
                let facts = refusal.kind().facts();
                let words = format!("{}: {} {}", member.name, facts.happened, facts.next);
                Ok(answer.failed(&words))
            }
            Err(Absent::Refused(Refusal::ToolNotOpen { .. })) => Err(unknown()),
            Err(Absent::Refused(refusal)) => Err(refusal),
        }
    }

    /// A prompt, a resource, or what completes an argument of one.
    async fn fetch(
        &self,
        answer: &Answer<'_>,
        at: &At,
        head: &request::Parts,
        bytes: &[u8],
        learned: &mut Learned,
    ) -> Result<Response<ResponseBody>, Refusal> {
        let Some((prefix, own)) = at.wanted.split(&at.named) else { return Ok(answer.unknown()) };
        let Some(member) = self.member(prefix) else { return Ok(answer.unknown()) };
        learned.route = Some(Arc::clone(&member.route));
        let body = name::renamed(bytes, at.of, at.wanted.key(), own);
        let body = body.ok_or(Refusal::Unclear(Unclear::Message))?.into();
        match member.call(self.sessions.of(&member.name), head, body).await {
            Ok(response) => Ok(response),
            Err(Absent::NoCredential(error)) => {
                let words = StandIn::new(self.snapshot, &member.name, head).words(error);
                Ok(answer.refused(&words))
            }
            Err(Absent::Refused(Refusal::Denied(denial, _))) => {
                Ok(answer.refused(&format!("{}: {denial}", member.name)))
            }
            Err(Absent::Refused(refusal)) if refusal.is_upstreams() => {
                let facts = refusal.kind().facts();
                let words = format!("{}: {} {}", member.name, facts.happened, facts.next);
                Ok(answer.refused(&words))
            }
            Err(Absent::Refused(refusal)) => Err(refusal),
        }
    }

    fn end(&self) -> Response<ResponseBody> {
        for member in self.members() {
            if let Some(session) = self.sessions.of(&member.name) {
                drop(member.with(session.clone()));
            }
        }
        empty(StatusCode::NO_CONTENT)
    }

    fn members(&self) -> Vec<Member> {
        self.snapshot.routes().filter_map(|route| self.member_at(route)).collect()
    }

    fn member(&self, name: &str) -> Option<Member> {
        let name = UpstreamName::parse(name).ok()?;
        self.member_at(self.snapshot.route(&name, Protocol::Mcp)?)
    }

    fn member_at(&self, route: &Arc<Route>) -> Option<Member> {
        let account = self.accounts.iter().find(|one| one.upstream == route.name);
        let name = account.cloned().unwrap_or_else(|| route.name.clone().into());
        Member::of(self.front, self.snapshot, self.id, self.who, route, name)
    }
}

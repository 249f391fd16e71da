//! The life of a request on the data plane.
//!
//! 1. A path that is not `/mcp/…` or `/http/…` goes to the pages and the API, but for `/mcp`
//!    ([`crate::aggregate`]) and `/forward-auth/…` ([`crate::forward_auth`]).
//! 2. The request must have come to this gateway by its own name, and from no foreign page.
//! 3. The caller proves who they are; a proof checked a moment ago is remembered.
//! 4. Their proof reaches the upstream, and they may use it; or it does not exist for them.
//! 5. No rule closes it to them now; their own credential is ready, or is obtained, or the answer says what is missing.
//! 6. What they ask for is open to them, where that is looked at ([`crate::gate`]).
//! 7. What the upstream does not speak is said in its words ([`crate::bridge`]).
//! 8. [`crate::forward`] carries the request there and the answer back.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use attache_broker::{Broker, ObtainError, ServiceKey};
use attache_core::{
    Clock, ConnectionName, Principal, PublicOrigin, RequestId, Timestamp, UpstreamName,
    audit::Reason,
    authenticator::{Authenticator, AuthnError},
    explain::explain,
    policy::Denial,
    store::Version,
    traffic::{OpenPath, Traffic},
};
use attache_crypto::random::Random;
use attache_net::{body::read_at_most, serve::Drain, upstream::UpstreamClient};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header, request,
    uri::PathAndQuery,
};
use hyper::body::Incoming;
use tokio::{
    runtime::Handle,
    time::{Instant, timeout},
};

use crate::{
    account::{AccountUnclear, choose},
    aggregate::{self, Lists},
    body::{Arriving, REPLAY_LIMIT, RequestBody, ResponseBody},
    bridge::KeptSessions,
    forward::{Errand, Head, Outcome},
    forward_auth,
    gate::{Gate, Passed},
    gather::Places,
    guard::Guard,
    headers::overrides_method,
    listing::Listing,
    mcp::{Answer, Prompt, is_modern},
    refusal::{Refusal, connect_url, json_response, sign_in_url},
    request_id::RequestIds,
    route::Asked,
    session::SessionIds,
    snapshot::{Protocol, Route, Snapshot},
    sse::SseSessions,
    websocket::Handshake,
};

/// How long a request waits for its credential; the work for it goes on beyond.
const OBTAIN_LIMIT: Duration = Duration::from_secs(30);
/// How long a message may take to arrive that the gateway reads itself.
pub(crate) const BODY_LIMIT: Duration = Duration::from_secs(10);
/// Header fields of a request; clients send a dozen.
const MAX_HEADERS: usize = 100;
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Whatever the upstream is, and whether it is there (RS-9).
pub(crate) const OTHER_UPSTREAM: AuthnError =
    AuthnError::Rejected("the token is for another upstream");

/// Everything that is not the data plane's.
pub type Fallback = Arc<
    dyn Fn(Request<Incoming>) -> Pin<Box<dyn Future<Output = Response<ResponseBody>> + Send>>
        + Send
        + Sync,
>;

/// What the workers share.
#[derive(Clone)]
pub struct FrontParts {
    /// Where proxies in front say who they let through: for us, and for no upstream.
    pub assertions: Arc<[HeaderName]>,
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    pub authenticator: Arc<dyn Authenticator>,
    pub broker: Arc<Broker>,
    /// Called [`SESSION_KEY`](crate::SESSION_KEY).
    pub session_key: Arc<ServiceKey>,
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
    /// Where checks that need the store or the network run, and go on when a caller leaves.
    pub control: Handle,
    pub fallback: Fallback,
}

impl std::fmt::Debug for FrontParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FrontParts").finish_non_exhaustive()
    }
}

/// The data plane; each worker's has that worker's upstream connections.
#[derive(Clone, Debug)]
pub struct Front {
    parts: Arc<FrontParts>,
    client: UpstreamClient<RequestBody>,
    /// For large bodies that are held whole.
    places: Arc<Places>,
    lists: Arc<Lists>,
    ids: Arc<RequestIds>,
    kept: Arc<KeptSessions>,
    sse: Arc<SseSessions>,
}

impl Front {
    pub fn new(parts: FrontParts, client: UpstreamClient<RequestBody>) -> Self {
        let ids = Arc::new(RequestIds::new(&*parts.random));
        let (places, lists) = (Arc::default(), Arc::default());
        let (kept, sse) = (Arc::default(), Arc::default());
        Self { parts: Arc::new(parts), client, places, lists, ids, kept, sse }
    }

    /// The same front with another worker's connections, and request ids.
    #[must_use]
    pub fn with_client(&self, client: UpstreamClient<RequestBody>) -> Self {
        Self { client, ids: Arc::new(RequestIds::new(&*self.parts.random)), ..self.clone() }
    }

    pub async fn handle(self, request: Request<Incoming>) -> Response<ResponseBody> {
        if is_a_proxys(request.uri().path()) {
            return self.answer_proxy(request).await;
        }
        if aggregate::is_asked(request.uri().path()) {
            return self.aggregate(request).await;
        }
        let Some(asked) = Asked::parse(request.uri().path()) else {
            return (self.parts.fallback)(request).await;
        };
        let (id, began) = (self.request_id(), Instant::now());
        let (protocol, name) = (asked.protocol, asked.name.clone());
        let method = request.method().clone();
        let snapshot = self.snapshot();
        let mut learned = Learned::default();
        let mut response = match self.proxy(&snapshot, request, &id, &mut learned).await {
            Ok(response) => response,
            Err(refusal) => {
                if let Some(route) = &learned.route {
                    route.live.metrics.refused(refusal.kind());
                }
                let named = name.as_ref().map(|name| (protocol, name));
                refusal.into_response(&snapshot.origin, named, &id)
            }
        };
        let (status, after) = (response.status(), began.elapsed());
        if let Some(route) = &learned.route {
            route.live.metrics.answered(status, after);
        }
        if snapshot.access_log {
            learned.log(&id, &method, status, after);
        }
        name_request(&mut response, &id);
        response
    }

    /// What proxies of the operator's ask; everything else is not found.
    pub async fn answer_proxy(self, request: Request<Incoming>) -> Response<ResponseBody> {
        #[cfg(feature = "ext-authz")]
        if request.uri().path() == crate::ext_authz::CHECK {
            return self.ext_authz(request).await;
        }
        let Some(name) = forward_auth::asked(request.uri().path()) else {
            return empty(StatusCode::NOT_FOUND);
        };
        let name = UpstreamName::parse(name).ok();
        self.forward_auth(&request.into_parts().0, name).await
    }

    async fn proxy(
        &self,
        snapshot: &Arc<Snapshot>,
        mut request: Request<Incoming>,
        id: &RequestId,
        learned: &mut Learned,
    ) -> Result<Response<ResponseBody>, Refusal> {
        let handshake = Handshake::of(&mut request);
        let (head, body) = request.into_parts();
        let who = self.admit(snapshot, &head, learned).await?;
        let asked = Asked::parse(head.uri.path()).ok_or(Refusal::NoSuchUpstream)?;
        let (protocol, name) = (asked.protocol, asked.name.ok_or(Refusal::NoSuchUpstream)?);
        let name = choose(name, &head.headers).map_err(|AccountUnclear| Refusal::AccountUnclear)?;
        let stand_in = StandIn::new(snapshot, &name, &head);
        let visit =
            Visit { snapshot, id, who: &who, protocol, name: &name, completes: false, at: None };
        let body = Arriving::Streamed(body);
        let outcome = match protocol {
            Protocol::Mcp => self.cross(visit, head, body, learned).await,
            Protocol::Http => self.visit(visit, head, body, handshake, learned).await,
        };
        match outcome {
            Ok(Outcome::Answered(response)) => Ok(response),
            Ok(Outcome::Refused(error, Some(body))) if protocol == Protocol::Mcp => {
                Ok(stand_in.speak(error, &body))
            }
            Ok(Outcome::Refused(error, _)) => Err(Refusal::NoCredential(error, name)),
            Err(Refusal::Denied(denial, Some(body))) => Ok(stand_in.deny(&denial, &body)),
            Err(refusal) => Err(refusal),
        }
    }

    /// Whoever asks, of a request that may be answered at all.
    pub(crate) async fn admit(
        &self,
        snapshot: &Snapshot,
        head: &request::Parts,
        learned: &mut Learned,
    ) -> Result<Arc<Principal>, Refusal> {
        if head.headers.len() > MAX_HEADERS {
            return Err(Refusal::TooManyHeaders);
        }
        if !snapshot.origin.is_asked(&head.uri, &head.headers) {
            return Err(Refusal::ForeignHost);
        }
        let ours = |origin: &HeaderValue| origin == snapshot.origin.as_str();
        if !head.headers.get_all(header::ORIGIN).iter().all(ours) {
            return Err(Refusal::ForeignOrigin);
        }
        let who = self.caller(head).await.map_err(Refusal::Unauthenticated)?;
        learned.who = Some(Arc::clone(&who));
        if matches!(head.method, Method::TRACE | Method::CONNECT) {
            // An upstream that obeys would show the credential (RFC 9110 section 9.3.8).
            return Err(Refusal::Method);
        }
        Ok(who)
    }

    /// From the question whether they may to the answer of the upstream; `head` is the caller's.
    pub(crate) async fn visit(
        &self,
        visit: Visit<'_>,
        head: request::Parts,
        body: Arriving,
        handshake: Option<Handshake>,
        learned: &mut Learned,
    ) -> Result<Outcome, Refusal> {
        let route = visit.permitted()?;
        let Visit { id, who, protocol, name, completes, .. } = visit;
        learned.route = Some(Arc::clone(route));
        let rest = Asked::parse(head.uri.path()).map_or("", |asked| asked.rest);
        let uri = match protocol {
            Protocol::Mcp => {
                visit.at.map_or_else(|| route.target.endpoint(), |path| route.target.at(path))
            }
            Protocol::Http => {
                route.target.below(rest, head.uri.query()).map_err(|_| Refusal::PathEscapes)?
            }
        };
        is_open(&route.traffic, &head, rest)?;
        if let Err(denial) = self.judge(who, route, name, id) {
            let message = match protocol {
                Protocol::Mcp => Some(small(body).await?),
                Protocol::Http => None,
            };
            return Err(Refusal::Denied(denial, message));
        }

        // Before the credential is looked up: what changes from here on ends this request.
        let seat = route.live.crowd.enter(&who.user)?;
        let guard = Guard::new(&self.parts, who, route, name.account.as_ref(), seat);
        let handshake = handshake.filter(|_| protocol == Protocol::Http);
        if handshake.is_some() && who.reach.is_read_only() {
            // What is said on a socket afterwards is not for the gateway to see.
            return Err(Refusal::ReadOnly);
        }
        let injection = match &route.broker {
            None => None,
            Some(upstream) => match self.credential(who, upstream, name).await {
                Ok(injection) => Some(injection),
                Err(error) if protocol == Protocol::Mcp => {
                    return Ok(Outcome::Refused(error, Some(small(body).await?)));
                }
                Err(error) => return Ok(Outcome::Refused(error, None)),
            },
        };

        let gate = Gate::new(who, route, &self.places, self.now());
        let passed = gate.admit(&head, body).await;
        if let Err(Refusal::Denied(denial, _)) = &passed {
            self.write_down(denial, who, route, name, id);
        }
        let Passed { body, listing } = passed?;
        let completing = || Listing::completing(who, route, &self.places, self.now());
        let listing = listing.or_else(|| completes.then(completing));
        let drain = head.extensions.get::<Drain>().map(|drain| drain.0.clone());
        let errand =
            Errand { front: self, who, route, name, id, drain: drain.unwrap_or_default(), listing };
        let head = Head { method: head.method, uri, headers: head.headers };
        errand.run(head, body, injection, guard, handshake).await
    }

    /// Whether the rules of the operator leave the upstream open to this person at this hour; if
    /// not, it is counted and written down.
    pub(crate) fn judge(
        &self,
        who: &Principal,
        route: &Route,
        name: &ConnectionName,
        id: &RequestId,
    ) -> Result<(), Denial> {
        if route.policy.is_empty() {
            return Ok(());
        }
        let judged = route.policy.judge(who, None, self.now());
        judged.inspect_err(|denial| self.write_down(denial, who, route, name, id))
    }

    fn write_down(
        &self,
        denial: &Denial,
        who: &Principal,
        route: &Route,
        name: &ConnectionName,
        id: &RequestId,
    ) {
        route.live.metrics.denied(&denial.rule);
        let method = route.broker.as_ref().map(|upstream| upstream.method());
        self.parts.broker.denied(who, name, method, id);
    }

    pub(crate) async fn caller(&self, head: &request::Parts) -> Result<Arc<Principal>, AuthnError> {
        let authenticator = &self.parts.authenticator;
        if let Some(who) = authenticator.recall(head, self.now()) {
            return Ok(who);
        }
        let (authenticator, head) = (Arc::clone(authenticator), head.clone());
        let check = async move { authenticator.authenticate(&head).await };
        let checked = self.parts.control.spawn(check).await;
        checked.unwrap_or_else(|panicked| Err(AuthnError::Unavailable(Box::new(panicked))))
    }

    /// What is in memory, and nothing that would have to be obtained.
    pub(crate) fn ready(
        &self,
        who: &Principal,
        upstream: &Arc<attache_broker::Brokered>,
        name: &ConnectionName,
    ) -> Option<Arc<attache_broker::Injection>> {
        self.parts.broker.ready(who, upstream, name.account.as_ref(), self.now())
    }

    /// Ready, or obtained within [`OBTAIN_LIMIT`].
    pub(crate) async fn credential(
        &self,
        who: &Principal,
        upstream: &Arc<attache_broker::Brokered>,
        name: &ConnectionName,
    ) -> Result<Arc<attache_broker::Injection>, ObtainError> {
        if let Some(injection) = self.ready(who, upstream, name) {
            return Ok(injection);
        }
        let (broker, account) = (&self.parts.broker, name.account.as_ref());
        let obtained = timeout(OBTAIN_LIMIT, broker.obtain(who, upstream, account)).await;
        obtained.unwrap_or(Err(ObtainError::Unavailable {
            reason: Reason::ProviderUnavailable,
            retry_after: None,
        }))
    }

    /// What the caller is told of an upstream that wants more scopes; [`Broker::step_up`] within
    /// [`OBTAIN_LIMIT`].
    pub(crate) async fn step_up(
        &self,
        who: &Principal,
        upstream: &Arc<attache_broker::Brokered>,
        name: &ConnectionName,
        version: Version,
        answer: &HeaderMap,
    ) -> Option<ObtainError> {
        let account = name.account.as_ref();
        let told = self.parts.broker.step_up(who, upstream, account, version, answer);
        let late = ObtainError::Unavailable { reason: Reason::StoreUnavailable, retry_after: None };
        timeout(OBTAIN_LIMIT, told).await.unwrap_or(Some(late))
    }

    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.parts.snapshot.load_full()
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.parts.clock.now()
    }

    pub(crate) fn broker(&self) -> &Broker {
        &self.parts.broker
    }

    /// Within [`OBTAIN_LIMIT`].
    pub(crate) async fn sessions(&self) -> Result<SessionIds, Refusal> {
        let obtained = timeout(OBTAIN_LIMIT, self.parts.session_key.obtain()).await;
        obtained.ok().and_then(Result::ok).map(SessionIds).ok_or(Refusal::NoSessionKey)
    }

    pub(crate) fn kept(&self) -> &KeptSessions {
        &self.kept
    }

    pub(crate) fn sse(&self) -> &Arc<SseSessions> {
        &self.sse
    }

    pub(crate) fn assertions(&self) -> &[HeaderName] {
        &self.parts.assertions
    }

    pub(crate) fn places(&self) -> &Arc<Places> {
        &self.places
    }

    pub(crate) fn lists(&self) -> &Lists {
        &self.lists
    }

    pub(crate) fn client(&self) -> &UpstreamClient<RequestBody> {
        &self.client
    }

    pub(crate) fn request_id(&self) -> RequestId {
        self.ids.next()
    }

    pub(crate) fn fill(&self, bytes: &mut [u8]) {
        self.parts.random.fill(bytes);
    }
}

/// A message that is answered in the upstream's place.
async fn small(body: Arriving) -> Result<Bytes, Refusal> {
    let read = timeout(BODY_LIMIT, read_at_most(body, REPLAY_LIMIT)).await;
    read.map_err(|_| Refusal::BodyTooSlow)?.map_err(|_| Refusal::BodyTooLarge)
}

fn is_a_proxys(path: &str) -> bool {
    #[cfg(feature = "ext-authz")]
    if path == crate::ext_authz::CHECK {
        return true;
    }
    forward_auth::asked(path).is_some()
}

/// Whether the operator opened this of the upstream.
fn is_open(traffic: &Traffic, head: &request::Parts, path: &str) -> Result<(), Refusal> {
    if let Some(open) = &traffic.methods
        && (!open.contains(&head.method) || overrides_method(&head.headers))
    {
        let open: Vec<&str> = open.iter().map(Method::as_str).collect();
        let open = HeaderValue::try_from(open.join(", ")).map_err(|_| Refusal::Method)?;
        return Err(Refusal::MethodClosed(open));
    }
    let is_open = |open: &Vec<OpenPath>| open.iter().any(|one| one.opens(path));
    if traffic.paths.as_ref().is_none_or(is_open) { Ok(()) } else { Err(Refusal::PathClosed) }
}

/// Where a caller goes.
#[derive(Clone, Copy)]
pub(crate) struct Visit<'a> {
    pub(crate) snapshot: &'a Arc<Snapshot>,
    pub(crate) id: &'a RequestId,
    pub(crate) who: &'a Arc<Principal>,
    pub(crate) protocol: Protocol,
    pub(crate) name: &'a ConnectionName,
    /// Whether results have to say that they are complete.
    pub(crate) completes: bool,
    /// Where it is at the upstream, if not at the one address of an MCP server.
    pub(crate) at: Option<&'a PathAndQuery>,
}

impl<'a> Visit<'a> {
    /// The route, if they may go there.
    pub(crate) fn permitted(&self) -> Result<&'a Arc<Route>, Refusal> {
        if !self.who.reach.includes(self.name) {
            return Err(Refusal::Unauthenticated(OTHER_UPSTREAM));
        }
        let route = self
            .snapshot
            .route(&self.name.upstream, self.protocol)
            .filter(|route| route.access.permits(self.who))
            .filter(|route| {
                let broker = route.broker.as_ref();
                self.name.account.is_none() || broker.is_some_and(|broker| broker.has_accounts())
            });
        route.ok_or(Refusal::NoSuchUpstream)
    }
}

/// What became known of a request on its way, for those who count and write down.
#[derive(Default)]
pub(crate) struct Learned {
    pub(crate) who: Option<Arc<Principal>>,
    pub(crate) route: Option<Arc<Route>>,
}

impl Learned {
    /// No path and no query: they may hold secrets of the upstream's.
    pub(crate) fn log(&self, id: &RequestId, method: &Method, status: StatusCode, after: Duration) {
        let user = self.who.as_ref().map(|who| who.user.as_str());
        let upstream = self.route.as_ref().map(|route| route.name.as_str());
        tracing::info!(
            target: "attache::access",
            request_id = id.as_str(),
            user,
            upstream,
            method = method.as_str(),
            status = status.as_u16(),
            ms = u64::try_from(after.as_millis()).unwrap_or(u64::MAX),
            "request"
        );
    }
}

pub(crate) fn name_request(response: &mut Response<ResponseBody>, id: &RequestId) {
    if let Ok(id) = HeaderValue::from_str(id.as_str()) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
}

/// Answers MCP in the place of an upstream for which there is no credential, or that is closed.
pub(crate) struct StandIn<'a> {
    origin: &'a PublicOrigin,
    server: &'a ConnectionName,
    is_post: bool,
    is_modern: bool,
}

impl<'a> StandIn<'a> {
    pub(crate) fn new(
        snapshot: &'a Snapshot,
        server: &'a ConnectionName,
        head: &request::Parts,
    ) -> Self {
        Self {
            origin: &snapshot.origin,
            server,
            is_post: head.method == Method::POST,
            is_modern: is_modern(&head.headers),
        }
    }

    pub(crate) fn speak(&self, error: ObtainError, body: &Bytes) -> Response<ResponseBody> {
        let connectable = matches!(error, ObtainError::NotConnected { .. });
        self.say(&self.words(error), connectable, body)
    }

    pub(crate) fn deny(&self, denial: &Denial, body: &Bytes) -> Response<ResponseBody> {
        self.say(&format!("{}: {denial}", self.server), false, body)
    }

    fn say(&self, text: &str, connectable: bool, body: &Bytes) -> Response<ResponseBody> {
        if !self.is_post {
            // There is no stream to listen to, and no session to end.
            let mut response = empty(StatusCode::METHOD_NOT_ALLOWED);
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
            return response;
        }
        let prompt = Prompt {
            upstream: self.server.upstream.as_str(),
            text,
            connectable,
            modern: self.is_modern,
        };
        match prompt.answer(body) {
            Answer::Message(status, message) => json_response(status, "application/json", &message),
            Answer::Accepted => empty(StatusCode::ACCEPTED),
        }
    }

    /// What is wrong and where to go.
    pub(crate) fn words(&self, error: ObtainError) -> String {
        let words = explain(error.reason());
        let mut text = format!("{}: {} {}", self.server, words.happened, words.next);
        if matches!(error, ObtainError::NotConnected { .. }) {
            let url = connect_url(self.origin, self.server);
            text.push_str(" Open ");
            text.push_str(&url);
            text.push_str(" in your browser, then try again.");
        }
        if let Some(url) = sign_in_url(self.origin, error) {
            text.push_str(" Open ");
            text.push_str(&url);
        }
        text
    }
}

pub(crate) fn empty(status: StatusCode) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::empty());
    *response.status_mut() = status;
    response
}

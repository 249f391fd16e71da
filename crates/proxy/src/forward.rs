//! There and back: the request with the caller's credential written last, the answer streamed.

use std::{pin::pin, sync::Arc, time::Duration};

use attache_broker::{Injection, ObtainError};
use attache_core::{ConnectionName, Principal, RequestId, audit::Reason, traffic::Timeouts};
use attache_net::upstream::SendError;
use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version, header,
};
use http_body::Body as _;
use hyper::body::Incoming;
use tokio::{
    select,
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;

use crate::{
    body::{Arriving, Copy, Gap, RequestBody, ResponseBody},
    front::Front,
    guard::{Cut, Guard},
    headers,
    listing::Listing,
    refusal::Refusal,
    rest::{Wish, retry_after},
    session::MCP_SESSION_ID,
    snapshot::{Protocol, Route},
    trailers::{self, Trailers},
    websocket::Handshake,
};

/// What an answer says about all of its bytes.
pub(crate) const OF_THE_WHOLE: [HeaderName; 5] = [
    header::CONTENT_LENGTH,
    header::ETAG,
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("digest"),
];
/// A caller who lets the upstream wait this long for the next piece of a body is gone, or means
/// harm.
const CALLER_SILENCE: Duration = Duration::from_mins(1);
const EVENT_STREAM: &str = "text/event-stream";

/// One request on its way.
pub(crate) struct Errand<'a> {
    pub front: &'a Front,
    pub who: &'a Arc<Principal>,
    pub route: &'a Route,
    /// Which of the caller's accounts behind it.
    pub name: &'a ConnectionName,
    pub id: &'a RequestId,
    pub drain: CancellationToken,
    /// What of the answer the caller may see, where that is not all of it.
    pub listing: Option<Listing>,
}

/// A request without its body; `uri` is the upstream's.
pub(crate) struct Head {
    pub method: Method,
    pub uri: Uri,
    pub headers: HeaderMap,
}

pub(crate) enum Outcome {
    Answered(Response<ResponseBody>),
    /// The upstream refuses the caller's credential for good, or for this request; with the request's body, if it is
    /// known.
    Refused(ObtainError, Option<Bytes>),
}

impl Errand<'_> {
    pub(crate) async fn run(
        self,
        asked: Head,
        body: Arriving,
        injection: Option<Arc<Injection>>,
        mut guard: Guard,
        handshake: Option<Handshake>,
    ) -> Result<Outcome, Refusal> {
        if let Some(wait) = self.route.live.rests.left(&self.wish(&asked)) {
            return Err(Refusal::RateLimited(wait));
        }
        let mut head = Head { headers: self.outward(asked.headers).await?, ..asked };
        if handshake.is_some() {
            Handshake::write(&mut head.headers);
        }
        let (body, copy) = RequestBody::first(body);
        let first = self.send(&head, body, injection.as_deref(), &copy, &mut guard).await?;
        if let Some(more) = self.wants_more(&first, injection.as_deref()).await {
            return Ok(Outcome::Refused(more, copy.whole()));
        }
        if first.status() != StatusCode::UNAUTHORIZED {
            return self.inward(&head, first, guard, handshake).await.map(Outcome::Answered);
        }

        // The upstream refuses the credential (PX-17): renew it once, and ask once more.
        let (Some(upstream), Some(refused)) = (&self.route.broker, injection) else {
            let misconfigured = ObtainError::Operator { reason: Reason::Misconfigured };
            return Ok(Outcome::Refused(misconfigured, copy.whole()));
        };
        drop(first);
        let broker = self.front.broker();
        let account = self.name.account.as_ref();
        broker.rejected(self.who, upstream, account, refused.version);
        let renewed = match self.front.credential(self.who, upstream, self.name).await {
            Ok(renewed) => renewed,
            Err(error) => return Ok(Outcome::Refused(error, copy.whole())),
        };
        let whole = copy.whole().ok_or(Refusal::SendAgain)?;
        let body = RequestBody::replayed(whole.clone());
        let second = self.send(&head, body, Some(&renewed), &Copy::default(), &mut guard).await?;
        if let Some(more) = self.wants_more(&second, Some(&renewed)).await {
            return Ok(Outcome::Refused(more, Some(whole)));
        }
        if second.status() == StatusCode::UNAUTHORIZED {
            broker.rejected(self.who, upstream, account, renewed.version);
            return Ok(Outcome::Refused(upstream.rejected(), Some(whole)));
        }
        self.inward(&head, second, guard, handshake).await.map(Outcome::Answered)
    }

    fn wish<'a>(&'a self, head: &'a Head) -> Wish<'a> {
        let (who, server) = (&self.who.user, self.name);
        Wish { who, server, method: &head.method, path: head.uri.path() }
    }

    /// Whether the credential lacks scopes for this request, and what is said of it: most upstreams
    /// say so by 403, some by 401 (OC-14).
    async fn wants_more(
        &self,
        answer: &Response<Incoming>,
        injection: Option<&Injection>,
    ) -> Option<ObtainError> {
        if !matches!(answer.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return None;
        }
        let (upstream, refused) = (self.route.broker.as_ref()?, injection?);
        let (version, headers) = (refused.version, answer.headers());
        self.front.step_up(self.who, upstream, self.name, version, headers).await
    }

    /// The headers as the upstream shall see them, but for the credential.
    async fn outward(&self, mut headers: HeaderMap) -> Result<HeaderMap, Refusal> {
        let session = headers.remove(MCP_SESSION_ID);
        let trailers = Trailers::of_request(&headers);
        headers::clean_request(&mut headers);
        headers::remove_named(&mut headers, self.front.assertions());
        if self.route.protocol == Protocol::Http {
            trailers.write(&mut headers);
        }
        if let (Protocol::Mcp, Some(session)) = (self.route.protocol, session) {
            let user = &self.who.user;
            let theirs = self.front.sessions().await?.inward(user, self.name, &session);
            headers.insert(MCP_SESSION_ID, theirs.ok_or(Refusal::UnknownSession)?);
        }
        for (name, value) in &self.route.headers {
            headers::write(&mut headers, name, value);
        }
        if self.listing.is_some() {
            let plain = HeaderValue::from_static("identity");
            headers::write(&mut headers, &header::ACCEPT_ENCODING, &plain);
        }
        headers::write(&mut headers, &header::HOST, &self.route.target.host);
        Ok(headers)
    }

    async fn send(
        &self,
        head: &Head,
        body: RequestBody,
        injection: Option<&Injection>,
        sent: &Copy,
        guard: &mut Guard,
    ) -> Result<Response<Incoming>, Refusal> {
        let mut request = Request::new(body);
        request.method_mut().clone_from(&head.method);
        request.uri_mut().clone_from(&head.uri);
        request.headers_mut().clone_from(&head.headers);
        if let Some(injection) = injection {
            // Last, so that nothing else has the final word (PX-16).
            headers::write(request.headers_mut(), &injection.name, &injection.value);
            if let Some(destination) = &injection.destination {
                destination.redirect(&mut request).map_err(|_| Refusal::PathEscapes)?;
            }
            if let Some(upstream) = &self.route.broker {
                let account = self.name.account.as_ref();
                self.front.broker().injected(self.who, upstream, account, self.id);
            }
        }
        trailers::keep_apart(request.headers_mut());
        // Where a person's requests go to a host of their own, it says nothing about the others'.
        let breaker = injection
            .is_none_or(|injection| injection.destination.is_none())
            .then_some(&self.route.live.breaker);
        if let Some(breaker) = breaker {
            breaker.ask().map_err(Refusal::UpstreamAway)?;
        }
        let answer = self.front.client().send(request);
        let answered = select! {
            biased;
            answered = patiently(answer, sent, self.route.traffic.timeouts) => answered?,
            cut = &mut *guard => return Err(self.cut(cut)),
        };
        if let Some(breaker) = breaker {
            match answered {
                Err(SendError::Connect(_) | SendError::Tls(_)) if breaker.failed() => {
                    tracing::error!(upstream = %self.route.name, "an upstream is left alone");
                }
                Err(SendError::Connect(_) | SendError::Tls(_)) => {}
                _ => breaker.connected(),
            }
        }
        let response = answered.map_err(|error| {
            if error == SendError::RequestBody {
                tracing::debug!(upstream = %self.route.name, "a caller broke off");
                return Refusal::BodyTooSlow;
            }
            tracing::warn!(upstream = %self.route.name, %error, "an upstream did not answer");
            match error {
                SendError::Blocked => Refusal::UpstreamBlocked,
                _ => Refusal::UpstreamUnreachable,
            }
        })?;
        Ok(response)
    }

    fn cut(&self, cut: Cut) -> Refusal {
        let judge = || self.front.judge(self.who, self.route, self.name, self.id);
        match cut {
            Cut::Denied => judge().map_or_else(
                |denial| Refusal::Denied(denial, None),
                |()| Refusal::cut(cut, self.name),
            ),
            _ => Refusal::cut(cut, self.name),
        }
    }

    /// The answer as the caller shall see it.
    async fn inward(
        &self,
        asked: &Head,
        mut response: Response<Incoming>,
        guard: Guard,
        handshake: Option<Handshake>,
    ) -> Result<Response<ResponseBody>, Refusal> {
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            // To something that nobody asked for it cannot change.
            let handshake = handshake.filter(|_| Handshake::is_accepted(&response));
            let handshake = handshake.ok_or(Refusal::UpstreamUnreachable)?;
            handshake.accept(&mut response, guard, self.drain.clone());
            let (mut head, _) = response.into_parts();
            headers::clean_response(&mut head.headers);
            Handshake::write(&mut head.headers);
            return Ok(Response::from_parts(head, ResponseBody::empty()));
        }
        let (mut head, body) = response.into_parts();
        head.version = Version::HTTP_11; // the upstream's is between it and us
        if let Some(wait) = retry_after(head.status, &head.headers, self.front.now()) {
            self.route.live.rests.begin(&self.wish(asked), wait);
        }
        let trailers = Trailers::of_response(&head.headers);
        headers::clean_response(&mut head.headers);
        trailers.write(&mut head.headers);
        if self.route.broker.is_some() {
            headers::keep_private(&mut head.headers);
        }
        let session = head.headers.remove(MCP_SESSION_ID);
        if let (Protocol::Mcp, Some(session)) = (self.route.protocol, session) {
            let user = &self.who.user;
            if let Some(ours) = self.front.sessions().await?.outward(user, self.name, &session) {
                head.headers.insert(MCP_SESSION_ID, ours);
            }
        }
        let is_stream = is_event_stream(&head.headers);
        if is_stream {
            // Proxies before us must not gather events (PX-18).
            let unbuffered = HeaderName::from_static("x-accel-buffering");
            head.headers.insert(unbuffered, HeaderValue::from_static("no"));
            let fresh = HeaderValue::from_static("no-cache");
            head.headers.entry(header::CACHE_CONTROL).or_insert(fresh);
        }
        // What answers a request comes to its own end, and gets the grace period for it; what is
        // only listened to does not.
        let drain = (is_stream && asked.method == Method::GET).then(|| self.drain.clone());
        let plain = !head.headers.contains_key(header::CONTENT_ENCODING);
        let gap = (is_stream && plain && body.size_hint().exact().is_none()).then(Gap::default);
        let body = match &self.listing {
            Some(listing) if head.status == StatusCode::OK => {
                if head.headers.contains_key(header::CONTENT_ENCODING) {
                    return Err(Refusal::UpstreamUnreadable);
                }
                for name in OF_THE_WHOLE {
                    head.headers.remove(name);
                }
                if is_stream {
                    ResponseBody::events(body, guard, gap, drain, listing.clone())
                } else {
                    let whole = listing.whole(body).await;
                    whole.map_err(|_| Refusal::UpstreamUnreadable)?.into()
                }
            }
            _ => ResponseBody::upstream(body, guard, gap, drain),
        };
        Ok(Response::from_parts(head, body))
    }
}

/// Waits for `answer` as long as the request's body comes on, and for `head` beyond, but no longer
/// than for `body`.
async fn patiently<T>(
    answer: impl Future<Output = T>,
    sent: &Copy,
    Timeouts { head, body, .. }: Timeouts,
) -> Result<T, Refusal> {
    let mut answer = pin!(answer);
    let last = Instant::now() + body;
    loop {
        let (moved_at, _) = sent.progress();
        let soon = Instant::now() + CALLER_SILENCE;
        let deadline = last.min(moved_at + head).min(soon);
        if let Ok(answered) = timeout_at(deadline, answer.as_mut()).await {
            return Ok(answered);
        }
        let now = Instant::now();
        let (moved_at, awaits_caller) = sent.progress();
        let patience = if awaits_caller { head.min(CALLER_SILENCE) } else { head };
        if now >= last || now >= moved_at + patience {
            let slow = if awaits_caller { Refusal::BodyTooSlow } else { Refusal::UpstreamSilent };
            return Err(slow);
        }
    }
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    content_type.is_some_and(|value| value.trim_start().starts_with(EVENT_STREAM))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_upload_may_take_its_time_but_not_for_ever() {
        let limits = Timeouts::default();
        let (sent, began) = (Copy::default(), Instant::now());
        let silent = patiently(std::future::pending::<()>(), &sent, limits).await;
        assert!(matches!(silent, Err(Refusal::UpstreamSilent)));
        assert_eq!(began.elapsed(), limits.head);

        let (sent, began) = (Copy::default(), Instant::now());
        sent.wait();
        let stalled = patiently(std::future::pending::<()>(), &sent, limits).await;
        assert!(matches!(stalled, Err(Refusal::BodyTooSlow)));
        assert_eq!(began.elapsed(), CALLER_SILENCE);

        let (sent, began) = (Copy::default(), Instant::now());
        let dripping = async {
            loop {
                tokio::time::sleep(CALLER_SILENCE / 2).await;
                sent.keep(&Bytes::from_static(b"."));
            }
        };
        tokio::select! {
            ended = patiently(std::future::pending::<()>(), &sent, limits) => {
                assert!(matches!(ended, Err(Refusal::UpstreamSilent)));
            }
            () = dripping => {}
        }
        assert_eq!(began.elapsed(), limits.body);
    }
}

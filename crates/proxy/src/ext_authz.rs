//! Envoy's external authorization (`envoy.service.auth.v3.Authorization/Check`, gRPC): the questions
//! and rules of [`crate::forward_auth`], in Envoy's words.
//!
//! The secret is in the call's metadata and the upstream's name in the route's `context_extensions`:
//! both are Envoy's configuration, and no header of a caller becomes one of them. A "no" is a
//! `CheckResponse`, also to whoever is no proven proxy: with `failure_mode_allow` Envoy takes a failed
//! call for a "yes".

mod messages;

use std::{future::Future, pin::Pin, sync::Arc};

use attache_broker::Injection;
use attache_core::{ConnectionName, RequestId, UpstreamName};
use attache_net::body::read_at_most;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header, request};
use http_body_util::{BodyExt as _, Full, combinators::UnsyncBoxBody};
use hyper::body::Incoming;
use tokio::time::timeout;
use tonic::{
    Code, Status,
    server::{Grpc, UnaryService},
};
use tonic_prost::ProstCodec;

use self::messages::{
    AttributeContext, BoolValue, CheckRequest, CheckResponse, DeniedHttpResponse,
    HeaderValueOption, HttpRequest, HttpResponse, HttpStatus, OkHttpResponse, RpcStatus,
};
use crate::{
    account::ATTACHE_ACCOUNT,
    body::{BodyError, ResponseBody},
    forward_auth::{Asked, ORIGINAL_METHOD, ORIGINAL_URI},
    front::{BODY_LIMIT, Front, name_request},
    headers::is_other_spelling,
    refusal::Refusal,
};

pub(crate) const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";

/// In `context_extensions`: which upstream the route leads to.
const UPSTREAM: &str = "upstream";
/// Bytes of a question: what Envoy takes for a request's head, and nothing of a body.
const MAX_QUESTION: usize = 128 * 1024;
/// The question in the place of one that is not read: a message without a byte.
const NO_QUESTION: Bytes = Bytes::from_static(&[0; 5]);
/// Bytes of a refusal, which is ours.
const MAX_REFUSAL: usize = 64 * 1024;

impl Front {
    pub(crate) async fn ext_authz(&self, request: Request<Incoming>) -> Response<ResponseBody> {
        let (head, body) = request.into_parts();
        let (question, unread) = match self.question(&head, body).await {
            Ok(question) => (question, None),
            Err(refusal) => (NO_QUESTION, Some(refusal)),
        };
        let call = Call { front: self, head: head.clone(), unread };
        let mut grpc = Grpc::new(ProstCodec::default()).max_decoding_message_size(MAX_QUESTION);
        let response = grpc.unary(call, Request::from_parts(head, Full::new(question))).await;
        response.map(|body| {
            let body = body.map_err(|error| -> BodyError { Box::new(error) });
            ResponseBody::Web(UnsyncBoxBody::new(body))
        })
    }

    /// What a proven proxy sends, in bounds and in time; of anybody else nothing is read.
    async fn question(&self, head: &request::Parts, body: Incoming) -> Result<Bytes, Refusal> {
        Asked::prove(&self.snapshot(), head)?;
        let read = timeout(BODY_LIMIT, read_at_most(body, MAX_QUESTION)).await;
        read.map_err(|_| Refusal::BodyTooSlow)?.map_err(|_| Refusal::BodyTooLarge)
    }

    async fn check(
        &self,
        head: &request::Parts,
        question: CheckRequest,
        unread: Option<Refusal>,
    ) -> CheckResponse {
        let (id, snapshot) = (self.request_id(), self.snapshot());
        let attributes = question.attributes.unwrap_or_default();
        let name = attributes.context_extensions.get(UPSTREAM);
        let name = name.and_then(|name| UpstreamName::parse(name).ok());
        let asked = unread.map_or_else(|| Asked::of(&snapshot, head, name.as_ref()), Err);
        let sent = names(&attributes);
        let (known, answered) = match asked {
            Ok(asked) => {
                let known = (asked.route.protocol, ConnectionName::from(asked.route.name.clone()));
                let caller = caller(attributes);
                (Some(known), self.vend(&asked, &caller, &id).await)
            }
            Err(refusal) => (None, Err(refusal)),
        };
        match answered {
            Ok(injection) => granted(&injection, &sent, self.assertions()),
            Err(refusal) => {
                let known = known.as_ref().map(|(protocol, name)| (*protocol, name));
                denied(refusal.into_response(&snapshot.origin, known, &id), &id).await
            }
        }
    }
}

struct Call<'a> {
    front: &'a Front,
    head: request::Parts,
    /// Why the question was not read.
    unread: Option<Refusal>,
}

impl<'a> UnaryService<CheckRequest> for Call<'a> {
    type Response = CheckResponse;
    type Future =
        Pin<Box<dyn Future<Output = Result<tonic::Response<CheckResponse>, Status>> + Send + 'a>>;

    fn call(&mut self, question: tonic::Request<CheckRequest>) -> Self::Future {
        let (front, head, unread) = (self.front, self.head.clone(), self.unread.take());
        Box::pin(async move {
            Ok(tonic::Response::new(front.check(&head, question.into_inner(), unread).await))
        })
    }
}

/// Of the request that Envoy asks about: what proves the caller, which account it is for, what it
/// would do, and nothing else.
fn caller(attributes: AttributeContext) -> request::Parts {
    let http = attributes.request.and_then(|request| request.http).unwrap_or_default();
    let (mut head, ()) = Request::new(()).into_parts();
    let said = [(ORIGINAL_METHOD, &http.method), (ORIGINAL_URI, &http.path)];
    for (name, value) in said {
        // What no header could hold is judged as the worst that it could be.
        let value = HeaderValue::from_str(value).unwrap_or(HeaderValue::from_static("/.."));
        head.headers.insert(name, value);
    }
    for (name, value) in headers(http) {
        let known = [header::AUTHORIZATION, ATTACHE_ACCOUNT];
        let Some(name) = known.into_iter().find(|one| name.eq_ignore_ascii_case(one.as_str()))
        else {
            continue;
        };
        let value = HeaderValue::from_bytes(&value).unwrap_or(HeaderValue::from_static(""));
        head.headers.append(name, value);
    }
    head
}

/// Of the headers of the request, as far as they are spelt in a way of their own.
fn names(attributes: &AttributeContext) -> Vec<String> {
    let http = attributes.request.as_ref().and_then(|request| request.http.as_ref());
    let Some(http) = http else { return Vec::new() };
    let raw = http.header_map.iter().flat_map(|map| &map.headers).map(|one| &one.key);
    let names = http.headers.keys().chain(raw).filter(|name| name.contains('_'));
    names.map(|name| name.to_ascii_lowercase()).collect()
}

/// All of them, in whichever of the two ways Envoy writes them.
fn headers(http: HttpRequest) -> impl Iterator<Item = (String, Vec<u8>)> {
    let merged = http.headers.into_iter().map(|(name, value)| (name, value.into_bytes()));
    let raw = http.header_map.unwrap_or_default().headers.into_iter().map(|one| {
        let plain = one.raw_value.is_empty();
        (one.key, if plain { one.value.into_bytes() } else { one.raw_value })
    });
    merged.chain(raw)
}

/// The credential in place of whatever the caller `sent` by its name, in any spelling; what proved the
/// caller to us goes no further.
fn granted(
    injection: &Arc<Injection>,
    sent: &[String],
    assertions: &[HeaderName],
) -> CheckResponse {
    let own = [header::AUTHORIZATION, header::COOKIE].into_iter().chain(assertions.iter().cloned());
    let own = own.filter(|name| *name != injection.name).map(|name| name.to_string());
    let named = || assertions.iter().chain([&injection.name]);
    let is_other = |sent: &&String| named().any(|name| is_other_spelling(sent, name));
    let others = sent.iter().filter(is_other).cloned();
    let ok = OkHttpResponse {
        headers: option(&injection.name, &injection.value).into_iter().collect(),
        headers_to_remove: own.chain(others).collect(),
    };
    CheckResponse {
        status: Some(RpcStatus { code: Code::Ok.into() }),
        http_response: Some(HttpResponse::Ok(ok)),
    }
}

/// The answer that a caller of the gateway gets.
async fn denied(mut response: Response<ResponseBody>, id: &RequestId) -> CheckResponse {
    name_request(&mut response, id);
    let (head, body) = response.into_parts();
    let body = read_at_most(body, MAX_REFUSAL).await.unwrap_or_default();
    let denied = DeniedHttpResponse {
        status: Some(HttpStatus { code: head.status.as_u16().into() }),
        headers: options(&head.headers),
        body: String::from_utf8_lossy(&body).into_owned(),
    };
    CheckResponse {
        status: Some(RpcStatus { code: Code::PermissionDenied.into() }),
        http_response: Some(HttpResponse::Denied(denied)),
    }
}

fn options(headers: &HeaderMap) -> Vec<HeaderValueOption> {
    headers.iter().filter_map(|(name, value)| option(name, value)).collect()
}

/// `None` for bytes that a protobuf string cannot hold; neither ours nor a credential has any.
fn option(name: &HeaderName, value: &HeaderValue) -> Option<HeaderValueOption> {
    let value = value.to_str().ok()?.to_owned();
    let header = messages::HeaderValue { key: name.to_string(), value, raw_value: Vec::new() };
    Some(HeaderValueOption { header: Some(header), append: Some(BoolValue { value: false }) })
}

//! Envoy's external authorization, asked by a gRPC client that knows nothing of the gateway but the
//! published protocol.

use std::{collections::HashMap, time::Duration};

use attache_sandbox::{
    Browser,
    people::{ADA, GRACE},
};
use bytes::Bytes;
use http::{Request, uri::PathAndQuery};
use serde_json::Value;
use tokio::time::timeout;
use tonic::{
    Status,
    client::Grpc,
    codegen::tokio_stream::{self, Stream},
    metadata::MetadataValue,
    transport::{Channel, Endpoint},
};
use tonic_prost::ProstCodec;

use self::protocol::{
    AttributeContext, CheckRequest, CheckResponse, Headers, HttpRequest, HttpResponse, RawHeader,
    RequestOf,
};
use crate::{
    program::Program,
    tokens::{holder, token},
    world::{Surroundings, World},
};

/// What is otherwise about a request.
type Bend = fn(&mut HttpRequest);

const ENVOY: &str = "envoy-secret-0123456789abcdefghij";

async fn world() -> World {
    let more = format!(
        "[[forward_auth]]\nname = \"envoy\"\nsecret = \"{ENVOY}\"\n\
         upstreams = [\"api\", \"keyed\", \"vip-api\"]\nrate = 20\n"
    );
    let surroundings = Surroundings { more, ..Surroundings::default() };
    let world = World::among("sqlite:attache.db", surroundings).await;
    world.program(ADA).witness.keep_proof(ENVOY);
    world
}

/// What Envoy sends for a request of this program on a route to `upstream`.
fn question(upstream: &str, caller: &Program) -> CheckRequest {
    let bearer = format!("Bearer {}", caller.token);
    let headers = [("authorization", bearer.as_str()), ("x-request-id", "7"), ("cookie", "a=b")];
    let http = HttpRequest {
        method: "POST".to_owned(),
        headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        path: "/notes?q=1".to_owned(),
        header_map: None,
    };
    CheckRequest {
        attributes: Some(AttributeContext {
            request: Some(RequestOf { http: Some(http) }),
            context_extensions: HashMap::from([("upstream".to_owned(), upstream.to_owned())]),
        }),
    }
}

fn http_of(question: &mut CheckRequest) -> &mut HttpRequest {
    let attributes = question.attributes.as_mut().expect("attributes");
    attributes.request.as_mut().and_then(|request| request.http.as_mut()).expect("a request")
}

async fn call(
    world: &World,
    secret: Option<&str>,
    question: CheckRequest,
) -> Result<CheckResponse, Status> {
    say(world, secret, tokio_stream::once(question)).await
}

/// A question may be one that never comes.
async fn say(
    world: &World,
    secret: Option<&str>,
    question: impl Stream<Item = CheckRequest> + Send + 'static,
) -> Result<CheckResponse, Status> {
    let gateway = Endpoint::from_shared(world.origin.to_string()).expect("a URL");
    say_on(gateway.connect().await.expect("the gateway speaks HTTP/2"), secret, question).await
}

/// Asked on a connection that proves who asks.
pub(crate) async fn check(
    world: &World,
    channel: Channel,
    upstream: &str,
    caller: &Program,
) -> Verdict {
    let question = tokio_stream::once(question(upstream, caller));
    verdict(world, say_on(channel, None, question).await.expect("an answer"))
}

async fn say_on(
    channel: Channel,
    secret: Option<&str>,
    question: impl Stream<Item = CheckRequest> + Send + 'static,
) -> Result<CheckResponse, Status> {
    let mut client = Grpc::new(channel);
    client.ready().await.expect("it does");
    let mut request = tonic::Request::new(question);
    if let Some(secret) = secret {
        let secret = MetadataValue::try_from(secret).expect("visible");
        request.metadata_mut().insert("attache-proxy-secret", secret);
    }
    let path = PathAndQuery::from_static("/envoy.service.auth.v3.Authorization/Check");
    let codec = ProstCodec::<CheckRequest, CheckResponse>::default();
    client.client_streaming(request, path, codec).await.map(tonic::Response::into_inner)
}

/// An answer, as Envoy acts on it.
#[derive(Debug, PartialEq)]
pub(crate) enum Verdict {
    /// The headers it sets, and those it removes.
    Go(HashMap<String, String>, Vec<String>),
    /// The status, headers and body that the caller gets.
    Stop(i32, HashMap<String, String>, String),
}

async fn asked(world: &World, secret: &str, question: CheckRequest) -> Verdict {
    verdict(world, call(world, Some(secret), question).await.expect("an answer"))
}

fn verdict(world: &World, answer: CheckResponse) -> Verdict {
    let code = answer.status.expect("a status").code;
    match answer.http_response.expect("one of two") {
        HttpResponse::Ok(ok) => {
            assert_eq!(code, 0);
            Verdict::Go(plain(ok.headers), ok.headers_to_remove)
        }
        HttpResponse::Denied(denied) => {
            assert_ne!(code, 0);
            let headers = plain(denied.headers);
            assert_eq!(headers.get("cache-control").map(String::as_str), Some("no-store"));
            world.program(ADA).witness.hear_text(format!("{headers:?}\n{}", denied.body));
            Verdict::Stop(denied.status.expect("a status").code, headers, denied.body)
        }
    }
}

fn plain(options: Vec<protocol::HeaderValueOption>) -> HashMap<String, String> {
    let plain = |option: protocol::HeaderValueOption| {
        assert!(!option.append.expect("it is said").value, "in place of what was there");
        let header = option.header.expect("a header");
        (header.key, header.value)
    };
    options.into_iter().map(plain).collect()
}

pub(crate) fn status(verdict: &Verdict) -> i32 {
    match verdict {
        Verdict::Go(..) => 200,
        Verdict::Stop(status, ..) => *status,
    }
}

/// What Envoy would answer a request of this program on a route to `upstream`.
pub(crate) async fn status_of(
    world: &World,
    secret: &str,
    upstream: &str,
    caller: &Program,
) -> i32 {
    status(&asked(world, secret, question(upstream, caller)).await)
}

/// Whose credential it is, as the API says.
async fn owner(world: &World, credential: &str) -> String {
    let url = world.api.url().join("me").expect("a URL");
    let request = Request::get(url.as_str()).header("authorization", credential);
    let request = request.body(Bytes::new()).expect("a request");
    let answer = Browser::new().send(request).await.expect("an answer");
    let answer = answer.json().expect("JSON");
    answer.get("account").and_then(Value::as_str).expect("somebody").to_owned()
}

#[tokio::test]
async fn envoy_is_given_the_callers_credential_and_no_other() {
    let world = world().await;
    world.ada().await.connect("api").await;
    world.grace().await.connect("api").await;
    world.ada().await.connect("keyed").await;
    for (person, name) in [(ADA, "ada"), (GRACE, "grace"), (ADA, "ada")] {
        let question = question("api", &world.program(person));
        let Verdict::Go(set, removed) = asked(&world, ENVOY, question).await else {
            unreachable!("{name} is connected")
        };
        assert_eq!(set.len(), 1);
        assert_eq!(owner(&world, &set["authorization"]).await, name);
        assert_eq!(removed, ["cookie"]);
    }
    // The caller's own token goes no further where the credential has another header.
    let keyed = question("keyed", &world.program(ADA));
    let Verdict::Go(set, removed) = asked(&world, ENVOY, keyed.clone()).await else {
        unreachable!("it is connected")
    };
    assert!(set["x-api-token"].starts_with("token "));
    assert_eq!(removed, ["authorization", "cookie"]);
    // Nor does what a server may take for that header.
    let (mut merged, mut raw) = (keyed.clone(), keyed);
    http_of(&mut merged).headers.insert("X_Api-Token".to_owned(), "mine".to_owned());
    let header = RawHeader { key: "x_api-token".into(), raw_value: "mine".into() };
    let http = http_of(&mut raw);
    http.header_map = Some(Headers { headers: vec![header] });
    for question in [merged, raw] {
        let Verdict::Go(_, removed) = asked(&world, ENVOY, question).await else {
            unreachable!("it is connected")
        };
        assert_eq!(removed, ["authorization", "cookie", "x_api-token"]);
    }

    // The other way in which Envoy writes headers.
    let ada = world.program(ADA);
    let mut raw = question("api", &ada);
    let http = http_of(&mut raw);
    http.headers.clear();
    let bearer = format!("Bearer {}", ada.token).into_bytes();
    let raw_header = RawHeader { key: "authorization".to_owned(), raw_value: bearer };
    http.header_map = Some(Headers { headers: vec![raw_header] });
    assert_eq!(status(&asked(&world, ENVOY, raw).await), 200);
    world.end().await;
}

/// A named account is that account or nothing, in either way in which Envoy writes headers.
#[tokio::test]
async fn envoy_is_given_the_account_that_was_chosen() {
    let world = world().await;
    world.ada().await.connect("api").await;
    let ada = world.program(ADA);
    let choose = |question: &mut CheckRequest, name: &str| {
        http_of(question).headers.insert("attache-account".to_owned(), name.to_owned());
    };
    let mut work = question("api", &ada);
    choose(&mut work, "work");
    let mut raw = question("api", &ada);
    let header = RawHeader { key: "Attache-Account".into(), raw_value: "work".into() };
    http_of(&mut raw).header_map = Some(Headers { headers: vec![header] });
    for question in [&work, &raw] {
        let verdict = asked(&world, ENVOY, question.clone()).await;
        let Verdict::Stop(403, headers, _) = verdict else {
            unreachable!("work is not connected: {verdict:?}")
        };
        assert_eq!(headers["attache-connect-url"], format!("{}connect/api@work", world.origin));
    }
    let mut forged = question("api", &ada);
    choose(&mut forged, "work,home");
    assert_eq!(status(&asked(&world, ENVOY, forged).await), 400);

    world.ada().await.connect("api@work").await;
    let Verdict::Go(first, _) = asked(&world, ENVOY, question("api", &ada)).await else {
        unreachable!("it is connected")
    };
    let Verdict::Go(second, _) = asked(&world, ENVOY, work).await else {
        unreachable!("so is work")
    };
    assert_ne!(first["authorization"], second["authorization"]);
    world.end().await;
}

#[tokio::test]
async fn envoy_passes_a_refusal_on_with_what_to_do() {
    let world = world().await;
    let Verdict::Stop(status, headers, body) =
        asked(&world, ENVOY, question("api", &world.program(ADA))).await
    else {
        unreachable!("nobody is connected")
    };
    let connect = format!("{}connect/api", world.origin);
    let problem: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &problem["connect_url"]), (403, &Value::from(connect.clone())));
    assert_eq!(headers["attache-connect-url"], connect);
    assert_eq!(headers["content-type"], "application/problem+json");

    let mut anonymous = question("api", &world.program(ADA));
    http_of(&mut anonymous).headers.remove("authorization");
    let Verdict::Stop(401, headers, _) = asked(&world, ENVOY, anonymous).await else {
        unreachable!("nobody proved anything")
    };
    assert!(headers["www-authenticate"].contains("resource_metadata"));
    world.end().await;
}

/// Neither who asks nor for what comes from the request that is asked about.
#[tokio::test]
async fn whoever_is_no_proven_envoy_learns_nothing() {
    let world = world().await;
    world.ada().await.connect("api").await;
    world.ada().await.connect("mail").await;
    let ada = world.program(ADA);
    let missing = call(&world, None, question("api", &ada)).await.unwrap();
    assert!(matches!(missing.http_response, Some(HttpResponse::Denied(_))), "a call that failed");
    for (secret, upstream) in
        [("wrong", "api"), (&ENVOY[1..], "api"), (ENVOY, "mail"), (ENVOY, "nothing"), (ENVOY, "")]
    {
        let verdict = asked(&world, secret, question(upstream, &ada)).await;
        let Verdict::Stop(401, headers, _) = verdict else {
            unreachable!("{secret} {upstream}: {verdict:?}")
        };
        assert_eq!(headers["www-authenticate"], "Attache-Proxy-Secret", "{secret} {upstream}");
    }
    let mut smuggled = question("", &ada);
    smuggled.attributes.as_mut().unwrap().context_extensions.clear();
    let headers = &mut http_of(&mut smuggled).headers;
    headers.insert("attache-proxy-secret".to_owned(), ENVOY.to_owned());
    headers.insert("upstream".to_owned(), "api".to_owned());
    assert_eq!(status(&asked(&world, ENVOY, smuggled.clone()).await), 401);
    assert_eq!(status(&asked(&world, "wrong", smuggled).await), 401);
    assert_eq!(world.count("audit_event WHERE action = 'vend'").await, 0);
    world.end().await;
}

#[tokio::test]
async fn envoys_callers_prove_themselves_and_keep_to_the_rules() {
    let world = world().await;
    world.ada().await.connect("api").await;
    world.ada().await.connect("vip-api").await;
    let (ada, grace) = (world.program(ADA), world.program(GRACE));
    assert_eq!(status(&asked(&world, ENVOY, question("vip-api", &ada)).await), 200);
    assert_eq!(status(&asked(&world, ENVOY, question("vip-api", &grace)).await), 404);

    let bends: [(&str, Bend, i32); 6] = [
        (
            "two tokens",
            |http| {
                let twice = http.headers["authorization"].clone();
                http.header_map = Some(Headers {
                    headers: vec![RawHeader {
                        key: "Authorization".into(),
                        raw_value: twice.into(),
                    }],
                });
            },
            400,
        ),
        (
            "a forged token",
            |http| {
                http.headers.insert("authorization".into(), "Bearer a.b.c".into());
            },
            401,
        ),
        ("a dot segment", |http| http.path = "/notes/%2e%2e/admin".into(), 400),
        ("a path that is none", |http| http.path = "/notes\n/..".into(), 400),
        ("TRACE", |http| http.method = "TRACE".into(), 405),
        (
            "an identity in a header",
            |http| {
                http.headers.remove("authorization");
                http.headers.insert("x-forwarded-user".into(), "ada".into());
                http.headers.insert("x-forwarded-authorization".into(), "Bearer a.b.c".into());
            },
            401,
        ),
    ];
    for (what, bend, expected) in bends {
        let mut bent = question("api", &ada);
        bend(http_of(&mut bent));
        assert_eq!(status(&asked(&world, ENVOY, bent).await), expected, "{what}");
    }

    let mut large = question("api", &ada);
    http_of(&mut large).headers.insert("x-large".into(), "x".repeat(1024 * 1024));
    assert_eq!(status(&asked(&world, ENVOY, large).await), 413);
    let mut answers = Vec::new();
    for _ in 0..25 {
        answers.push(status(&asked(&world, ENVOY, question("api", &ada)).await));
    }
    assert!(answers.contains(&200) && answers.contains(&429), "{answers:?}");
    world.end().await;
}

/// Nobody is listened to before they proved that they are a proxy, and no proxy for ever.
#[tokio::test]
async fn a_question_that_never_comes_is_not_waited_for() {
    let world = world().await;
    for (secret, expected, limit) in
        [(None, 401, 5), (Some("wrong"), 401, 5), (Some(ENVOY), 408, 15)]
    {
        let asked = say(&world, secret, tokio_stream::pending());
        let answer = timeout(Duration::from_secs(limit), asked).await.expect("in time");
        assert_eq!(status(&verdict(&world, answer.expect("an answer"))), expected, "{secret:?}");
    }
    world.end().await;
}

/// A "no" also where the operator named no proxy: Envoy may take a failed call for a "yes".
#[tokio::test]
async fn without_a_proxy_nobody_is_listened_to() {
    let world = World::new().await;
    let asked = say(&world, Some(ENVOY), tokio_stream::pending());
    let answer = timeout(Duration::from_secs(5), asked).await.expect("in time");
    assert_eq!(status(&verdict(&world, answer.expect("an answer"))), 401);
    world.end().await;
}

#[tokio::test]
async fn envoy_is_given_nothing_for_who_may_only_look() {
    let world = world().await;
    let mut ada = world.ada().await;
    ada.connect("api").await;
    for (access, expected) in [("look", 403), ("act", 200)] {
        let form = format!("name=a&reach=everything&access={access}&days=1");
        let holder = holder(&world, &token(&mut ada, &form).await);
        let mut question = question("api", &holder);
        http_of(&mut question).method = "GET".to_owned();
        assert_eq!(status(&asked(&world, ENVOY, question).await), expected, "{access}");
    }
    world.end().await;
}

/// From `envoy/service/auth/v3/{attribute_context,external_auth}.proto`, `envoy/config/core/v3/base.proto`
/// and `google/rpc/status.proto`.
mod protocol {
    use std::collections::HashMap;

    use prost::{Message, Oneof};

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct CheckRequest {
        #[prost(message, optional, tag = "1")]
        pub attributes: Option<AttributeContext>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct AttributeContext {
        #[prost(message, optional, tag = "4")]
        pub request: Option<RequestOf>,
        #[prost(map = "string, string", tag = "10")]
        pub context_extensions: HashMap<String, String>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct RequestOf {
        #[prost(message, optional, tag = "2")]
        pub http: Option<HttpRequest>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct HttpRequest {
        #[prost(string, tag = "2")]
        pub method: String,
        #[prost(map = "string, string", tag = "3")]
        pub headers: HashMap<String, String>,
        #[prost(string, tag = "4")]
        pub path: String,
        #[prost(message, optional, tag = "13")]
        pub header_map: Option<Headers>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct Headers {
        #[prost(message, repeated, tag = "1")]
        pub headers: Vec<RawHeader>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct RawHeader {
        #[prost(string, tag = "1")]
        pub key: String,
        #[prost(bytes = "vec", tag = "3")]
        pub raw_value: Vec<u8>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct CheckResponse {
        #[prost(message, optional, tag = "1")]
        pub status: Option<Code>,
        #[prost(oneof = "HttpResponse", tags = "2, 3")]
        pub http_response: Option<HttpResponse>,
    }

    #[derive(Clone, PartialEq, Oneof)]
    pub(super) enum HttpResponse {
        #[prost(message, tag = "2")]
        Denied(Denied),
        #[prost(message, tag = "3")]
        Ok(Ok),
    }

    #[derive(Clone, Copy, PartialEq, Message)]
    pub(super) struct Code {
        #[prost(int32, tag = "1")]
        pub code: i32,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct Denied {
        #[prost(message, optional, tag = "1")]
        pub status: Option<Code>,
        #[prost(message, repeated, tag = "2")]
        pub headers: Vec<HeaderValueOption>,
        #[prost(string, tag = "3")]
        pub body: String,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct Ok {
        #[prost(message, repeated, tag = "2")]
        pub headers: Vec<HeaderValueOption>,
        #[prost(string, repeated, tag = "5")]
        pub headers_to_remove: Vec<String>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct HeaderValueOption {
        #[prost(message, optional, tag = "1")]
        pub header: Option<HeaderValue>,
        #[prost(message, optional, tag = "2")]
        pub append: Option<BoolValue>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct HeaderValue {
        #[prost(string, tag = "1")]
        pub key: String,
        #[prost(string, tag = "2")]
        pub value: String,
    }

    #[derive(Clone, Copy, PartialEq, Message)]
    pub(super) struct BoolValue {
        #[prost(bool, tag = "1")]
        pub value: bool,
    }
}

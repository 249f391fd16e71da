//! The least that a gateway in Rust can do for a tool call, as a yardstick: whose token it is from
//! memory, that person's sealed record opened, the body read and its tool checked, the call passed
//! on over a kept connection. No product around it: one worker a core, no limits, no log, no metric.
//!
//! `reference LISTEN UPSTREAM PEOPLE`, where PEOPLE has a line for each: name, bearer token, upstream
//! token, with tabs between them.

use std::{
    borrow::Cow,
    cell::RefCell,
    collections::HashMap,
    env, fs,
    net::SocketAddr,
    num::NonZero,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, ready},
    thread,
};

use anyhow::{Context as _, Result, bail};
use attache_benches::people::Plaintext;
use attache_core::{
    Slot, UpstreamName, UserId,
    store::{Sealed, Version},
};
use attache_crypto::{
    digest::sha256,
    random::SystemRandom,
    seal::{self, Binding, DataKey},
};
use attache_net::body::read_at_most;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{Either, Full};
use hyper::{
    body::{Body, Frame, Incoming, SizeHint},
    client::conn::http1::SendRequest,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Deserialize;
use tokio::{
    net::{TcpSocket, TcpStream},
    runtime,
    task::LocalSet,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Bytes of a call.
const MAX_BODY: usize = 1024 * 1024;

fn main() -> Result<()> {
    attache_crypto::install_provider();
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [listen, upstream, people] = arguments.as_slice() else {
        bail!("reference LISTEN UPSTREAM PEOPLE")
    };
    let (listen, upstream) = (listen.parse()?, upstream.parse()?);
    let people = Arc::new(People::read(people)?);
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let workers: Vec<_> = (0..cores)
        .map(|_| {
            let people = Arc::clone(&people);
            thread::spawn(move || work(listen, upstream, people))
        })
        .collect();
    for worker in workers {
        worker.join().ok().context("a worker panicked")??;
    }
    Ok(())
}

/// Everybody, by what proves them.
struct People(HashMap<[u8; 32], Somebody>);

struct Somebody {
    user: UserId,
    slot: Slot,
    key: DataKey,
    sealed: Sealed,
}

impl People {
    fn read(file: &str) -> Result<Self> {
        let slot = Slot::Upstream(UpstreamName::parse("notes")?.into());
        let mut people = HashMap::new();
        for line in fs::read_to_string(file)?.lines() {
            let [name, bearer, token] = line.split('\t').collect::<Vec<_>>()[..] else {
                bail!("{file}: three columns")
            };
            let plaintext = serde_json::to_vec(&Plaintext::of(token.into(), 0, i64::MAX))?;
            let (user, key) = (UserId::new(name), DataKey::generate(&SystemRandom));
            let binding = Binding { user: &user, slot: &slot, version: Version(1) };
            let sealed = seal::seal(&key, &binding, &plaintext);
            let slot = slot.clone();
            people.insert(sha256(bearer.as_bytes()), Somebody { user, slot, key, sealed });
        }
        Ok(Self(people))
    }

    fn authorization(&self, given: &HeaderValue) -> Option<HeaderValue> {
        let token = given.as_bytes().strip_prefix(b"Bearer ")?;
        let Somebody { user, slot, key, sealed } = self.0.get(&sha256(token))?;
        let binding = Binding { user, slot, version: Version(1) };
        let opened = seal::open(key, &binding, sealed).ok()?;
        let record: Plaintext<'_> = serde_json::from_slice(&opened).ok()?;
        HeaderValue::try_from(format!("Bearer {}", record.access_token?)).ok()
    }
}

fn work(listen: SocketAddr, upstream: SocketAddr, people: Arc<People>) -> Result<()> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async move {
        // One of several that listen there.
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseport(true)?;
        socket.bind(listen)?;
        let listener = socket.listen(1024)?;
        let host = HeaderValue::try_from(upstream.to_string())?;
        let proxy = Rc::new(Proxy { people, upstream, host, idle: RefCell::default() });
        loop {
            let (socket, _) = listener.accept().await?;
            socket.set_nodelay(true)?;
            let proxy = Rc::clone(&proxy);
            let service = service_fn(move |request| Rc::clone(&proxy).answer(request));
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(socket), service);
            tokio::task::spawn_local(connection);
        }
    })
}

type Upstream = SendRequest<Full<Bytes>>;
type Answer = Response<Either<Passing, Full<Bytes>>>;

struct Proxy {
    people: Arc<People>,
    upstream: SocketAddr,
    host: HeaderValue,
    idle: RefCell<Vec<Upstream>>,
}

impl Proxy {
    async fn answer(self: Rc<Self>, request: Request<Incoming>) -> Result<Answer> {
        let (mut head, body) = request.into_parts();
        let given = head.headers.get(header::AUTHORIZATION);
        let Some(authorization) = given.and_then(|given| self.people.authorization(given)) else {
            return Ok(refusal(StatusCode::UNAUTHORIZED));
        };
        head.headers.insert(header::AUTHORIZATION, authorization);
        head.headers.insert(header::HOST, self.host.clone());
        head.headers.remove(header::CONNECTION);
        let body = read_at_most(body, MAX_BODY).await?;
        if !is_open(&body) {
            return Ok(refusal(StatusCode::FORBIDDEN));
        }
        let mut upstream = self.connection().await?;
        let answer = upstream.send_request(Request::from_parts(head, Full::new(body))).await?;
        Ok(answer.map(|body| Either::Left(Passing { body, back: Some((upstream, self)) })))
    }

    async fn connection(&self) -> Result<Upstream> {
        loop {
            let idle = self.idle.borrow_mut().pop();
            let Some(mut idle) = idle else { break };
            if idle.ready().await.is_ok() {
                return Ok(idle);
            }
        }
        let socket = TcpStream::connect(self.upstream).await?;
        socket.set_nodelay(true)?;
        let (upstream, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(socket)).await?;
        tokio::task::spawn_local(connection);
        Ok(upstream)
    }
}

fn refusal(status: StatusCode) -> Answer {
    let mut answer = Response::new(Either::Right(Full::default()));
    *answer.status_mut() = status;
    answer
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    method: Cow<'a, str>,
    #[serde(borrow)]
    params: Option<Params<'a>>,
}

#[derive(Deserialize)]
struct Params<'a> {
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
}

fn is_open(body: &[u8]) -> bool {
    let Ok(message) = serde_json::from_slice::<Message<'_>>(body) else { return false };
    message.method != "tools/call"
        || message.params.and_then(|params| params.name).is_some_and(|name| name != "delete")
}

/// An answer, which gives its connection back when it was read to its end.
struct Passing {
    body: Incoming,
    back: Option<(Upstream, Rc<Proxy>)>,
}

impl Body for Passing {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if (frame.is_none() || self.body.is_end_stream())
            && let Some((upstream, proxy)) = self.back.take()
        {
            proxy.idle.borrow_mut().push(upstream);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

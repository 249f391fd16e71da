//! The listener against callers who take their time, and its end.

use std::{
    collections::HashMap,
    convert::Infallible,
    future::{pending, ready},
    net::SocketAddr,
    num::NonZeroUsize,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use crate::peer::read_head;
use attache_net::{
    serve::{Drain, Limits, PeerAddr, Server, Workers},
    shutdown::Shutdown,
};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    body::{Body, Frame, Incoming},
    client::conn::http2::{self, SendRequest},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
};

/// Far below what a test waits for, far above what a loaded machine needs.
const SHORT: Duration = Duration::from_millis(400);
const LONG: Duration = Duration::from_secs(20);

#[tokio::test]
async fn who_does_not_finish_a_request_head_is_cut() {
    let limits = Limits { head: SHORT, ..Limits::default() };
    let world = World::start(limits, LONG);
    let beginnings: [&[u8]; 5] = [
        b"",
        b"GET / HT",
        b"GET / HTTP/1.1\r\nhost: gateway\r\nx-slow: ",
        b"PRI * HTTP/2.0\r\n",
        // All of HTTP/2's preface and settings, and then no request.
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
    ];
    for beginning in beginnings {
        let mut caller = world.connect().await;
        caller.write_all(beginning).await.unwrap();
        let begun = Instant::now();
        caller.read_to_end(&mut Vec::new()).await.ok();
        let elapsed = begun.elapsed();
        let words = String::from_utf8_lossy(beginning);
        assert!(elapsed < LONG / 2, "{words:?}: {elapsed:?}");
    }
}

#[tokio::test]
async fn a_caller_who_drips_is_cut_and_a_stream_is_not() {
    let limits = Limits { head: SHORT, ..Limits::default() };
    let world = World::start(limits, LONG);
    let mut listener = world.connect().await;
    listener.write_all(b"GET /events HTTP/1.1\r\nhost: gateway\r\n\r\n").await.unwrap();
    assert!(read_head(&mut listener).await.starts_with("HTTP/1.1 200 OK"));

    // The first request of a connection has a clock of its own; this is the second.
    let mut dripping = world.connect().await;
    assert_eq!(get(&mut dripping, "/").await, "HTTP/1.1 200 OK");
    let begun = Instant::now();
    dripping.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    while dripping.write_all(b"x: y\r\n").await.is_ok() {
        assert!(begun.elapsed() < LONG / 2);
        tokio::time::sleep(SHORT / 8).await;
    }

    // Their time was up long ago, had it been counted.
    let mut event = [0; 11];
    listener.read_exact(&mut event).await.unwrap();
    assert_eq!(&event, b"6\r\n: hi\n\n\r\n");
    let more = tokio::time::timeout(SHORT, listener.read_u8()).await;
    assert!(more.is_err(), "the stream has ended: {more:?}");
}

#[tokio::test]
async fn who_does_not_read_is_cut() {
    let world = World::start(Limits { stall: SHORT, ..Limits::default() }, LONG);
    let mut caller = world.connect().await;
    caller.write_all(b"GET /flood HTTP/1.1\r\nhost: gateway\r\n\r\n").await.unwrap();
    read_head(&mut caller).await;
    let mut piece = vec![0; 1024 * 1024];
    for _ in 0..16 {
        tokio::time::sleep(SHORT / 4).await;
        caller.read_exact(&mut piece).await.expect("who reads slowly is served");
    }
    tokio::time::sleep(SHORT * 3).await;
    // What is left is what was on its way; otherwise there would be no end of it.
    let rest = async { while let Ok(1..) = caller.read(&mut piece).await {} };
    tokio::time::timeout(LONG / 2, rest).await.expect("it was cut");
}

#[tokio::test]
async fn a_stream_that_is_not_read_is_cut_beside_one_that_is() {
    let world = World::start(Limits { stall: SHORT, ..Limits::default() }, LONG);
    let (mut requests, _connection) = world.http_2(64 * 1024).await;
    let mut forgotten = ask(&mut requests, "/flood").await;
    let mut read = ask(&mut requests, "/flood").await;
    let begun = Instant::now();
    while begun.elapsed() < SHORT * 3 {
        tokio::time::sleep(SHORT / 16).await;
        read.frame().await.unwrap().expect("who reads slowly is served");
    }
    // What is left is what was on its way; otherwise there would be no end of it.
    let rest = async { while let Some(Ok(_)) = forgotten.frame().await {} };
    tokio::time::timeout(LONG / 2, rest).await.expect("it was cut");
    read.frame().await.unwrap().expect("and it alone");
    drop(ask(&mut requests, "/").await);
}

#[tokio::test]
async fn a_last_word_that_is_never_taken_holds_no_connection() {
    let limits = Limits { stall: SHORT, idle: SHORT, ..Limits::default() };
    let world = World::start(limits, LONG);
    let (mut requests, mut connection) = world.http_2(1).await;
    // The server is done with it, but for four of five bytes.
    let _answer = ask(&mut requests, "/word").await;
    let closed = tokio::time::timeout(LONG / 2, connection.join_next()).await;
    assert!(closed.is_ok(), "it is kept for nothing");
}

#[tokio::test]
async fn an_http_2_connection_on_which_nothing_is_asked_is_closed() {
    let world = World::start(Limits { idle: SHORT, ..Limits::default() }, LONG);
    let (mut requests, mut ended) = world.http_2(64 * 1024).await;
    for path in ["/", "/events"] {
        let mut answer = ask(&mut requests, path).await;
        if path == "/events" {
            answer.frame().await.unwrap().unwrap();
            tokio::time::sleep(SHORT * 2).await;
            assert!(ended.try_join_next().is_none(), "a stream is cut");
        }
    }
    let closed = tokio::time::timeout(LONG / 2, ended.join_next()).await;
    assert!(closed.is_ok(), "it is kept for nothing");
}

#[tokio::test]
async fn a_head_has_a_size() {
    let world = World::start(Limits::default(), LONG);
    let mut caller = world.connect().await;
    let head = format!("GET / HTTP/1.1\r\nhost: gateway\r\nx: {}\r\n\r\n", "x".repeat(1_000_000));
    caller.write_all(head.as_bytes()).await.ok();
    let answer = read_head(&mut caller).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
}

#[tokio::test]
async fn beyond_the_bound_callers_wait_for_a_place() {
    let world = World::start(Limits { connections: 1, ..Limits::default() }, LONG);
    let mut first = world.connect().await;
    assert_eq!(get(&mut first, "/").await, "HTTP/1.1 200 OK");

    let mut second = world.connect().await;
    second.write_all(b"GET / HTTP/1.1\r\nhost: gateway\r\n\r\n").await.unwrap();
    let early = tokio::time::timeout(SHORT, second.read_u8()).await;
    assert!(early.is_err(), "the second was served beside the first");
    drop(first);
    assert!(read_head(&mut second).await.starts_with("HTTP/1.1 200 OK"));
}

#[tokio::test]
async fn http_2_is_spoken_with_who_begins_with_it() {
    let world = World::start(Limits::default(), LONG);
    let (mut requests, _connection) = world.http_2(64 * 1024).await;
    let request = Request::get("http://gateway/").body(Full::<Bytes>::default()).unwrap();
    let answer = requests.send_request(request).await.unwrap();
    assert_eq!((answer.version(), answer.status().as_u16()), (http::Version::HTTP_2, 200));
}

#[tokio::test]
async fn a_stream_without_an_end_ends_with_the_shutdown() {
    let world = World::start(Limits::default(), LONG);
    let mut listener = world.connect().await;
    listener.write_all(b"GET /events HTTP/1.1\r\nhost: gateway\r\n\r\n").await.unwrap();
    read_head(&mut listener).await;
    let idle = world.connect().await;

    let begun = Instant::now();
    assert_eq!(world.end().await, 0);
    assert!(begun.elapsed() < LONG / 2, "{:?}", begun.elapsed());
    let mut rest = Vec::new();
    listener.read_to_end(&mut rest).await.unwrap();
    assert!(rest.ends_with(b"0\r\n\r\n"), "the last chunk was not written: {rest:?}");
    drop(idle);
}

#[tokio::test]
async fn a_stream_that_does_not_listen_is_cut_after_the_grace() {
    let world = World::start(Limits::default(), SHORT);
    let mut stubborn = world.connect().await;
    stubborn.write_all(b"GET /stubborn HTTP/1.1\r\nhost: gateway\r\n\r\n").await.unwrap();
    read_head(&mut stubborn).await;

    let begun = Instant::now();
    assert_eq!(world.end().await, 1);
    assert!(begun.elapsed() >= SHORT && begun.elapsed() < LONG, "{:?}", begun.elapsed());
    let mut rest = Vec::new();
    stubborn.read_to_end(&mut rest).await.ok();
    assert!(!rest.ends_with(b"0\r\n\r\n"), "{rest:?}");
}

#[tokio::test]
async fn a_request_under_way_is_answered_and_nobody_new_is_accepted() {
    let world = World::start(Limits::default(), LONG);
    let address = world.address;
    let mut busy = world.connect().await;
    busy.write_all(b"GET /slow HTTP/1.1\r\nhost: gateway\r\n\r\n").await.unwrap();
    tokio::time::sleep(SHORT / 4).await;

    let mut ending = JoinSet::new();
    ending.spawn(world.end());
    let answer = read_head(&mut busy).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
    assert!(matches!(ending.join_next().await, Some(Ok(0))));
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn whoever_was_let_in_is_answered_though_the_end_comes_first() {
    let (two, shutdown) = (NonZeroUsize::new(2).unwrap(), Shutdown::new(LONG));
    let server = Server::bind(([127, 0, 0, 1], 0).into(), Limits::default()).unwrap();
    let address = server.local_addr();
    // The kernel lets them in; nobody has accepted them when the end comes.
    let mut callers = Vec::new();
    for _ in 0..20 {
        callers.push(TcpStream::connect(address).await.unwrap());
    }
    shutdown.begin();
    let workers = server.start(two, &shutdown, |_| service_fn(answer)).unwrap();
    for caller in &mut callers {
        assert_eq!(get(caller, "/").await, "HTTP/1.1 200 OK");
    }
    assert_eq!(workers.finished().await, Ok(0));
}

#[tokio::test]
async fn every_worker_has_its_own_service_and_every_request_its_peer() {
    let peers = Arc::new(Mutex::new(Vec::new()));
    let mut numbers = Vec::new();
    let shutdown = Shutdown::new(LONG);
    let server = Server::bind(([127, 0, 0, 1], 0).into(), Limits::default()).unwrap();
    let address = server.local_addr();
    let workers = server.start(NonZeroUsize::new(3).unwrap(), &shutdown, |number| {
        numbers.push(number);
        let peers = Arc::clone(&peers);
        service_fn(move |request: Request<Incoming>| {
            peers.lock().unwrap().push(*request.extensions().get::<PeerAddr>().unwrap());
            async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())) }
        })
    });
    let workers = workers.unwrap();
    let mut caller = TcpStream::connect(address).await.unwrap();
    assert_eq!(get(&mut caller, "/").await, "HTTP/1.1 200 OK");
    assert_eq!(*peers.lock().unwrap(), [PeerAddr(caller.local_addr().unwrap())]);
    shutdown.begin();
    assert_eq!(workers.finished().await, Ok(0));
    assert_eq!(numbers, [0, 1, 2]);
}

#[tokio::test]
async fn connections_are_spread_over_the_workers() {
    let seen = Arc::new(Mutex::new(HashMap::<usize, usize>::new()));
    let shutdown = Shutdown::new(LONG);
    let server = Server::bind(([127, 0, 0, 1], 0).into(), Limits::default()).unwrap();
    let address = server.local_addr();
    let workers = server.start(NonZeroUsize::new(4).unwrap(), &shutdown, |number| {
        let seen = Arc::clone(&seen);
        service_fn(move |_| {
            *seen.lock().unwrap().entry(number).or_default() += 1;
            async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())) }
        })
    });
    let mut callers = Vec::new();
    for _ in 0..40 {
        callers.push(TcpStream::connect(address).await.unwrap());
    }
    for caller in &mut callers {
        assert_eq!(get(caller, "/").await, "HTTP/1.1 200 OK");
    }
    assert_eq!(*seen.lock().unwrap(), HashMap::from([(0, 10), (1, 10), (2, 10), (3, 10)]));
    shutdown.begin();
    assert_eq!(workers.unwrap().finished().await, Ok(0));
}

#[tokio::test]
async fn one_service_on_the_runtime_at_hand_ends_the_same_way() {
    let shutdown = Shutdown::new(LONG);
    let server = Server::bind(([127, 0, 0, 1], 0).into(), Limits::default()).unwrap();
    let address = server.local_addr();
    let serving = server.serve(&shutdown, service_fn(answer));
    let asking = async {
        let mut caller = TcpStream::connect(address).await.unwrap();
        assert_eq!(get(&mut caller, "/").await, "HTTP/1.1 200 OK");
        shutdown.begin();
    };
    let (cut, ()) = tokio::join!(serving, asking);
    assert_eq!(cut.unwrap(), 0);
}

/// A server with two workers, and its end.
struct World {
    address: SocketAddr,
    shutdown: Shutdown,
    workers: Workers,
}

impl World {
    fn start(limits: Limits, grace: Duration) -> Self {
        let shutdown = Shutdown::new(grace);
        let server = Server::bind(([127, 0, 0, 1], 0).into(), limits).unwrap();
        let address = server.local_addr();
        let two = NonZeroUsize::new(2).unwrap();
        let workers = server.start(two, &shutdown, |_| service_fn(answer)).unwrap();
        Self { address, shutdown, workers }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// With so many bytes of each answer let through before any of it is read.
    async fn http_2(&self, window: u32) -> (SendRequest<Full<Bytes>>, JoinSet<hyper::Result<()>>) {
        let stream = TokioIo::new(self.connect().await);
        let (requests, connection) = http2::Builder::new(TokioExecutor::new())
            .initial_stream_window_size(window)
            .initial_connection_window_size(1 << 30)
            .handshake(stream)
            .await
            .unwrap();
        let mut ended = JoinSet::new();
        ended.spawn(connection);
        (requests, ended)
    }

    async fn end(self) -> usize {
        self.shutdown.begin();
        self.workers.finished().await.unwrap()
    }
}

async fn ask(requests: &mut SendRequest<Full<Bytes>>, path: &str) -> Incoming {
    let request = Request::get(format!("http://gateway{path}"));
    let request = request.body(Full::default()).unwrap();
    requests.send_request(request).await.unwrap().into_body()
}

async fn get(stream: &mut TcpStream, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nhost: gateway\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    read_head(stream).await.lines().next().unwrap_or_default().to_owned()
}

async fn answer(request: Request<Incoming>) -> Result<Response<Events>, Infallible> {
    let Drain(drain) = request.extensions().get().cloned().unwrap();
    let events = match request.uri().path() {
        "/flood" => Events { floods: true, ..Events::none() },
        "/word" => Events { unsent: true, ..Events::none() },
        "/events" => Events { end: Box::pin(drain.cancelled_owned()), ..Events::one() },
        "/stubborn" => Events { end: Box::pin(pending()), ..Events::one() },
        "/slow" => {
            tokio::time::sleep(SHORT).await;
            Events::none()
        }
        _ => Events::none(),
    };
    Ok(Response::new(events))
}

/// One event, and then nothing until `end`.
struct Events {
    unsent: bool,
    /// Or bytes without a pause.
    floods: bool,
    end: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Events {
    fn none() -> Self {
        Self { unsent: false, floods: false, end: Box::pin(ready(())) }
    }

    fn one() -> Self {
        Self { unsent: true, ..Self::none() }
    }
}

impl Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.floods {
            return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[b'x'; 16 * 1024])))));
        }
        if std::mem::take(&mut self.unsent) {
            return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b": hi\n\n")))));
        }
        self.end.as_mut().poll(cx).map(|()| None)
    }
}

//! What is open when its person has to go (PX-18), and callers who hold on to what they have.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use attache_net::serve::Limits;
use attache_sandbox::people::{ADA, GRACE};
use bytes::Bytes;
use http::{Method, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use sqlx::{Connection as _, PgConnection};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    runtime::Handle,
};

use crate::{
    offboarding::{AT_ONCE, Replicas, disconnect},
    postgres::Cluster,
    program::{Program, Stream, status},
    world::{Surroundings, World},
};

/// Two upstreams of which little is open, to few at once, and not for long.
const NARROW: &str = r#"
[[upstream]]
name = "narrow"
url = "{bare}base"
protocol = "http"
methods = ["GET", "POST"]
paths = ["/open"]
limits.person = 2
timeouts.idle = "1s"
[upstream.auth_broker]
{broker}
[[upstream]]
name = "narrow-rooms"
url = "{bare}rooms"
limits.person = 1
limits.total = 2
[upstream.auth_broker]
{broker}
[[upstream]]
name = "gone"
url = "http://127.0.0.1:9"
protocol = "http"
"#;

async fn narrow() -> World {
    let surroundings = Surroundings { more: NARROW.to_owned(), ..Surroundings::default() };
    let world = World::among("sqlite:attache.db", surroundings).await;
    for upstream in ["narrow", "narrow-rooms"] {
        world.ada().await.connect(upstream).await;
        world.grace().await.connect(upstream).await;
    }
    world
}

/// Headers that ask for a websocket, and the bare upstream to open it.
pub(crate) const WEBSOCKET: &str = "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
                                    Sec-WebSocket-Version: 13\r\n\
                                    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nX-Play: echo\r\n";

/// Long enough to see that nothing ends.
const A_WHILE: Duration = Duration::from_millis(700);

/// Events of which only the first comes.
async fn listen(program: &Program) -> Stream {
    listen_at(program, "/mcp/rooms").await
}

pub(crate) async fn listen_at(program: &Program, path: &str) -> Stream {
    let headers = "Accept: text/event-stream\r\nX-Play: silent\r\n";
    opened(program.open(&format!("GET {path}"), headers).await)
}

fn opened(stream: Stream) -> Stream {
    assert_eq!(status(&stream.head), Some(200), "{}", stream.head);
    stream
}

/// Bytes without a pause.
async fn download(program: &Program) -> Stream {
    opened(program.open("GET /http/keyed/all", "X-Play: flood\r\n").await)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_open_ends_with_its_connection_and_with_its_person_on_every_replica() {
    let cluster = Cluster::start();
    let replicas = Replicas::on(&cluster).await;
    let world = &replicas.world;
    for upstream in ["rooms", "keyed"] {
        world.ada().await.connect(upstream).await;
        world.grace().await.connect(upstream).await;
    }
    let [here, there] = replicas.programs(ADA);
    let [_, grace] = replicas.programs(GRACE);
    let mut rooms = [listen(&here).await, listen(&there).await];
    let mut files = [download(&here).await, download(&there).await];
    let mut others = [listen(&grace).await, download(&grace).await];
    assert_eq!(world.bare.open(), 6);

    disconnect(&here, "rooms").await;
    for stream in &mut rooms {
        assert!(stream.ends_within(AT_ONCE).await, "the token is gone, its stream is not");
    }
    for stream in files.iter_mut().chain(&mut others) {
        assert!(!stream.ends_within(A_WHILE).await, "of another connection, or of Grace");
    }

    let mut prompt = PgConnection::connect(cluster.url().expose()).await.expect("a prompt");
    let switch = "UPDATE person SET disabled = TRUE WHERE email = 'ada@example.com'";
    sqlx::query(switch).execute(&mut prompt).await.expect("good SQL");
    for stream in &mut files {
        assert!(stream.ends_within(AT_ONCE).await, "who is switched off still reads");
    }
    assert!(!others[0].ends_within(A_WHILE).await);
    assert_eq!(world.bare.open(), 2, "nor is anything read from the upstream");
    drop(others);
    replicas.end().await;
}

#[tokio::test]
async fn a_stream_ends_with_the_token_that_began_it() {
    const LIFE: Duration = Duration::from_secs(2);
    let world = World::new().await;
    world.ada().await.connect("rooms").await;
    let audience = world.origin.origin().ascii_serialization();
    let short = world.idp.access_token(ADA.id, &audience, LIFE).expect("a token");
    let (short, long) = (world.program_with(&short), world.program(ADA));
    let (mut ends, mut goes_on) = (listen(&short).await, listen(&long).await);
    let began = Instant::now();
    world.later(LIFE);
    assert!(ends.ends_within(LIFE * 5).await);
    assert!(began.elapsed() >= LIFE / 2, "it was cut before its time");
    assert!(!goes_on.ends_within(A_WHILE).await);
    drop(goes_on);
    world.end().await;
}

#[tokio::test]
async fn a_person_takes_no_more_than_their_share() {
    let world = narrow().await;
    let (ada, grace) = (world.program(ADA), world.program(GRACE));
    let mut open =
        [listen_at(&ada, "/http/narrow/open").await, listen_at(&ada, "/http/narrow/open").await];
    let refused = ada.get("/http/narrow/open").await;
    assert_eq!(
        (refused.status, refused.header("retry-after")),
        (StatusCode::TOO_MANY_REQUESTS, Some("1"))
    );
    assert!(refused.body.contains("/problems/too-many-requests"), "{}", refused.body);
    assert_eq!(grace.get("/http/narrow/open").await.status, 200, "Grace has her own");

    // Where a client speaks MCP, in its words.
    let hers = listen_at(&grace, "/mcp/narrow-rooms").await;
    let refused = grace.mcp("narrow-rooms", "tools/list", &json!({})).await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    let said = refused.json().expect("JSON");
    assert_eq!(said.pointer("/error/code"), Some(&json!(-32000)), "{said}");
    assert_eq!(ada.mcp("narrow-rooms", "tools/list", &json!({})).await.status, 200);

    // Silent for longer than this upstream may be: over, and its place is free again.
    for stream in &mut open {
        assert!(stream.ends_within(Duration::from_secs(5)).await);
    }
    assert_eq!(ada.get("/http/narrow/open").await.status, 200);
    drop(hers);
    let counted = world.counted("attache_refusals_total").await;
    assert_eq!(counted.len(), 2, "{counted:?}");
    let cut = world.counted("attache_streams_cut_total").await;
    assert!(cut.iter().any(|line| line.contains("idle") && line.ends_with(" 2")), "{cut:?}");
    world.end().await;
}

/// PX-20.
#[tokio::test]
async fn what_is_not_open_of_an_upstream_is_not_reached() {
    let world = narrow().await;
    let ada = world.program(ADA);
    for (method, target, expected) in [
        ("GET", "/http/narrow/open", 200),
        ("POST", "/http/narrow/open/7?q=/../", 200),
        ("GET", "/http/narrow/opener", 403),
        ("GET", "/http/narrow", 403),
        ("GET", "/http/narrow/%6fpen", 403),
        ("GET", "/http/narrow//open", 403),
        ("GET", "/http/narrow/open/../shut", 400),
        ("GET", "/http/narrow/open/..%2fshut", 400),
        ("GET", "/http/narrow/open/%252e%252e/shut", 400),
        ("GET", "/http/narrow/open/..%5cshut", 400),
        ("GET", "/http/narrow/open%2f..%2fshut", 400),
        ("GET", "/http/narrow/open/%0d%0aX-Api-Token:%20mine", 400),
        ("DELETE", "/http/narrow/open", 405),
        ("PROPFIND", "/http/narrow/open", 405),
    ] {
        let said = ada.raw_request(method, target, "Content-Length: 0\r\n").await;
        assert_eq!(status(&said), Some(expected), "{method} {target}: {said}");
        assert!(expected != 405 || said.contains("allow: GET, POST"), "{said}");
    }
    // Nor by another name for what is asked.
    for (header, expected) in [
        ("X-HTTP-Method-Override: DELETE", 405),
        ("x-http-method: DELETE", 405),
        ("X-Method-Override: GET", 405),
        ("X_HTTP_Method_Override: DELETE", 405),
        ("X-Original-URL: /base/shut", 200),
        ("X-Rewrite-URL: /base/shut", 200),
        ("X_Original_URL: /base/shut", 200),
    ] {
        let said = ada.raw_get("/http/narrow/open", &format!("{header}\r\n")).await;
        assert_eq!(status(&said), Some(expected), "{header}: {said}");
    }
    assert!(!world.bare.mentions("shut"), "an upstream may serve what a header names");
    let reached = world.bare.arrived();
    let reached: Vec<&str> = reached.iter().map(|request| request.target.as_str()).collect();
    let (asked, renamed) = reached.split_at(2);
    assert_eq!(asked, ["/base/open", "/base/open/7?q=/../"]);
    assert_eq!(renamed, ["/base/open"; 3]);
    world.end().await;
}

#[tokio::test]
async fn a_websocket_has_the_credential_on_its_handshake_and_ends_with_its_person() {
    let world = World::new().await;
    world.ada().await.connect("keyed").await;
    world.grace().await.connect("keyed").await;
    let (ada, grace) = (world.program(ADA), world.program(GRACE));
    let mut hers = ada.open("GET /http/keyed/socket", WEBSOCKET).await;
    assert_eq!(status(&hers.head), Some(101), "{}", hers.head);
    hers.socket.write_all(b"hello").await.expect("a socket");
    let mut echo = [0; 5];
    hers.socket.read_exact(&mut echo).await.expect("an echo");
    assert_eq!(&echo, b"hello");
    let arrived = world.bare.arrived().pop().expect("a handshake");
    assert_eq!(arrived.all("upgrade"), ["websocket"]);
    let given = arrived.all("x-api-token").concat();
    assert!(given.starts_with("token "), "the credential is not on the handshake");
    assert!(arrived.all("authorization").is_empty());

    let mut others = grace.open("GET /http/keyed/socket", WEBSOCKET).await;
    disconnect(&ada, "keyed").await;
    assert!(hers.ends_within(AT_ONCE).await);
    assert!(!others.ends_within(A_WHILE).await);

    // Nobody without a credential, no other protocol, and not for MCP.
    let refused = ada.open("GET /http/keyed/socket", WEBSOCKET).await;
    assert_eq!(status(&refused.head), Some(403), "{}", refused.head);
    let other = WEBSOCKET.replace("Upgrade: websocket", "Upgrade: h2c");
    let refused = grace.open("GET /http/keyed/socket", &other).await;
    assert_eq!(status(&refused.head), Some(502), "{}", refused.head);
    drop(others);
    world.end().await;
}

/// Who is refused is not asked for the body.
#[tokio::test]
async fn a_body_is_asked_for_when_it_is_wanted() {
    const ASK: &str = "Expect: 100-continue\r\nContent-Length: 4\r\n";
    let world = World::new().await;
    world.ada().await.connect("keyed").await;
    let ada = world.program(ADA);
    let mut wanted = ada.open("POST /http/keyed/x", ASK).await;
    assert_eq!(status(&wanted.head), Some(100), "{}", wanted.head);
    wanted.socket.write_all(b"body").await.expect("it reads");
    wanted.read_head().await;
    assert_eq!(status(&wanted.head), Some(200), "{}", wanted.head);
    let arrived = world.bare.arrived().pop().expect("a request");
    assert_eq!((arrived.body.as_str(), arrived.all("expect").len()), ("body", 0));
    let refused = world.program(GRACE).open("POST /http/keyed/x", ASK).await;
    assert_eq!(status(&refused.head), Some(403), "{}", refused.head);
    world.end().await;
}

#[tokio::test]
async fn an_upstream_that_is_gone_is_left_alone() {
    let world = narrow().await;
    let ada = world.program(ADA);
    let mut waits = vec![];
    for _ in 0..8 {
        let request =
            ada.request(Method::GET, "/http/gone/x").body(Bytes::new()).expect("a request");
        let answer = ada.send(request).await;
        assert_eq!(answer.status, StatusCode::BAD_GATEWAY, "{}", answer.body);
        waits.extend(answer.header("retry-after").map(str::to_owned));
    }
    assert_eq!(waits.len(), 3, "after five failures nobody tries for a while: {waits:?}");
    world.end().await;
}

/// An upstream that says `answer` to everybody, and what it was sent.
async fn scripted(answer: &'static str) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("it is bound"));
    let heard: Arc<Mutex<Vec<String>>> = Arc::default();
    let log = Arc::clone(&heard);
    Handle::current().spawn(async move {
        while let Ok((mut caller, _)) = listener.accept().await {
            let mut said = Vec::new();
            // A body in chunks, with trailers or without; or none.
            while !said.ends_with(b"\r\n\r\n")
                || (said.windows(7).any(|part| part == b"chunked")
                    && !said.windows(5).any(|part| part == b"\r\n0\r\n"))
            {
                let Ok(byte) = caller.read_u8().await else { break };
                said.push(byte);
            }
            log.lock()
                .expect("nobody panics with it")
                .push(String::from_utf8_lossy(&said).into_owned());
            drop(caller.write_all(answer.as_bytes()).await);
        }
    });
    (url, heard)
}

/// A caller of HTTP/2 who reads some of their answers and lets others wait: those take a place each,
/// and nothing else on the connection tells.
#[tokio::test]
async fn an_answer_that_nobody_reads_gives_its_place_back() {
    let limits = Limits { stall: Duration::from_secs(2), ..Limits::default() };
    let surroundings = Surroundings { more: NARROW.to_owned(), limits, ..Surroundings::default() };
    let world = World::among("sqlite:attache.db", surroundings).await;
    world.ada().await.connect("narrow").await;
    let ada = world.program(ADA);
    let address = ada.origin.socket_addrs(|| None).unwrap().remove(0);
    let socket = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (requests, connection) = http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(1)
        .initial_connection_window_size(1 << 30)
        .handshake(socket)
        .await
        .unwrap();
    Handle::current().spawn(connection);
    let get = async |more: &str| {
        let request = ada.request(Method::GET, "/http/narrow/open").header("x-play", more);
        let request = request.body(Full::<Bytes>::default()).unwrap();
        requests.clone().send_request(request).await.unwrap()
    };
    let unread = [get("flood").await, get("flood").await];
    assert_eq!(world.bare.open(), 2);
    assert_eq!(get("").await.status(), StatusCode::TOO_MANY_REQUESTS, "that is all she has");
    while world.bare.open() > 0 {
        tokio::time::sleep(A_WHILE).await;
    }
    for mut answer in unread {
        // What was on its way, and then the end.
        while let Some(Ok(_)) = answer.frame().await {}
    }
    assert_eq!(get("silent").await.status(), StatusCode::OK, "on the same connection");
    world.end().await;
}

async fn among(upstream: &str, url: &str) -> World {
    let more = format!(
        "[[upstream]]\nname = \"{upstream}\"\nurl = \"{url}\"\nprotocol = \"http\"\n\
         [upstream.auth_broker]\n{{broker}}header = \"X-Api-Token\"\n"
    );
    let surroundings = Surroundings { more, ..Surroundings::default() };
    let world = World::among("sqlite:attache.db", surroundings).await;
    world.ada().await.connect(upstream).await;
    world.grace().await.connect(upstream).await;
    world
}

/// Trailers pass, and nothing in them that could not be a header.
#[tokio::test]
async fn trailers_pass_and_smuggle_nothing() {
    let (url, heard) = scripted(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum, Set-Cookie\r\n\
         Connection: close\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 9\r\nSet-Cookie: a=b\r\n\r\n",
    )
    .await;
    let world = among("sums", &url).await;
    let ada = world.program(ADA);
    let said = ada
        .raw_request(
            "POST",
            "/http/sums/x",
            "TE: trailers\r\nTrailer: X-Sum, X-Api-Token, X_Api_Token, Cookie\r\n\
             Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n4\r\nbody\r\n0\r\nX-Sum: 7\r\n\
             X-Api-Token: mine\r\nX_Api_Token: mine\r\nCookie: mine\r\n\r\n",
        )
        .await;
    assert_eq!(status(&said), Some(200), "{said}");
    assert!(said.contains("x-sum: 9") && !said.contains("a=b"), "{said}");
    let sent = heard.lock().unwrap().concat().to_ascii_lowercase();
    assert!(sent.contains("x-sum: 7") && !sent.contains("mine"), "{sent}");
    world.end().await;

    // Nor another value of a header, where nothing is written on requests.
    let more = format!("[[upstream]]\nname = \"open\"\nurl = \"{url}\"\nprotocol = \"http\"\n");
    let surroundings = Surroundings { more, ..Surroundings::default() };
    let world = World::among("sqlite:attache.db", surroundings).await;
    let said = world
        .program(ADA)
        .raw_request(
            "POST",
            "/http/open/x",
            "X-Role: guest\r\nTrailer: X-Role\r\nTransfer-Encoding: chunked\r\n\
             Connection: close\r\n\r\n4\r\nbody\r\n0\r\nX-Role: admin\r\n\r\n",
        )
        .await;
    assert_eq!(status(&said), Some(200), "{said}");
    let sent = heard.lock().unwrap().concat().to_ascii_lowercase();
    assert!(sent.contains("x-role: guest") && !sent.contains("admin"), "{sent}");
    world.end().await;
}

/// Who was told to wait waits, for what they were told it of; others do not.
#[tokio::test]
async fn an_upstream_that_wants_somebody_to_wait_is_not_asked_before() {
    let (url, heard) = scripted(
        "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 30\r\nContent-Length: 0\r\n\
         Connection: close\r\n\r\n",
    )
    .await;
    let world = among("strict", &url).await;
    for (person, path, asked) in
        [(ADA, "/http/strict/x", 1), (GRACE, "/http/strict/x", 2), (ADA, "/http/strict/y", 3)]
    {
        let program = world.program(person);
        let theirs = program.get(path).await;
        let ours = program.get(&format!("{path}?again")).await;
        for page in [&theirs, &ours] {
            assert_eq!(page.status, StatusCode::TOO_MANY_REQUESTS);
            let wait: u64 = page.header("retry-after").unwrap().parse().unwrap();
            assert!((20..=30).contains(&wait), "{wait}");
        }
        assert!(ours.body.contains("/problems/rate-limited"), "{}", ours.body);
        assert_eq!(heard.lock().unwrap().len(), asked);
    }
    world.end().await;
}

/// A stream on which the upstream is silent stays alive at proxies that end what is silent.
#[tokio::test]
async fn a_silent_stream_is_kept_alive() {
    let world = World::new().await;
    world.ada().await.connect("rooms").await;
    let mut stream = listen(&world.program(ADA)).await;
    let mut heard = String::new();
    let comment = async {
        while !heard.contains("\n:\n\n") {
            heard.push(char::from(stream.socket.read_u8().await.expect("it goes on")));
        }
    };
    tokio::time::timeout(Duration::from_secs(30), comment).await.expect("a sign of life");
    drop(stream);
    world.end().await;
}

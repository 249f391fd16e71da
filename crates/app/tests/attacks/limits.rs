//! Too much, too slow, too often.

use std::time::{Duration, Instant};

use attache_sandbox::people::{ADA, GRACE};
use bytes::Bytes;
use http::Method;
use tokio::{io::AsyncWriteExt as _, net::TcpStream};
use url::Url;

use crate::{
    program::{Program, status},
    visitor::Visitor,
    world::World,
};

/// Slowloris: a head that never ends.
#[tokio::test]
async fn a_head_that_does_not_end_is_cut() {
    let world = World::new().await;
    let program = world.program(ADA);
    let began = Instant::now();
    let host = program.origin.authority();
    let said = program.raw(&format!("GET /http/api/me HTTP/1.1\r\nHost: {host}\r\nX-Slow: ")).await;
    assert!(status(&said).is_none_or(|status| status >= 400), "{said}");
    let took = began.elapsed();
    assert!(took < Duration::from_secs(15), "{took:?}");
    world.end().await;
}

#[tokio::test]
async fn a_flood_of_headers_is_cut() {
    let world = World::new().await;
    world.ada().await.connect("api").await;
    let program = world.program(ADA);
    let many = "X-Flood: 1\r\n".repeat(500);
    let large = format!("X-Flood: {}\r\n", "1".repeat(512 * 1024));
    for flood in [many, large] {
        let said = program.raw_get("/http/api/me", &flood).await;
        assert!(matches!(status(&said), None | Some(400 | 431)), "{said}");
    }
    assert_eq!(world.api.recorder().arrived(), 0);
    assert_eq!(program.get("/http/api/me").await.status, 200, "others are served");
    world.end().await;
}

/// A consent that is begun and left costs a row: ten a person, the oldest gives way.
#[tokio::test]
async fn consents_under_way_are_counted_by_person() {
    async fn begun(world: &World, visitor: &mut Visitor, times: usize) -> Vec<Url> {
        let mut begun = vec![];
        for _ in 0..times {
            begun.push(visitor.begin("notes").await);
            world.later(Duration::from_secs(1));
        }
        begun
    }
    let world = World::new().await;
    let (mut ada, mut grace) = (world.ada().await, world.grace().await);
    let [hers] = begun(&world, &mut grace, 1).await.try_into().unwrap();
    let all = begun(&world, &mut ada, 13).await;
    assert_eq!(world.count("connect_flow").await, 11);

    let oldest = ada.approve(&all[0]).await;
    assert_eq!(ada.finish(&oldest).await.outcome, "flow_unknown");
    let newest = ada.approve(&all[12]).await;
    assert_eq!(ada.finish(&newest).await.outcome, "connected");
    let hers = grace.approve(&hers).await;
    assert_eq!(grace.finish(&hers).await.outcome, "connected", "nobody else gives way");
    world.end().await;
}

#[tokio::test]
async fn a_message_to_a_server_that_is_not_connected_is_small() {
    let world = World::new().await;
    let large = Bytes::from(vec![b' '; 256 * 1024]);
    let program = world.program(GRACE);
    let request = program.request(Method::POST, "/mcp/notes").body(large).unwrap();
    assert_eq!(program.send(request).await.status, 413);
    assert_eq!(world.mcp.recorder().arrived(), 0);
    world.end().await;
}

/// What is looked into is held whole: few at once, and of one person fewer still.
#[tokio::test]
async fn nobody_waits_for_somebody_elses_large_messages() {
    /// More than may be held at once, of all people.
    const MANY: usize = 70;
    const AT_ONCE: Duration = Duration::from_secs(5);
    let world = World::new().await;
    let (ada, grace) = (world.program(ADA), world.program(GRACE));
    let file = "x".repeat(100 * 1024);
    let call = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"read_a","file":"{file}"}}}}"#
    );
    let passes = async |program: &Program| {
        let request = program.request(Method::POST, "/mcp/guarded");
        let request = request.header("content-type", "application/json");
        let request = request.body(call.clone().into()).expect("a request");
        let answer = tokio::time::timeout(AT_ONCE, program.send(request)).await;
        assert_eq!(answer.expect("it need not wait").status, 200);
    };

    // An upstream that has a message and does not answer keeps no place taken.
    let mut unanswered = Vec::new();
    for _ in 0..MANY {
        unanswered.push(begun(&grace, "X-Play: mute\r\n", call.len(), &call).await);
    }
    passes(&grace).await;
    // Nor do those who stop in the middle, but for themselves.
    let mut stalled = Vec::new();
    for _ in 0..MANY {
        stalled.push(begun(&ada, "", call.len() * 9, &call).await);
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    passes(&grace).await;
    drop((unanswered, stalled));
    world.end().await;
}

/// Posts a message of this size, and sends no more of it than this.
async fn begun(program: &Program, more: &str, size: usize, message: &str) -> TcpStream {
    let address = program.origin.socket_addrs(|| None).expect("an address").remove(0);
    let (host, token) = (program.origin.authority(), &program.token);
    let mut socket = TcpStream::connect(address).await.expect("the gateway listens");
    let request = format!(
        "POST /mcp/guarded HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {size}\r\n{more}\r\n{message}"
    );
    socket.write_all(request.as_bytes()).await.expect("it reads");
    socket
}

#[tokio::test]
async fn a_callback_of_any_length_is_answered_and_not_kept() {
    let world = World::new().await;
    let mut ada = world.ada().await;
    let authorization = ada.begin("notes").await;
    let mut callback = ada.approve(&authorization).await;
    let good = callback.clone();
    callback.query_pairs_mut().append_pair("padding", &"x".repeat(20 * 1024));
    assert_eq!(ada.finish(&callback).await.outcome, "malformed_callback");
    assert_eq!(ada.finish(&good).await.outcome, "connected", "and it spent nothing");
    world.end().await;
}

//! The control plane's client against peers that misbehave.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use crate::peer::{Peer, loopback, read_head};
use attache_core::outbound::{FetchError, Limits, Outbound as _};
use attache_net::{
    address::EgressRules,
    outbound::{ControlClient, DedicatedClient},
    tls::Trust,
};
use bytes::Bytes;
use http::{Request, Response};
use tokio::io::AsyncWriteExt as _;

const LIMITS: Limits = Limits { timeout: Duration::from_secs(10), max_body: 64 * 1024 };

async fn fetch(
    rules: Arc<EgressRules>,
    url: &str,
    limits: Limits,
) -> Result<Response<Bytes>, FetchError> {
    let client = ControlClient::new(rules, &Trust::load(None).unwrap());
    client.fetch(Request::get(url).body(Bytes::new()).unwrap(), limits).await
}

#[tokio::test]
async fn refused_addresses_see_no_connection() {
    let peer = Peer::start(|_| async {}).await;
    let port = peer.address.port();
    for url in [
        format!("https://127.0.0.1:{port}/"),
        format!("https://localhost:{port}/"),
        format!("https://[::ffff:127.0.0.1]:{port}/"),
        format!("http://127.0.0.1:{port}/"),
        format!("http://localhost:{port}/"),
        "https://169.254.169.254/latest/meta-data/".to_owned(),
    ] {
        let answer = fetch(Arc::default(), &url, LIMITS).await;
        assert!(matches!(answer, Err(FetchError::Blocked)), "{url}: {answer:?}");
    }
    assert_eq!(peer.connections(), 0);
}

/// The operator's key service may be anywhere; nothing else is reached through its client.
#[tokio::test]
async fn a_dedicated_client_reaches_its_origin_only() {
    let answers = |mut stream: tokio::net::TcpStream| async move {
        read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
    };
    let (service, other) = (Peer::start(answers).await, Peer::start(answers).await);
    let url = format!("http://{}/transit", service.address).parse().unwrap();
    let client = DedicatedClient::new(&url, &Trust::load(None).unwrap());
    let ask = async |url: String| {
        client.fetch(Request::get(url).body(Bytes::new()).unwrap(), LIMITS).await
    };
    assert_eq!(ask(format!("http://{}/v1/x", service.address)).await.unwrap().body(), "ok");
    for elsewhere in [
        format!("http://{}/v1/x", other.address),
        format!("https://{}/v1/x", service.address),
        format!("http://localhost:{}/v1/x", service.address.port()),
    ] {
        let answer = ask(elsewhere.clone()).await;
        assert!(matches!(answer, Err(FetchError::Blocked)), "{elsewhere}: {answer:?}");
    }
    assert_eq!(other.connections(), 0);
}

#[tokio::test]
async fn plain_http_stays_on_this_machine() {
    let everything = || {
        let allow_private = vec!["0.0.0.0/0".parse().unwrap(), "::/0".parse().unwrap()];
        Arc::new(EgressRules { allow_private })
    };
    for url in [
        "http://192.0.2.1/",
        "http://idp.example.com/",
        "http://localhost.example.com/",
        "http://127.0.0.1.example.com/",
        "http://[2001:db8::1]/",
        "ftp://127.0.0.1/",
        "/relative",
    ] {
        let answer = fetch(everything(), url, LIMITS).await;
        assert!(matches!(answer, Err(FetchError::Insecure)), "{url}: {answer:?}");
    }
}

#[tokio::test]
async fn a_redirect_is_an_answer() {
    let peer = Peer::start(|mut stream| async move {
        read_head(&mut stream).await;
        let answer = b"HTTP/1.1 307 Temporary Redirect\r\nlocation: /elsewhere\r\ncontent-length: 2\r\n\r\nno";
        stream.write_all(answer).await.unwrap();
    })
    .await;
    let url = format!("http://{}/token", peer.address);
    let answer = fetch(loopback(), &url, LIMITS).await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.body().as_ref()), (307, b"no".as_slice()));
    assert_eq!(answer.headers()["location"], "/elsewhere");
    assert_eq!(peer.connections(), 1);
}

#[tokio::test]
async fn every_fetch_has_its_own_connection() {
    let peer = Peer::start(|mut stream| async move {
        while !read_head(&mut stream).await.is_empty() {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
        }
    })
    .await;
    let client = ControlClient::new(loopback(), &Trust::load(None).unwrap());
    for _ in 0..2 {
        let request = Request::get(format!("http://{}/", peer.address)).body(Bytes::new()).unwrap();
        assert_eq!(client.fetch(request, LIMITS).await.unwrap().body(), "ok");
    }
    assert_eq!(peer.connections(), 2);
}

#[tokio::test]
async fn reading_stops_at_the_bound() {
    const HUNDRED_MEGABYTES: usize = 100_000_000;
    for framing in [format!("content-length: {HUNDRED_MEGABYTES}"), "connection: close".to_owned()]
    {
        let written = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&written);
        let head = format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n");
        let peer = Peer::start(move |mut stream| {
            let (count, head) = (Arc::clone(&count), head.clone());
            async move {
                read_head(&mut stream).await;
                stream.write_all(head.as_bytes()).await.unwrap();
                while count.load(Ordering::SeqCst) < HUNDRED_MEGABYTES {
                    match stream.write(&[b'x'; 16 * 1024]).await {
                        Ok(sent) => count.fetch_add(sent, Ordering::SeqCst),
                        Err(_) => return,
                    };
                }
            }
        })
        .await;
        let answer = fetch(loopback(), &format!("http://{}/", peer.address), LIMITS).await;
        assert!(matches!(answer, Err(FetchError::TooLarge(65_536))), "{framing}: {answer:?}");
        // What fits into the sockets' buffers may have left the peer.
        let sent = written.load(Ordering::SeqCst);
        assert!(sent < HUNDRED_MEGABYTES / 5, "{framing}: {sent}");
    }
}

#[tokio::test]
async fn a_body_announced_as_too_large_is_not_waited_for() {
    let peer = Peer::start(|mut stream| async move {
        read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 65537\r\n\r\n").await.unwrap();
        std::future::pending::<()>().await;
    })
    .await;
    let answer = fetch(loopback(), &format!("http://{}/", peer.address), LIMITS).await;
    assert!(matches!(answer, Err(FetchError::TooLarge(65_536))), "{answer:?}");
}

#[tokio::test]
async fn the_time_covers_the_head_and_every_byte_of_the_body() {
    let silent = Peer::start(|mut stream| async move {
        read_head(&mut stream).await;
        std::future::pending::<()>().await;
    })
    .await;
    let trickling = Peer::start(|mut stream| async move {
        read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n").await.unwrap();
        while stream.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    let limits = Limits { timeout: Duration::from_millis(300), ..LIMITS };
    for peer in [silent, trickling] {
        let begun = Instant::now();
        let answer = fetch(loopback(), &format!("http://{}/", peer.address), limits).await;
        assert!(matches!(answer, Err(FetchError::Timeout(_))), "{answer:?}");
        assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    }
}

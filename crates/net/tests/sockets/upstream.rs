//! The data plane's client: what is kept, and whose fault it is when there is no answer.

use std::{
    io,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::peer::{Peer, loopback, read_head};
use attache_net::{
    body::read_at_most,
    tls::{Trust, TrustError},
    upstream::{SendError, UpstreamClient},
};
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{Full, channel::Channel};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

type Client = UpstreamClient<Full<Bytes>>;

fn client() -> Client {
    UpstreamClient::new(loopback(), &Trust::load(None).unwrap())
}

fn post(url: &str) -> Request<Full<Bytes>> {
    Request::post(url).body(Full::from("{}")).unwrap()
}

#[tokio::test]
async fn a_connection_serves_one_request_after_the_other() {
    let peer = Peer::start(|mut stream| async move {
        loop {
            let head = read_head(&mut stream).await;
            if head.is_empty() {
                return;
            }
            assert!(head.starts_with("POST /mcp HTTP/1.1\r\n"), "{head}");
            stream.read_exact(&mut [0; 2]).await.unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
        }
    })
    .await;
    let client = client();
    for _ in 0..3 {
        let answer = client.send(post(&format!("http://{}/mcp", peer.address))).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(read_at_most(answer.into_body(), 10).await.unwrap(), "ok");
    }
    assert_eq!(peer.connections(), 1);
}

#[tokio::test]
async fn a_kept_connection_that_was_closed_meanwhile_is_not_used() {
    let peer = Peer::start(|mut stream| async move {
        read_head(&mut stream).await;
        stream.read_exact(&mut [0; 2]).await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
    })
    .await;
    let client = client();
    for _ in 0..3 {
        let answer = client.send(post(&format!("http://{}/", peer.address))).await.unwrap();
        assert_eq!(read_at_most(answer.into_body(), 10).await.unwrap(), "ok");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(peer.connections(), 3);
}

#[tokio::test]
async fn a_failure_says_whose_move_it_is() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let refused = client().send(post(&format!("http://{nobody}/"))).await.unwrap_err();
    assert!(matches!(refused, SendError::Connect(_)), "{refused}");
    assert!(refused.nothing_was_sent());

    let blocked = client().send(post("http://10.0.0.1/")).await.unwrap_err();
    assert_eq!(blocked, SendError::Blocked);
    assert!(blocked.nothing_was_sent());

    let hangs_up = Peer::start(|mut stream| async move {
        read_head(&mut stream).await;
        stream.read_exact(&mut [0; 2]).await.unwrap();
    })
    .await;
    let closed = client().send(post(&format!("http://{}/", hangs_up.address))).await.unwrap_err();
    assert_eq!(closed, SendError::Closed);
    assert!(!closed.nothing_was_sent());

    let speaks_smtp = Peer::start(|mut stream| async move {
        read_head(&mut stream).await;
        stream.read_exact(&mut [0; 2]).await.unwrap();
        stream.write_all(b"220 mail.example.com ESMTP\r\n\r\n").await.unwrap();
    })
    .await;
    let malformed = client().send(post(&format!("http://{}/", speaks_smtp.address))).await;
    assert_eq!(malformed.unwrap_err(), SendError::Malformed);

    let boasts = Peer::start(|mut stream| async move {
        read_head(&mut stream).await;
        let head = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "x".repeat(1_000_000));
        // The client may have left before the end.
        stream.write_all(head.as_bytes()).await.ok();
    })
    .await;
    let too_large = client().send(post(&format!("http://{}/", boasts.address))).await;
    assert_eq!(too_large.unwrap_err(), SendError::Malformed);
}

#[tokio::test]
async fn an_address_is_refused_however_it_is_written() {
    let peer = Peer::start(|_| async {}).await;
    let port = peer.address.port();
    let client = Client::new(Arc::default(), &Trust::load(None).unwrap());
    let hosts = [
        "127.0.0.1",
        "localhost",
        "LOCALHOST",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
    ];
    for host in hosts {
        let refused = client.send(post(&format!("http://{host}:{port}/"))).await;
        assert_eq!(refused.unwrap_err(), SendError::Blocked, "{host}");
    }
    assert_eq!(peer.connections(), 0);
}

#[tokio::test]
async fn a_caller_who_breaks_off_is_not_the_upstreams_fault() {
    let waits = Peer::start(|mut stream| async move {
        read_head(&mut stream).await;
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.ok();
    })
    .await;
    let client =
        UpstreamClient::<Channel<Bytes, io::Error>>::new(loopback(), &Trust::load(None).unwrap());
    let (mut caller, body) = Channel::new(1);
    caller.send_data(Bytes::from_static(b"{")).await.unwrap();
    caller.abort(io::ErrorKind::ConnectionReset.into());
    let request = Request::post(format!("http://{}/", waits.address)).body(body).unwrap();
    assert_eq!(client.send(request).await.unwrap_err(), SendError::RequestBody);
}

#[tokio::test]
async fn certificates_are_checked_against_the_given_roots() {
    let peer = tls_peer().await;
    let port = peer.address.port();
    let rules = loopback();
    let ours = Trust::load(Some(Path::new("tests/certificates/ca.pem"))).unwrap();
    let cases: [(&Trust, &str, Result<StatusCode, SendError>); 3] = [
        (&ours, "localhost", Ok(StatusCode::NO_CONTENT)),
        (&ours, "127.0.0.1", Err(SendError::Tls("the host's certificate is for another name"))),
        (
            &Trust::load(None).unwrap(),
            "localhost",
            Err(SendError::Tls("the host's certificate is from an issuer not trusted here")),
        ),
    ];
    for (trust, host, expected) in cases {
        let client = Client::new(Arc::clone(&rules), trust);
        let answer = client.send(post(&format!("https://{host}:{port}/"))).await;
        assert_eq!(answer.map(|answer| answer.status()), expected, "{host}");
    }
}

#[tokio::test]
async fn a_host_that_says_nothing_is_given_up() {
    let peer = Peer::start(|stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    let begun = Instant::now();
    let silent = client().send(post(&format!("https://localhost:{}/", peer.address.port()))).await;
    assert_eq!(silent.unwrap_err(), SendError::Connect("no connection in time"));
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
}

#[test]
fn a_file_of_roots_is_of_use_or_an_error() {
    let missing = Trust::load(Some(Path::new("tests/certificates/none.pem")));
    assert!(matches!(missing, Err(TrustError::Unreadable { .. })), "{missing:?}");
    for useless in ["tests/certificates/localhost.key", "tests/sockets/upstream.rs"] {
        let refused = Trust::load(Some(Path::new(useless)));
        assert!(matches!(refused, Err(TrustError::NoCertificate { .. })), "{refused:?}");
    }
}

async fn tls_peer() -> Peer {
    let certificate = CertificateDer::from_pem_file("tests/certificates/localhost.pem").unwrap();
    let key = PrivateKeyDer::from_pem_file("tests/certificates/localhost.key").unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    Peer::start(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            // A client that does not trust us leaves here.
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            stream.read_exact(&mut [0; 16]).await.unwrap();
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        }
    })
    .await
}

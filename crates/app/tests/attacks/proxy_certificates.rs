//! Proxies that prove themselves by a certificate, at a listener of their own.

use std::sync::Arc;

use attache_sandbox::people::ADA;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, runtime::Handle};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore,
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
    },
};
use tonic::transport::Endpoint;
use tower::service_fn;

use crate::{
    ext_authz::{check, status},
    program::Program,
    world::{Surroundings, World, free_port},
};

const SECRET: &str = "the-secret-of-another-proxy-0123456789";
/// A proxy that is known by its certificate, and one that is known by a secret.
const PROXIES: &str = r#"
[[forward_auth]]
name = "edge"
certificate_name = "edge.internal"
upstreams = ["api"]
[[forward_auth]]
name = "secretive"
secret = "the-secret-of-another-proxy-0123456789"
upstreams = ["keyed"]
"#;
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/certificates");

/// The world, and the port of the listener for proxies.
async fn world() -> (World, u16) {
    let port = free_port();
    let listener = format!(
        "[proxy_listener]\nlisten = \"127.0.0.1:{port}\"\n\
         certificate = {{ file = \"{FOLDER}/gateway.pem\" }}\n\
         key = {{ file = \"{FOLDER}/gateway.key\" }}\n\
         client_ca = {{ file = \"{FOLDER}/issuer.pem\" }}\n"
    );
    let more = format!("{PROXIES}{listener}");
    let surroundings = Surroundings { more, ..Surroundings::default() };
    let world = World::among("sqlite:attache.db", surroundings).await;
    world.ada().await.connect("api").await;
    (world, port)
}

/// A connection on which this certificate is shown, or none. TLS 1.3 tells of a refusal afterwards.
async fn shown(port: u16, certificate: Option<&str>) -> TlsStream<TcpStream> {
    let certified = |name: &str| {
        let read = CertificateDer::from_pem_file(format!("{FOLDER}/{name}.pem"));
        read.expect("a certificate")
    };
    let mut roots = RootCertStore::empty();
    roots.add(certified("issuer")).expect("an issuer");
    let config = ClientConfig::builder().with_root_certificates(roots);
    let config = match certificate {
        None => config.with_no_client_auth(),
        Some(name) => {
            let key = PrivateKeyDer::from_pem_file(format!("{FOLDER}/{name}.key"));
            let chain = vec![certified(name)];
            config.with_client_auth_cert(chain, key.expect("a key")).expect("they belong together")
        }
    };
    let socket = TcpStream::connect(("127.0.0.1", port)).await.expect("the gateway listens");
    let name = ServerName::try_from("gateway.internal").expect("a name");
    let connector = TlsConnector::from(Arc::new(config));
    connector.connect(name, socket).await.expect("the gateway shows its certificate")
}

/// `None`: the connection was ended in place of an answer.
async fn ask(
    port: u16,
    certificate: Option<&str>,
    caller: &Program,
    path: &str,
    secret: Option<&str>,
) -> Option<Response<Incoming>> {
    let stream = TokioIo::new(shown(port, certificate).await);
    let (mut requests, connection) = http1::handshake(stream).await.ok()?;
    Handle::current().spawn(connection);
    let mut request = Request::get(path)
        .header("host", caller.origin.authority())
        .header("authorization", format!("Bearer {}", caller.token));
    if let Some(secret) = secret {
        request = request.header("attache-proxy-secret", secret);
    }
    let request = request.body(Full::<Bytes>::default()).expect("a request");
    requests.send_request(request).await.ok()
}

#[tokio::test]
async fn a_proxy_is_known_by_its_certificate_and_no_other() {
    let (world, port) = world().await;
    let ada = world.program(ADA);
    for (certificate, path, secret, expected) in [
        (Some("edge"), "/forward-auth/api", None, Some(200)),
        // Not among its upstreams, or those of nobody.
        (Some("edge"), "/forward-auth/keyed", None, Some(401)),
        // The listener is for proxies, whoever asks.
        (Some("edge"), "/http/api/me", None, Some(404)),
        (Some("edge"), "/ui/connections", None, Some(404)),
        // Another name of the same issuer, and one for all names.
        (Some("other"), "/forward-auth/api", None, Some(401)),
        (Some("wildcard"), "/forward-auth/api", None, Some(401)),
        // A secret counts for nothing there: it may be a caller's, who has it from elsewhere.
        (Some("edge"), "/forward-auth/api", Some("wrong"), Some(200)),
        (Some("edge"), "/forward-auth/keyed", Some(SECRET), Some(401)),
        (Some("other"), "/forward-auth/keyed", Some(SECRET), Some(401)),
        // The right name of another issuer, and nothing at all.
        (Some("stranger"), "/forward-auth/api", None, None),
        (None, "/forward-auth/api", None, None),
        // Nor does a certificate of the gateway's own make a proxy.
        (Some("gateway"), "/forward-auth/api", None, None),
    ] {
        let answer = ask(port, certificate, &ada, path, secret).await;
        let status = answer.map(|answer| answer.status().as_u16());
        assert_eq!(status, expected, "{certificate:?} {path} {secret:?}");
    }
    // At the other listener nobody shows a certificate, whatever they say.
    for header in ["x-client-cert", "ssl-client-verify", "x-forwarded-client-cert"] {
        let said = [(header, "edge.internal")];
        let answer = ada.get_with("/forward-auth/api", &said).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{header}");
    }
    assert_eq!(world.count("audit_event WHERE action = 'vend'").await, 1);
    world.end().await;
}

#[tokio::test]
async fn envoy_is_known_by_its_certificate_too() {
    let (world, port) = world().await;
    let ada = world.program(ADA);
    for (certificate, expected) in [("edge", 200), ("other", 401)] {
        let authority = Endpoint::from_shared(world.origin.to_string()).unwrap();
        let connect = service_fn(move |_| async move {
            std::io::Result::Ok(TokioIo::new(shown(port, Some(certificate)).await))
        });
        let channel = authority.connect_with_connector(connect).await.unwrap();
        let answer = check(&world, channel, "api", &ada).await;
        assert_eq!(status(&answer), expected, "{certificate}");
    }
    world.end().await;
}

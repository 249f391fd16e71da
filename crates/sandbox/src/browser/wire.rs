//! One request, one connection, one answer.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use bytes::Bytes;
use http::{HeaderValue, Request, Uri, header, response};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout};
use url::Url;

/// Bytes of one page.
const MAX_PAGE: usize = 1024 * 1024;
/// From connecting to the last byte.
const TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Debug, thiserror::Error)]
pub enum BrowserError {
    #[error("this browser opens http addresses only")]
    NotPlainHttp,
    #[error("nobody answers there")]
    Unreachable(#[source] std::io::Error),
    #[error("the answer broke off")]
    Broken(#[source] hyper::Error),
    #[error("the page is larger than 1 MiB, or broke off")]
    TooLarge(#[source] axum::Error),
    #[error("no complete answer within 30 s")]
    Timeout,
    #[error("redirects do not end")]
    TooManyRedirects,
    #[error("no such button on this page")]
    NoSuchButton,
}

/// The request's URI is replaced by `url`'s path and query, as HTTP/1.1 wants it.
pub(super) async fn exchange(
    url: &Url,
    mut request: Request<Bytes>,
) -> Result<(response::Parts, Bytes), BrowserError> {
    let (Some(host), Some(port), "http") =
        (url.host_str(), url.port_or_known_default(), url.scheme())
    else {
        return Err(BrowserError::NotPlainHttp);
    };
    let path = url.query().map_or(url.path().to_owned(), |query| format!("{}?{query}", url.path()));
    *request.uri_mut() = Uri::try_from(path).map_err(|_| BrowserError::NotPlainHttp)?;
    if !request.headers().contains_key(header::HOST) {
        let authority = url.port().map_or(host.to_owned(), |port| format!("{host}:{port}"));
        let authority = HeaderValue::try_from(authority).map_err(|_| BrowserError::NotPlainHttp)?;
        request.headers_mut().insert(header::HOST, authority);
    }
    // An IPv6 address is in brackets in a URL, and without them in a socket's address.
    let host = host.trim_matches(['[', ']']);
    timeout(TIMEOUT, converse(host, port, request)).await.map_err(|_| BrowserError::Timeout)?
}

async fn converse(
    host: &str,
    port: u16,
    request: Request<Bytes>,
) -> Result<(response::Parts, Bytes), BrowserError> {
    let stream = TcpStream::connect((host, port)).await.map_err(BrowserError::Unreachable)?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(BrowserError::Broken)?;
    let exchange = async move {
        let response = sender.send_request(request.map(Body::from)).await;
        let (parts, body) = response.map_err(BrowserError::Broken)?.into_parts();
        let body = to_bytes(Body::new(body), MAX_PAGE).await.map_err(BrowserError::TooLarge)?;
        Ok((parts, body))
    };
    // The connection moves while the exchange waits, and ends when the exchange drops its sender;
    // its own error is the exchange's too.
    let (exchanged, _) = tokio::join!(exchange, connection);
    exchanged
}

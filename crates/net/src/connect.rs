//! The one place that opens connections, and that asks the egress rules first (OC-29).
//!
//! A name is resolved, its addresses are filtered, and the connection goes to one that is left:
//! nothing resolves a second time, so a name cannot change its mind in between.

use std::{
    error::Error as _,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
    vec,
};

use http::{Uri, uri::Scheme};
use hyper_rustls::MaybeHttpsStream;
use hyper_util::{
    client::legacy::connect::{HttpConnector, dns::Name},
    rt::TokioIo,
};
use rustls::{CertificateError, pki_types::ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tower_service::Service;

use crate::{address::EgressRules, resolve::Resolver, tls::Trust};

/// For everything before the first byte of HTTP: resolving, TCP (over all addresses), TLS.
pub(crate) const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// A quiet connection is probed after this long, so that a stream from a machine that is gone ends.
const TCP_KEEPALIVE: Duration = Duration::from_mins(1);

#[derive(Clone)]
pub(crate) struct Connector {
    tcp: HttpConnector<PermittedAddresses>,
    tls: TlsConnector,
    rules: Arc<EgressRules>,
}

/// Nothing of the request has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("the egress rules allow none of the host's addresses")]
    Blocked,
    /// Ours, from the closed list in this file: a certificate's own words are not repeated.
    #[error("{0}")]
    Failed(&'static str),
    /// As [`ConnectError::Failed`]: somebody answered, and is not believed to be the host.
    #[error("{0}")]
    Tls(&'static str),
}

impl Connector {
    pub(crate) fn new(rules: Arc<EgressRules>, trust: &Trust, resolver: Arc<dyn Resolver>) -> Self {
        let permitted = PermittedAddresses { resolver, rules: Arc::clone(&rules) };
        let mut tcp = HttpConnector::new_with_resolver(permitted);
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(TCP_KEEPALIVE));
        tcp.set_connect_timeout(Some(CONNECT_LIMIT));
        Self { tcp, tls: TlsConnector::from(trust.config()), rules }
    }

    async fn connect(mut self, uri: Uri) -> Result<Stream, ConnectError> {
        let host = host(&uri).ok_or(ConnectError::Failed("the URL has no host"))?;
        // `HttpConnector` does not ask its resolver about an address that is written out.
        if host.parse::<IpAddr>().is_ok_and(|address| !self.rules.permits(address)) {
            return Err(ConnectError::Blocked);
        }
        let name = (uri.scheme() == Some(&Scheme::HTTPS))
            .then(|| ServerName::try_from(host.to_owned()))
            .transpose()
            .map_err(|_| ConnectError::Failed("the host's name cannot be in a certificate"))?;
        let tcp = self.tcp.call(uri).await.map_err(|error| {
            let ours = error.source().and_then(|source| source.downcast_ref::<ConnectError>());
            ours.copied().unwrap_or(ConnectError::Failed("the host did not accept the connection"))
        })?;
        let Some(name) = name else { return Ok(MaybeHttpsStream::Http(tcp)) };
        let encrypted = self.tls.connect(name, TokioIo::new(tcp)).await;
        encrypted
            .map(|stream| MaybeHttpsStream::Https(TokioIo::new(stream)))
            .map_err(|error| ConnectError::Tls(tls_fault(&error)))
    }
}

type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connected = tokio::time::timeout(CONNECT_LIMIT, self.clone().connect(uri));
        Box::pin(async {
            connected.await.unwrap_or(Err(ConnectError::Failed("no connection in time")))
        })
    }
}

/// Without the brackets of an IPv6 address.
pub(crate) fn host(uri: &Uri) -> Option<&str> {
    let host = uri.host()?;
    Some(host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host))
}

/// What an operator can act on.
fn tls_fault(error: &std::io::Error) -> &'static str {
    let fault = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let Some(rustls::Error::InvalidCertificate(fault)) = fault else {
        return "the TLS handshake failed";
    };
    match fault {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the host's certificate has expired"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "the host's certificate is for another name"
        }
        CertificateError::UnknownIssuer => {
            "the host's certificate is from an issuer not trusted here"
        }
        _ => "the host's certificate is not valid",
    }
}

/// What the resolver finds, less what the rules refuse.
#[derive(Clone, Debug)]
struct PermittedAddresses {
    resolver: Arc<dyn Resolver>,
    rules: Arc<EgressRules>,
}

impl Service<Name> for PermittedAddresses {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let (rules, resolver) = (Arc::clone(&self.rules), Arc::clone(&self.resolver));
        Box::pin(async move {
            let found = resolver
                .addresses(name.as_str())
                .await
                .map_err(|_| ConnectError::Failed("the host's name has no address"))?;
            // the port is the URL's
            let permitted: Vec<_> = found
                .into_iter()
                .filter(|address| rules.permits(*address))
                .map(|address| SocketAddr::new(address, 0))
                .collect();
            if permitted.is_empty() {
                Err(ConnectError::Blocked)
            } else {
                Ok(permitted.into_iter())
            }
        })
    }
}

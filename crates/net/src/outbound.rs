//! The control plane's client: whole, small answers within a time.

use std::{net::IpAddr, sync::Arc};

use attache_core::outbound::{FetchError, Limits, Outbound};
use bytes::Bytes;
use http::{Request, Response, Uri, uri::Scheme};
use http_body_util::Full;
use url::{Origin, Url};

use crate::{
    address::EgressRules,
    body::{ReadError, read_at_most},
    connect::{Connector, host},
    resolve::{Resolver, SystemResolver},
    tls::Trust,
    upstream::{SendError, UpstreamClient},
};

/// Every fetch has a connection of its own. On one that was kept, a refresh that meets the server's
/// closing could not be told from one whose answer was lost, and its token might be spent (OC-27).
const MAX_IDLE: usize = 0;

/// Fetches documents, keys and tokens, under the rules of [`Outbound`].
#[derive(Clone, Debug)]
pub struct ControlClient {
    client: UpstreamClient<Full<Bytes>>,
}

impl ControlClient {
    pub fn new(rules: Arc<EgressRules>, trust: &Trust) -> Self {
        Self::resolving(rules, trust, Arc::new(SystemResolver))
    }

    /// With names that lead where `resolver` says.
    pub fn resolving(rules: Arc<EgressRules>, trust: &Trust, resolver: Arc<dyn Resolver>) -> Self {
        let connector = Connector::new(rules, trust, resolver);
        Self { client: UpstreamClient::with_idle(connector, MAX_IDLE) }
    }

    async fn exchange(
        &self,
        request: Request<Bytes>,
        max_body: usize,
    ) -> Result<Response<Bytes>, FetchError> {
        let response =
            self.client.send(request.map(Full::new)).await.map_err(|error| match error {
                SendError::Blocked => FetchError::Blocked,
                error if error.nothing_was_sent() => FetchError::Unreachable(error.into()),
                error => FetchError::Transport(error.into()),
            })?;
        let (head, body) = response.into_parts();
        let body = read_at_most(body, max_body).await.map_err(|error| match error {
            ReadError::TooLarge(limit) => FetchError::TooLarge(limit),
            error @ ReadError::Broken(_) => FetchError::Transport(error.into()),
        })?;
        Ok(Response::from_parts(head, body))
    }
}

#[async_trait::async_trait]
impl Outbound for ControlClient {
    async fn fetch(
        &self,
        request: Request<Bytes>,
        limits: Limits,
    ) -> Result<Response<Bytes>, FetchError> {
        if !is_confidential(request.uri()) {
            return Err(FetchError::Insecure);
        }
        tokio::time::timeout(limits.timeout, self.exchange(request, limits.max_body))
            .await
            .unwrap_or(Err(FetchError::Timeout(limits.timeout)))
    }
}

/// The way to one service that the operator named, whatever its address: a Vault is where no caller
/// can send the gateway, and that is what the egress rules are for. Nothing else is reached.
#[derive(Clone, Debug)]
pub struct DedicatedClient {
    origin: Origin,
    client: ControlClient,
}

impl DedicatedClient {
    /// Everything under the origin of `service`; its path says nothing.
    pub fn new(service: &Url, trust: &Trust) -> Self {
        let client = ControlClient::new(Arc::new(EgressRules::anywhere()), trust);
        Self { origin: service.origin(), client }
    }
}

#[async_trait::async_trait]
impl Outbound for DedicatedClient {
    async fn fetch(
        &self,
        request: Request<Bytes>,
        limits: Limits,
    ) -> Result<Response<Bytes>, FetchError> {
        let asked = Url::parse(&request.uri().to_string()).map_err(|_| FetchError::Blocked)?;
        if asked.origin() != self.origin {
            return Err(FetchError::Blocked);
        }
        self.client.fetch(request, limits).await
    }
}

/// Nobody between here and there can read along: TLS, or this very machine (`localhost` resolves
/// to nothing else, RFC 6761 section 6.3). Whether it may be reached is for the egress rules.
fn is_confidential(uri: &Uri) -> bool {
    let scheme = uri.scheme();
    let local = || {
        host(uri).is_some_and(|host| {
            host.eq_ignore_ascii_case("localhost")
                || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
        })
    };
    scheme == Some(&Scheme::HTTPS) || (scheme == Some(&Scheme::HTTP) && local())
}

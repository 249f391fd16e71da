//! Websockets (RFC 6455): the credential is on the handshake, and bytes pass from then on.

use std::{fmt, sync::Arc};

use attache_net::upgrade::{Afterwards, relay};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header};
use hyper::{body::Incoming, upgrade::OnUpgrade};
use tokio::{select, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::guard::Guard;

const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");

/// A caller who asked for one.
pub(crate) struct Handshake {
    caller: OnUpgrade,
    afterwards: Afterwards,
}

impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshake").finish_non_exhaustive()
    }
}

impl Handshake {
    /// Only HTTP/1.1 asks so (RFC 6455 section 4.1).
    pub(crate) fn of(request: &mut Request<Incoming>) -> Option<Self> {
        let asks = request.method() == Method::GET
            && request.version() == Version::HTTP_11
            && names(request.headers(), &header::CONNECTION, "upgrade")
            && names(request.headers(), &header::UPGRADE, "websocket");
        let afterwards = request.extensions().get::<Afterwards>().filter(|_| asks)?.clone();
        Some(Self { caller: hyper::upgrade::on(request), afterwards })
    }

    /// Asks the upstream; after everything of the caller's that is for this hop was removed.
    pub(crate) fn write(headers: &mut HeaderMap) {
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, WEBSOCKET);
    }

    pub(crate) fn is_accepted(response: &Response<Incoming>) -> bool {
        response.status() == StatusCode::SWITCHING_PROTOCOLS
            && names(response.headers(), &header::UPGRADE, "websocket")
    }

    /// Passes bytes as soon as the caller has the upstream's answer, until an end is over, the
    /// guard says so, or the gateway shuts down: a websocket has no end of its own.
    pub(crate) fn accept(
        self,
        response: &mut Response<Incoming>,
        mut guard: Guard,
        drain: CancellationToken,
    ) {
        let upstream = hyper::upgrade::on(response);
        let pulse = Arc::clone(guard.pulse());
        pulse.beat(Instant::now());
        self.afterwards.set(async move {
            let passed = relay(self.caller, upstream, || pulse.beat(Instant::now()));
            select! {
                ended = passed => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "a websocket broke off");
                    }
                }
                _ = &mut guard => {}
                () = drain.cancelled() => {}
            }
        });
    }
}

/// Whether a list of tokens has this one (RFC 9110 section 5.6.1).
fn names(headers: &HeaderMap, list: &header::HeaderName, token: &str) -> bool {
    headers
        .get_all(list)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|one| one.trim().eq_ignore_ascii_case(token))
}

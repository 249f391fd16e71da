//! `/forward-auth/{upstream}`: a proxy of somebody else asks for the credential and writes it on the
//! request itself (nginx's `auth_request`, the forward-auth of Caddy and Traefik).
//!
//! The proxy proves itself first; then it is as for a request that comes through: the caller's own
//! bearer token, which reaches the upstream, the upstream's `allow`, the caller's own credential. What
//! a browser sends by itself (cookies) proves nothing here either.

mod original;
mod pace;
mod proxies;

use std::sync::Arc;

use attache_broker::{Brokered, Injection, ObtainError};
use attache_core::{ConnectionName, RequestId, UpstreamName, audit::Reason};
use http::{HeaderName, HeaderValue, Response, StatusCode, header, request};

#[cfg(feature = "ext-authz")]
pub(crate) use self::original::{ORIGINAL_METHOD, ORIGINAL_URI};
pub(crate) use self::proxies::Proxies;
pub use self::proxies::{Proof, Proxy};
use crate::{
    account::{AccountUnclear, choose},
    body::ResponseBody,
    front::{Front, OTHER_UPSTREAM, empty, name_request},
    headers,
    refusal::Refusal,
    snapshot::{Route, Snapshot},
};

/// Where a proxy proves itself; never sent on.
pub(crate) const PROXY_SECRET: HeaderName = HeaderName::from_static("attache-proxy-secret");

/// The name that a path asks for; `None` for every other path.
pub(crate) fn asked(path: &str) -> Option<&str> {
    path.strip_prefix("/forward-auth/")
}

/// What a proven proxy asks for.
pub(crate) struct Asked<'a> {
    proxy: &'a Proxy,
    pub(crate) route: &'a Route,
    broker: &'a Arc<Brokered>,
}

impl<'a> Asked<'a> {
    /// By its secret, or its certificate.
    pub(crate) fn prove(
        snapshot: &'a Snapshot,
        head: &request::Parts,
    ) -> Result<&'a Proxy, Refusal> {
        if !snapshot.origin.is_asked(&head.uri, &head.headers) {
            return Err(Refusal::ForeignHost);
        }
        snapshot.proxies.proven(head).ok_or(Refusal::UnknownProxy)
    }

    /// A wrong secret, none, an upstream that is not there and one of other proxies look the same.
    pub(crate) fn of(
        snapshot: &'a Snapshot,
        head: &request::Parts,
        name: Option<&UpstreamName>,
    ) -> Result<Self, Refusal> {
        let proxy = Self::prove(snapshot, head)?;
        let theirs = name.filter(|name| proxy.may_ask_for(name));
        // Rules about tools are about bodies, which such a proxy keeps to itself.
        let route =
            theirs.and_then(|name| snapshot.upstream(name)).filter(|route| !route.has_tool_rules());
        let Some((route, Some(broker))) = route.map(|route| (route, &route.broker)) else {
            tracing::warn!(proxy = proxy.name, "a proxy asks for what is not among its upstreams");
            return Err(Refusal::UnknownProxy);
        };
        Ok(Self { proxy, route, broker })
    }
}

impl Front {
    /// 200 with the credential as a header of the answer, or why not. Nobody may keep either.
    pub(crate) async fn forward_auth(
        &self,
        head: &request::Parts,
        name: Option<UpstreamName>,
    ) -> Response<ResponseBody> {
        // What a proxy in front of the gateway signs is about requests to the gateway. Another host's
        // pages are not ours, and its upstream sees what this proxy passes on.
        let mut head = head.clone();
        headers::remove_named(&mut head.headers, self.assertions());
        let head = &head;
        let (id, snapshot) = (self.request_id(), self.snapshot());
        let (known, answered) = match Asked::of(&snapshot, head, name.as_ref()) {
            Ok(asked) => {
                let known = (asked.route.protocol, ConnectionName::from(asked.route.name.clone()));
                (Some(known), self.vend(&asked, head, &id).await)
            }
            Err(refusal) => (None, Err(refusal)),
        };
        let mut response = match answered {
            Ok(injection) => granted(&injection),
            Err(refusal) => {
                let known = known.as_ref().map(|(protocol, name)| (*protocol, name));
                refusal.into_verdict(&snapshot.origin, known, &id)
            }
        };
        name_request(&mut response, &id);
        response
    }

    /// The credential of whoever `head` proves to call.
    pub(crate) async fn vend(
        &self,
        asked: &Asked<'_>,
        head: &request::Parts,
        id: &RequestId,
    ) -> Result<Arc<Injection>, Refusal> {
        let who = self.caller(head).await.map_err(Refusal::Unauthenticated)?;
        let name = ConnectionName::from(asked.route.name.clone());
        let name = choose(name, &head.headers).map_err(|AccountUnclear| Refusal::AccountUnclear)?;
        if name.account.is_some() && !asked.broker.has_accounts() {
            return Err(Refusal::NoSuchUpstream);
        }
        if !who.reach.includes(&name) {
            return Err(Refusal::Unauthenticated(OTHER_UPSTREAM));
        }
        if !asked.route.access.permits(&who) {
            return Err(Refusal::NoSuchUpstream);
        }
        let judged = self.judge(&who, asked.route, &name, id);
        judged.map_err(|denial| Refusal::Denied(denial, None))?;
        if who.reach.is_read_only() {
            // What the request would do is not for the gateway to see.
            return Err(Refusal::ReadOnly);
        }
        original::judge(&head.headers)?;
        asked.proxy.pace.take(&who.user, self.now()).map_err(Refusal::TooOften)?;
        let refuse = |error| Refusal::NoCredential(error, name.clone());
        let injection = self.credential(&who, asked.broker, &name).await.map_err(refuse)?;
        if injection.destination.is_some() {
            // It is for a host that the proxy does not know.
            let misconfigured = ObtainError::Operator { reason: Reason::Misconfigured };
            return Err(Refusal::NoCredential(misconfigured, name));
        }
        self.broker().vended(&who, asked.broker, name.account.as_ref(), id);
        Ok(injection)
    }
}

fn granted(injection: &Injection) -> Response<ResponseBody> {
    let mut response = empty(StatusCode::OK);
    let headers = response.headers_mut();
    headers.insert(injection.name.clone(), injection.value.clone());
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

//! What an upstream says to somebody who shows nothing, and what it publishes about itself
//! (RFC 9728).

use std::time::Duration;

use attache_config::model::{AuthBroker, Upstream};
use attache_core::{
    IssuerId,
    dialect::ResourceForm,
    outbound::{Limits, Outbound as _},
};
use attache_oauth::{
    challenge::Demand,
    discover::{ProtectedResource, initialize, list_tools},
};
use bytes::Bytes;
use http::{Request, StatusCode};
use url::Url;

use super::{
    explain,
    journal::{Journal, is_page, origin},
    report::{Check, Finding, Mover, Outcome},
    upstream::is_mcp,
};

/// Of an answer that ought to be a refusal.
const LIMITS: Limits = Limits { timeout: Duration::from_secs(10), max_body: 1 << 20 };

/// What it demands; `None` where what answers is not the upstream.
pub(super) async fn answer(upstream: &Upstream, journal: &Journal) -> (Finding, Option<Demand>) {
    let request = if is_mcp(upstream) {
        initialize(&upstream.url)
    } else {
        Request::get(upstream.url.as_str()).body(Bytes::new())
    };
    let Ok(mut request) = request else {
        return (refused(journal), None);
    };
    if upstream.broker.is_none() {
        request.headers_mut().extend(upstream.headers.iter().cloned());
    }
    let Ok(mut answer) = journal.fetch(request, LIMITS).await else {
        return (refused(journal), None);
    };
    if is_mcp(upstream)
        && answer.status().is_success()
        && let Ok(request) = list_tools(&upstream.url)
        && let Ok(next) = journal.fetch(request, LIMITS).await
        && next.status() == StatusCode::UNAUTHORIZED
    {
        // It greets anybody, and guards its tools.
        answer = next;
    }
    let (status, demand) = (answer.status(), Demand::read(answer.headers()));
    let is_elsewhere = status.is_redirection()
        || status.is_server_error()
        || status == StatusCode::TOO_MANY_REQUESTS
        || (status != StatusCode::UNAUTHORIZED && is_page(answer.headers()));
    if is_elsewhere {
        return (refused(journal), None);
    }
    let finding = judged(upstream, status, demand.as_ref());
    let usable = finding.outcome != Outcome::Wrong;
    (finding, usable.then(|| demand.unwrap_or_default()))
}

fn refused(journal: &Journal) -> Finding {
    match journal.since(0).last() {
        Some(last) => explain::entry(Check::Answer, Outcome::Wrong, last),
        None => Finding::wrong(Check::Answer, "the URL cannot be asked"),
    }
}

/// An answer of something that may be the upstream.
fn judged(upstream: &Upstream, status: StatusCode, demand: Option<&Demand>) -> Finding {
    let brokered = upstream.broker.is_some();
    let answers = format!("{} answers {}", origin(&upstream.url), status.as_u16());
    let ok = |more: &str| Finding::ok(Check::Answer, format!("{answers}{more}"));
    let warning = |more: &str| Finding::warning(Check::Answer, format!("{answers}{more}"));
    match status {
        StatusCode::UNAUTHORIZED if !brokered => {
            warning(": it wants a credential, and none will be attached")
                .write("upstream.auth_broker", "add it, so that people can connect")
        }
        StatusCode::UNAUTHORIZED => ok(match demand {
            Some(Demand { resource_metadata: Some(_), .. }) => ", and says where its metadata is",
            Some(_) => " to a request without a token",
            None => ", and does not say what it wants",
        }),
        // Nobody knows what an API has at this very place.
        _ if !is_mcp(upstream) => ok(""),
        _ if status.is_success() && brokered => warning(" to a request without a token").write(
            "upstream.auth_broker",
            "leave it out if nobody's own account is needed there; some servers ask only when a \
             certain tool is called",
        ),
        _ if status.is_success() => ok(""),
        StatusCode::FORBIDDEN => warning(", and does not say what it wants").then(
            Mover::Provider,
            None,
            "answer 401 with a challenge to a request without a token",
        ),
        _ => Finding::wrong(Check::Answer, format!("{answers}, as a server does that is not MCP"))
            .write("upstream.url", "write the URL of its MCP endpoint"),
    }
}

/// How its metadata are looked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Metadata {
    /// What it is when they are not right.
    pub(super) misfit: Outcome,
    /// Whether nothing else says who its authorization server is.
    pub(super) needed: bool,
}

impl Metadata {
    pub(super) async fn examine(
        self,
        upstream: &Url,
        challenged: Option<&Url>,
        journal: &Journal,
    ) -> (Finding, Option<ProtectedResource>) {
        let mark = journal.mark();
        let found = ProtectedResource::discover(journal, upstream, challenged).await;
        let asked = journal.since(mark);
        let told = explain::told(&asked);
        match found {
            Ok(Some(metadata)) => {
                let place = asked.last().map(|last| place(last.asked.path())).unwrap_or_default();
                let found = format!("it publishes them {place}, and they are about this URL");
                (Finding::ok(Check::ResourceMetadata, found), Some(metadata.value))
            }
            Ok(None) if self.needed => {
                let found = format!("it publishes none: {told}");
                let finding = Finding::wrong(Check::ResourceMetadata, found).write(
                    "upstream.auth_broker.issuer",
                    "write its authorization server's issuer, or authorization_endpoint and \
                     token_endpoint",
                );
                (finding, None)
            }
            Ok(None) => {
                let found = "it publishes none; the configuration says who its authorization \
                             server is";
                (Finding::ok(Check::ResourceMetadata, found), None)
            }
            Err(error) => {
                (explain::metadata(Check::ResourceMetadata, self.misfit, error, &asked), None)
            }
        }
    }
}

/// OC-1's places.
fn place(path: &str) -> &'static str {
    match path.strip_prefix("/.well-known/oauth-protected-resource") {
        Some("" | "/") => "at the root of its host",
        Some(_) => "under its path",
        None => "where its challenge says",
    }
}

/// What tokens are asked for by (RFC 8707), against what it says it is.
pub(super) fn parameter(broker: &AuthBroker, metadata: &ProtectedResource) -> Finding {
    const KEY: &str = "upstream.auth_broker.resource";
    let discovered = broker.token_endpoint.is_none();
    if broker.dialect.resource != ResourceForm::Send {
        return Finding::ok(Check::Resource, "this provider is not sent the resource");
    }
    match &broker.resource {
        Some(resource) if *resource == metadata.resource => {
            Finding::ok(Check::Resource, "tokens are asked for what it says it is")
        }
        Some(_) => Finding::warning(Check::Resource, "it calls itself otherwise than configured")
            .write(KEY, "write `resource` of its metadata; it may refuse tokens for another"),
        None if discovered => {
            Finding::ok(Check::Resource, "tokens are asked for what it says it is")
        }
        None => Finding::warning(Check::Resource, "tokens are asked for no resource")
            .write(KEY, "write `resource` of its metadata, or it may refuse them"),
    }
}

/// Who its authorization server is.
pub(super) fn issuer(
    configured: Option<&IssuerId>,
    metadata: &ProtectedResource,
    misfit: Outcome,
) -> (Finding, Option<IssuerId>) {
    const KEY: &str = "upstream.auth_broker.issuer";
    match (metadata.issuer(configured), configured) {
        (Ok(Some(_)), Some(issuer)) => {
            (Finding::ok(Check::Issuer, "it names the configured issuer"), Some(issuer.clone()))
        }
        (Ok(Some(named)), None) => {
            let host = Url::parse(named.as_str()).map(|url| origin(&url)).unwrap_or_default();
            let found = format!("it names an authorization server at {host}");
            (Finding::ok(Check::Issuer, found), Some(named.clone()))
        }
        (Ok(None), Some(_)) => {
            (Finding::ok(Check::Issuer, "it names none; the configured one stands"), None)
        }
        (Ok(None), None) => (
            Finding::new(Check::Issuer, misfit, "it names no authorization server")
                .write(KEY, "write the one that issues its tokens"),
            None,
        ),
        (Err(_), _) => (
            Finding::new(Check::Issuer, misfit, "it names another issuer than the configured one")
                .write(
                    KEY,
                    "write the issuer that its metadata name, with the client that is registered \
                     there",
                ),
            None,
        ),
    }
}

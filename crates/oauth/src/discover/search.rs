//! From an upstream to its authorization server, by what both publish: OC-1 to OC-6.

use attache_core::{
    IssuerId,
    outbound::{FetchError, Outbound},
};
use bytes::Bytes;
use http::{Request, StatusCode, header};
use serde::{Deserialize, Serialize};
use url::Url;

use super::{AuthorizationServer, DiscoveryError, ProtectedResource, Published, site::Site};
use crate::{
    challenge::Demand,
    endpoint::{LIMITS, is_transient},
};

/// What is known before, and how much must be published.
#[derive(Clone, Copy, Debug)]
pub struct Search<'a> {
    pub upstream: &'a Url,
    pub challenge: ChallengeSource<'a>,
    /// The only issuer that may be found: configured, or the one we are registered at.
    pub issuer: Option<&'a IssuerId>,
    pub leniency: Leniency,
}

/// Where the upstream's challenge comes from.
#[derive(Clone, Copy, Debug)]
pub enum ChallengeSource<'a> {
    /// A 401 that is at hand.
    Received(&'a Demand),
    /// A POST of MCP's `initialize` that has no credential, then of `tools/list` where anybody may
    /// begin.
    AskMcp,
    /// A GET that has no credential.
    AskHttp,
}

/// What the operator lets an upstream get away with. Nothing, by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leniency {
    /// A server that does not say that it checks PKCE (OC-5).
    pub unadvertised_pkce: bool,
    /// An upstream of MCP 2025-03-26, whose origin is its own authorization server (OC-1).
    pub no_resource_metadata: bool,
}

/// What was found. It is for one upstream, and may be stored for as long as it is fresh.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Found {
    /// What tokens are asked for by (RFC 8707).
    pub resource: String,
    pub server: AuthorizationServer,
    /// `scope` of the upstream's challenge.
    pub challenged_scopes: Vec<String>,
    /// `scopes_supported` of the upstream.
    pub resource_scopes: Vec<String>,
}

impl Search<'_> {
    /// # Errors
    /// [`DiscoveryError`]. What is found halfway is not used.
    pub async fn run(&self, outbound: &dyn Outbound) -> Result<Published<Found>, DiscoveryError> {
        let demand = match self.challenge {
            ChallengeSource::Received(demand) => Some(demand.clone()),
            ChallengeSource::AskMcp => match ask(outbound, initialize(self.upstream)).await? {
                None => ask(outbound, list_tools(self.upstream)).await?,
                challenged => challenged,
            },
            ChallengeSource::AskHttp => {
                ask(outbound, Request::get(self.upstream.as_str()).body(Bytes::new())).await?
            }
        };
        let demand = demand.unwrap_or_default();
        let challenged = demand.resource_metadata.as_ref();
        let resource = ProtectedResource::discover(outbound, self.upstream, challenged).await?;
        let server = self.server(outbound, resource.as_ref()).await?;
        if !server.value.supports_pkce() && !self.leniency.unadvertised_pkce {
            return Err(DiscoveryError::NoPkce);
        }
        let fresh_for = resource
            .as_ref()
            .map_or(server.fresh_for, |resource| resource.fresh_for.min(server.fresh_for));
        let (resource, resource_scopes) = match resource.map(|resource| resource.value) {
            Some(resource) => (resource.resource, resource.scopes_supported),
            None => (canonical(self.upstream), Vec::new()),
        };
        let challenged_scopes = demand.scopes;
        let server = server.value;
        let value = Found { resource, server, challenged_scopes, resource_scopes };
        Ok(Published { value, fresh_for })
    }

    async fn server(
        &self,
        outbound: &dyn Outbound,
        resource: Option<&Published<ProtectedResource>>,
    ) -> Result<Published<AuthorizationServer>, DiscoveryError> {
        let named = match resource {
            Some(resource) => resource.value.issuer(self.issuer)?,
            None => None,
        };
        match named.or(self.issuer) {
            Some(issuer) => AuthorizationServer::discover(outbound, issuer).await,
            None if self.leniency.no_resource_metadata => {
                at_origin(outbound, &Site::of_resource(self.upstream)).await
            }
            None => Err(DiscoveryError::NotFound),
        }
    }
}

/// The authorization server of MCP 2025-03-26: metadata at the upstream's origin, or else fixed paths
/// there.
async fn at_origin(
    outbound: &dyn Outbound,
    upstream: &Site,
) -> Result<Published<AuthorizationServer>, DiscoveryError> {
    let origin = upstream.origin();
    match AuthorizationServer::discover(outbound, &origin).await {
        Err(DiscoveryError::NotFound) => {
            let value = AuthorizationServer::by_default(upstream)?;
            Ok(Published::unsaid(value))
        }
        // nobody wrote this issuer down for us: its other spelling is the same site
        Err(DiscoveryError::WrongIssuer) => {
            AuthorizationServer::discover(outbound, &IssuerId::new(format!("{origin}/"))).await
        }
        found => found,
    }
}

/// What the upstream demands of somebody who shows nothing. One that answers has nothing to demand.
async fn ask(
    outbound: &dyn Outbound,
    request: http::Result<Request<Bytes>>,
) -> Result<Option<Demand>, DiscoveryError> {
    let request = request.map_err(|_| DiscoveryError::Blocked)?;
    let response = match outbound.fetch(request, LIMITS).await {
        Err(FetchError::TooLarge(_)) => return Ok(None),
        answer => answer?,
    };
    if is_transient(response.status()) {
        return Err(DiscoveryError::Unavailable);
    }
    Ok((response.status() == StatusCode::UNAUTHORIZED)
        .then(|| Demand::read(response.headers()).unwrap_or_default()))
}

/// MCP's first message, without a credential: what every revision before 2026-07-28 begins with, and
/// what most servers of all revisions guard.
pub fn initialize(upstream: &Url) -> http::Result<Request<Bytes>> {
    mcp(
        upstream,
        r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"attache","version":"1"}}}"#,
    )
}

/// What comes next. Without the session that it might need it is answered by guards only.
pub fn list_tools(upstream: &Url) -> http::Result<Request<Bytes>> {
    mcp(upstream, r#"{"jsonrpc":"2.0","id":2,"method":"tools/list","params":{}}"#)
}

fn mcp(upstream: &Url, message: &'static str) -> http::Result<Request<Bytes>> {
    Request::post(upstream.as_str())
        .header(header::ACCEPT, "application/json, text/event-stream")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Bytes::from_static(message.as_bytes()))
}

/// The upstream's own URL as a resource: no fragment, and no `/` for a path that is only that.
fn canonical(upstream: &Url) -> String {
    let mut upstream = upstream.clone();
    upstream.set_fragment(None);
    let text = upstream.as_str();
    let bare = upstream.path() == "/" && upstream.query().is_none();
    if bare { text.trim_end_matches('/').to_owned() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, time::Duration};

    use http::{Method, Response};
    use serde_json::{Value, json};

    use super::*;
    use crate::scripted::Scripted;

    const RESOURCE: &str = "https://u.example.com/.well-known/oauth-protected-resource";
    const ORIGIN: &str = "https://u.example.com/.well-known/oauth-authorization-server";
    const SERVER: &str = "https://as.example.com/.well-known/oauth-authorization-server";

    /// Documents by where they are. The upstream itself answers 401 with `challenge`; everything
    /// else is not found.
    fn network(challenge: &'static str, documents: &[(&str, Value)]) -> Scripted {
        let documents: HashMap<_, _> = documents
            .iter()
            .map(|(location, document)| ((*location).to_owned(), document.to_string()))
            .collect();
        Scripted::new(move |request| {
            let response = Response::builder();
            let response = match documents.get(&request.uri().to_string()) {
                Some(document) => response
                    .header(header::CACHE_CONTROL, "max-age=7200")
                    .body(Bytes::from(document.clone())),
                None if request.uri().path() == "/mcp" => response
                    .status(401)
                    .header(header::WWW_AUTHENTICATE, challenge)
                    .body(Bytes::new()),
                None => response.status(404).body(Bytes::new()),
            };
            Ok(response.unwrap())
        })
    }

    fn resource(issuers: &[&str]) -> Value {
        json!({
            "resource": "https://u.example.com",
            "authorization_servers": issuers,
            "scopes_supported": ["r"],
        })
    }

    fn server(issuer: &str, pkce: &str) -> Value {
        json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/authorize"),
            "token_endpoint": format!("{issuer}/token"),
            "code_challenge_methods_supported": [pkce],
        })
    }

    const STRICT: Leniency = Leniency { unadvertised_pkce: false, no_resource_metadata: false };

    async fn search(
        network: &Scripted,
        issuer: Option<&str>,
        leniency: Leniency,
    ) -> Result<Published<Found>, DiscoveryError> {
        let upstream = Url::parse("https://u.example.com/mcp").unwrap();
        let issuer = issuer.map(IssuerId::new);
        let search = Search {
            upstream: &upstream,
            challenge: ChallengeSource::AskMcp,
            issuer: issuer.as_ref(),
            leniency,
        };
        search.run(network).await
    }

    /// OC-1, from the challenge to the token endpoint.
    #[tokio::test]
    async fn follows_the_challenge() {
        let network = network(
            "Bearer resource_metadata=\"https://meta.example.com/prm\", scope=\"c\"",
            &[
                ("https://meta.example.com/prm", resource(&["https://as.example.com"])),
                (SERVER, server("https://as.example.com", "S256")),
            ],
        );
        let found = search(&network, None, STRICT).await.unwrap();
        assert_eq!(found.fresh_for, Duration::from_hours(2));
        assert_eq!(found.value.resource, "https://u.example.com");
        assert_eq!(found.value.server.token_endpoint.as_str(), "https://as.example.com/token");
        assert_eq!(found.value.challenged_scopes, ["c"]);
        assert_eq!(found.value.resource_scopes, ["r"]);
        assert_eq!(
            network.uris(),
            ["https://u.example.com/mcp", "https://meta.example.com/prm", SERVER]
        );
        let asked = network.asked.lock().unwrap();
        assert_eq!(asked[0].method(), Method::POST);
        assert!(!asked[0].headers().contains_key(header::AUTHORIZATION));

        let stored = serde_json::to_string(&found.value).unwrap();
        assert_eq!(serde_json::from_str::<Found>(&stored).unwrap(), found.value);
    }

    /// OC-1: some let anybody begin, and ask who it is when tools are wanted.
    #[tokio::test]
    async fn a_challenge_may_come_after_the_greeting() {
        let network = Scripted::new(|request| {
            let greeting = request.body().windows(10).any(|bytes| bytes == b"initialize");
            let response = Response::builder();
            let response = match request.uri().path() {
                "/mcp" if greeting => response.body(Bytes::from("{}")),
                "/mcp" => response
                    .status(401)
                    .header(header::WWW_AUTHENTICATE, "Bearer scope=\"later\"")
                    .body(Bytes::new()),
                "/.well-known/oauth-authorization-server" => {
                    let document = server("https://as.example.com", "S256");
                    response.body(Bytes::from(document.to_string()))
                }
                _ => response.status(404).body(Bytes::new()),
            };
            Ok(response.unwrap())
        });
        let found = search(&network, Some("https://as.example.com"), STRICT).await.unwrap();
        assert_eq!(found.value.challenged_scopes, ["later"]);
    }

    /// OC-1, OC-5, OC-6, one row a world: what is published, what is set up, what is found.
    #[tokio::test]
    async fn finds_one_server_or_says_why_not() {
        use DiscoveryError::{IssuerChanged, NoPkce, NotFound, WrongIssuer, WrongResource};
        const LEGACY: Leniency = Leniency { no_resource_metadata: true, ..STRICT };
        const NO_PKCE: Leniency = Leniency { unadvertised_pkce: true, ..STRICT };
        let (own, other) = ("https://u.example.com", "https://as.example.com");
        let named = || (RESOURCE, resource(&[other, own]));
        let good = || (SERVER, server(other, "S256"));
        let elsewhere = json!({ "resource": "https://evil.example.com" });
        for (documents, issuer, leniency, expected) in [
            (vec![named(), good()], None, STRICT, Ok("https://as.example.com/token")),
            (vec![named(), good()], Some(other), STRICT, Ok("https://as.example.com/token")),
            (vec![named(), good()], Some("https://as.example.com/"), STRICT, Err(IssuerChanged)),
            (vec![named()], None, LEGACY, Err(NotFound)),
            (vec![named(), (SERVER, server(own, "S256"))], None, STRICT, Err(WrongIssuer)),
            (vec![named(), (SERVER, server(other, "plain"))], None, STRICT, Err(NoPkce)),
            (
                vec![named(), (SERVER, server(other, "plain"))],
                None,
                NO_PKCE,
                Ok("https://as.example.com/token"),
            ),
            (vec![(RESOURCE, elsewhere), good()], Some(other), LEGACY, Err(WrongResource)),
            // no metadata of the resource, or none that helps
            (vec![good()], Some(other), STRICT, Ok("https://as.example.com/token")),
            (
                vec![(RESOURCE, resource(&[])), good()],
                Some(other),
                STRICT,
                Ok("https://as.example.com/token"),
            ),
            (vec![(RESOURCE, resource(&[]))], None, STRICT, Err(NotFound)),
            (vec![], None, STRICT, Err(NotFound)),
            (vec![(ORIGIN, server(own, "S256"))], None, STRICT, Err(NotFound)),
            // MCP 2025-03-26
            (vec![(ORIGIN, server(own, "S256"))], None, LEGACY, Ok("https://u.example.com/token")),
            (
                vec![(ORIGIN, server("https://u.example.com/", "S256"))],
                None,
                LEGACY,
                Ok("https://u.example.com//token"),
            ),
            (vec![(ORIGIN, server(other, "S256"))], None, LEGACY, Err(WrongIssuer)),
            (vec![(ORIGIN, server(own, "plain"))], None, LEGACY, Err(NoPkce)),
            (vec![], None, LEGACY, Ok("https://u.example.com/token")),
        ] {
            let found = search(&network("Bearer", &documents), issuer, leniency).await;
            let found = found.map(|found| found.value.server.token_endpoint.to_string());
            assert_eq!(found.as_deref().map_err(|error| *error), expected, "{documents:?}");
        }
    }

    #[tokio::test]
    async fn an_upstream_that_is_away_says_nothing_about_its_server() {
        for status in [429, 503] {
            let away = Scripted::always(status, &[], "");
            let found = search(&away, Some("https://as.example.com"), STRICT).await;
            assert_eq!(found, Err(DiscoveryError::Unavailable));
            assert_eq!(away.uris().len(), 1);
        }
    }

    #[test]
    fn a_resource_without_metadata_is_its_own_url() {
        for (upstream, expected) in [
            ("https://u.example.com", "https://u.example.com"),
            ("https://U.example.com:443/#x", "https://u.example.com"),
            ("https://u.example.com/mcp", "https://u.example.com/mcp"),
            ("https://u.example.com/mcp/", "https://u.example.com/mcp/"),
            ("https://u.example.com/?t=/", "https://u.example.com/?t=/"),
        ] {
            assert_eq!(canonical(&Url::parse(upstream).unwrap()), expected);
        }
    }
}

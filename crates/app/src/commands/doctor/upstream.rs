//! One upstream, from its address to whether its token endpoint knows us. Each step is taken only
//! where those it builds on are fine.

use std::sync::Arc;

use attache_config::model::{AuthBroker, Mode, Protocol, Upstream};
use attache_core::{IssuerId, PublicOrigin};
use attache_oauth::{
    challenge::Demand,
    client_auth::Client,
    discover::{AuthorizationServer, ProtectedResource},
    scope::Sources,
    token::TokenEndpoint,
};
use url::Url;

use super::{
    Tools, address,
    authorization_server::{self, Asked},
    client, clock,
    journal::Journal,
    registration,
    report::{Check, Finding, Outcome, Part, Section},
    resource, subject_token,
};
use crate::wire::upstreams::exchanged;

const KEYS: client::Keys = client::Keys {
    client_secret: "upstream.auth_broker.client_secret",
    token_endpoint: "upstream.auth_broker.token_endpoint",
};

pub(super) async fn examine(upstream: &Upstream, tools: &Tools<'_>) -> Section {
    let journal = tools.journal();
    let mut findings = vec![address::examine(&upstream.url, tools.rules).await];
    let reached = findings.iter().all(|finding| finding.outcome == Outcome::Ok);
    let demand = if reached {
        let (finding, demand) = resource::answer(upstream, &journal).await;
        findings.push(finding);
        demand
    } else {
        None
    };
    if let Some(broker) = upstream.broker.as_ref().filter(|one| one.mode == Mode::OauthConnect) {
        let visit = Visit { upstream, broker, tools, journal: &journal };
        let resource = match demand {
            Some(demand) => visit.resource(&demand, &mut findings).await,
            None => Published::default(),
        };
        visit.authorization_server(resource, &mut findings).await;
    }
    let identity = &tools.config.identity;
    if let Some(issuer) = upstream.broker.as_ref().and_then(|broker| exchanged(broker, identity)) {
        findings.extend(subject_token::examine(issuer, identity));
    }
    Section { part: Part::Upstream(upstream.name.clone()), findings }
}

/// What the upstream publishes, as far as it may be used.
#[derive(Debug, Default)]
struct Published {
    challenged_scopes: Vec<String>,
    metadata: Option<ProtectedResource>,
    issuer: Option<IssuerId>,
}

struct Visit<'a> {
    upstream: &'a Upstream,
    broker: &'a AuthBroker,
    tools: &'a Tools<'a>,
    journal: &'a Journal,
}

impl Visit<'_> {
    /// Whether people depend on what is published; it is only looked at otherwise.
    fn is_discovered(&self) -> bool {
        self.broker.token_endpoint.is_none()
    }

    /// What a thing is that does not fit what is published.
    fn misfit(&self) -> Outcome {
        if self.is_discovered() { Outcome::Wrong } else { Outcome::Warning }
    }

    async fn resource(&self, demand: &Demand, findings: &mut Vec<Finding>) -> Published {
        let challenged = demand.resource_metadata.as_ref();
        let leniency = self.broker.leniency.resource_metadata;
        let needed = self.is_discovered() && self.broker.issuer.is_none() && !leniency;
        let looked = resource::Metadata { misfit: self.misfit(), needed };
        let (finding, metadata) =
            looked.examine(&self.upstream.url, challenged, self.journal).await;
        findings.push(finding);
        let mut issuer = None;
        if let Some(metadata) = &metadata {
            findings.push(resource::parameter(self.broker, metadata));
            let (finding, named) =
                resource::issuer(self.broker.issuer.as_ref(), metadata, self.misfit());
            findings.push(finding);
            issuer = named;
        }
        Published { challenged_scopes: demand.scopes.clone(), metadata, issuer }
    }

    async fn authorization_server(&self, published: Published, findings: &mut Vec<Finding>) {
        let issuer = self.broker.issuer.clone().or(published.issuer.clone());
        let server = if let Some(issuer) = &issuer {
            self.server(issuer, findings).await
        } else {
            findings.push(Finding::not_looked_at(
                Check::Metadata,
                if self.broker.leniency.resource_metadata {
                    "the upstream's own origin is taken, as MCP 2025-03-26 has it"
                } else {
                    "no issuer is known: neither auth_broker.issuer nor the upstream names one"
                },
            ));
            None
        };
        if let Some(server) = &server {
            let asked = Asked { broker: self.broker, scopes: &self.scopes(&published, server) };
            findings.extend(authorization_server::said(server, asked));
            findings.push(registration::examine(self.broker, server, self.tools));
        }
        let endpoint = self.broker.token_endpoint.clone();
        let client = registration::by_hand(self.broker, server.as_ref());
        let endpoint = endpoint.or_else(|| server.map(|server| server.token_endpoint));
        if let Some(endpoint) = endpoint {
            let found = self.client(client, endpoint.clone(), &published, findings).await;
            findings.extend(found);
            findings.extend(clock::examine(self.journal, &endpoint));
        }
        findings.push(Finding::not_looked_at(
            Check::RedirectUri,
            format!("only a consent shows whether {} is registered there", self.redirect_uri()),
        ));
    }

    async fn server(
        &self,
        issuer: &IssuerId,
        findings: &mut Vec<Finding>,
    ) -> Option<AuthorizationServer> {
        if let Ok(url) = Url::parse(issuer.as_str()) {
            let address = address::examine(&url, self.tools.rules).await;
            if address.outcome != Outcome::Ok {
                findings.push(address);
                return None;
            }
        }
        let configured = self.broker.issuer.is_some();
        let looked = authorization_server::Metadata { misfit: self.misfit(), configured };
        let (finding, server) = looked.examine(issuer, self.journal).await;
        findings.push(finding);
        server
    }

    /// What people will be asked for.
    fn scopes(&self, published: &Published, server: &AuthorizationServer) -> Vec<String> {
        let configured = &self.broker.scopes;
        let resource = published.metadata.as_ref().map(|one| one.scopes_supported.as_slice());
        let sources = Sources {
            configured: (!self.is_discovered() || !configured.is_empty())
                .then_some(configured.as_slice()),
            challenged: &published.challenged_scopes,
            resource: resource.unwrap_or_default(),
            server: &server.scopes_supported,
        };
        sources.initial()
    }

    async fn client(
        &self,
        client: Option<Client>,
        url: Url,
        published: &Published,
        findings: &[Finding],
    ) -> Vec<Finding> {
        let address = address::examine(&url, self.tools.rules).await;
        if address.outcome != Outcome::Ok {
            let known = findings.iter().any(|one| one.found == address.found);
            return vec![if known {
                Finding::not_looked_at(Check::Client, "its address cannot be used")
            } else {
                address
            }];
        }
        let Some(client) = client else {
            let found = "there is no secret of ours to ask with";
            return vec![Finding::not_looked_at(Check::Client, found)];
        };
        let found = published.metadata.as_ref().filter(|_| self.is_discovered());
        let resource =
            self.broker.resource.as_deref().or(found.map(|metadata| metadata.resource.as_str()));
        let redirect_uri = self.redirect_uri();
        let ask = async |client| {
            let (url, dialect) = (url.clone(), Arc::new(self.broker.dialect.clone()));
            let endpoint = TokenEndpoint { url, client, dialect };
            client::examine(self.tools, self.journal, &endpoint, &redirect_uri, resource, KEYS)
                .await
        };
        let second = self.broker.client_secret.as_ref().and_then(|secret| secret.second.clone());
        let Some(second) = second.and_then(|second| client.with_secret(second)) else {
            return vec![ask(client).await];
        };
        client::rotation(ask(client).await, ask(second).await, KEYS)
    }

    fn redirect_uri(&self) -> String {
        let path = format!("/api/v1/user/credentials/{}/callback", self.upstream.name);
        PublicOrigin::new(&self.tools.config.public_url).url(&path)
    }
}

/// How an upstream is spoken to.
pub(super) fn is_mcp(upstream: &Upstream) -> bool {
    upstream.protocol != Protocol::Http
}

//! Where people sign in, and who issues the access tokens that programs bring.

use std::{sync::Arc, time::Duration};

use attache_config::model::Oidc;
use attache_core::{
    IssuerId, PublicOrigin,
    outbound::{Limits, Outbound as _},
};
use attache_crypto::jose::KeySet;
use attache_oauth::{
    discover::{AuthorizationServer, DiscoveryError, OpenIdProvider},
    token::TokenEndpoint,
};
use bytes::Bytes;
use http::{Request, StatusCode, header};
use url::Url;

use super::{
    Tools, address, client, clock, explain,
    journal::{Journal, origin},
    report::{Check, Finding, Mover, Outcome, Part, Section},
    scopes::{self, Wanted},
};
use crate::wire;

/// Of a key set.
const LIMITS: Limits = Limits { timeout: Duration::from_secs(10), max_body: 256 * 1024 };

const KEYS: client::Keys = client::Keys {
    client_secret: "identity.oidc.client_secret",
    token_endpoint: "identity.oidc.issuer",
};

/// Of `[identity.oidc]`.
pub(super) async fn examine(oidc: &Oidc, tools: &Tools<'_>) -> Section {
    let journal = tools.journal();
    let redirect_uri = PublicOrigin::new(&tools.config.public_url).url("/login/callback");
    let mut findings = Vec::new();
    if let Some(provider) = provider(&oidc.issuer, tools, &journal, &mut findings).await {
        findings.push(signing_keys(&journal, &provider.jwks_uri).await);
        findings.extend(said(oidc, &provider));
        let endpoint = TokenEndpoint {
            url: provider.token_endpoint,
            client: wire::identity_client(oidc),
            dialect: Arc::default(),
        };
        let known = client::examine(tools, &journal, &endpoint, &redirect_uri, None, KEYS).await;
        findings.push(known);
        findings.extend(clock::examine(&journal, &endpoint.url));
    }
    findings.push(Finding::not_looked_at(
        Check::RedirectUri,
        format!("only a sign-in shows whether {redirect_uri} is registered there"),
    ));
    Section { part: Part::IdentityProvider(oidc.issuer.clone()), findings }
}

/// Of one `[[identity.jwt]]`, whose metadata may also be RFC 8414's.
pub(super) async fn examine_issuer(issuer: &IssuerId, tools: &Tools<'_>) -> Section {
    let journal = tools.journal();
    let mut findings = Vec::new();
    if reachable(issuer, tools, &mut findings).await {
        match keys_of(issuer, &journal).await {
            Ok(jwks_uri) => {
                findings.push(published(&journal));
                findings.push(signing_keys(&journal, &jwks_uri).await);
                findings.extend(clock::examine(&journal, &jwks_uri));
            }
            Err(error) => findings.push(refused(error, &journal)),
        }
    }
    Section { part: Part::TokenIssuer(issuer.clone()), findings }
}

async fn provider(
    issuer: &IssuerId,
    tools: &Tools<'_>,
    journal: &Journal,
    findings: &mut Vec<Finding>,
) -> Option<OpenIdProvider> {
    if !reachable(issuer, tools, findings).await {
        return None;
    }
    match OpenIdProvider::discover(journal, issuer).await {
        Ok(provider) => {
            findings.push(published(journal));
            Some(provider.value)
        }
        Err(error) => {
            findings.push(refused(error, journal));
            None
        }
    }
}

async fn reachable(issuer: &IssuerId, tools: &Tools<'_>, findings: &mut Vec<Finding>) -> bool {
    let Ok(url) = Url::parse(issuer.as_str()) else { return false };
    let address = address::examine(&url, tools.rules).await;
    let ok = address.outcome == Outcome::Ok;
    findings.push(address);
    ok
}

async fn keys_of(issuer: &IssuerId, journal: &Journal) -> Result<Url, DiscoveryError> {
    match OpenIdProvider::discover(journal, issuer).await {
        Ok(provider) => Ok(provider.value.jwks_uri),
        Err(DiscoveryError::NotFound) => {
            let server = AuthorizationServer::discover(journal, issuer).await?;
            server.value.jwks_uri.ok_or(DiscoveryError::Malformed("no usable jwks_uri"))
        }
        Err(error) => Err(error),
    }
}

fn published(journal: &Journal) -> Finding {
    let host = journal.since(0).last().map(|entry| origin(&entry.asked)).unwrap_or_default();
    Finding::ok(Check::Metadata, format!("{host} publishes it, and names itself as configured"))
}

fn refused(error: DiscoveryError, journal: &Journal) -> Finding {
    explain::metadata(Check::Metadata, Outcome::Wrong, error, &journal.since(0))
}

async fn signing_keys(journal: &Journal, jwks_uri: &Url) -> Finding {
    let mark = journal.mark();
    let request = Request::get(jwks_uri.as_str())
        .header(header::ACCEPT, "application/jwk-set+json, application/json")
        .body(Bytes::new());
    let answer = match request {
        Ok(request) => journal.fetch(request, LIMITS).await.ok(),
        Err(_) => None,
    };
    let host = origin(jwks_uri);
    let wrong = |found: String| {
        Finding::wrong(Check::SigningKeys, found).then(
            Mover::Provider,
            None,
            "publish keys of an algorithm that is used here (RS256, PS256, ES256, EdDSA, …)",
        )
    };
    match answer {
        Some(answer) if answer.status() == StatusCode::OK => match KeySet::parse(answer.body()) {
            Ok(keys) if keys.is_empty() => wrong(format!("{host} has no key that can be used")),
            Ok(_) => Finding::ok(Check::SigningKeys, format!("{host} has keys that can be used")),
            Err(_) => wrong(format!("what {host} answers is no key set")),
        },
        _ => match journal.since(mark).last() {
            Some(last) => explain::entry(Check::SigningKeys, Outcome::Wrong, last),
            None => wrong(format!("{host} cannot be asked for its keys")),
        },
    }
}

/// What the metadata say about how we sign people in.
fn said(oidc: &Oidc, provider: &OpenIdProvider) -> [Finding; 3] {
    [
        if provider.code_challenge_methods_supported.iter().any(|method| method == "S256") {
            Finding::ok(Check::Pkce, "it checks PKCE with S256")
        } else {
            Finding::warning(Check::Pkce, "it does not say that it checks PKCE with S256").then(
                Mover::Provider,
                None,
                "switch PKCE on there; it is sent in any case",
            )
        },
        scopes::examine(
            Wanted::Written("identity.oidc.scopes", &oidc.scopes),
            &provider.scopes_supported,
        ),
        subject_claim(oidc, &provider.claims_supported),
    ]
}

fn subject_claim(oidc: &Oidc, supported: &[String]) -> Finding {
    let claim = &oidc.subject_claim;
    if supported.is_empty() {
        Finding::not_looked_at(Check::SubjectClaim, "it does not say which claims it has")
    } else if supported.contains(claim) {
        Finding::ok(Check::SubjectClaim, format!("people are known by \"{claim}\", which it has"))
    } else {
        Finding::warning(Check::SubjectClaim, format!("it does not list the claim \"{claim}\""))
            .write("identity.oidc.subject_claim", "be sure that its ID tokens have it, for ever")
    }
}

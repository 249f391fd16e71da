//! What an authorization server publishes (RFC 8414), against what the configuration says.

use attache_config::model::AuthBroker;
use attache_core::{IssuerId, dialect::Pkce};
use attache_oauth::discover::{AuthorizationServer, DiscoveryError};
use url::Url;

use super::{
    explain,
    journal::{Journal, origin},
    registration,
    report::{Check, Finding, Mover, Outcome},
    scopes::{self, Wanted},
};

const OFFLINE_ACCESS: &str = "offline_access";
const SCOPES: &str = "upstream.auth_broker.scopes";

/// How its metadata are looked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Metadata {
    /// What it is when they are not right.
    pub(super) misfit: Outcome,
    /// Whether the operator wrote the issuer down.
    pub(super) configured: bool,
}

impl Metadata {
    pub(super) async fn examine(
        self,
        issuer: &IssuerId,
        journal: &Journal,
    ) -> (Finding, Option<AuthorizationServer>) {
        let mark = journal.mark();
        let found = AuthorizationServer::discover(journal, issuer).await;
        let asked = journal.since(mark);
        match found {
            Ok(server) => {
                let place = asked.last().map(|last| place(&last.asked)).unwrap_or_default();
                (Finding::ok(Check::Metadata, place), Some(server.value))
            }
            Err(error) => {
                // An `iss` that is another's ends every consent (RFC 9207).
                let told_wrong = self.configured && error == DiscoveryError::WrongIssuer;
                let outcome = if told_wrong { Outcome::Wrong } else { self.misfit };
                (explain::metadata(Check::Metadata, outcome, error, &asked), None)
            }
        }
    }
}

/// OC-3's places.
fn place(url: &Url) -> String {
    let (host, path) = (origin(url), url.path());
    let kind = if path.starts_with("/.well-known/oauth-authorization-server") {
        "as RFC 8414 says"
    } else if path.starts_with("/.well-known/openid-configuration") {
        "as OpenID Connect, before the issuer's path"
    } else {
        "as OpenID Connect, after the issuer's path"
    };
    format!("{host} publishes it {kind}")
}

/// What will be asked of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    pub(super) broker: &'a AuthBroker,
    pub(super) scopes: &'a [String],
}

pub(super) fn said(server: &AuthorizationServer, asked: Asked<'_>) -> Vec<Finding> {
    let Asked { broker, scopes: wanted } = asked;
    let source = if broker.scopes.is_empty() {
        Wanted::Published(wanted)
    } else {
        Wanted::Written(SCOPES, wanted)
    };
    let found = [
        endpoints(server, broker),
        Some(pkce(server, broker)),
        client_auth(server, broker),
        Some(scopes::examine(source, &server.scopes_supported)),
        Some(refresh_tokens(server, wanted)),
        Some(pushed_requests(server, broker)),
        Some(iss_parameter(server, broker)),
        Some(revocation(server, broker)),
    ];
    found.into_iter().flatten().collect()
}

/// `None` where none is written down.
fn endpoints(server: &AuthorizationServer, broker: &AuthBroker) -> Option<Finding> {
    let token = broker.token_endpoint.as_ref()?;
    let mut authorization = broker.authorization_endpoint.clone()?;
    // Parameters that a provider wants besides are written there.
    authorization.set_query(server.authorization_endpoint.query());
    Some(if *token != server.token_endpoint {
        Finding::warning(Check::Endpoints, "it publishes another token endpoint")
            .write("upstream.auth_broker.token_endpoint", "write the one that it publishes")
    } else if authorization != server.authorization_endpoint {
        Finding::warning(Check::Endpoints, "it publishes another authorization endpoint")
            .write("upstream.auth_broker.authorization_endpoint", "write the one that it publishes")
    } else {
        Finding::ok(Check::Endpoints, "those that are written down are those that it publishes")
    })
}

/// OC-5.
fn pkce(server: &AuthorizationServer, broker: &AuthBroker) -> Finding {
    let unsaid = "it does not say that it checks PKCE with S256";
    if server.supports_pkce() {
        Finding::ok(Check::Pkce, "it checks PKCE with S256")
    } else if broker.dialect.pkce == Pkce::Off {
        Finding::ok(Check::Pkce, "its template says that it does without")
    } else if broker.leniency.pkce {
        Finding::ok(Check::Pkce, "it does not say so, and assume_pkce does")
    } else if broker.token_endpoint.is_some() {
        Finding::warning(Check::Pkce, unsaid).then(
            Mover::Provider,
            None,
            "switch PKCE on there; it is sent in any case",
        )
    } else {
        Finding::wrong(Check::Pkce, unsaid)
            .write("upstream.auth_broker.assume_pkce", "set it if you know that it does")
    }
}

/// `None` for a client that nobody registered by hand.
fn client_auth(server: &AuthorizationServer, broker: &AuthBroker) -> Option<Finding> {
    broker.client_id.as_ref()?;
    let method = registration::method(broker, Some(server))?;
    let supported = &server.token_endpoint_auth_methods_supported;
    if supported.contains(&method) {
        return Some(Finding::ok(Check::ClientAuth, format!("it takes {}", method.as_str())));
    }
    let names: Vec<&str> = supported.iter().map(|method| method.as_str()).collect();
    let next = if names.is_empty() {
        "it takes none that is known here: ask whoever runs it".to_owned()
    } else {
        format!("use what it takes: {}", names.join(", "))
    };
    let found = format!("it does not say that it takes {}", method.as_str());
    let key = "upstream.auth_broker.client_auth";
    Some(Finding::warning(Check::ClientAuth, found).write(key, next))
}

/// Whether people must connect again whenever their token ends.
fn refresh_tokens(server: &AuthorizationServer, wanted: &[String]) -> Finding {
    let has = |scopes: &[String]| scopes.iter().any(|scope| scope == OFFLINE_ACCESS);
    if has(wanted) {
        Finding::ok(Check::RefreshTokens, "offline_access is asked for")
    } else if has(&server.scopes_supported) {
        Finding::warning(
            Check::RefreshTokens,
            "it has offline_access, which is not asked for: people may have to connect again \
             whenever their token ends",
        )
        .write(SCOPES, "add \"offline_access\"")
    } else {
        Finding::not_looked_at(
            Check::RefreshTokens,
            "it does not say what they depend on; a first connection shows it",
        )
    }
}

/// OC-15.
fn pushed_requests(server: &AuthorizationServer, broker: &AuthBroker) -> Finding {
    if server.must_push_to().is_none() {
        Finding::ok(Check::PushedRequests, "it does not ask for them")
    } else if broker.token_endpoint.is_none() {
        Finding::ok(Check::PushedRequests, "it asks for them, and gets them")
    } else {
        Finding::wrong(Check::PushedRequests, "it takes nothing else, and none are sent").write(
            "upstream.auth_broker.authorization_endpoint",
            "leave it and token_endpoint out, so that they are discovered",
        )
    }
}

/// OC-18.
fn iss_parameter(server: &AuthorizationServer, broker: &AuthBroker) -> Finding {
    let fixed = broker.token_endpoint.is_some();
    if fixed && broker.issuer.is_none() {
        Finding::warning(Check::IssParameter, "no issuer is configured to compare `iss` with")
            .write("upstream.auth_broker.issuer", "write it: answers of others are then refused")
    } else if server.iss_parameter_supported {
        Finding::ok(Check::IssParameter, "it says in each answer whose it is")
    } else {
        Finding::ok(Check::IssParameter, "it promises none; one that comes is compared")
    }
}

/// OC-28.
fn revocation(server: &AuthorizationServer, broker: &AuthBroker) -> Finding {
    let fixed = broker.token_endpoint.is_some();
    match (&server.revocation_endpoint, &broker.revocation_endpoint) {
        (_, Some(_)) => Finding::ok(Check::Revocation, "who disconnects is disconnected there too"),
        (Some(_), None) if !fixed => {
            Finding::ok(Check::Revocation, "who disconnects is disconnected there too")
        }
        (Some(_), None) => Finding::warning(
            Check::Revocation,
            "it revokes tokens, and is not asked to when somebody disconnects",
        )
        .write("upstream.auth_broker.revocation_endpoint", "write the one that it publishes"),
        (None, None) => Finding::ok(
            Check::Revocation,
            "it revokes no tokens: who disconnects is told to look there",
        ),
    }
}

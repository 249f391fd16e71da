//! An authorization server that is found, and that we register at.

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use attache_broker::{
    ServiceKey, ServiceKeyParts, Tasks,
    authority::{
        Authority, Finder, OurClient, Profile, Registrar, ResourceParameter, Server, Terms, Wishes,
    },
    connect::{OauthConnect, ProviderError},
    signing_keys::{CLIENT_ASSERTIONS, SigningKeys},
};
use attache_core::{
    IssuerId, Secret, ServiceKeyName, UpstreamName,
    audit::Reason,
    outbound::{FetchError, Limits, Outbound},
};
use attache_crypto::random::SystemRandom;
use attache_oauth::{
    client_auth::ClientAuthentication,
    discover::{ChallengeSource, Leniency},
};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use serde_json::{Value, json};
use tokio::runtime::Handle;
use url::Url;

use crate::support::World;

/// Longer than servers that say nothing are believed.
const STALE: Duration = Duration::from_hours(1);
/// Longer than fresh terms are not doubted.
const DOUBTABLE: Duration = Duration::from_mins(1);

#[tokio::test]
async fn replicas_find_the_same_server_and_register_once() {
    let world = World::new().await;
    let site = Arc::new(Site::default());
    let replicas: Vec<_> = (0..4).map(|_| replica(&world, &site, "https://gw.lan")).collect();
    let (a, b, c, d) = tokio::join!(
        replicas[0].terms(),
        replicas[1].terms(),
        replicas[2].terms(),
        replicas[3].terms()
    );
    let ids = [a, b, c, d].map(|terms| terms.unwrap().token.client.id.clone());
    assert!(ids.iter().all(|id| id == "client-1"), "{ids:?}");
    assert_eq!(site.asked("/register"), 1);

    let restarted = replica(&world, &site, "https://gw.lan").terms().await.unwrap();
    assert_eq!(restarted.token.client.id, "client-1");
    assert_eq!(restarted.token.url.as_str(), "https://as.example.com/token");
    assert_eq!(restarted.resource.as_deref(), Some("https://mcp.example.com/mcp"));
    assert_eq!(restarted.scopes, ["read"]);
    assert!(matches!(restarted.token.client.authentication, ClientAuthentication::Basic(_)));
    assert_eq!(site.asked("/register"), 1);
}

/// OC-8: whoever can read our document needs to register nobody.
#[tokio::test]
async fn a_server_that_reads_documents_is_shown_one() {
    let world = World::new().await;
    let site = Arc::new(Site::default());
    site.says("client_id_metadata_document_supported", true);
    let lan = replica(&world, &site, "https://gw.lan").terms().await.unwrap();
    assert_eq!(lan.token.client.id, "client-1", "nobody there can read ours");

    let world = World::new().await;
    site.says("token_endpoint_auth_methods_supported", ["private_key_jwt"]);
    let public = replica(&world, &site, "https://gw.example.com");
    let terms = public.terms().await.unwrap();
    let id = "https://gw.example.com/oauth/clients/mcp/metadata.json";
    assert_eq!(terms.token.client.id, id);
    assert!(matches!(terms.token.client.authentication, ClientAuthentication::PrivateKeyJwt(_)));
    assert_eq!(site.asked("/register"), 1);
}

/// OC-6: a server that lost its memory hears of us again, once for all and not for ever.
#[tokio::test]
async fn a_server_that_forgot_us_registers_us_anew() {
    let world = World::new().await;
    let site = Arc::new(Site::default());
    let (one, other) =
        (replica(&world, &site, "https://gw.lan"), replica(&world, &site, "https://gw.lan"));
    let (terms, same) = (one.terms().await.unwrap(), other.terms().await.unwrap());
    let refused = async |connect: &OauthConnect, terms: &Arc<Terms>| {
        let (code, verifier) = (Secret::new("code"), Secret::new("verifier"));
        let asked = attache_broker::connect::Asked {
            redirect_uri: "https://gw.lan/callback",
            scopes: &[],
            resource: None,
        };
        let captured = std::collections::BTreeMap::new();
        connect.exchange_code(terms, &code, &verifier, asked, &captured).await.map(drop)
    };
    let forgotten = Err(ProviderError::Refused(Reason::InvalidClient));
    assert_eq!(refused(&one, &terms).await, forgotten);
    assert_eq!(one.terms().await.unwrap().token.client.id, "client-1", "not at once");

    world.clock.advance(DOUBTABLE);
    assert_eq!(refused(&one, &terms).await, forgotten);
    assert_eq!(refused(&other, &same).await, forgotten);
    assert_eq!(one.terms().await.unwrap().token.client.id, "client-2");
    assert_eq!(other.terms().await.unwrap().token.client.id, "client-2");
    assert_eq!(site.asked("/register"), 2);
    assert_eq!(refused(&one, &terms).await, forgotten, "what is late changes nothing");
    assert_eq!(one.terms().await.unwrap().token.client.id, "client-2");
}

#[tokio::test]
async fn a_server_that_is_away_changes_nothing_and_one_that_moved_does() {
    let world = World::new().await;
    let site = Arc::new(Site::default());
    let connect = replica(&world, &site, "https://gw.lan");
    let before = connect.terms().await.unwrap();

    site.state().away = true;
    world.clock.advance(STALE);
    assert!(Arc::ptr_eq(&connect.terms().await.unwrap(), &before));
    let asked = site.state().asked.len();
    assert!(Arc::ptr_eq(&connect.terms().await.unwrap(), &before));
    assert_eq!(site.state().asked.len(), asked, "left alone for a while");
    world.clock.advance(Duration::from_hours(24));
    let away = ProviderError::Unavailable { retry_after: None };
    assert_eq!(connect.terms().await.unwrap_err(), away, "not for ever");

    site.state().away = false;
    world.clock.advance(DOUBTABLE);
    assert_eq!(connect.terms().await.unwrap().token.client.id, "client-1");
    site.says("issuer", "https://elsewhere.example.com");
    world.clock.advance(STALE);
    let refused = ProviderError::Refused(Reason::MetadataMismatch);
    assert_eq!(connect.terms().await.unwrap_err(), refused);
}

/// OC-6: an upstream that refuses a token may trust another server, where we are nobody yet.
#[tokio::test]
async fn after_a_refused_token_the_server_is_looked_for_again() {
    let world = World::new().await;
    let site = Arc::new(Site::default());
    let connect = replica(&world, &site, "https://gw.lan");
    let before = connect.terms().await.unwrap();

    let moved = "https://elsewhere.example.com";
    site.state().trusted = moved;
    site.says("issuer", moved);
    assert!(Arc::ptr_eq(&connect.terms().await.unwrap(), &before), "nobody knows yet");
    connect.look_again();
    let after = connect.terms().await.unwrap();
    assert_eq!(after.issuer, Some(IssuerId::new(moved)));
    assert_eq!(after.token.client.id, "client-2");

    connect.look_again();
    assert!(Arc::ptr_eq(&connect.terms().await.unwrap(), &after), "not at once");
    world.clock.advance(DOUBTABLE);
    connect.look_again();
    assert!(!Arc::ptr_eq(&connect.terms().await.unwrap(), &after));
    assert_eq!(site.asked("/register"), 2);
}

/// The wire of one process to an upstream that is known by its URL alone.
fn replica(world: &World, site: &Arc<Site>, origin: &str) -> OauthConnect {
    let url = |path: &str| Url::parse(origin).unwrap().join(path).unwrap();
    let random = Arc::new(SystemRandom);
    let service_key = |name: &str| ServiceKeyParts {
        name: ServiceKeyName::new(name),
        ring: world.ring.clone(),
        store: world.stores.service_keys.clone(),
        clock: world.clock.clone(),
        random: random.clone(),
        tasks: Tasks::new(Handle::current()),
    };
    let redirect_uri = url("/api/v1/user/credentials/mcp/callback");
    let registrar = Registrar {
        upstream: UpstreamName::parse("mcp").unwrap(),
        profile: Profile {
            client_name: "attache".to_owned(),
            redirect_uri: redirect_uri.clone(),
            document: url("/oauth/clients/mcp/metadata.json"),
            jwks_uri: url("/oauth/clients/jwks.json"),
            is_public: origin.contains("example"),
            prefers_registration: false,
        },
        registrations: world.stores.registrations.clone(),
        credentials: world.stores.credentials.clone(),
        seal: Arc::new(ServiceKey::new(service_key("registrations"))),
        keys: Arc::new(SigningKeys::new(service_key("client-assertion"), CLIENT_ASSERTIONS)),
        clock: world.clock.clone(),
        random: random.clone(),
    };
    let server = Server::Published {
        upstream: Url::parse("https://mcp.example.com/mcp").unwrap(),
        challenge: ChallengeSource::AskMcp,
        issuer: None,
        leniency: Leniency::default(),
    };
    let client = OurClient::Registrar(Box::new(registrar));
    let wishes = Wishes {
        dialect: Arc::default(),
        scopes: None,
        resource: ResourceParameter::AsFound,
        revocation_endpoint: None,
    };
    let finder = Finder::new(server, client, wishes);
    OauthConnect {
        authority: Authority::Found(Box::new(finder)),
        rotation: None,
        dialect: Arc::default(),
        redirect_uri: redirect_uri.into(),
        step_up: true,
        longest: None,
        outbound: site.clone(),
        clock: world.clock.clone(),
    }
}

/// An upstream and its authorization server, which registers whoever asks.
#[derive(Debug)]
struct Site(Mutex<State>);

#[derive(Debug)]
struct State {
    away: bool,
    /// By the upstream.
    trusted: &'static str,
    metadata: Value,
    asked: Vec<String>,
    registered: u32,
}

impl Default for Site {
    fn default() -> Self {
        Self(Mutex::new(State {
            away: false,
            trusted: "https://as.example.com",
            metadata: json!({
                "issuer": "https://as.example.com",
                "authorization_endpoint": "https://as.example.com/authorize",
                "token_endpoint": "https://as.example.com/token",
                "registration_endpoint": "https://as.example.com/register",
                "code_challenge_methods_supported": ["S256"],
            }),
            asked: Vec::new(),
            registered: 0,
        }))
    }
}

impl Site {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no test panicked here")
    }

    fn says(&self, name: &str, value: impl Into<Value>) {
        self.state().metadata[name] = value.into();
    }

    fn asked(&self, path: &str) -> usize {
        self.state().asked.iter().filter(|asked| *asked == path).count()
    }
}

#[async_trait::async_trait]
impl Outbound for Site {
    async fn fetch(
        &self,
        request: Request<Bytes>,
        _: Limits,
    ) -> Result<Response<Bytes>, FetchError> {
        tokio::task::yield_now().await;
        let mut state = self.state();
        state.asked.push(request.uri().path().to_owned());
        if state.away {
            return Err(FetchError::Unreachable("the cable is cut".into()));
        }
        let (status, body) = match request.uri().path() {
            "/mcp" => (StatusCode::UNAUTHORIZED, json!({})),
            "/.well-known/oauth-protected-resource/mcp" => (
                StatusCode::OK,
                json!({
                    "resource": "https://mcp.example.com/mcp",
                    "authorization_servers": [state.trusted],
                    "scopes_supported": ["read"],
                }),
            ),
            "/.well-known/oauth-authorization-server" => (StatusCode::OK, state.metadata.clone()),
            "/register" => {
                state.registered += 1;
                let id = format!("client-{}", state.registered);
                let registered = json!({ "client_id": id, "client_secret": "shibboleth" });
                (StatusCode::CREATED, registered)
            }
            "/token" => (StatusCode::UNAUTHORIZED, json!({ "error": "invalid_client" })),
            _ => (StatusCode::NOT_FOUND, json!({})),
        };
        let mut response = Response::new(Bytes::from(body.to_string()));
        *response.status_mut() = status;
        Ok(response)
    }
}

//! A gateway with two servers, people who sign in by having a session, and an authorization server
//! that always says yes.

use std::{sync::Arc, time::Duration};

use attache_broker::{
    ApiKey, Broker, Brokered, Connections, HeaderForm, KeyKind, KeyTest, Metrics, Mode,
    Offboarding, Overview, Parts, ServiceKeyParts, Tasks,
    audit::Audit,
    authority::{Authority, Terms},
    connect::OauthConnect,
    notices::Agenda,
    signing_keys::{CLIENT_ASSERTIONS, SigningKeys},
    vault::Vault,
};
use attache_core::{
    Access, ClaimName, Clock, Dialect, IssuerId, Secret, ServiceKeyName, Timestamp, UpstreamName,
    UserId,
    dialect::JsonPath,
    outbound::{FetchError, Limits, Outbound},
    principal::SessionDigest,
    store::{Profile, Session, SignIn, Stores},
};
use attache_crypto::{
    digest::sha256,
    keyring::KeyRing,
    random::{Random, SystemRandom, token},
    wrap::local::LocalKey,
};
use attache_identity::{Identity, IdentitySettings, JwtSettings};
use attache_oauth::{
    client_auth::{Client, ClientAuthentication},
    token::TokenEndpoint,
};
use attache_store::{Location, Store};
use attache_web::{Protocol, Served, Web, router};
use axum::{Router, body::Body};
use bytes::Bytes;
use http::{HeaderName, Method, Request, Response, StatusCode, Uri, header};
use serde_json::json;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use url::Url;

pub(crate) const NOW: Timestamp = Timestamp(1_795_435_200_000);

#[derive(Debug)]
struct Noon;

impl Clock for Noon {
    fn now(&self) -> Timestamp {
        NOW
    }
}

/// Whose a token is, it says by the code.
#[derive(Debug)]
struct YesToEverything;

#[async_trait::async_trait]
impl Outbound for YesToEverything {
    async fn fetch(
        &self,
        request: Request<Bytes>,
        _: Limits,
    ) -> Result<Response<Bytes>, FetchError> {
        let code = url::form_urlencoded::parse(request.body())
            .find(|(name, _)| name == "code")
            .map(|(_, code)| code.into_owned());
        let body = match request.uri().path() {
            "/token" => json!({"access_token": "secret-access", "refresh_token": "secret-refresh",
                "token_type": "Bearer", "expires_in": 3600, "account": code})
            .to_string(),
            "/me" if request.headers().get("x-api-key").is_none_or(|key| key != "good-key") => {
                let refused = Response::builder().status(StatusCode::UNAUTHORIZED);
                return Ok(refused.body(Bytes::from("secret-words-of-theirs")).unwrap());
            }
            _ => String::new(),
        };
        let answer = Response::builder().header(header::CONTENT_TYPE, "application/json");
        Ok(answer.body(Bytes::from(body)).unwrap())
    }
}

pub(crate) struct World {
    router: Router,
    pub(crate) stores: Stores,
}

impl World {
    pub(crate) async fn new() -> Self {
        let store = Store::open(&Location::Memory).await.unwrap();
        let stores = store.stores();
        let (clock, random): (Arc<dyn Clock>, Arc<dyn Random>) =
            (Arc::new(Noon), Arc::new(SystemRandom));
        let outbound: Arc<dyn Outbound> = Arc::new(YesToEverything);
        let key = LocalKey::from_base64(&LocalKey::generate(&*random)).unwrap();
        let ring = KeyRing { active: Arc::new(key), retired: Vec::new() };
        let tasks = Tasks::new(Handle::current());
        let stop = CancellationToken::new();
        let broker = Broker::new(Parts {
            store: stores.credentials.clone(),
            demands: stores.demands.clone(),
            ends: stores.ends.clone(),
            vault: Arc::new(Vault::new(
                ring.clone(),
                stores.data_keys.clone(),
                clock.clone(),
                random.clone(),
                Metrics::default(),
            )),
            audit: Audit::start(
                stores.audit.clone(),
                clock.clone(),
                Metrics::default(),
                &tasks,
                stop,
            ),
            tasks: tasks.clone(),
            clock: clock.clone(),
            random: random.clone(),
            metrics: Metrics::default(),
            outage: Arc::default(),
            agenda: Agenda::default(),
            subject_tokens: None,
        });
        let upstreams = vec![
            brokered("github", Access::Everyone),
            brokered("payroll", Access::Only { groups: vec!["finance".into()], emails: vec![] }),
            keyed("weather"),
        ];
        let offboarding = Arc::new(Offboarding::new(broker.clone(), &stores, upstreams.clone()));
        let served = upstreams.iter().map(|one| Served {
            name: one.name.clone(),
            protocol: Protocol::Http,
            access: one.access.clone(),
        });
        let served = served.collect();
        let overview = Overview::new(&stores, store.trail(), ring.clone(), upstreams.clone());
        let overview = Arc::new(overview);
        let connections = Arc::new(Connections::new(broker, stores.connects.clone(), upstreams));
        let public_url = Url::parse("https://gw.example.com").unwrap();
        let settings = IdentitySettings {
            public_url: public_url.clone(),
            session_ttl: Duration::from_hours(24),
            reauthenticate_after: Duration::from_hours(30 * 24),
            admins: Access::nobody(),
            allowed_email_domains: Vec::new(),
            oidc: None,
            jwt: ["https://idp.example.com", "https://ci.example.com", "https://idp.example.com"]
                .map(|issuer| JwtSettings {
                    is_exchanged: false,
                    issuer: IssuerId::new(issuer),
                    audience: "https://gw.example.com".to_owned(),
                    jwks_uri: None,
                    subject_claim: "sub".to_owned(),
                    groups_claim: ClaimName::parse("groups").unwrap(),
                })
                .into(),
            introspection: None,
            assertions: Vec::new(),
            authorization_server: None,
            scim: None,
        };
        let identity =
            Identity::new(settings, &stores, &outbound, &clock, &random, Arc::default(), None);
        let assertion_keys = Arc::new(SigningKeys::new(
            ServiceKeyParts {
                name: ServiceKeyName::new("client-assertion"),
                ring: ring.clone(),
                store: stores.service_keys.clone(),
                clock: clock.clone(),
                random: random.clone(),
                tasks: tasks.clone(),
            },
            CLIENT_ASSERTIONS,
        ));
        let web = Web {
            connections,
            offboarding,
            overview,
            served,
            assertion_keys,
            identity: Arc::new(identity),
            public_url,
            clock,
            random,
        };
        Self { router: router(web), stores }
    }

    pub(crate) fn nobody(&self) -> Browser {
        Browser { router: self.router.clone(), cookie: None }
    }

    pub(crate) async fn signed_in(&self, name: &str) -> Browser {
        let profile = Profile {
            email: Some(format!("{name}@example.com")),
            name: Some(name.to_owned()),
            groups: Vec::new(),
        };
        let issuer = IssuerId::new("https://idp.example.com");
        let fresh = UserId::new(name);
        let people = &self.stores.people;
        let person = people.upsert(&issuer, name, &profile, fresh, NOW).await.unwrap();
        let secret = token(&SystemRandom);
        let session = Session {
            digest: SessionDigest(sha256(secret.as_bytes())),
            user: person.id,
            created_at: NOW,
            expires_at: NOW.plus(Duration::from_hours(1)),
        };
        let sign_in = SignIn { subject: name.to_owned(), session: None };
        self.stores.sessions.insert(&session, &sign_in).await.unwrap();
        let cookie = Some(format!("__Host-attache_session={secret}"));
        Browser { router: self.router.clone(), cookie }
    }
}

fn brokered(name: &str, access: Access) -> Arc<Brokered> {
    let endpoint = |path: &str| Url::parse("https://as.example.com").unwrap().join(path).unwrap();
    let authentication = ClientAuthentication::Basic(Secret::new("client-secret"));
    let mut dialect = Dialect::default();
    dialect.response.account = Some(JsonPath::parse("account").unwrap());
    let dialect = Arc::new(dialect);
    Arc::new(Brokered {
        name: UpstreamName::parse(name).unwrap(),
        origin: format!("https://{name}.example.com"),
        access,
        form: HeaderForm {
            name: header::AUTHORIZATION,
            prefix: "Bearer ".to_owned(),
            suffix: String::new(),
        },
        mode: Mode::OauthConnect(Arc::new(OauthConnect {
            authority: Authority::Fixed(Arc::new(Terms {
                is_found: false,
                issuer: None,
                iss_parameter_supported: false,
                authorization_endpoint: endpoint("/authorize"),
                push_to: None,
                token: TokenEndpoint {
                    url: endpoint("/token"),
                    client: Client { id: "attache".to_owned(), authentication },
                    dialect: Arc::clone(&dialect),
                },
                revocation_endpoint: Some(endpoint("/revoke")),
                scopes: vec!["repo".to_owned()],
                resource: None,
            })),
            dialect,
            rotation: None,
            redirect_uri: format!("https://gw.example.com/api/v1/user/credentials/{name}/callback"),
            step_up: true,
            longest: None,
            outbound: Arc::new(YesToEverything),
            clock: Arc::new(Noon),
        })),
    })
}

/// For people with a key of their own.
fn keyed(name: &str) -> Arc<Brokered> {
    let form = HeaderForm {
        name: HeaderName::from_static("x-api-key"),
        prefix: String::new(),
        suffix: String::new(),
    };
    let test = KeyTest {
        url: Uri::from_static("https://weather.example.com/me"),
        is_mcp: false,
        outbound: Arc::new(YesToEverything),
    };
    let mode = Mode::ApiKey(ApiKey { kind: KeyKind::Key, test: Some(test) });
    let name = UpstreamName::parse(name).unwrap();
    let origin = "https://keys.example.com".to_owned();
    Arc::new(Brokered { name, origin, access: Access::Everyone, form, mode })
}

pub(crate) struct Browser {
    router: Router,
    cookie: Option<String>,
}

impl Browser {
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[]).await
    }

    pub(crate) async fn send(&self, method: Method, path: &str, with: &[(&str, &str)]) -> Answer {
        self.send_body(method, path, with, "").await
    }

    pub(crate) async fn send_body(
        &self,
        method: Method,
        path: &str,
        with: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if !with.iter().any(|(name, _)| *name == "host") {
            request = request.header(header::HOST, "gw.example.com");
        }
        for (name, value) in with {
            request = request.header(*name, *value);
        }
        if let Some(cookie) = &self.cookie {
            request = request.header(header::COOKIE, cookie);
        }
        let request = request.body(Body::from(body.to_owned())).unwrap();
        Answer(self.router.clone().oneshot(request).await.unwrap())
    }

    /// What the API says of one upstream.
    pub(crate) async fn credential(&self, server: &str) -> serde_json::Value {
        let listed = self.get("/api/v1/user/credentials").await.json().await;
        let all = listed["credentials"].as_array().unwrap();
        all.iter().find(|one| one["server"] == server).unwrap().clone()
    }

    /// Begins, agrees at the authorization server, and says where that sends the browser.
    pub(crate) async fn consent(&self, server: &str) -> String {
        self.consent_as("ada-l", server).await
    }

    /// The same, signed in there with this account.
    pub(crate) async fn consent_as(&self, account: &str, server: &str) -> String {
        let begun = self.send(Method::POST, &format!("/connect/{server}"), &[]).await;
        assert_eq!(begun.status(), StatusCode::SEE_OTHER);
        let asked = location(&begun);
        assert!(asked.starts_with("https://as.example.com/authorize?"), "{asked}");
        let state = query(&asked, "state").unwrap();
        let (upstream, _) = server.split_once('@').unwrap_or((server, ""));
        format!("/api/v1/user/credentials/{upstream}/callback?code={account}&state={state}")
    }
}

pub(crate) struct Answer(axum::response::Response);

impl Answer {
    pub(crate) fn status(&self) -> StatusCode {
        self.0.status()
    }

    pub(crate) fn header(&self, name: impl header::AsHeaderName) -> &str {
        self.0.headers().get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) async fn text(self) -> String {
        let bytes = axum::body::to_bytes(self.0.into_body(), 1 << 20).await.unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    pub(crate) async fn json(self) -> serde_json::Value {
        serde_json::from_str(&self.text().await).unwrap()
    }
}

pub(crate) fn location(answer: &Answer) -> String {
    answer.header(header::LOCATION).to_owned()
}

/// One parameter of a URL's query.
pub(crate) fn query(url: &str, name: &str) -> Option<String> {
    let (_, query) = url.split_once('?')?;
    url::form_urlencoded::parse(query.as_bytes())
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

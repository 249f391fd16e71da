//! Server-side request forgery: addresses that others name, in every dress (OC-29, OC-30).
//!
//! Every peer is at 127.0.0.77, which is all that the egress rules let through. A canary hears every
//! other address of this machine; it counts connections, not requests.

use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use attache_net::resolve::Resolver;
use attache_sandbox::{Page, people::ADA};
use axum::{
    Json, Router,
    body::Body,
    extract::Request,
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Value, json};
use tokio::{net::TcpListener, runtime::Handle};
use url::Url;

use crate::{
    visitor::Visitor,
    witness,
    world::{Surroundings, World},
};

const PEERS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 77);

/// What leads inside, and must not be followed. `PORT` is the canary's.
const INSIDE: [&str; 27] = [
    "https://127.0.0.1:PORT/k",
    "http://127.0.0.1:PORT/k",
    "https://127.255.255.254:PORT/k",
    "https://localhost:PORT/k",
    "http://localhost:PORT/k",
    "https://LOCALHOST.:PORT/k",
    // other spellings of 127.0.0.1: one number, octal, hexadecimal, short, full-width
    "https://2130706433:PORT/k",
    "https://017700000001:PORT/k",
    "https://0177.0.0.1:PORT/k",
    "https://0x7f000001:PORT/k",
    "https://0x7f.0.0x0.1:PORT/k",
    "https://127.1:PORT/k",
    "https://127.0.0.1.:PORT/k",
    "https://%31%32%37.0.0.1:PORT/k",
    "https://１２７。０。０。１:PORT/k",
    // this host, in both families
    "https://0.0.0.0:PORT/k",
    "https://0:PORT/k",
    "https://[::]:PORT/k",
    "https://[::1]:PORT/k",
    // IPv4 within IPv6: mapped, compatible, NAT64
    "https://[::ffff:127.0.0.1]:PORT/k",
    "https://[::ffff:7f00:1]:PORT/k",
    "https://[::127.0.0.1]:PORT/k",
    "https://[64:ff9b::127.0.0.1]:PORT/k",
    // names of somebody else, whose addresses are ours
    "https://loopback.example.com:PORT/k",
    "https://mapped.example.com:PORT/k",
    "https://six.example.com:PORT/k",
    "https://several.example.com:PORT/k",
];

/// What is not even an address to ask: no TLS, no host, no web.
const NOWHERE: [&str; 6] = [
    "http://loopback.example.com:PORT/k",
    "http://0.0.0.0:PORT/k",
    "https://example.com@127.0.0.1:PORT/k",
    "file:///etc/passwd",
    "gopher://127.0.0.1:PORT/_k",
    "//127.0.0.1:PORT/k",
];

fn with_port(addresses: &[&str], canary: &Canary) -> Vec<String> {
    let port = canary.port.to_string();
    addresses.iter().map(|address| address.replace("PORT", &port)).collect()
}

// --- learned from an issuer ---------------------------------------------------------------------

/// Key sets, at the addresses that an issuer's metadata name.
#[tokio::test]
async fn keys_are_fetched_from_nowhere_inside() {
    let canary = Canary::everywhere().await;
    let inside = with_port(&INSIDE, &canary);
    let addresses = [inside.clone(), with_port(&NOWHERE, &canary)].concat();
    let named = addresses.clone();
    let issuers = Hostile::start(move |own, path| {
        let Some(index) = issuer_of(path, ".well-known/openid-configuration") else {
            return StatusCode::NOT_FOUND.into_response();
        };
        Json(metadata(&format!("{own}{index}"), &named[index])).into_response()
    })
    .await;
    let world = issued_by(&issuers, addresses.len()).await;
    for (index, address) in addresses.iter().enumerate() {
        let issuer = format!("{}{index}", issuers.url);
        let said = ask(&world, &issuer).await;
        assert_eq!(said.status, StatusCode::SERVICE_UNAVAILABLE, "{address}: {}", said.body);
        let why = if index < inside.len() {
            "the address of the issuer's keys is not allowed by the egress rules"
        } else {
            "no usable jwks_uri"
        };
        assert_logged(&issuer, why);
        assert_eq!(canary.connections(), 0, "{address}");
    }
    world.end().await;
}

/// Redirects of metadata and of key sets, to the inside or to a place that is allowed.
#[tokio::test]
async fn no_redirect_of_an_issuer_is_followed() {
    let canary = Canary::everywhere().await;
    let target = format!("http://127.0.0.1:{}/k", canary.port);
    let statuses = [301_u16, 302, 303, 307, 308];
    let issuers = Hostile::start(move |own, path| {
        let redirect = |index: usize| {
            let status = StatusCode::from_u16(statuses[index % statuses.len()]).unwrap();
            let to = if index < 10 { target.clone() } else { format!("{own}trap") };
            (status, [(header::LOCATION, to)]).into_response()
        };
        match issuer_of(path, ".well-known/openid-configuration") {
            // every other one has metadata, whose keys are elsewhere
            Some(index) if index % 2 == 0 => {
                Json(metadata(&format!("{own}{index}"), &format!("{own}{index}/keys")))
                    .into_response()
            }
            Some(index) => redirect(index),
            None => redirect(issuer_of(path, "keys").unwrap_or_default()),
        }
    })
    .await;
    let world = issued_by(&issuers, 20).await;
    for index in 0..20 {
        let issuer = format!("{}{index}", issuers.url);
        let said = ask(&world, &issuer).await;
        assert_eq!(said.status, StatusCode::SERVICE_UNAVAILABLE, "{index}: {}", said.body);
        let none = "there is no metadata document where it should be";
        let why = if index % 2 == 0 { "cannot be fetched right now" } else { none };
        assert_logged(&issuer, why);
        assert_eq!(canary.connections(), 0, "{index}");
    }
    assert!(!issuers.arrived().iter().any(|(path, _)| path == "/trap"));
    world.end().await;
}

/// Bodies that are too large, or compressed although nobody asked for that.
#[tokio::test]
async fn a_body_is_read_within_bounds_and_as_it_is() {
    let issuers = Hostile::start(|own, path| {
        let Some(index) = issuer_of(path, ".well-known/openid-configuration") else {
            let keys = issuer_of(path, "keys").map(|_| Json(json!({ "keys": [] })));
            return keys.ok_or(StatusCode::NOT_FOUND).into_response();
        };
        let issuer = format!("{own}{index}");
        let document = metadata(&issuer, &format!("{issuer}/keys")).to_string();
        match index {
            0 => document.into_response(),
            1 => format!("{document}{}", " ".repeat(2 * 1024 * 1024)).into_response(),
            _ => {
                let encoded = [(header::CONTENT_ENCODING, "gzip")];
                (encoded, Body::from(gzip(document.as_bytes()))).into_response()
            }
        }
    })
    .await;
    let world = issued_by(&issuers, 3).await;
    let unknown = ask(&world, &format!("{}0", issuers.url)).await;
    assert_eq!(unknown.status, StatusCode::UNAUTHORIZED, "what is honest is read");
    for (index, why) in
        [(1, "too many bytes"), (2, "there is no metadata document where it should be")]
    {
        let issuer = format!("{}{index}", issuers.url);
        assert_eq!(ask(&world, &issuer).await.status, StatusCode::SERVICE_UNAVAILABLE, "{why}");
        assert_logged(&issuer, why);
    }
    assert!(issuers.arrived().iter().all(|(_, head)| !head.contains_key("accept-encoding")));
    world.end().await;
}

// --- learned from an upstream --------------------------------------------------------------------

/// An upstream that is set up by its URL alone: `resource_metadata` of its challenge, its
/// `authorization_servers`, where we register there, where a request is pushed.
#[tokio::test]
async fn nothing_an_upstream_publishes_leads_inside() {
    let canary = Canary::everywhere().await;
    let inside = with_port(&INSIDE, &canary);
    let addresses = [inside.clone(), with_port(&NOWHERE, &canary)].concat();
    let named = addresses.clone();
    let upstreams = Hostile::start(move |own, path| published(own, path, &named)).await;
    let kinds = ["challenging", "publishing", "registering", "pushing"];
    let more = kinds.iter().flat_map(|kind| {
        let upstreams = &upstreams;
        (0..addresses.len()).map(move |index| learned_from(upstreams, kind, index))
    });
    let world = among(more.collect()).await;
    let mut ada = world.ada().await;
    for kind in kinds {
        for (index, address) in addresses.iter().enumerate() {
            let page = try_it(&mut ada, &format!("{kind}-{index}")).await;
            assert!(page.body.contains("That could not begin"), "{kind} {address}: {page:?}");
            // a header has ASCII only; what is no address is as if nothing were there
            if index < inside.len() && (address.is_ascii() || kind != "challenging") {
                let why = "This gateway is not set up for it correctly.";
                assert!(page.body.contains(why), "{kind} {address}: {}", page.body);
            }
            assert_eq!(canary.connections(), 0, "{kind} {address}");
        }
    }
    let registered = upstreams.arrived().iter().filter(|(path, _)| path == "/register").count();
    assert!(registered >= inside.len(), "those that push got as far as that");
    world.end().await;
}

/// Each of the same places is one of theirs, and sends on: inside, or to where it would be allowed.
#[tokio::test]
async fn nothing_an_upstream_publishes_sends_on() {
    const STATUSES: [u16; 5] = [301, 302, 303, 307, 308];
    const WAYS: usize = 2 * STATUSES.len();
    let canary = Canary::everywhere().await;
    let target = format!("http://127.0.0.1:{}/k", canary.port);
    let upstreams = Hostile::start(move |own, path| {
        let Some(way) = path.strip_prefix("/turn/") else {
            let turns: Vec<_> = (0..WAYS).map(|way| format!("{own}turn/{way}")).collect();
            return published(own, path, &turns);
        };
        let way: usize = way.parse().expect("one of the turns");
        let to = if way < STATUSES.len() { target.clone() } else { format!("{own}trap") };
        let status = StatusCode::from_u16(STATUSES[way % STATUSES.len()]).expect("a status");
        (status, [(header::LOCATION, to)]).into_response()
    })
    .await;
    let kinds = ["challenging", "registering", "pushing"];
    let names: Vec<_> =
        kinds.iter().flat_map(|kind| (0..WAYS).map(move |way| (*kind, way))).collect();
    let more = names.iter().map(|(kind, way)| learned_from(&upstreams, kind, *way));
    let world = among(more.collect()).await;
    let mut ada = world.ada().await;
    for (kind, way) in names {
        let page = try_it(&mut ada, &format!("{kind}-{way}")).await;
        assert!(page.body.contains("That could not begin"), "{kind} {way}: {page:?}");
        assert_eq!(canary.connections(), 0, "{kind} {way}");
    }
    let arrived = upstreams.arrived();
    let turned = arrived.iter().filter(|(path, _)| path.starts_with("/turn/")).count();
    assert!(turned >= kinds.len() * WAYS, "each was asked: {turned}");
    assert!(!arrived.iter().any(|(path, _)| path == "/trap"));
    world.end().await;
}

/// What the upstream `/{kind}/{index}` and its authorization server say: the address of that index
/// in the place that the kind is named after, and everything else as it should be.
fn published(own: &Url, path: &str, addresses: &[String]) -> Response {
    let about = |prefix: &str| {
        let (kind, index) = path.strip_prefix(prefix)?.split_once('/')?;
        let index: usize = index.parse().ok()?;
        Some((kind.to_owned(), format!("{own}{kind}/{index}"), addresses.get(index)?.as_str()))
    };
    if path == "/register" {
        return Json(json!({ "client_id": "c", "token_endpoint_auth_method": "none" }))
            .into_response();
    }
    if let Some((kind, itself, address)) = about("/.well-known/oauth-protected-resource/") {
        let server = if kind == "publishing" { address } else { &itself };
        return match kind.as_str() {
            "challenging" => StatusCode::NOT_FOUND.into_response(),
            _ => Json(json!({ "resource": itself, "authorization_servers": [server] }))
                .into_response(),
        };
    }
    if let Some((kind, issuer, address)) = about("/.well-known/oauth-authorization-server/") {
        let ours = format!("{own}register");
        let pushes = kind == "pushing";
        return Json(json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/authorize"),
            "token_endpoint": format!("{issuer}/token"),
            "token_endpoint_auth_methods_supported": ["none"],
            "code_challenge_methods_supported": ["S256"],
            "registration_endpoint": if pushes { &ours } else { address },
            "pushed_authorization_request_endpoint": pushes.then_some(address),
            "require_pushed_authorization_requests": pushes,
        }))
        .into_response();
    }
    match about("/") {
        Some((kind, _, address)) if kind == "challenging" => {
            let challenge = format!("Bearer resource_metadata=\"{address}\"");
            let challenge = HeaderValue::from_bytes(challenge.as_bytes()).expect("a header");
            (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, challenge)]).into_response()
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

// --- named by strangers --------------------------------------------------------------------------

/// Where a client's document is, anybody says: what is allowed for upstreams and issuers is not for
/// them, unless the operator named that very host.
#[tokio::test]
async fn what_is_open_for_upstreams_is_not_for_strangers() {
    let canary = Canary::at(PEERS, 0).await;
    for (hosts, reached) in
        [("", false), ("\"client.example.com\", \"127.0.0.77\"", true), ("\"a.example\"", false)]
    {
        let names = Names::default();
        names.lead("client.example.com", &[PEERS.into()]);
        let more = format!("[authorization_server]\nclient_id_hosts = [{hosts}]\n");
        let resolver = Arc::new(names);
        let surroundings =
            Surroundings { address: PEERS, resolver, more, ..Surroundings::default() };
        let world = World::among("sqlite:attache.db", surroundings).await;
        for host in ["client.example.com", "127.0.0.77", "[::ffff:127.0.0.77]"] {
            let before = canary.connections();
            let mut request = world.origin.join("/oauth/authorize").expect("a URL");
            request
                .query_pairs_mut()
                .append_pair("client_id", &format!("https://{host}:{}/client", canary.port))
                .append_pair("redirect_uri", "http://127.0.0.1/cb")
                .append_pair("response_type", "code");
            let page = world.stranger(ADA).open(&request).await;
            assert!(page.status.is_client_error(), "{host}: {}", page.status);
            let is_named = hosts.contains(host);
            assert_eq!(canary.connections() > before, reached && is_named, "{hosts} {host}");
        }
        world.end().await;
    }
}

// --- written by an operator, or by whoever owns a name ------------------------------------------

/// Token endpoints and upstreams: what an operator writes does not open the inside, either.
#[tokio::test]
async fn codes_and_requests_go_nowhere_inside() {
    let canary = Canary::everywhere().await;
    // the others are refused with the configuration
    let inside: Vec<String> = with_port(&INSIDE, &canary);
    let more = inside.iter().enumerate().map(|(index, address)| {
        let broker = broker("https://as.example.com", address);
        format!(
            "[[upstream]]\nname = \"to-{index}\"\nurl = \"{address}\"\nprotocol = \"http\"\n\
             [[upstream]]\nname = \"by-{index}\"\nurl = \"https://api.example.com/\"\n\
             protocol = \"http\"\n[upstream.auth_broker]\n{broker}"
        )
    });
    let world = among(more.collect()).await;
    let (program, mut ada) = (world.program(ADA), world.ada().await);
    for (index, address) in inside.iter().enumerate() {
        let said = program.get(&format!("/http/to-{index}/x")).await;
        assert_eq!(said.status, StatusCode::BAD_GATEWAY, "{address}: {}", said.body);
        assert!(said.body.contains("upstream-blocked"), "{address}: {}", said.body);
        let landing = approved(&mut ada, &format!("by-{index}"), "https://as.example.com").await;
        assert_eq!(landing, "misconfigured", "{address}");
        assert_eq!(canary.connections(), 0, "{address}");
    }
    world.end().await;
}

/// DNS rebinding: a name that was outside when a person connected is inside when their token is
/// renewed, their request sent, their grant revoked.
#[tokio::test]
async fn a_name_that_moves_inside_is_left_alone() {
    let provider = Hostile::start(|_, path| match path {
        "/token" => Json(json!({
            "access_token": "moving-token", "token_type": "bearer", "expires_in": 3600,
            "refresh_token": "moving-refresh-token",
        }))
        .into_response(),
        _ => ([(header::CONNECTION, "close")], "here").into_response(),
    })
    .await;
    let port = provider.url.port().expect("a port");
    let canary = Canary::at(Ipv4Addr::LOCALHOST, port).await;
    let names = Names::default();
    names.lead("localhost", &[PEERS.into()]);
    let address = |path: &str| format!("http://localhost:{port}/{path}");
    let more = format!(
        "[[upstream]]\nname = \"moving\"\nurl = \"{}\"\nprotocol = \"http\"\n\
         [upstream.auth_broker]\n{}revocation_endpoint = \"{}\"\n",
        address("api"),
        broker("https://as.example.com", &address("token")),
        address("revoke"),
    );
    let surroundings = Surroundings {
        address: PEERS,
        resolver: Arc::new(names.clone()),
        more,
        ..Surroundings::default()
    };
    let world = World::among("sqlite:attache.db", surroundings).await;
    let (program, mut ada) = (world.program(ADA), world.ada().await);
    assert_eq!(approved(&mut ada, "moving", "https://as.example.com").await, "connected");
    assert_eq!(program.get("/http/moving/x").await.body, "here");

    let (asked, seen) = (names.asked(), provider.arrived().len());
    names.lead("localhost", &[Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
    let said = program.get("/http/moving/x").await;
    assert_eq!(said.status, StatusCode::BAD_GATEWAY, "{}", said.body);
    assert!(said.body.contains("upstream-blocked"), "{}", said.body);
    world.later(Duration::from_hours(2));
    let program = world.program(ADA);
    let said = program.get("/http/moving/x").await;
    assert_eq!(said.status, StatusCode::BAD_GATEWAY, "{}", said.body);
    assert!(said.body.contains("misconfigured"), "{}", said.body);
    let ended = program
        .send(
            program
                .request(http::Method::DELETE, "/api/v1/user/credentials/moving")
                .body(bytes::Bytes::new())
                .unwrap(),
        )
        .await;
    assert!(ended.status.is_success(), "{}", ended.body);
    assert!(names.asked() >= asked + 3, "each connection asks anew");
    assert_eq!((canary.connections(), provider.arrived().len()), (0, seen));
    world.end().await;
}

// --- peers --------------------------------------------------------------------------------------

async fn among(more: String) -> World {
    let resolver = Arc::new(Names::default());
    let surroundings = Surroundings { address: PEERS, resolver, more, ..Surroundings::default() };
    World::among("sqlite:attache.db", surroundings).await
}

/// A world that takes access tokens of `count` issuers: `{issuers}0` and so on.
async fn issued_by(issuers: &Hostile, count: usize) -> World {
    let more = (0..count).map(|index| {
        format!(
            "[[identity.jwt]]\nissuer = \"{}{index}\"\naudience = \"{{origin}}\"\n",
            issuers.url
        )
    });
    among(more.collect()).await
}

/// A request with a token that this issuer is said to have signed.
async fn ask(world: &World, issuer: &str) -> Page {
    let claims = json!({ "iss": issuer, "sub": "ada", "exp": world.now() + 600 });
    world.program_with(&world.forge.sign("at+jwt", &claims)).get("/http/api/me").await
}

fn assert_logged(issuer: &str, why: &str) {
    let log = witness::log();
    let told =
        log.lines().any(|line| line.contains(&format!("issuer={issuer} ")) && line.contains(why));
    assert!(told, "{issuer}: {why}");
}

fn metadata(issuer: &str, keys: &str) -> Value {
    json!({
        "issuer": issuer, "jwks_uri": keys,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
    })
}

/// 7, of `/7/{rest}`.
fn issuer_of(path: &str, rest: &str) -> Option<usize> {
    let (index, given) = path.strip_prefix('/')?.split_once('/')?;
    index.parse().ok().filter(|_| given == rest)
}

fn broker(issuer: &str, token_endpoint: &str) -> String {
    format!(
        "mode = \"oauth_connect\"\nissuer = \"{issuer}\"\nclient_id = \"attache\"\n\
         authorization_endpoint = \"{issuer}/authorize\"\ntoken_endpoint = \"{token_endpoint}\"\n"
    )
}

/// The upstream `{kind}-{index}`, of which nothing is known but its URL.
fn learned_from(upstreams: &Hostile, kind: &str, index: usize) -> String {
    let url = &upstreams.url;
    format!(
        "[[upstream]]\nname = \"{kind}-{index}\"\nurl = \"{url}{kind}/{index}\"\n\
         protocol = \"http\"\n[upstream.auth_broker]\nmode = \"oauth_connect\"\n"
    )
}

/// As far as it goes: the page already tells of what is known when it is opened.
async fn try_it(visitor: &mut Visitor, upstream: &str) -> Page {
    let asked = visitor.visit(&format!("/connect/{upstream}")).await;
    let has_form = asked.forms().iter().any(|form| form.action.path() == asked.url.path());
    if has_form { visitor.try_to_begin(upstream).await } else { asked }
}

/// Connects at a server that approves of everything, and says what came of it.
async fn approved(visitor: &mut Visitor, upstream: &str, issuer: &str) -> String {
    let authorization = visitor.begin(upstream).await;
    let says = |wanted: &str| {
        let mut pairs = authorization.query_pairs();
        let found = pairs.find(|(name, _)| name == wanted);
        found.map(|(_, value)| value.into_owned()).expect("the request says it")
    };
    let mut callback = Url::parse(&says("redirect_uri")).expect("a URL");
    callback
        .query_pairs_mut()
        .append_pair("code", "c")
        .append_pair("state", &says("state"))
        .append_pair("iss", issuer);
    visitor.finish(&callback).await.outcome
}

/// What counts connections to where none may go.
struct Canary {
    /// Where it is reached.
    address: SocketAddr,
    port: u16,
    connections: Arc<AtomicUsize>,
}

impl Canary {
    /// At all addresses of this machine, of both families.
    async fn everywhere() -> Self {
        Self::listen((Ipv6Addr::UNSPECIFIED, 0).into()).await
    }

    async fn at(address: Ipv4Addr, port: u16) -> Self {
        Self::listen((address, port).into()).await
    }

    async fn listen(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.expect("a free port");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        let own =
            if address.ip().is_unspecified() { Ipv4Addr::LOCALHOST.into() } else { address.ip() };
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        Handle::current().spawn(async move {
            while listener.accept().await.is_ok() {
                counted.fetch_add(1, SeqCst);
            }
        });
        let canary = Self { address: (own, port).into(), port, connections };
        canary.sings().await;
        canary
    }

    fn connections(&self) -> usize {
        self.connections.load(SeqCst)
    }

    /// It hears what comes: a canary that is deaf proves nothing.
    async fn sings(&self) {
        let heard = tokio::net::TcpStream::connect(self.address).await;
        drop(heard.expect("the canary listens"));
        while self.connections() == 0 {
            tokio::task::yield_now().await;
        }
        self.connections.store(0, SeqCst);
    }
}

/// A server at an allowed address whose words are not to be trusted.
struct Hostile {
    /// With a slash at its end.
    url: Url,
    arrived: Arc<Mutex<Vec<(String, HeaderMap)>>>,
}

impl Hostile {
    /// `answer` is given its own address and the path.
    async fn start(
        answer: impl Fn(&Url, &str) -> Response + Clone + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind((PEERS, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let url = Url::parse(&format!("http://{address}/")).expect("a URL");
        let arrived = Arc::new(Mutex::new(Vec::new()));
        let hostile = Self { url: url.clone(), arrived: Arc::clone(&arrived) };
        let routes = Router::new().fallback(move |request: Request| {
            let path = request.uri().path().to_owned();
            let response = answer(&url, &path);
            let heard = (path, request.headers().clone());
            arrived.lock().unwrap_or_else(PoisonError::into_inner).push(heard);
            async { response }
        });
        Handle::current().spawn(async move { axum::serve(listener, routes).await });
        hostile
    }

    fn arrived(&self) -> Vec<(String, HeaderMap)> {
        self.arrived.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Names that lead where a test says; nobody else is asked.
#[derive(Clone, Debug, Default)]
struct Names {
    places: Arc<Mutex<BTreeMap<String, Vec<IpAddr>>>>,
    asked: Arc<AtomicUsize>,
}

impl Names {
    fn lead(&self, name: &str, places: &[IpAddr]) {
        let mut all = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(name.to_owned(), places.to_vec());
    }

    fn asked(&self) -> usize {
        self.asked.load(SeqCst)
    }
}

#[async_trait::async_trait]
impl Resolver for Names {
    async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let (v4, v6) = (IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST));
        self.asked.fetch_add(1, SeqCst);
        let set = self.places.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        Ok(set.unwrap_or_else(|| match name {
            "loopback.example.com" => vec![v4],
            "mapped.example.com" => vec![Ipv4Addr::LOCALHOST.to_ipv6_mapped().into()],
            "six.example.com" => vec![v6],
            "several.example.com" => vec![Ipv4Addr::new(10, 0, 0, 1).into(), v6, v4],
            _ => vec![v4, v6],
        }))
    }
}

/// One stored block (RFC 1951 section 3.2.4, RFC 1952): whoever inflates finds `text`.
fn gzip(text: &[u8]) -> Vec<u8> {
    let crc = !text.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 * (crc & 1)))
    });
    let length = u16::try_from(text.len()).expect("a small text");
    [
        &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255, 1][..],
        &length.to_le_bytes(),
        &(!length).to_le_bytes(),
        text,
        &crc.to_le_bytes(),
        &u32::from(length).to_le_bytes(),
    ]
    .concat()
}

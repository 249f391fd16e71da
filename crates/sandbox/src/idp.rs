//! "Sandbox sign-in": an `OpenID` Connect provider where one is whoever one says one is.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use attache_core::Timestamp;
use attache_crypto::{
    digest::{base64url, same, sha256},
    jose::{self, Algorithm, KeySet, SigningKey},
};
use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, RawQuery, State},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use http::{HeaderMap, StatusCode, header};
use serde_json::{Map, Value, json};
use url::Url;

use crate::{
    Ambient,
    authorize::{AuthorizationRequest, Refusal, WRONG_ISSUER},
    bounded::Bounded,
    client::{Client, Clients},
    misbehave::{CallbackAnswer, IdJagAnswer, IdTokenAnswer, MARKER, Script, TokenAnswer},
    page::{escape, page},
    params::Params,
    peer::{Bound, Peer},
    people::{EVERYBODY, Person},
    protect::bearer,
    recorder::Recorder,
    shared::Shared,
};

const SERVICE: &str = "Sandbox sign-in";
const CODE_TTL: Duration = Duration::from_mins(1);
const TOKEN_TTL: Duration = Duration::from_mins(5);
const LOGOUT_TTL: Duration = Duration::from_mins(2);
const LOGOUT_EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// Sign-ins remembered.
const MAX_SIGN_INS: usize = 1_000;
/// RFC 8693.
const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const TOKEN_TYPE: &str = "urn:ietf:params:oauth:token-type:";
/// Bytes of a form.
const MAX_FORM: usize = 64 * 1024;

/// Signs ada and grace in, for a client that was registered.
#[derive(Debug)]
pub struct IdentityProvider {
    peer: Peer,
    desk: Arc<Desk>,
}

impl IdentityProvider {
    pub async fn start(listen: SocketAddr, ambient: Ambient) -> io::Result<Self> {
        let bound = Bound::to(listen).await?;
        let desk = Arc::new(Desk {
            issuer: bound.origin(),
            key: SigningKey::generate(ambient.random.as_ref()),
            unknown_key: SigningKey::generate(ambient.random.as_ref()),
            clients: Clients::default(),
            codes: Shared::default(),
            access_tokens: Shared::default(),
            refresh_tokens: Shared::default(),
            audience: Shared::default(),
            renewals: Script::default(),
            callbacks: Script::default(),
            id_tokens: Script::default(),
            sign_ins: Shared::default(),
            id_jags: Script::default(),
            ambient,
        });
        Ok(Self { peer: bound.serve(routes(&desk)), desk })
    }

    pub fn url(&self) -> &Url {
        self.peer.url()
    }

    /// The issuer: the URL without the slash at its end.
    pub fn issuer(&self) -> &str {
        &self.desk.issuer
    }

    pub fn register(&self, client: Client) {
        self.desk.clients.register(client);
    }

    /// A JWT access token (RFC 9068) as an MCP client would have got for `audience`, without the
    /// way through a browser. `None` for a person who does not live here.
    pub fn access_token(&self, person: &str, audience: &str, ttl: Duration) -> Option<String> {
        let person = Person::find(person)?;
        Some(self.desk.access_token(person, audience, ttl))
    }

    /// How the next sign-ins come back.
    pub fn callbacks(&self) -> &Script<CallbackAnswer> {
        &self.desk.callbacks
    }

    /// From now on sign-ins bring JWT access tokens for `audience`, and a refresh token to whoever
    /// asks for `offline_access`.
    pub fn give_tokens_for(&self, audience: &str) {
        self.desk.audience.with(|current| *current = Some(audience.to_owned()));
    }

    /// How the next refreshes are answered: [`TokenAnswer::InvalidGrant`], [`TokenAnswer::Status500`]
    /// or as they should be.
    pub fn renewals(&self) -> &Script<TokenAnswer> {
        &self.desk.renewals
    }

    /// Refresh tokens that are good.
    pub fn open_grants(&self) -> usize {
        self.desk.refresh_tokens.with(|tokens| tokens.keys().count())
    }

    /// What sign-ins and refreshes brought.
    pub fn secrets(&self) -> Vec<String> {
        let access = self.desk.access_tokens.with(|tokens| owned(tokens.keys()));
        let refresh = self.desk.refresh_tokens.with(|tokens| owned(tokens.keys()));
        [access, refresh].concat()
    }

    /// The sign-ins of this person, each by its `sid`, the oldest first.
    pub fn sign_ins(&self, person: Person) -> Vec<String> {
        let of = |sign_ins: &mut Vec<(Person, String)>| {
            let theirs = sign_ins.iter().filter(|(who, _)| who.id == person.id);
            theirs.map(|(_, sid)| sid.clone()).collect()
        };
        self.desk.sign_ins.with(of)
    }

    /// A logout token (`OpenID` Connect Back-Channel Logout section 2.4) for `client` that says
    /// `claims` besides, or in the place of what it would say: a null takes one away.
    pub fn logout_token(&self, client: &str, claims: &Value) -> String {
        self.desk.key.sign("logout+jwt", &self.desk.logout_claims(client, claims))
    }

    /// The same, signed with a key that is not the issuer's, or as another type of token.
    pub fn forged_logout_token(&self, client: &str, claims: &Value) -> [String; 3] {
        let claims = self.desk.logout_claims(client, claims);
        let Desk { key, unknown_key, .. } = &*self.desk;
        [unknown_key.sign("logout+jwt", &claims), unsigned(&claims), key.sign("at+jwt", &claims)]
    }

    /// What the next ID tokens say.
    pub fn id_tokens(&self) -> &Script<IdTokenAnswer> {
        &self.desk.id_tokens
    }

    /// What is answered next to who asks for an ID-JAG.
    pub fn id_jags(&self) -> &Script<IdJagAnswer> {
        &self.desk.id_jags
    }

    /// Whatever it is, with the provider's own signature.
    pub fn sign(&self, typ: &str, claims: &Value) -> String {
        self.desk.key.sign(typ, &claims.as_object().cloned().unwrap_or_default())
    }

    pub fn recorder(&self) -> &Recorder {
        self.peer.recorder()
    }

    pub async fn stop(&self) {
        self.peer.stop().await;
    }
}

#[derive(Debug)]
struct Desk {
    issuer: String,
    ambient: Ambient,
    key: SigningKey,
    unknown_key: SigningKey,
    clients: Clients,
    codes: Shared<Bounded<Code>>,
    access_tokens: Shared<Bounded<(Person, Timestamp)>>,
    refresh_tokens: Shared<Bounded<Person>>,
    /// Whom the access tokens of sign-ins are for, as JWTs; nobody in particular otherwise.
    audience: Shared<Option<String>>,
    renewals: Script<TokenAnswer>,
    callbacks: Script<CallbackAnswer>,
    id_tokens: Script<IdTokenAnswer>,
    /// The latest [`MAX_SIGN_INS`].
    sign_ins: Shared<Vec<(Person, String)>>,
    id_jags: Script<IdJagAnswer>,
}

#[derive(Debug)]
struct Code {
    request: AuthorizationRequest,
    person: Person,
    issued_at: Timestamp,
}

fn routes(desk: &Arc<Desk>) -> Router {
    Router::new()
        .route("/.well-known/openid-configuration", get(configuration))
        .route("/authorize", get(authorize).post(authorize))
        .route("/token", post(token))
        .route("/revoke", post(revoke))
        .route("/userinfo", get(userinfo))
        .route("/jwks", get(jwks))
        .layer(DefaultBodyLimit::max(MAX_FORM))
        .with_state(Arc::clone(desk))
}

async fn configuration(State(desk): State<Arc<Desk>>) -> Json<Value> {
    let issuer = &desk.issuer;
    Json(json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "userinfo_endpoint": format!("{issuer}/userinfo"),
        "jwks_uri": format!("{issuer}/jwks"),
        "revocation_endpoint": format!("{issuer}/revoke"),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "scopes_supported": ["openid", "profile", "email"],
        "claims_supported": ["sub", "name", "email", "email_verified", "groups"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
    }))
}

async fn jwks(State(desk): State<Arc<Desk>>) -> Json<Value> {
    Json(json!({ "keys": [desk.key.jwk()] }))
}

/// Asks who it is, or believes what the request says.
async fn authorize(
    State(desk): State<Arc<Desk>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    form: Bytes,
) -> Response {
    let query = query.unwrap_or_default();
    let (Ok(params), Ok(form)) = (Params::parse(query.as_bytes()), Params::parse(&form)) else {
        return Refusal::Stay("A parameter occurs twice.").answer(SERVICE, &desk.issuer);
    };
    let request = match AuthorizationRequest::parse(&params, &desk.clients) {
        Ok(request) => request,
        Err(refusal) => return refusal.answer(SERVICE, &desk.issuer),
    };
    let chosen = form.get("as").and_then(Person::find);
    match chosen.or_else(|| Person::named_by(&params, &headers)) {
        Some(person) => desk.sign_in(person, request),
        None if params.get("prompt") == Some("none") => {
            request.way_back.with_error("login_required", &desk.issuer)
        }
        None => sign_in_page(&query, &request, params.get("login_hint")),
    }
}

fn sign_in_page(query: &str, request: &AuthorizationRequest, hint: Option<&str>) -> Response {
    let buttons: Vec<String> = EVERYBODY.iter().map(|person| button(person, hint)).collect();
    let body = format!(
        "<p>{client} asks who you are. Be whoever you like.</p>\
         <form method=\"post\" action=\"/authorize?{query}\">{buttons}</form>",
        client = escape(&request.client_id),
        query = escape(query),
        buttons = buttons.concat(),
    );
    page(StatusCode::OK, SERVICE, "Who are you today?", &body)
}

fn button(person: &Person, hint: Option<&str>) -> String {
    let hinted = hint.is_some_and(|hint| hint == person.id || hint == person.email);
    let class = if hinted { " class=\"yes\"" } else { "" };
    let first = person.name.split(' ').next().unwrap_or(person.name);
    format!("<button{class} name=\"as\" value=\"{}\">Sign in as {first}</button>", person.id)
}

async fn token(State(desk): State<Arc<Desk>>, headers: HeaderMap, form: Bytes) -> Response {
    let Ok(params) = Params::parse(&form) else { return oauth_error("invalid_request") };
    let client = match desk.clients.authenticate(&headers, &params) {
        Ok(client) => client,
        Err(refused) => return refused.into_response(),
    };
    let tokens = match params.get("grant_type") {
        Some("authorization_code") => desk.redeem(&client, &params),
        Some("refresh_token") => match desk.renewals.take() {
            TokenAnswer::InvalidGrant => return oauth_error("invalid_grant"),
            TokenAnswer::Status500 => return StatusCode::INTERNAL_SERVER_ERROR.into_response(),
            answer => desk.renew(&client, &params, answer),
        },
        Some(TOKEN_EXCHANGE) => return desk.assert(&client, &params),
        _ => return oauth_error("unsupported_grant_type"),
    };
    match tokens {
        Some(tokens) => ([(header::CACHE_CONTROL, "no-store")], Json(tokens)).into_response(),
        None => oauth_error("invalid_grant"),
    }
}

/// RFC 7009.
async fn revoke(State(desk): State<Arc<Desk>>, headers: HeaderMap, form: Bytes) -> Response {
    let Ok(params) = Params::parse(&form) else { return oauth_error("invalid_request") };
    if let Err(refused) = desk.clients.authenticate(&headers, &params) {
        return refused.into_response();
    }
    let token = params.get("token").unwrap_or_default();
    desk.refresh_tokens.with(|tokens| tokens.remove(token));
    StatusCode::OK.into_response()
}

async fn userinfo(State(desk): State<Arc<Desk>>, headers: HeaderMap) -> Response {
    let now = desk.ambient.now();
    let person = bearer(&headers).and_then(|token| {
        desk.access_tokens.with(|tokens| tokens.get(token).copied()).filter(|(_, end)| *end > now)
    });
    let Some((person, _)) = person else {
        let challenge = [(header::WWW_AUTHENTICATE, "Bearer error=\"invalid_token\"")];
        return (StatusCode::UNAUTHORIZED, challenge).into_response();
    };
    Json(Value::from(claims_about(person))).into_response()
}

impl Desk {
    fn sign_in(&self, person: Person, request: AuthorizationRequest) -> Response {
        let code = self.ambient.token("code");
        let answer = request.way_back.with_code(&code, &self.issuer, self.callbacks.take());
        let issued_at = self.ambient.now();
        self.codes.with(|codes| codes.insert(code, Code { request, person, issued_at }));
        answer
    }

    /// Every code is good once, whatever comes of it.
    fn redeem(&self, client: &Client, params: &Params) -> Option<Value> {
        let code = params.get("code")?;
        let Code { request, person, issued_at } = self.codes.with(|codes| codes.remove(code))?;
        let now = self.ambient.now();
        let challenge = base64url(&sha256(params.get("code_verifier")?.as_bytes()));
        let good = request.client_id == client.id
            && params.get("redirect_uri") == Some(request.way_back.redirect_uri.as_str())
            && same(challenge.as_bytes(), request.code_challenge.as_bytes())
            && now.since(issued_at) < CODE_TTL;
        if !good {
            return None;
        }
        let mut tokens = self.tokens(person, &request.scopes);
        let id_token = self.id_token(person, &request, self.id_tokens.take());
        tokens.insert("id_token".to_owned(), json!(id_token));
        Some(Value::from(tokens))
    }

    /// Every refresh token is good once.
    fn renew(&self, client: &Client, params: &Params, answer: TokenAnswer) -> Option<Value> {
        let token = params.get("refresh_token")?;
        let person = self.refresh_tokens.with(|tokens| tokens.remove(token))?;
        let mut tokens = self.tokens(person, &["offline_access".to_owned()]);
        if answer != TokenAnswer::NoIdToken {
            let id_token = self.key.sign("JWT", &self.claims(person, &client.id, TOKEN_TTL));
            tokens.insert("id_token".to_owned(), json!(id_token));
        }
        Some(Value::from(tokens))
    }

    /// An ID-JAG for whom the sign-in was for, under the name that it has here.
    fn assert(&self, client: &Client, params: &Params) -> Response {
        let (issued, token_type) = match self.id_jags.take() {
            IdJagAnswer::Normal => ("id-jag", "N_A"),
            IdJagAnswer::Typed(issued, token_type) => (issued, token_type),
            IdJagAnswer::Error(error) => {
                let body = json!({ "error": error, "error_description": MARKER });
                return (StatusCode::BAD_REQUEST, Json(body)).into_response();
            }
            IdJagAnswer::Away => return StatusCode::SERVICE_UNAVAILABLE.into_response(),
        };
        let typed = |name| params.get(name).and_then(|text| text.strip_prefix(TOKEN_TYPE));
        let (Some("id-jag"), Some(audience), Some(resource)) =
            (typed("requested_token_type"), params.get("audience"), params.get("resource"))
        else {
            return oauth_error("invalid_request");
        };
        let subject = params.get("subject_token").unwrap_or_default();
        let person = match typed("subject_token_type") {
            Some("id_token") => self.signed_in(client, subject),
            Some("refresh_token") => self.refresh_tokens.with(|all| all.get(subject).copied()),
            _ => None,
        };
        let Some(person) = person else { return oauth_error("invalid_grant") };
        let mut claims = self.claims(person, audience, TOKEN_TTL);
        claims.insert("client_id".to_owned(), json!(client.id));
        claims.insert("resource".to_owned(), json!(resource));
        claims.insert("jti".to_owned(), json!(self.ambient.token("jti")));
        let body = json!({
            "access_token": self.key.sign("oauth-id-jag+jwt", &claims),
            "issued_token_type": format!("{TOKEN_TYPE}{issued}"),
            "token_type": token_type,
            "expires_in": TOKEN_TTL.as_secs(),
        });
        ([(header::CACHE_CONTROL, "no-store")], Json(body)).into_response()
    }

    /// Whose ID token it is, if it is one of ours for this client and good.
    fn signed_in(&self, client: &Client, id_token: &str) -> Option<Person> {
        let keys = json!({ "keys": [self.key.jwk()] }).to_string();
        let keys = KeySet::parse(keys.as_bytes()).ok()?;
        let verified = jose::verify(id_token, &keys, Algorithm::ALL).ok()?;
        let is_ours = verified.typ.as_deref() == Some("JWT")
            && verified.claims.get("aud")?.as_str()? == client.id
            && verified.claims.get("exp")?.as_i64()? > self.ambient.now().as_seconds();
        is_ours.then(|| Person::find(verified.claims.get("sub")?.as_str()?)).flatten()
    }

    fn tokens(&self, person: Person, scopes: &[String]) -> Map<String, Value> {
        let audience = self.audience.with(|audience| audience.clone());
        let access_token = match &audience {
            Some(audience) => self.access_token(person, audience, TOKEN_TTL),
            None => self.ambient.token("idp"),
        };
        let until = self.ambient.now().plus(TOKEN_TTL);
        self.access_tokens.with(|tokens| tokens.insert(access_token.clone(), (person, until)));
        let mut tokens = Map::from_iter([
            ("access_token".to_owned(), json!(access_token)),
            ("token_type".to_owned(), json!("Bearer")),
            ("expires_in".to_owned(), json!(TOKEN_TTL.as_secs())),
            ("scope".to_owned(), json!(scopes.join(" "))),
        ]);
        if scopes.iter().any(|scope| scope == "offline_access") {
            let token = self.ambient.token("idp-refresh");
            self.refresh_tokens.with(|tokens| tokens.insert(token.clone(), person));
            tokens.insert("refresh_token".to_owned(), json!(token));
        }
        tokens
    }

    fn id_token(
        &self,
        person: Person,
        request: &AuthorizationRequest,
        answer: IdTokenAnswer,
    ) -> String {
        let mut claims = self.claims(person, &request.client_id, TOKEN_TTL);
        let sid = self.ambient.token("sid");
        claims.insert("sid".to_owned(), json!(sid));
        self.sign_ins.with(|sign_ins| {
            if sign_ins.len() >= MAX_SIGN_INS {
                sign_ins.remove(0);
            }
            sign_ins.push((person, sid));
        });
        claims.extend(request.nonce.clone().map(|nonce| ("nonce".to_owned(), nonce.into())));
        let mut set = |name: &str, value: Value| claims.insert(name.to_owned(), value);
        match answer {
            IdTokenAnswer::WrongNonce => drop(set("nonce", json!("somebody else's"))),
            IdTokenAnswer::WrongIssuer => drop(set("iss", json!(WRONG_ISSUER))),
            IdTokenAnswer::WrongAudience => drop(set("aud", json!("another-client"))),
            IdTokenAnswer::Expired => {
                let hour = 3600;
                drop(set("exp", json!(self.ambient.now().as_seconds().saturating_sub(hour))));
            }
            IdTokenAnswer::HostedDomain(domain) => drop(set("hd", json!(domain))),
            IdTokenAnswer::NoNonce => drop(claims.remove("nonce")),
            IdTokenAnswer::Normal | IdTokenAnswer::UnknownKey | IdTokenAnswer::Unsigned => {}
        }
        match answer {
            IdTokenAnswer::Unsigned => unsigned(&claims),
            IdTokenAnswer::UnknownKey => self.unknown_key.sign("JWT", &claims),
            _ => self.key.sign("JWT", &claims),
        }
    }

    fn access_token(&self, person: Person, audience: &str, ttl: Duration) -> String {
        let mut claims = self.claims(person, audience, ttl);
        claims.insert("client_id".to_owned(), json!("sandbox-mcp-client"));
        claims.insert("jti".to_owned(), json!(self.ambient.token("jti")));
        self.key.sign("at+jwt", &claims)
    }

    fn logout_claims(&self, client: &str, changes: &Value) -> Map<String, Value> {
        let now = self.ambient.now();
        let mut claims = Map::from_iter([
            ("iss".to_owned(), json!(self.issuer)),
            ("aud".to_owned(), json!(client)),
            ("iat".to_owned(), json!(now.as_seconds())),
            ("exp".to_owned(), json!(now.plus(LOGOUT_TTL).as_seconds())),
            ("jti".to_owned(), json!(self.ambient.token("jti"))),
            ("events".to_owned(), json!({ LOGOUT_EVENT: {} })),
        ]);
        claims.extend(changes.as_object().cloned().unwrap_or_default());
        claims.retain(|_, value| !value.is_null());
        claims
    }

    fn claims(&self, person: Person, audience: &str, ttl: Duration) -> Map<String, Value> {
        let now = self.ambient.now();
        let mut claims = claims_about(person);
        claims.insert("iss".to_owned(), json!(self.issuer));
        claims.insert("aud".to_owned(), json!(audience));
        claims.insert("iat".to_owned(), json!(now.as_seconds()));
        claims.insert("exp".to_owned(), json!(now.plus(ttl).as_seconds()));
        claims
    }
}

fn owned<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<String> {
    texts.map(str::to_owned).collect()
}

fn claims_about(person: Person) -> Map<String, Value> {
    let claims = [
        ("sub", json!(person.id)),
        ("name", json!(person.name)),
        ("preferred_username", json!(person.id)),
        ("email", json!(person.email)),
        ("email_verified", json!(true)),
        ("groups", json!(person.groups)),
    ];
    claims.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn unsigned(claims: &Map<String, Value>) -> String {
    let header = json!({ "alg": "none", "typ": "JWT" }).to_string();
    let claims = Value::from(claims.clone()).to_string();
    format!("{}.{}.", base64url(header.as_bytes()), base64url(claims.as_bytes()))
}

fn oauth_error(error: &'static str) -> Response {
    (StatusCode::BAD_REQUEST, Json(json!({ "error": error }))).into_response()
}

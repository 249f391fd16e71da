//! "Sandbox Notes": the authorization server of an upstream, with accounts of its own.
//!
//! PKCE is required, refresh tokens rotate and their reuse ends the grant, `iss` is in every
//! answer, and the metadata say so (RFC 8414). What it should do otherwise is a [`Script`].

mod ledger;
mod token;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, RawQuery, State},
    response::Response,
    routing::{any, get, post},
};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use url::Url;

pub use ledger::Stats;

use crate::{
    Ambient,
    authorize::{AuthorizationRequest, Refusal},
    client::{Client, Clients},
    misbehave::{CallbackAnswer, Script, TokenAnswer, UnknownScopes},
    page::{escape, page},
    params::Params,
    peer::{Bound, Peer},
    people::{EVERYBODY, Person},
    protect::{Holder, TokenCheck},
    recorder::Recorder,
    shared::Shared,
};
use ledger::Ledger;

const SERVICE: &str = "Sandbox Notes";
const SCOPES: [&str; 2] = ["notes", "offline_access"];
/// Bytes of a form.
const MAX_FORM: usize = 64 * 1024;

/// Where a person allows a client to use their notes.
#[derive(Debug)]
pub struct AuthorizationServer {
    peer: Peer,
    office: Arc<Office>,
}

impl AuthorizationServer {
    /// Access tokens live for an hour until [`AuthorizationServer::set_lifetime`].
    pub async fn start(listen: SocketAddr, ambient: Ambient) -> io::Result<Self> {
        let bound = Bound::to(listen).await?;
        let office = Arc::new(Office {
            issuer: bound.origin(),
            clients: Clients::default(),
            ledger: Shared::new(Ledger::new(ambient)),
            token_answers: Script::default(),
            callbacks: Script::default(),
            unknown_scopes: Shared::default(),
        });
        Ok(Self { peer: bound.serve(routes(&office)), office })
    }

    pub fn url(&self) -> &Url {
        self.peer.url()
    }

    /// The issuer: the URL without the slash at its end.
    pub fn issuer(&self) -> &str {
        &self.office.issuer
    }

    pub fn register(&self, client: Client) {
        self.office.clients.register(client);
    }

    /// What a protected resource asks whose token it was shown.
    pub fn tokens(&self) -> Arc<dyn TokenCheck> {
        Arc::clone(&self.office) as Arc<dyn TokenCheck>
    }

    /// How the token endpoint answers next.
    pub fn token_answers(&self) -> &Script<TokenAnswer> {
        &self.office.token_answers
    }

    /// How the next consents come back.
    pub fn callbacks(&self) -> &Script<CallbackAnswer> {
        &self.office.callbacks
    }

    /// What it does from now on when it is asked for scopes that it does not list.
    pub fn set_unknown_scopes(&self, unknown: UnknownScopes) {
        self.office.unknown_scopes.with(|set| *set = unknown);
    }

    pub fn stats(&self) -> Stats {
        self.office.ledger.with(|ledger| ledger.stats)
    }

    /// How long access tokens live that are issued from now on.
    pub fn set_lifetime(&self, lifetime: Duration) {
        self.office.ledger.with(|ledger| ledger.lifetime = lifetime);
    }

    /// Ends every access token, as if its time had come early; refresh tokens stay good.
    pub fn expire_access_tokens(&self) {
        self.office.ledger.with(Ledger::expire_access_tokens);
    }

    /// Ends everything this account has allowed, as a person would in the provider's settings.
    pub fn withdraw(&self, account: &str) {
        self.office.ledger.with(|ledger| ledger.withdraw(account));
    }

    /// Every code and token that was issued (the last 2,000 of each kind), so that a test can look
    /// for them where they must not be.
    pub fn secrets(&self) -> Vec<String> {
        self.office.ledger.with(|ledger| ledger.secrets())
    }

    pub fn recorder(&self) -> &Recorder {
        self.peer.recorder()
    }

    pub async fn stop(&self) {
        self.peer.stop().await;
    }
}

#[derive(Debug)]
struct Office {
    issuer: String,
    clients: Clients,
    ledger: Shared<Ledger>,
    token_answers: Script<TokenAnswer>,
    callbacks: Script<CallbackAnswer>,
    unknown_scopes: Shared<UnknownScopes>,
}

impl TokenCheck for Office {
    fn issuer(&self) -> &str {
        &self.issuer
    }

    fn check(&self, token: &str) -> Option<Holder> {
        self.ledger.with(|ledger| ledger.holder(token))
    }
}

fn routes(office: &Arc<Office>) -> Router {
    Router::new()
        .route("/.well-known/oauth-authorization-server", get(metadata))
        .route("/.well-known/openid-configuration", get(metadata))
        .route("/authorize", get(authorize).post(authorize))
        .route("/token", post(token::token))
        .route("/revoke", post(token::revoke))
        .route("/trap", any(trap))
        .layer(DefaultBodyLimit::max(MAX_FORM))
        .with_state(Arc::clone(office))
}

async fn metadata(State(office): State<Arc<Office>>) -> Json<Value> {
    let issuer = &office.issuer;
    let authentication = ["client_secret_basic", "client_secret_post", "none"];
    Json(json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "revocation_endpoint": format!("{issuer}/revoke"),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "scopes_supported": SCOPES,
        "token_endpoint_auth_methods_supported": authentication,
        "revocation_endpoint_auth_methods_supported": authentication,
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
    }))
}

/// Asks for consent, takes the answer, or believes what the request says.
async fn authorize(
    State(office): State<Arc<Office>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    form: Bytes,
) -> Response {
    let query = query.unwrap_or_default();
    let (Ok(params), Ok(form)) = (Params::parse(query.as_bytes()), Params::parse(&form)) else {
        return Refusal::Stay("A parameter occurs twice.").answer(SERVICE, &office.issuer);
    };
    let unknown = office.unknown_scopes.with(|unknown| *unknown);
    let request = AuthorizationRequest::parse(&params, &office.clients);
    let request = match request.and_then(|request| with_scopes(request, unknown)) {
        Ok(request) => request,
        Err(refusal) => return refusal.answer(SERVICE, &office.issuer),
    };
    let chosen = form.get("account").and_then(Person::find);
    match (form.get("decision"), chosen.or_else(|| Person::named_by(&params, &headers))) {
        (Some("deny"), _) => request.way_back.with_error("access_denied", &office.issuer),
        (Some("allow") | None, Some(account)) => office.allow(account, request),
        _ => consent_page(&query, &request),
    }
}

/// Known scopes only, unless told otherwise; without any, the plain one (RFC 6749 section 3.3).
fn with_scopes(
    mut request: AuthorizationRequest,
    unknown: UnknownScopes,
) -> Result<AuthorizationRequest, Refusal> {
    let is_known = |scope: &String| SCOPES.contains(&scope.as_str());
    match unknown {
        UnknownScopes::Refuse if !request.scopes.iter().all(is_known) => {
            return Err(Refusal::GoBack(Box::new(request.way_back), "invalid_scope"));
        }
        UnknownScopes::LeaveOut => request.scopes.retain(is_known),
        UnknownScopes::Refuse | UnknownScopes::Grant => {}
    }
    if request.scopes.is_empty() {
        request.scopes.push("notes".to_owned());
    }
    Ok(request)
}

fn consent_page(query: &str, request: &AuthorizationRequest) -> Response {
    let accounts: Vec<String> = EVERYBODY.iter().map(account_choice).collect();
    let returns_to = request.way_back.redirect_uri.origin().ascii_serialization();
    let body = format!(
        "<p><strong>{client}</strong> asks to read and write your notes. You will go back to \
         {returns_to}.</p>\
         <form method=\"post\" action=\"/authorize?{query}\">{accounts}\
         <button name=\"decision\" value=\"deny\">Deny</button></form>",
        accounts = accounts.concat(),
        client = escape(&request.client_id),
        returns_to = escape(&returns_to),
        query = escape(query),
    );
    page(StatusCode::OK, SERVICE, "Allow this?", &body)
}

/// None is chosen beforehand: who only presses on would connect somebody else's account.
fn account_choice(person: &Person) -> String {
    let first = person.name.split(' ').next().unwrap_or(person.name);
    format!(
        "<button class=\"yes\" name=\"account\" value=\"{}\">Allow as {first}</button>",
        person.id
    )
}

/// Where redirected secrets would arrive.
async fn trap(State(office): State<Arc<Office>>) -> StatusCode {
    office.ledger.with(|ledger| ledger.stats.trapped = ledger.stats.trapped.saturating_add(1));
    StatusCode::NO_CONTENT
}

impl Office {
    fn allow(&self, account: Person, request: AuthorizationRequest) -> Response {
        let way_back = request.way_back.clone();
        let code = self.ledger.with(|ledger| ledger.authorize(account.id, request));
        way_back.with_code(&code, &self.issuer, self.callbacks.take())
    }
}

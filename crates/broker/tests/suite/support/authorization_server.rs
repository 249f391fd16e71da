use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    fmt,
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use attache_core::outbound::{FetchError, Limits, Outbound};
use attache_crypto::{
    digest::{base64url, sha256},
    jose::SigningKey,
    random::SystemRandom,
};
use bytes::Bytes;
use http::{Request, Response, header};
use serde_json::{Value, json};
use url::{Url, form_urlencoded};

use super::{
    MARK, START,
    gate::{Gate, Held, gate},
};

/// How long its access tokens live, if it says.
pub(crate) const LIFE: Duration = Duration::from_hours(1);

pub(crate) type Form = BTreeMap<String, String>;

/// Plays a strict authorization server: codes are good once and for whoever holds the PKCE
/// verifier; refresh tokens rotate, and one that comes twice ends its grant.
#[derive(Default)]
pub(crate) struct AuthorizationServer {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    manner: Manner,
    trouble: Option<Trouble>,
    gates: VecDeque<Gate>,
    asked: Vec<(String, Form)>,
    /// The authorization request that each code stands for.
    codes: HashMap<String, Form>,
    grants: Vec<Grant>,
    issued: u32,
    signing: Option<SigningKey>,
    /// What it says of whoever consents, beside what every ID token says.
    claims: Value,
}

/// What a person consented to, until it is revoked.
#[derive(Debug)]
struct Grant {
    resource: Option<String>,
    /// The one that counts.
    refresh_token: String,
    spent: Vec<String>,
}

/// How it answers when all is well.
#[derive(Clone, Debug)]
pub(crate) struct Manner {
    pub(crate) rotates: bool,
    pub(crate) gives_refresh_tokens: bool,
    pub(crate) names_scopes: bool,
    pub(crate) expires_in: Option<u64>,
    pub(crate) refresh_expires_in: Option<u64>,
}

impl Default for Manner {
    fn default() -> Self {
        Self {
            rotates: true,
            gives_refresh_tokens: true,
            names_scopes: true,
            expires_in: Some(LIFE.as_secs()),
            refresh_expires_in: None,
        }
    }
}

/// How it answers otherwise; only [`Trouble::LostAnswers`] looks at what was asked.
#[derive(Clone, Debug)]
pub(crate) enum Trouble {
    Silence,
    /// It does as it was asked, and nobody hears of it.
    LostAnswers,
    Answer {
        status: u16,
        retry_after: Option<&'static str>,
        body: String,
    },
}

impl Trouble {
    pub(crate) fn status(status: u16) -> Self {
        Self::Answer { status, retry_after: None, body: format!("<html>{MARK}</html>") }
    }

    pub(crate) fn busy(retry_after: &'static str) -> Self {
        Self::Answer { status: 429, retry_after: Some(retry_after), body: String::new() }
    }

    /// An error of RFC 6749 section 5.2.
    pub(crate) fn error(status: u16, code: &str) -> Self {
        let body = json!({"error": code, "error_description": MARK}).to_string();
        Self::Answer { status, retry_after: None, body }
    }
}

impl AuthorizationServer {
    pub(crate) fn behave(&self, manner: Manner) {
        self.state().manner = manner;
    }

    /// Every request from now on ends like this.
    pub(crate) fn fail(&self, trouble: Trouble) {
        self.state().trouble = Some(trouble);
    }

    pub(crate) fn recover(&self) {
        self.state().trouble = None;
    }

    /// Whoever consents from now on has an ID token with these claims.
    pub(crate) fn identify(&self, claims: Value) {
        let mut state = self.state();
        state.signing.get_or_insert_with(|| SigningKey::generate(&SystemRandom));
        state.claims = claims;
    }

    /// The keys are others from now on.
    pub(crate) fn rotate_keys(&self) {
        self.state().signing = Some(SigningKey::generate(&SystemRandom));
    }

    /// The next request is worked on as ever; its answer waits.
    pub(crate) fn hold(&self) -> Held {
        let (held, gate) = gate();
        self.state().gates.push_back(gate);
        held
    }

    /// Plays a person's browser: follows the URL, consents, and gives back the callback's query.
    pub(crate) fn consent(&self, url: &Url) -> String {
        let asked: Form = url.query_pairs().into_owned().collect();
        let mut state = self.state();
        let code = state.mint("code");
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("code", &code).append_pair("state", &asked["state"]);
        state.codes.insert(code, asked);
        query.finish()
    }

    /// The person withdraws every consent at the provider's own page.
    pub(crate) fn withdraw_consent(&self) {
        self.state().grants.clear();
    }

    /// The forms posted so far, oldest first.
    pub(crate) fn refreshes(&self) -> Vec<Form> {
        let asked = self.state();
        let refresh = |form: &&Form| form["grant_type"] == "refresh_token";
        asked.at("/token").filter(refresh).cloned().collect()
    }

    pub(crate) fn exchanges(&self) -> Vec<Form> {
        let asked = self.state();
        let exchange = |form: &&Form| form["grant_type"] == "authorization_code";
        asked.at("/token").filter(exchange).cloned().collect()
    }

    pub(crate) fn revocations(&self) -> Vec<Form> {
        self.state().at("/revoke").cloned().collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panicked here")
    }
}

/// Its tokens are not the broker's to hide.
impl fmt::Debug for AuthorizationServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuthorizationServer")
    }
}

#[async_trait::async_trait]
impl Outbound for AuthorizationServer {
    async fn fetch(
        &self,
        request: Request<Bytes>,
        limits: Limits,
    ) -> Result<Response<Bytes>, FetchError> {
        let (answer, gate) = {
            let mut state = self.state();
            let form: Form = form_urlencoded::parse(request.body()).into_owned().collect();
            let path = request.uri().path().to_owned();
            state.asked.push((path.clone(), form.clone()));
            let answer = match state.trouble.clone() {
                Some(Trouble::Silence) => Err(FetchError::Timeout(limits.timeout)),
                Some(Trouble::LostAnswers) => {
                    state.answer(&path, &form);
                    Err(FetchError::Transport("the cable was cut".into()))
                }
                Some(Trouble::Answer { status, retry_after, body }) => {
                    Ok(response(status, retry_after, body))
                }
                None => Ok(state.answer(&path, &form)),
            };
            (answer, state.gates.pop_front())
        };
        if let Some(gate) = gate {
            gate.wait().await;
        }
        answer
    }
}

impl State {
    fn at(&self, path: &str) -> impl Iterator<Item = &Form> {
        self.asked.iter().filter(move |(at, _)| at == path).map(|(_, form)| form)
    }

    fn answer(&mut self, path: &str, form: &Form) -> Response<Bytes> {
        match (path, form.get("grant_type").map(String::as_str)) {
            ("/token", Some("authorization_code")) => self.exchange(form),
            ("/token", Some("refresh_token")) => self.refresh(form),
            ("/revoke", None) => {
                let token = &form["token"];
                self.grants.retain(|grant| grant.refresh_token != *token);
                response(200, None, String::new())
            }
            ("/.well-known/openid-configuration", None) => {
                let origin = "https://as.example.com";
                let endpoint = |path: &str| format!("{origin}{path}");
                let metadata = json!({"issuer": origin, "jwks_uri": endpoint("/keys"),
                    "authorization_endpoint": endpoint("/authorize"),
                    "token_endpoint": endpoint("/token")});
                response(200, None, metadata.to_string())
            }
            ("/keys", None) => {
                let keys: Vec<_> = self.signing.iter().map(SigningKey::jwk).collect();
                response(200, None, json!({ "keys": keys }).to_string())
            }
            _ => response(404, None, String::new()),
        }
    }

    /// RFC 6749 section 4.1.3 and RFC 7636 section 4.6.
    fn exchange(&mut self, form: &Form) -> Response<Bytes> {
        let Some(asked) = self.codes.remove(&form["code"]) else { return refuse("invalid_grant") };
        let challenge = base64url(&sha256(form["code_verifier"].as_bytes()));
        if asked["code_challenge"] != challenge || asked["redirect_uri"] != form["redirect_uri"] {
            return refuse("invalid_grant");
        }
        if asked.get("resource") != form.get("resource") {
            return refuse("invalid_target");
        }
        let refresh_token = self.mint("refresh");
        let resource = form.get("resource").cloned();
        self.grants.push(Grant { resource, refresh_token: refresh_token.clone(), spent: vec![] });
        let id_token = self.id_token(&asked);
        self.tokens(Some(refresh_token), id_token)
    }

    /// `OpenID` Connect Core section 2.
    fn id_token(&self, asked: &Form) -> Option<String> {
        let now = START.0 / 1000;
        let mut claims = json!({"iss": "https://as.example.com", "aud": "attache", "sub": "a-1",
            "iat": now, "exp": now + 3600, "nonce": asked.get("nonce")});
        let claims = claims.as_object_mut().expect("it is one");
        claims.extend(self.claims.as_object().cloned().unwrap_or_default());
        Some(self.signing.as_ref()?.sign("JWT", claims))
    }

    /// RFC 6749 section 6; a spent token ends its grant (RFC 9700 section 4.14.2).
    fn refresh(&mut self, form: &Form) -> Response<Bytes> {
        let token = &form["refresh_token"];
        self.grants.retain(|grant| !grant.spent.contains(token));
        let fresh = self.manner.rotates.then(|| self.mint("refresh"));
        let Some(grant) = self.grants.iter_mut().find(|grant| grant.refresh_token == *token) else {
            return refuse("invalid_grant");
        };
        if grant.resource.as_ref() != form.get("resource") {
            return refuse("invalid_target");
        }
        if let Some(fresh) = &fresh {
            grant.spent.push(std::mem::replace(&mut grant.refresh_token, fresh.clone()));
        }
        self.tokens(fresh, None)
    }

    fn tokens(
        &mut self,
        refresh_token: Option<String>,
        id_token: Option<String>,
    ) -> Response<Bytes> {
        let mut body = json!({"access_token": self.mint("access"), "token_type": "bearer"});
        if let Some(id_token) = id_token {
            body["id_token"] = Value::from(id_token);
        }
        if let Some(seconds) = self.manner.expires_in {
            body["expires_in"] = Value::from(seconds);
        }
        if let Some(seconds) = self.manner.refresh_expires_in {
            body["refresh_token_expires_in"] = Value::from(seconds);
        }
        if self.manner.names_scopes {
            body["scope"] = Value::from("read write");
        }
        if let Some(token) = refresh_token.filter(|_| self.manner.gives_refresh_tokens) {
            body["refresh_token"] = Value::from(token);
        }
        response(200, None, body.to_string())
    }

    fn mint(&mut self, kind: &str) -> String {
        self.issued += 1;
        format!("{kind}-{MARK}-{}", self.issued)
    }
}

fn refuse(code: &str) -> Response<Bytes> {
    response(400, None, json!({"error": code, "error_description": MARK}).to_string())
}

fn response(status: u16, retry_after: Option<&str>, body: String) -> Response<Bytes> {
    let mut response = Response::builder().status(status);
    if let Some(seconds) = retry_after {
        response = response.header(header::RETRY_AFTER, seconds);
    }
    response.body(Bytes::from(body)).expect("a well-formed response")
}

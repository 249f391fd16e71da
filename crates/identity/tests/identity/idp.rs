//! An identity provider that does everything right, until a test says otherwise.

use std::{collections::HashMap, fmt, sync::Mutex};

use attache_core::outbound::{FetchError, Limits, Outbound};
use attache_crypto::{
    digest::{base64url, sha256},
    jose::SigningKey,
    random::SystemRandom,
};
use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use serde_json::{Map, Value, json};
use url::{Url, form_urlencoded};

pub(crate) const ISSUER: &str = "https://idp.example.com/t1";
pub(crate) const CLIENT: &str = "attache";
const CODE: &str = "the-code";

pub(crate) struct Idp {
    state: Mutex<State>,
}

pub(crate) struct State {
    pub(crate) key: SigningKey,
    /// What it says in its key set, if not the truth.
    pub(crate) published: Option<Value>,
    pub(crate) down: bool,
    pub(crate) advertises_iss: bool,
    /// Signs nobody in: its metadata is where RFC 8414 puts it, and only there.
    pub(crate) is_oauth_only: bool,
    /// Claims that differ from an honest ID token's; `null` takes one away.
    pub(crate) id_token: Value,
    pub(crate) userinfo: Value,
    /// Paths that were fetched.
    pub(crate) asked: Vec<String>,
    now: i64,
    /// Of the authorization request that was granted last.
    granted: Option<(String, String)>,
}

impl Idp {
    pub(crate) fn new(now: i64) -> Self {
        let state = State {
            key: SigningKey::generate(&SystemRandom),
            published: None,
            down: false,
            advertises_iss: true,
            is_oauth_only: false,
            id_token: json!({}),
            userinfo: json!({
                "sub": "ada", "email": "ada@example.com", "email_verified": true, "name": "Ada",
                "groups": ["engineering"],
            }),
            asked: vec![],
            now,
            granted: None,
        };
        Self { state: Mutex::new(state) }
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
    }

    pub(crate) fn asked(&self, path: &str) -> usize {
        self.state.lock().unwrap().asked.iter().filter(|asked| *asked == path).count()
    }

    /// The person signs in and approves: what the browser is sent back with.
    pub(crate) fn approve(&self, authorize: &Url) -> String {
        let query: HashMap<_, _> = authorize.query_pairs().into_owned().collect();
        assert_eq!(query["response_type"], "code");
        assert_eq!(query["client_id"], CLIENT);
        assert_eq!(query["redirect_uri"], "https://gw.example.com/login/callback");
        assert_eq!(query["scope"], "openid email");
        assert_eq!(query["code_challenge_method"], "S256");
        let granted = (query["code_challenge"].clone(), query["nonce"].clone());
        let challenge_of_nonce = base64url(&sha256(granted.1.as_bytes()));
        assert_ne!(granted.0, challenge_of_nonce, "the nonce gives the verifier away");
        self.change(|state| state.granted = Some(granted));
        form_urlencoded::Serializer::new(String::new())
            .append_pair("code", CODE)
            .append_pair("state", &query["state"])
            .append_pair("iss", ISSUER)
            .finish()
    }

    /// A token signed with the present key.
    pub(crate) fn sign(&self, typ: &str, claims: Value) -> String {
        self.state.lock().unwrap().key.sign(typ, &map(claims))
    }
}

impl State {
    fn answer(&mut self, request: &Request<Bytes>) -> Option<Value> {
        let metadata = if self.is_oauth_only {
            "/.well-known/oauth-authorization-server/t1"
        } else {
            "/t1/.well-known/openid-configuration"
        };
        Some(match request.uri().path() {
            path if path == metadata => json!({
                "issuer": ISSUER,
                "authorization_endpoint": "https://idp.example.com/authorize",
                "token_endpoint": "https://idp.example.com/token",
                "jwks_uri": "https://idp.example.com/keys",
                "userinfo_endpoint": "https://idp.example.com/userinfo",
                "authorization_response_iss_parameter_supported": self.advertises_iss,
            }),
            "/keys" => {
                json!({ "keys": [self.published.clone().unwrap_or_else(|| self.key.jwk())] })
            }
            "/token" => self.redeem(request.body())?,
            "/userinfo" => {
                assert_eq!(request.headers()[header::AUTHORIZATION], "Bearer idp-access-token");
                self.userinfo.clone()
            }
            _ => return None,
        })
    }

    fn redeem(&mut self, form: &[u8]) -> Option<Value> {
        let form: HashMap<_, _> = form_urlencoded::parse(form).into_owned().collect();
        let (challenge, nonce) = self.granted.take()?;
        let verified = base64url(&sha256(form["code_verifier"].as_bytes())) == challenge;
        if form["code"] != CODE || !verified {
            return Some(json!({ "error": "invalid_grant" }));
        }
        let mut claims = map(json!({
            "iss": ISSUER, "aud": CLIENT, "sub": "ada", "nonce": nonce,
            "iat": self.now, "exp": self.now + 300,
        }));
        claims.extend(map(self.id_token.clone()));
        claims.retain(|_, value| !value.is_null());
        Some(json!({
            "access_token": "idp-access-token", "token_type": "Bearer",
            "id_token": self.key.sign("JWT", &claims),
        }))
    }
}

#[async_trait::async_trait]
impl Outbound for Idp {
    async fn fetch(
        &self,
        request: Request<Bytes>,
        _limits: Limits,
    ) -> Result<Response<Bytes>, FetchError> {
        let mut state = self.state.lock().unwrap();
        assert_eq!(request.uri().host(), Some("idp.example.com"));
        state.asked.push(request.uri().path().to_owned());
        if state.down {
            return Err(FetchError::Transport("down".into()));
        }
        let (status, body) = match state.answer(&request) {
            Some(body) => (StatusCode::OK, body),
            None => (StatusCode::NOT_FOUND, Value::Null),
        };
        let mut response = Response::new(Bytes::from(body.to_string()));
        *response.status_mut() = status;
        Ok(response)
    }
}

impl fmt::Debug for Idp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Idp")
    }
}

pub(crate) fn map(value: Value) -> Map<String, Value> {
    serde_json::from_value(value).unwrap()
}

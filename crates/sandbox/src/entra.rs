//! A directory of Microsoft Entra, as far as On-Behalf-Of goes: it refuses every form that differs
//! from the documented one.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use attache_core::Secret;
use attache_crypto::{
    digest::{base64url, same},
    jose::{Algorithm, KeySet, SigningKey, verify},
};
use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use http::{HeaderMap, StatusCode, header};
use serde_json::{Map, Value, json};

use crate::{
    Ambient, MARKER,
    misbehave::Script,
    params::Params,
    peer::{Bound, Peer},
    people::Person,
    recorder::Recorder,
};

/// The directory's id.
pub const TENANT: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";
const TOKEN_TTL: Duration = Duration::from_mins(65);
/// Bytes of a form.
const MAX_FORM: usize = 64 * 1024;
/// Everything that On-Behalf-Of has with a shared secret, or with a certificate, and nothing else.
const FORM: [&str; 6] =
    ["assertion", "client_id", "client_secret", "grant_type", "requested_token_use", "scope"];
const CERTIFIED_FORM: [&str; 7] = [
    "assertion",
    "client_assertion",
    "client_assertion_type",
    "client_id",
    "grant_type",
    "requested_token_use",
    "scope",
];
/// The application's certificate, which is good for nothing else, with its key.
pub const CERTIFICATE: &str = include_str!("entra/application.pem");
/// The modulus of its key, and the SHA-256 of the certificate.
const MODULUS: &str = "nSq0Yi2kdEIal5gGcIlMBNjMSYLEOjZ0mbVY5hAig5dZjGkPZYXEC6bHgHZVUO6CWC-V02lElJUq7bsyM2_3x7P5PnZhXCCFIllQgk8u01iNVRehXwacLF46N9HB1rcLDWgUOJA_2-EWE8y97eL_Np7mSucoP8_546nZCSjeIH-_SHaNheHxvwh-8eAALh-d7w2_2E7QoAMcZ75Z2XZ68BCdqUS0cT2oEn33rzUuntRge01BHBsx2RWtdy10zz28PUCN1enZDVnxBM4KCMKdSDibv-UZ4jPvLmbmbF--BpxPacmh7-NbgxPIjUdvRrVNF3u263R77tebiMKD-ryisw";
const THUMBPRINT: &str = "QYXdaCCrFE9D45I88CmTT-qP7anVxoX2hQ0bLrgXCow";

/// What its token endpoint answers.
#[derive(Clone, Debug, Default)]
pub enum EntraAnswer {
    #[default]
    Normal,
    /// 400 with these, and [`MARKER`] as its description.
    Refusal {
        error: &'static str,
        code: u32,
        suberror: &'static str,
    },
    Status(u16),
    /// `token_type` is not `Bearer`.
    WrongTokenType,
    /// The body is cut.
    Cut,
}

/// The application that people's programs call, and which acts for them.
#[derive(Clone, Debug)]
pub struct Application {
    pub id: String,
    pub secret: Secret,
}

#[derive(Debug)]
pub struct Entra {
    peer: Peer,
    directory: Arc<Directory>,
}

#[derive(Debug)]
struct Directory {
    origin: String,
    ambient: Ambient,
    key: SigningKey,
    application: Application,
    answers: Script<EntraAnswer>,
}

impl Entra {
    pub async fn start(
        listen: SocketAddr,
        ambient: Ambient,
        application: Application,
    ) -> io::Result<Self> {
        let bound = Bound::to(listen).await?;
        let directory = Arc::new(Directory {
            origin: bound.origin(),
            key: SigningKey::generate(ambient.random.as_ref()),
            application,
            answers: Script::default(),
            ambient,
        });
        Ok(Self { peer: bound.serve(routes(&directory)), directory })
    }

    pub fn issuer(&self) -> String {
        self.directory.issuer()
    }

    pub fn token_endpoint(&self) -> String {
        format!("{}/{TENANT}/oauth2/v2.0/token", self.directory.origin)
    }

    /// An access token of this person for the application, as it was given to a program of theirs.
    pub fn access_token(&self, person: Person, ttl: Duration) -> String {
        self.directory.sign(&self.directory.claims(person, ttl))
    }

    /// The same with these claims in place of its own.
    pub fn access_token_with(&self, person: Person, ttl: Duration, claims: &Value) -> String {
        let mut all = self.directory.claims(person, ttl);
        all.extend(claims.as_object().cloned().unwrap_or_default());
        self.directory.sign(&all)
    }

    pub fn answers(&self) -> &Script<EntraAnswer> {
        &self.directory.answers
    }

    pub fn recorder(&self) -> &Recorder {
        self.peer.recorder()
    }
}

fn routes(directory: &Arc<Directory>) -> Router {
    let below = |path: &str| format!("/{TENANT}/{path}");
    Router::new()
        .route(&below("v2.0/.well-known/openid-configuration"), get(configuration))
        .route(&below("discovery/v2.0/keys"), get(keys))
        .route(&below("oauth2/v2.0/token"), post(token))
        .layer(DefaultBodyLimit::max(MAX_FORM))
        .with_state(Arc::clone(directory))
}

async fn configuration(State(directory): State<Arc<Directory>>) -> Json<Value> {
    let base = format!("{}/{TENANT}", directory.origin);
    Json(json!({
        "issuer": directory.issuer(),
        "authorization_endpoint": format!("{base}/oauth2/v2.0/authorize"),
        "token_endpoint": format!("{base}/oauth2/v2.0/token"),
        "jwks_uri": format!("{base}/discovery/v2.0/keys"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["ES256"],
    }))
}

async fn keys(State(directory): State<Arc<Directory>>) -> Json<Value> {
    Json(directory.key_set())
}

async fn token(
    State(directory): State<Arc<Directory>>,
    headers: HeaderMap,
    form: Bytes,
) -> Response {
    match directory.answers.take() {
        EntraAnswer::Normal => {}
        EntraAnswer::Refusal { error, code, suberror } => return refusal(error, code, suberror),
        EntraAnswer::Status(status) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
            return (status, MARKER).into_response();
        }
        EntraAnswer::WrongTokenType => {
            return Json(json!({ "access_token": "a", "token_type": "pop" })).into_response();
        }
        EntraAnswer::Cut => return "{\"access_token\":\"a".into_response(),
    }
    let Ok(form) = Params::parse(&form) else { return refusal("invalid_request", 90_014, "") };
    match directory.on_behalf_of(&headers, &form) {
        Ok(answer) => Json(answer).into_response(),
        Err((error, code)) => refusal(error, code, ""),
    }
}

fn refusal(error: &str, code: u32, suberror: &str) -> Response {
    let claims = r#"{"access_token":{"polids":{"essential":true,"values":["9ab03e19"]}}}"#;
    let mut body = json!({
        "error": error,
        "error_description": format!("AADSTS{code}: {MARKER}"),
        "error_codes": [code],
        "timestamp": "2026-11-23 12:00:00Z",
    });
    if let Some(body) = body.as_object_mut() {
        if !suberror.is_empty() {
            body.insert("suberror".to_owned(), json!(suberror));
        }
        if error == "interaction_required" {
            body.insert("claims".to_owned(), json!(claims));
        }
    }
    (StatusCode::BAD_REQUEST, Json(body)).into_response()
}

impl Directory {
    fn issuer(&self) -> String {
        format!("{}/{TENANT}/v2.0", self.origin)
    }

    fn key_set(&self) -> Value {
        json!({ "keys": [self.key.jwk()] })
    }

    fn sign(&self, claims: &Map<String, Value>) -> String {
        self.key.sign("JWT", claims)
    }

    fn claims(&self, person: Person, ttl: Duration) -> Map<String, Value> {
        let now = self.ambient.now();
        let claims = [
            ("iss", json!(self.issuer())),
            ("aud", json!(self.application.id)),
            ("tid", json!(TENANT)),
            ("oid", json!(person.id)),
            ("sub", json!(format!("pairwise-{}", person.id))),
            ("scp", json!("access_as_user")),
            ("ver", json!("2.0")),
            ("iat", json!(now.as_seconds())),
            ("nbf", json!(now.as_seconds())),
            ("exp", json!(now.plus(ttl).as_seconds())),
            ("uti", json!(self.ambient.token("uti"))),
        ];
        claims.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// The assertion that the documentation of certificate credentials describes.
    fn check_client(&self, form: &Params) -> Result<(), (&'static str, u32)> {
        const WRONG: (&str, u32) = ("invalid_client", 700_027);
        let is_type = form.get("client_assertion_type")
            == Some("urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
        let assertion = form.get("client_assertion").unwrap_or_default();
        let key = json!({ "keys": [{ "kty": "RSA", "n": MODULUS, "e": "AQAB" }] }).to_string();
        let keys = KeySet::parse(key.as_bytes()).map_err(|_| WRONG)?;
        let claims = verify(assertion, &keys, &[Algorithm::Ps256]).map_err(|_| WRONG)?.claims;
        let header = json!({ "alg": "PS256", "typ": "JWT", "x5t#S256": THUMBPRINT }).to_string();
        let names = assertion.split('.').next() == Some(&base64url(header.as_bytes()));
        let now = self.ambient.now().as_seconds();
        let time = |name: &str| claims.get(name).and_then(Value::as_i64).unwrap_or(i64::MAX);
        let is_now = time("nbf") <= now && now < time("exp") && time("exp") - now <= 600;
        let endpoint = format!("{}/{TENANT}/oauth2/v2.0/token", self.origin);
        let is_ours = claims.get("aud") == Some(&json!(endpoint))
            && ["iss", "sub"]
                .iter()
                .all(|name| claims.get(*name) == Some(&json!(self.application.id)))
            && claims.contains_key("jti");
        (is_type && names && is_now && is_ours).then_some(()).ok_or(WRONG)
    }

    /// In the order in which Entra looks, with its numbers.
    fn on_behalf_of(
        &self,
        headers: &HeaderMap,
        form: &Params,
    ) -> Result<Value, (&'static str, u32)> {
        let says = |name| form.get(name).unwrap_or_default();
        let mut names = form.names();
        names.sort_unstable();
        let is_form = headers
            .get(header::CONTENT_TYPE)
            .is_some_and(|value| value == "application/x-www-form-urlencoded");
        let certified = names == CERTIFIED_FORM;
        if (names != FORM && !certified) || !is_form || headers.contains_key(header::AUTHORIZATION)
        {
            return Err(("invalid_request", 90_014));
        }
        if says("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer"
            || says("requested_token_use") != "on_behalf_of"
        {
            return Err(("unsupported_grant_type", 70_003));
        }
        if says("client_id") != self.application.id {
            return Err(("unauthorized_client", 700_016));
        }
        let secret = self.application.secret.expose();
        if certified {
            self.check_client(form)?;
        } else if !same(says("client_secret").as_bytes(), secret.as_bytes()) {
            return Err(("invalid_client", 7_000_215));
        }
        let keys = KeySet::parse(self.key_set().to_string().as_bytes());
        let keys = keys.map_err(|_| ("server_error", 90_033))?;
        let assertion = verify(says("assertion"), &keys, &[Algorithm::Es256]);
        let claims = assertion.map_err(|_| ("invalid_grant", 50_013))?.claims;
        if claims.get("aud") != Some(&json!(self.application.id)) || !claims.contains_key("scp") {
            return Err(("invalid_grant", 500_131));
        }
        let end = claims.get("exp").and_then(Value::as_i64).unwrap_or_default();
        if end <= self.ambient.now().as_seconds() {
            return Err(("invalid_grant", 500_133));
        }
        let person = claims.get("oid").and_then(Value::as_str).unwrap_or_default();
        let token = self.ambient.token(&format!("obo-{person}"));
        let seconds = TOKEN_TTL.as_secs();
        Ok(json!({
            "token_type": "Bearer",
            "scope": says("scope"),
            "expires_in": seconds,
            "ext_expires_in": seconds,
            "access_token": token,
        }))
    }
}

#[cfg(test)]
mod tests {
    use attache_crypto::random::SystemRandom;
    use url::form_urlencoded;

    use super::*;
    use crate::people::ADA;

    #[derive(Debug)]
    struct Noon;

    impl attache_core::Clock for Noon {
        fn now(&self) -> attache_core::Timestamp {
            attache_core::Timestamp::from_seconds(1_795_435_200)
        }
    }

    #[test]
    fn only_the_documented_form_is_taken() {
        let ambient = Ambient { clock: Arc::new(Noon), random: Arc::new(SystemRandom) };
        let directory = Directory {
            origin: "https://login.example.com".to_owned(),
            key: SigningKey::generate(&SystemRandom),
            application: Application { id: "app".to_owned(), secret: Secret::new("s") },
            answers: Script::default(),
            ambient,
        };
        let hour = Duration::from_hours(1);
        let token = |name: &str, value: Value| {
            let mut claims = directory.claims(ADA, hour);
            claims.insert(name.to_owned(), value);
            directory.sign(&claims)
        };
        let ask = |name: &str, value: &str| {
            let assertion = token("aud", json!("app"));
            let form = [
                ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
                ("client_id", "app"),
                ("client_secret", "s"),
                ("assertion", &assertion),
                ("scope", "api://hr/.default"),
                ("requested_token_use", "on_behalf_of"),
            ];
            let mut form: Vec<_> = form.into_iter().filter(|(other, _)| *other != name).collect();
            form.extend((!value.is_empty()).then_some((name, value)));
            let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
            let content_type = "application/x-www-form-urlencoded".parse().unwrap();
            let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, content_type)]);
            directory.on_behalf_of(&headers, &Params::parse(form.as_bytes()).unwrap())
        };
        assert_eq!(ask("scope", "api://hr/read").unwrap()["scope"], "api://hr/read");
        for (name, value, code) in [
            ("scope", "", 90_014),
            ("resource", "https://hr.example.com/", 90_014),
            ("redirect_uri", "https://gw.example.com/", 90_014),
            ("requested_token_use", "on_behalf", 70_003),
            ("client_id", "another", 700_016),
            ("client_secret", "another", 7_000_215),
            ("assertion", "a.b.c", 50_013),
            ("assertion", &token("aud", json!("graph")), 500_131),
            ("assertion", &token("exp", json!(1)), 500_133),
        ] {
            assert_eq!(ask(name, value).unwrap_err().1, code, "{name}={value}");
        }
    }
}

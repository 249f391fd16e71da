//! An issuer whose key the test holds, so that it can sign whatever it likes.

use std::net::Ipv4Addr;

use attache_crypto::{
    digest::{base64url, sha256},
    jose::SigningKey,
    random::SystemRandom,
};
use axum::{Json, Router, routing::get};
use serde_json::{Map, Value, json};
use tokio::{net::TcpListener, runtime::Handle};

pub(crate) struct Forge {
    pub(crate) issuer: String,
    key: SigningKey,
}

impl Forge {
    pub(crate) async fn start(address: Ipv4Addr) -> Self {
        let listener = TcpListener::bind((address, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let issuer = format!("http://{address}");
        let key = SigningKey::generate(&SystemRandom);
        let keys = json!({ "keys": [key.jwk()] });
        let metadata = json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/authorize"),
            "token_endpoint": format!("{issuer}/token"),
            "jwks_uri": format!("{issuer}/jwks"),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
        });
        let routes = Router::new()
            .route("/.well-known/openid-configuration", get(|| async { Json(metadata) }))
            .route("/jwks", get(|| async { Json(keys) }));
        Handle::current().spawn(async move { axum::serve(listener, routes).await });
        Self { issuer, key }
    }

    /// Properly signed, whatever it says.
    pub(crate) fn sign(&self, typ: &str, claims: &Value) -> String {
        self.key.sign(typ, &members(claims))
    }

    /// `"alg": "none"`.
    pub(crate) fn unsigned(claims: &Value) -> String {
        format!("{}.", signing_input(&json!({ "alg": "none", "typ": "at+jwt" }), claims))
    }

    /// HS256, keyed with what everybody can read: the public key, as the key set writes it.
    pub(crate) fn signed_with_the_public_key(&self, claims: &Value) -> String {
        let jwk = self.key.jwk();
        let header = json!({ "alg": "HS256", "typ": "at+jwt", "kid": self.key_id() });
        let input = signing_input(&header, claims);
        let mac = hmac_sha256(jwk.to_string().as_bytes(), input.as_bytes());
        format!("{input}.{}", base64url(&mac))
    }

    /// Signed by a key the issuer does not have, named as if it had.
    pub(crate) fn signed_by_a_stranger(&self, claims: &Value) -> String {
        let theirs = SigningKey::generate(&SystemRandom).sign("at+jwt", &members(claims));
        let header = json!({ "alg": "ES256", "typ": "at+jwt", "kid": self.key_id() });
        let (_, signature) = theirs.rsplit_once('.').expect("a JWT has three parts");
        format!("{}.{signature}", signing_input(&header, claims))
    }

    fn key_id(&self) -> Option<Value> {
        self.key.jwk().get("kid").cloned()
    }
}

fn members(claims: &Value) -> Map<String, Value> {
    claims.as_object().cloned().unwrap_or_default()
}

fn signing_input(header: &Value, claims: &Value) -> String {
    let [header, claims] = [header, claims].map(|part| base64url(part.to_string().as_bytes()));
    format!("{header}.{claims}")
}

/// RFC 2104. Written out: the gateway has no use for it, so its crates have none to lend.
fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    const BLOCK: usize = 64;
    let mut block = if key.len() > BLOCK { sha256(key).to_vec() } else { key.to_vec() };
    block.resize(BLOCK, 0);
    let keyed = |pad: u8, rest: &[u8]| {
        let padded: Vec<u8> =
            block.iter().map(|byte| byte ^ pad).chain(rest.iter().copied()).collect();
        sha256(&padded)
    };
    keyed(0x5c, &keyed(0x36, message))
}

//! Whose access tokens the gateway takes.

use std::{net::Ipv4Addr, time::Duration};

use anyhow::Result;
use attache_benches::people::Someone;
use attache_core::{Clock as _, SystemClock};
use attache_crypto::{jose::SigningKey, random::SystemRandom};
use axum::{Json, Router, routing::get};
use serde_json::{Map, Value, json};
use tokio::{net::TcpListener, runtime::Handle};

pub(crate) struct Issuer {
    pub(crate) url: String,
    key: SigningKey,
}

impl Issuer {
    pub(crate) async fn start() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let key = SigningKey::generate(&SystemRandom);
        let keys = json!({ "keys": [key.jwk()] });
        let metadata = json!({
            "issuer": url,
            "authorization_endpoint": format!("{url}/authorize"),
            "token_endpoint": format!("{url}/token"),
            "jwks_uri": format!("{url}/jwks"),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
        });
        let routes = Router::new()
            .route("/.well-known/openid-configuration", get(|| async { Json(metadata) }))
            .route("/jwks", get(|| async { Json(keys) }));
        Handle::current().spawn(async move { axum::serve(listener, routes).await });
        Ok(Self { url, key })
    }

    pub(crate) fn access_token(&self, someone: Someone, audience: &str) -> String {
        let now = SystemClock.now();
        let seconds = |time: attache_core::Timestamp| time.0 / 1000;
        let mut claims = Map::new();
        for (name, value) in [
            ("iss", Value::from(self.url.as_str())),
            ("aud", audience.into()),
            ("sub", someone.subject().into()),
            ("client_id", "bench".into()),
            ("iat", seconds(now).into()),
            ("exp", seconds(now.plus(Duration::from_hours(1))).into()),
        ] {
            claims.insert(name.to_owned(), value);
        }
        self.key.sign("at+jwt", &claims)
    }
}

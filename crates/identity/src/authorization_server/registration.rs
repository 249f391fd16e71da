//! Clients that register themselves (RFC 7591, AS-17): bounded, slow, and forgotten unless somebody
//! approves them.

use std::{net::IpAddr, sync::Arc, time::Duration};

use attache_core::{
    Clock, Timestamp,
    store::{ClientStore, RegisteredClient},
};
use attache_crypto::{
    digest::sha256,
    random::{self, Random},
};
use serde_json::{Map, Value, json};

use super::{
    client::presentable, document::MAX_REDIRECT_URIS, error::OAuthError, redirect_uri::RedirectUri,
};
use crate::{
    metrics::Metrics,
    throttle::{Pace, Throttle, network},
};

/// Registrations kept that nobody ever approved, of which the oldest gives way; and that somebody did,
/// of which those without a grant do.
const MAX_CLIENTS: u32 = 10_000;
/// So many of them at once.
const EVICTED: u32 = 100;
/// For how long one is kept that nobody approved: clients remember who they are, and ask later.
const UNAPPROVED: Duration = Duration::from_hours(7 * 24);
/// From one address, an office among them; and from all.
const EACH_ADDRESS: Pace = Pace { burst: 20, interval: Duration::from_secs(30) };
const ALL_ADDRESSES: Pace = Pace { burst: 200, interval: Duration::from_secs(1) };

#[derive(Debug)]
pub(super) struct Registrar {
    store: Arc<dyn ClientStore>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    private_schemes: Vec<String>,
    throttle: Throttle<Option<IpAddr>>,
    metrics: Metrics,
}

impl Registrar {
    pub(super) fn new(
        store: Arc<dyn ClientStore>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        private_schemes: Vec<String>,
        metrics: Metrics,
    ) -> Self {
        let throttle = Throttle::new(EACH_ADDRESS, ALL_ADDRESSES);
        Self { store, clock, random, private_schemes, throttle, metrics }
    }

    /// The answer to whoever registers from `address`.
    pub(super) async fn register(
        &self,
        body: &[u8],
        address: Option<IpAddr>,
    ) -> Result<Value, OAuthError> {
        let now = self.clock.now();
        if !self.throttle.permits(&address.map(network), now) {
            return Err(OAuthError::Busy);
        }
        let asked = Asked::parse(body, &self.private_schemes)?;
        // Never the form of a URL, whose documents are believed (AS-17).
        let id = format!("client-{}", random::token(&*self.random));
        let secret = (asked.method != "none").then(|| random::token(&*self.random));
        let client = RegisteredClient {
            id,
            name: asked.name,
            redirect_uris: asked.redirect_uris,
            auth_method: asked.method.to_owned(),
            secret: secret.as_ref().map(|secret| sha256(secret.as_bytes())),
            created_at: now,
            expires_at: now.plus(UNAPPROVED),
        };
        if !self.store.insert(&client, MAX_CLIENTS, now).await? {
            self.make_room(now).await?;
            if !self.store.insert(&client, MAX_CLIENTS, now).await? {
                return Err(OAuthError::Busy);
            }
        }
        let mut answer = json!({
            "client_id": client.id,
            "client_id_issued_at": now.as_seconds(),
            "client_name": client.name,
            "redirect_uris": client.redirect_uris,
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": client.auth_method,
        });
        if let (Some(secret), Some(answer)) = (secret, answer.as_object_mut()) {
            answer.insert("client_secret".to_owned(), json!(secret));
            answer.insert("client_secret_expires_at".to_owned(), json!(0));
        }
        Ok(answer)
    }
}

impl Registrar {
    async fn make_room(&self, now: Timestamp) -> Result<(), OAuthError> {
        let evicted = self.store.evict(EVICTED, now).await?;
        tracing::warn!(
            evicted,
            "there are {MAX_CLIENTS} registered clients that somebody approved; those without a \
             grant give way"
        );
        self.metrics.clients_evicted.inc_by(evicted);
        Ok(())
    }
}

struct Asked {
    name: String,
    redirect_uris: Vec<String>,
    method: &'static str,
}

impl Asked {
    /// What is not known is left out of the answer, as RFC 7591 section 2 wants it.
    fn parse(body: &[u8], private_schemes: &[String]) -> Result<Self, OAuthError> {
        let metadata: Map<String, Value> = serde_json::from_slice(body)
            .map_err(|_| OAuthError::InvalidClientMetadata("the body is not a JSON object"))?;
        let uris = metadata.get("redirect_uris").and_then(Value::as_array);
        let uris = uris.filter(|uris| !uris.is_empty() && uris.len() <= MAX_REDIRECT_URIS);
        let redirect_uris = uris
            .ok_or(OAuthError::InvalidRedirectUri)?
            .iter()
            .map(|uri| {
                let uri = RedirectUri::parse(uri.as_str().unwrap_or_default(), private_schemes);
                uri.map(|uri| uri.as_str().to_owned())
            })
            .collect::<Result<_, _>>()
            .map_err(|_| OAuthError::InvalidRedirectUri)?;
        let method = match metadata.get("token_endpoint_auth_method").map(Value::as_str) {
            None | Some(Some("client_secret_basic")) => "client_secret_basic",
            Some(Some("client_secret_post")) => "client_secret_post",
            Some(Some("none")) => "none",
            Some(_) => {
                return Err(OAuthError::InvalidClientMetadata(
                    "token_endpoint_auth_method is none, client_secret_basic or client_secret_post",
                ));
            }
        };
        let holds = |name: &str, word: &str| {
            metadata.get(name).is_none_or(|list| {
                list.as_array().is_some_and(|list| list.iter().any(|one| one == word))
            })
        };
        if !holds("grant_types", "authorization_code") || !holds("response_types", "code") {
            return Err(OAuthError::InvalidClientMetadata(
                "only the authorization code grant is given here",
            ));
        }
        let name = metadata.get("client_name").and_then(Value::as_str).and_then(presentable);
        let name = name.unwrap_or_else(|| "A program without a name".to_owned());
        Ok(Self { name, redirect_uris, method })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_registered_is_what_can_be_kept() {
        let good = json!({ "redirect_uris": ["http://127.0.0.1:1/cb"], "client_name": "App" });
        let with = |name: &str, value: Value| {
            let mut metadata = good.clone();
            metadata.as_object_mut().unwrap().insert(name.to_owned(), value);
            Asked::parse(metadata.to_string().as_bytes(), &[]).map(|asked| asked.method)
        };
        for (name, value, method) in [
            ("x", json!(1), "client_secret_basic"),
            ("token_endpoint_auth_method", json!("none"), "none"),
            ("grant_types", json!(["authorization_code", "refresh_token"]), "client_secret_basic"),
        ] {
            assert_eq!(with(name, value).unwrap(), method);
        }
        for (name, value, code) in [
            ("redirect_uris", json!([]), "invalid_redirect_uri"),
            ("redirect_uris", json!(null), "invalid_redirect_uri"),
            ("redirect_uris", json!(["http://evil.test/cb"]), "invalid_redirect_uri"),
            ("redirect_uris", json!([7]), "invalid_redirect_uri"),
            ("token_endpoint_auth_method", json!("tls_client_auth"), "invalid_client_metadata"),
            ("token_endpoint_auth_method", json!(7), "invalid_client_metadata"),
            ("grant_types", json!(["client_credentials"]), "invalid_client_metadata"),
            ("response_types", json!(["token"]), "invalid_client_metadata"),
        ] {
            assert_eq!(with(name, value.clone()).unwrap_err().code(), code, "{name} {value}");
        }
    }

    #[test]
    fn an_ipv6_site_is_one_address() {
        let of = |text: &str| network(text.parse().unwrap()).to_string();
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1::");
        assert_eq!(of("::ffff:192.0.2.1"), "192.0.2.1");
    }
}

//! Client-id metadata documents: the client id is the URL of what the client says about itself
//! (draft-ietf-oauth-client-id-metadata-document, AS-16).

use std::{sync::Arc, time::Duration};

use attache_core::{
    Clock, Timestamp,
    outbound::{Limits, Outbound},
};
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, header};
use quick_cache::sync::Cache;
use serde_json::{Map, Value};
use url::Url;

use super::{
    client::{Authentication, Client, ClientError, Vouched, presentable},
    redirect_uri::RedirectUri,
    throttle::{Pace, Throttle},
};

/// Somebody waits for it (draft section 6.6).
const LIMITS: Limits = Limits { timeout: Duration::from_secs(5), max_body: 5 * 1024 };
/// Documents remembered at once; about 1 KiB each.
const REMEMBERED: usize = 1_000;
/// For how long one is believed, whatever its headers say.
const SHORTEST: Duration = Duration::from_mins(1);
const LONGEST: Duration = Duration::from_hours(24);
/// Where they say nothing.
const USUAL: Duration = Duration::from_mins(5);
/// Addresses in a document; a client has a handful.
pub(super) const MAX_REDIRECT_URIS: usize = 20;
/// Strangers have us ask hosts that they name.
const EACH_HOST: Pace = Pace { burst: 10, interval: Duration::from_secs(6) };
const ALL_HOSTS: Pace = Pace { burst: 60, interval: Duration::from_millis(500) };

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    #[error("the client id is not an https URL with a path, written as browsers write it")]
    ClientId,
    #[error("documents of this host are not accepted here")]
    Host,
    #[error("it cannot be fetched")]
    Unreachable,
    #[error("it is not a document that describes this client")]
    Invalid,
}

#[derive(Debug)]
pub(super) struct Documents {
    outbound: Arc<dyn Outbound>,
    clock: Arc<dyn Clock>,
    /// Hosts whose documents are accepted; empty: all.
    hosts: Vec<String>,
    private_schemes: Vec<String>,
    known: Cache<String, (Arc<Client>, Timestamp)>,
    throttle: Throttle<String>,
}

impl Documents {
    pub(super) fn new(
        outbound: Arc<dyn Outbound>,
        clock: Arc<dyn Clock>,
        hosts: Vec<String>,
        private_schemes: Vec<String>,
    ) -> Self {
        let known = Cache::new(REMEMBERED);
        let throttle = Throttle::new(EACH_HOST, ALL_HOSTS);
        Self { outbound, clock, hosts, private_schemes, known, throttle }
    }

    pub(super) async fn find(&self, id: &str) -> Result<Arc<Client>, ClientError> {
        let now = self.clock.now();
        if let Some((client, until)) = self.known.get(id)
            && now < until
        {
            return Ok(client);
        }
        let (url, host) = address(id)?;
        if !self.hosts.is_empty() && !self.hosts.contains(&host) {
            return Err(DocumentError::Host.into());
        }
        if !self.throttle.permits(&host, now) {
            return Err(ClientError::Busy);
        }
        let (client, age) = self.fetch(id, &url, host).await?;
        let client = Arc::new(client);
        self.known.insert(id.to_owned(), (Arc::clone(&client), now.plus(age)));
        Ok(client)
    }

    /// What is invalid is not remembered, and neither is a failure.
    async fn fetch(
        &self,
        id: &str,
        url: &Url,
        host: String,
    ) -> Result<(Client, Duration), DocumentError> {
        let request = Request::get(url.as_str())
            .header(header::ACCEPT, "application/json")
            .body(Bytes::new())
            .map_err(|_| DocumentError::ClientId)?;
        let response = self.outbound.fetch(request, LIMITS).await;
        let response = response.map_err(|error| {
            tracing::info!(%host, %error, "a client's metadata document cannot be fetched");
            DocumentError::Unreachable
        })?;
        if response.status() != StatusCode::OK {
            return Err(DocumentError::Unreachable);
        }
        let client = read(id, host, response.body(), &self.private_schemes);
        Ok((client.ok_or(DocumentError::Invalid)?, age(response.headers())))
    }
}

/// The URL and its host. What a browser would write differently is refused: dot segments, also
/// encoded ones, capitals, default ports.
fn address(id: &str) -> Result<(Url, String), DocumentError> {
    let url = Url::parse(id).map_err(|_| DocumentError::ClientId)?;
    let plain = url.scheme() == "https"
        && url.as_str() == id
        && url.path() != "/"
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    let host = url.host_str().filter(|_| plain).ok_or(DocumentError::ClientId)?.to_owned();
    Ok((url, host))
}

fn read(id: &str, host: String, body: &[u8], private_schemes: &[String]) -> Option<Client> {
    let document: Map<String, Value> = serde_json::from_slice(body).ok()?;
    let shares_a_secret = ["client_secret", "client_secret_expires_at"]
        .iter()
        .any(|name| document.contains_key(*name));
    let method = document.get("token_endpoint_auth_method");
    if document.get("client_id")?.as_str()? != id
        || shares_a_secret
        || method.is_some_and(|method| method != "none")
    {
        return None;
    }
    let uris = document.get("redirect_uris")?.as_array()?;
    if uris.is_empty() || uris.len() > MAX_REDIRECT_URIS {
        return None;
    }
    let uris = uris.iter().map(|uri| RedirectUri::parse(uri.as_str()?, private_schemes).ok());
    Some(Client {
        id: id.to_owned(),
        name: document
            .get("client_name")
            .and_then(Value::as_str)
            .and_then(presentable)
            .unwrap_or_else(|| host.clone()),
        vouched: Vouched::Host(host),
        redirect_uris: uris.collect::<Option<_>>()?,
        authentication: Authentication::None,
    })
}

/// `max-age` (RFC 9111 section 5.2.2), within our own bounds.
fn age(headers: &HeaderMap) -> Duration {
    let directives = headers
        .get_all(header::CACHE_CONTROL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|directive| directive.trim().to_ascii_lowercase());
    let mut age = USUAL;
    for directive in directives {
        if directive == "no-store" || directive == "no-cache" {
            return SHORTEST;
        }
        if let Some(seconds) = directive.strip_prefix("max-age=") {
            age = seconds.trim_matches('"').parse().map_or(USUAL, Duration::from_secs);
        }
    }
    age.clamp(SHORTEST, LONGEST)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ID: &str = "https://app.example.com/client.json";

    #[test]
    fn a_client_id_is_a_plain_address() {
        for (id, good) in [
            (ID, true),
            ("https://app.example.com:8443/a/b?c", true),
            ("https://app.example.com", false),
            ("https://app.example.com/", false),
            ("https://APP.example.com/c", false),
            ("https://app.example.com:443/c", false),
            ("https://app.example.com/a/../c", false),
            ("https://app.example.com/a/%2e%2e/c", false),
            ("https://app.example.com/./c", false),
            ("https://app.example.com/c#f", false),
            ("https://me@app.example.com/c", false),
            ("https:app.example.com/c", false),
            ("http://app.example.com/c", false),
        ] {
            assert_eq!(address(id).is_ok(), good, "{id}");
        }
    }

    #[test]
    fn a_document_speaks_of_its_own_client_and_shares_no_secret() {
        let good = json!({
            "client_id": ID, "client_name": "App",
            "redirect_uris": ["http://127.0.0.1/cb", "https://app.example.com/cb"],
        });
        let with = |name: &str, value: Value| {
            let mut document = good.clone();
            document.as_object_mut().unwrap().insert(name.to_owned(), value);
            read(ID, "app.example.com".to_owned(), document.to_string().as_bytes(), &[])
        };
        assert_eq!(with("x", json!(1)).unwrap().name, "App");
        assert_eq!(with("client_name", json!("\u{200b}")).unwrap().name, "app.example.com");
        assert!(with("token_endpoint_auth_method", json!("none")).is_some());
        for (name, value) in [
            ("client_id", json!("https://app.example.com/other.json")),
            ("client_id", json!(null)),
            ("redirect_uris", json!([])),
            ("redirect_uris", json!("https://app.example.com/cb")),
            ("redirect_uris", json!(["https://app.example.com/cb", "javascript:x"])),
            ("redirect_uris", json!(vec!["https://app.example.com/cb"; MAX_REDIRECT_URIS + 1])),
            ("client_secret", json!("s")),
            ("client_secret_expires_at", json!(0)),
            ("token_endpoint_auth_method", json!("client_secret_post")),
        ] {
            assert!(with(name, value.clone()).is_none(), "{name} {value}");
        }
        assert!(read(ID, String::new(), b"[]", &[]).is_none());
    }

    #[test]
    fn a_document_is_kept_within_bounds() {
        for (value, seconds) in [
            ("max-age=600", 600),
            ("public, Max-Age=600", 600),
            ("max-age=0", 60),
            ("max-age=99999999", 86_400),
            ("no-store, max-age=600", 60),
            ("max-age=soon", 300),
            ("public", 300),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::CACHE_CONTROL, value.parse().unwrap());
            assert_eq!(age(&headers).as_secs(), seconds, "{value}");
        }
    }
}

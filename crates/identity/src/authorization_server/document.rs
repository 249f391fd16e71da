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
};
use crate::throttle::{Pace, Throttle};

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
/// One that cannot be had is asked for again after this long, where the last good one serves.
const RETRY: Duration = Duration::from_mins(1);
/// Strangers have us ask hosts that they name. Clients that people let in have a pace of their own,
/// which strangers cannot use up.
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
    known: Cache<String, Known>,
    strangers: Throttle<String>,
    let_in: Throttle<String>,
}

/// For whom a document is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asker {
    /// Anybody at all.
    Stranger,
    /// Who holds a code or a refresh token of that client.
    LetIn,
}

/// What a client last said about itself.
#[derive(Clone, Debug)]
struct Known {
    client: Arc<Client>,
    fresh_until: Timestamp,
    /// Used until then while there is no other.
    good_until: Timestamp,
}

impl Documents {
    pub(super) fn new(
        outbound: Arc<dyn Outbound>,
        clock: Arc<dyn Clock>,
        hosts: Vec<String>,
        private_schemes: Vec<String>,
    ) -> Self {
        let known = Cache::new(REMEMBERED);
        let [strangers, let_in] = [(), ()].map(|()| Throttle::new(EACH_HOST, ALL_HOSTS));
        Self { outbound, clock, hosts, private_schemes, known, strangers, let_in }
    }

    /// While its host is away or was asked too often, the last good one.
    pub(super) async fn find(&self, id: &str, asker: Asker) -> Result<Arc<Client>, ClientError> {
        let now = self.clock.now();
        let known = self.known.get(id).filter(|known| now < known.good_until);
        if let Some(known) = known.as_ref().filter(|known| now < known.fresh_until) {
            return Ok(Arc::clone(&known.client));
        }
        match (self.ask(id, asker, now).await, known) {
            (Err(error), Some(known)) if is_passing(&error) => {
                let client = Arc::clone(&known.client);
                let fresh_until = now.plus(RETRY);
                self.known.insert(id.to_owned(), Known { fresh_until, ..known });
                Ok(client)
            }
            (Err(error), known) => {
                if known.is_some() {
                    self.known.remove(id);
                }
                Err(error)
            }
            (found, _) => found,
        }
    }

    async fn ask(
        &self,
        id: &str,
        asker: Asker,
        now: Timestamp,
    ) -> Result<Arc<Client>, ClientError> {
        let (url, host) = address(id)?;
        if !self.hosts.is_empty() && !self.hosts.contains(&host) {
            return Err(DocumentError::Host.into());
        }
        let throttle = match asker {
            Asker::Stranger => &self.strangers,
            Asker::LetIn => &self.let_in,
        };
        if !throttle.permits(&host, now) {
            return Err(ClientError::Busy);
        }
        let (client, age) = self.fetch(id, &url, host).await?;
        let client = Arc::new(client);
        let (fresh_until, good_until) = (now.plus(age), now.plus(LONGEST));
        let known = Known { client: Arc::clone(&client), fresh_until, good_until };
        self.known.insert(id.to_owned(), known);
        Ok(client)
    }

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
        match response.status() {
            StatusCode::OK => {}
            StatusCode::TOO_MANY_REQUESTS => return Err(DocumentError::Unreachable),
            status if status.is_server_error() => return Err(DocumentError::Unreachable),
            _ => return Err(DocumentError::Invalid),
        }
        let client = read(id, host, response.body(), &self.private_schemes)
            .map(|client| Client { is_chosen: !self.hosts.is_empty(), ..client });
        Ok((client.ok_or(DocumentError::Invalid)?, age(response.headers())))
    }
}

/// Nobody took the document back.
fn is_passing(error: &ClientError) -> bool {
    matches!(error, ClientError::Busy | ClientError::Document(DocumentError::Unreachable))
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
        is_chosen: false,
        only: None,
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
    use std::{
        collections::BTreeMap,
        sync::atomic::{AtomicI64, AtomicU16, AtomicU32, Ordering::Relaxed},
    };

    use attache_core::{PublicOrigin, outbound::FetchError};
    use http::Response;
    use serde_json::json;
    use url::form_urlencoded;

    use super::{
        super::{
            client::Clients,
            error::OAuthError,
            request::{AuthorizationRequest, RequestError},
            resource::Resources,
        },
        *,
    };

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

    const NOW: Timestamp = Timestamp(1_795_435_200_000);

    /// The hour, and what the host answers: a status, 0 for nothing at all.
    #[derive(Debug)]
    struct Play {
        now: AtomicI64,
        status: AtomicU16,
        asked: AtomicU32,
    }

    impl Clock for Play {
        fn now(&self) -> Timestamp {
            Timestamp(self.now.load(Relaxed))
        }
    }

    #[async_trait::async_trait]
    impl Outbound for Play {
        async fn fetch(
            &self,
            request: Request<Bytes>,
            _: Limits,
        ) -> Result<Response<Bytes>, FetchError> {
            self.asked.fetch_add(1, Relaxed);
            let status = self.status.load(Relaxed);
            if status == 0 {
                return Err(FetchError::Timeout(LIMITS.timeout));
            }
            let document = json!({
                "client_id": request.uri().to_string(),
                "redirect_uris": ["https://app.example.com/cb"],
            });
            let response = Response::builder().status(status);
            Ok(response.body(Bytes::from(document.to_string())).unwrap())
        }
    }

    fn documents(hosts: &[&str]) -> (Arc<Play>, Documents) {
        let (now, status) = (AtomicI64::new(NOW.0), AtomicU16::new(200));
        let play = Arc::new(Play { now, status, asked: AtomicU32::new(0) });
        let hosts = hosts.iter().map(ToString::to_string).collect();
        let documents = Documents::new(play.clone(), play.clone(), hosts, Vec::new());
        (play, documents)
    }

    /// A host that is away costs nobody their access, and one that takes its document back does.
    #[tokio::test]
    async fn the_last_good_document_serves_while_its_host_is_away() {
        let (play, documents) = documents(&[]);
        let find = async |after: Duration, status| {
            play.now.store(NOW.plus(after).0, Relaxed);
            play.status.store(status, Relaxed);
            documents.find(ID, Asker::LetIn).await.map(drop)
        };
        let unreachable = |found: Result<(), ClientError>| {
            let error = found.expect_err("it is not there");
            let answer = OAuthError::from(error);
            assert_eq!((answer.code(), answer.status().as_u16()), ("temporarily_unavailable", 503));
        };
        unreachable(find(Duration::ZERO, 0).await);
        assert!(find(Duration::ZERO, 200).await.is_ok());
        for (minutes, status) in [(6, 0), (8, 503), (10, 429), (23 * 60, 0)] {
            assert!(find(Duration::from_mins(minutes), status).await.is_ok(), "{status}");
        }
        assert_eq!(play.asked.load(Relaxed), 6);
        assert!(find(Duration::from_secs(23 * 3600 + 59), 0).await.is_ok());
        assert_eq!(play.asked.load(Relaxed), 6, "not asked each time");
        unreachable(find(LONGEST, 0).await);

        assert!(find(LONGEST, 200).await.is_ok());
        let gone = find(LONGEST + Duration::from_mins(6), 404).await.map_err(OAuthError::from);
        assert_eq!(gone.unwrap_err().code(), "invalid_client");
        unreachable(find(LONGEST + Duration::from_mins(7), 0).await);
    }

    #[tokio::test]
    async fn strangers_use_up_nobodys_pace_but_their_own() {
        let (_, documents) = documents(&[]);
        let mut busy = false;
        for number in 0..=ALL_HOSTS.burst {
            let id = format!("https://host-{number}.example.com/client.json");
            busy = documents.find(&id, Asker::Stranger).await.is_err();
        }
        assert!(busy, "strangers are slowed down");
        assert!(documents.find(ID, Asker::LetIn).await.is_ok());
    }

    /// Anybody can have a host, so that a link of ours would lead wherever they like: a wrong
    /// request is a page, unless the operator chose the host.
    #[tokio::test]
    async fn a_link_of_ours_leads_to_no_site_that_nobody_chose() {
        let origin = PublicOrigin::new(&Url::parse("https://gw.example.com").unwrap());
        let resources = Resources { origin, whole: false, several_for_anybody: true, only: None };
        for (hosts, leads_there) in [(&[][..], false), (&["app.example.com"], true)] {
            let (play, documents) = documents(hosts);
            let (configured, documents) = (BTreeMap::new(), Some(documents));
            let clients = Clients { configured, documents, registered: None, clock: play };
            let query = form_urlencoded::Serializer::new(String::new())
                .append_pair("client_id", ID)
                .append_pair("redirect_uri", "https://app.example.com/cb")
                .append_pair("response_type", "x")
                .finish();
            let refused = AuthorizationRequest::parse(&query, &clients, &resources).await;
            let answered = matches!(refused, Err(RequestError::Answered(_)));
            assert_eq!(answered, leads_there, "{hosts:?} {refused:?}");
            assert!(answered || matches!(refused, Err(RequestError::Unanswerable(_))));
        }
    }
}

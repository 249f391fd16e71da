//! What an upstream says about itself (RFC 9728).

use attache_core::{IssuerId, outbound::Outbound};
use serde::{Deserialize, Serialize};
use url::Url;

use super::{DiscoveryError, Published, published::fields, site::Site};
use crate::scope;

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(from = "Document", into = "Document")]
pub struct ProtectedResource {
    /// What tokens are asked for by (RFC 8707), character for character as it was written.
    pub resource: String,
    /// In the upstream's order. Empty where it says nothing, which RFC 9728 allows and MCP does not.
    pub authorization_servers: Vec<IssuerId>,
    pub scopes_supported: Vec<String>,
}

impl ProtectedResource {
    /// Asks where the upstream's challenge says, then where the path puts the document, then at the
    /// root (OC-1). `None` when there is none.
    ///
    /// # Errors
    /// [`DiscoveryError::WrongResource`] for the first document found that is about another
    /// resource: no other is asked for then (OC-2).
    pub async fn discover(
        outbound: &dyn Outbound,
        upstream: &Url,
        challenged: Option<&Url>,
    ) -> Result<Option<Published<Self>>, DiscoveryError> {
        let site = Site::of_resource(upstream);
        let mut locations: Vec<_> =
            challenged.and_then(|url| site.endpoint(url.as_str())).into_iter().collect();
        for location in [site.inserting(WELL_KNOWN), site.root(WELL_KNOWN)] {
            if !locations.contains(&location) {
                locations.push(location);
            }
        }
        let found = Published::fetch(outbound, &locations).await?;
        found.map(|found| found.read(|body| Self::parse(upstream, body))).transpose()
    }

    /// Reads a document that was found for `upstream`.
    #[doc(hidden)]
    pub fn parse(upstream: &Url, body: &[u8]) -> Result<Self, DiscoveryError> {
        let document: Document = fields(body)?;
        let resource = Url::parse(&document.resource).map_err(|_| DiscoveryError::WrongResource)?;
        if Site::of_resource(upstream).is_within(&resource) {
            Ok(document.into())
        } else {
            Err(DiscoveryError::WrongResource)
        }
    }

    /// Which authorization server to go to: `registered`, where we are known already, or else the
    /// first (RFC 9728 section 7.6 leaves it to us). `None` when the upstream names none.
    ///
    /// # Errors
    /// [`DiscoveryError::IssuerChanged`] when `registered` is not among them: what we have from it is
    /// for no other (OC-6).
    pub fn issuer(
        &self,
        registered: Option<&IssuerId>,
    ) -> Result<Option<&IssuerId>, DiscoveryError> {
        match registered {
            Some(registered) if !self.authorization_servers.is_empty() => self
                .authorization_servers
                .iter()
                .find(|issuer| *issuer == registered)
                .map(Some)
                .ok_or(DiscoveryError::IssuerChanged),
            _ => Ok(self.authorization_servers.first()),
        }
    }
}

const WELL_KNOWN: &str = "oauth-protected-resource";

/// An upstream with more would be a list of everybody.
const MAX_AUTHORIZATION_SERVERS: usize = 16;

/// As it is written (RFC 9728 section 2).
#[derive(Deserialize, Serialize)]
struct Document {
    #[serde(default)]
    resource: String,
    authorization_servers: Option<Vec<String>>,
    scopes_supported: Option<Vec<String>>,
}

impl From<Document> for ProtectedResource {
    fn from(document: Document) -> Self {
        let issuers = document.authorization_servers.unwrap_or_default();
        Self {
            resource: document.resource,
            authorization_servers: issuers
                .into_iter()
                .take(MAX_AUTHORIZATION_SERVERS)
                .map(IssuerId::new)
                .collect(),
            scopes_supported: scope::list(document.scopes_supported.unwrap_or_default()),
        }
    }
}

impl From<ProtectedResource> for Document {
    fn from(resource: ProtectedResource) -> Self {
        let issuers = resource.authorization_servers;
        Self {
            resource: resource.resource,
            authorization_servers: Some(issuers.iter().map(ToString::to_string).collect()),
            scopes_supported: Some(resource.scopes_supported),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::Response;
    use serde_json::json;

    use super::*;
    use crate::scripted::Scripted;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    /// OC-1.
    #[tokio::test]
    async fn asks_in_the_order_of_the_specification() {
        const PATH: &str = "https://u.example.com/.well-known/oauth-protected-resource/mcp/notes";
        const ROOT: &str = "https://u.example.com/.well-known/oauth-protected-resource";
        for (upstream, challenged, expected) in [
            ("https://u.example.com/mcp/notes", None, &[PATH, ROOT][..]),
            ("https://u.example.com/mcp/notes/", None, &[PATH, ROOT]),
            ("https://u.example.com/mcp/notes#x", None, &[PATH, ROOT]),
            ("https://u.example.com/", None, &[ROOT]),
            (
                "https://u.example.com/mcp?tenant=1",
                None,
                &["https://u.example.com/.well-known/oauth-protected-resource/mcp?tenant=1", ROOT],
            ),
            (
                "https://u.example.com/mcp/notes",
                Some("https://meta.example.com/prm?x=1"),
                &["https://meta.example.com/prm?x=1", PATH, ROOT],
            ),
            ("https://u.example.com/mcp/notes", Some(ROOT), &[ROOT, PATH]),
            // OC-29
            ("https://u.example.com/mcp/notes", Some("http://u.example.com/prm"), &[PATH, ROOT]),
            ("https://u.example.com/mcp/notes", Some("http://localhost/prm"), &[PATH, ROOT]),
            ("https://u.example.com/mcp/notes", Some("file:///etc/passwd"), &[PATH, ROOT]),
        ] {
            let nothing = Scripted::always(404, &[], "");
            let challenged = challenged.map(url);
            let found =
                ProtectedResource::discover(&nothing, &url(upstream), challenged.as_ref()).await;
            assert_eq!(found, Ok(None));
            assert_eq!(nothing.uris(), expected, "{upstream} {challenged:?}");
        }
    }

    /// OC-2.
    #[test]
    fn a_document_is_about_the_upstream_or_what_it_is_part_of() {
        for (upstream, resource, right) in [
            ("https://u.example.com/mcp", "https://u.example.com/mcp", true),
            ("https://u.example.com/mcp", "https://u.example.com/mcp/", true),
            ("https://u.example.com/mcp/", "https://u.example.com/mcp", true),
            ("https://u.example.com/mcp", "https://u.example.com", true),
            ("https://u.example.com/mcp", "https://u.example.com/", true),
            ("https://u.example.com/mcp", "HTTPS://U.example.com:443/mcp", true),
            ("https://u.example.com/mcp/a/b", "https://u.example.com/mcp", true),
            ("https://u.example.com/mcp?t=1", "https://u.example.com/mcp?t=1", true),
            ("https://u.example.com/mcp?t=1", "https://u.example.com/mcp", true),
            ("https://u.example.com/mcp", "https://u.example.com/mcp?t=1", false),
            ("https://u.example.com/mcp", "https://u.example.com/mc", false),
            ("https://u.example.com/mcp2", "https://u.example.com/mcp", false),
            ("https://u.example.com/mcp", "https://u.example.com/mcp/notes", false),
            ("https://u.example.com/mcp", "https://u.example.com/x/../api", false),
            ("https://u.example.com/mcp", "https://u.example.com/mcp#x", false),
            ("https://u.example.com/mcp", "https://evil.example.com/mcp", false),
            ("https://u.example.com/mcp", "http://u.example.com/mcp", false),
            ("https://u.example.com/mcp", "https://u.example.com:8443/mcp", false),
            ("https://u.example.com/mcp", "https://u.example.com@evil.example.com/mcp", false),
            ("https://u.example.com/mcp", "https://me@u.example.com/mcp", false),
            ("https://u.example.com/mcp", "urn:mcp", false),
            ("https://u.example.com/mcp", "", false),
        ] {
            let body = json!({ "resource": resource }).to_string();
            let read = ProtectedResource::parse(&url(upstream), body.as_bytes());
            match read {
                Ok(read) => assert!(right && read.resource == resource, "{upstream} {resource}"),
                Err(error) => {
                    assert!(!right, "{upstream} {resource}");
                    assert_eq!(error, DiscoveryError::WrongResource);
                }
            }
        }
    }

    #[tokio::test]
    async fn a_document_about_somebody_else_ends_the_search() {
        let body = json!({ "resource": "https://evil.example.com/mcp" }).to_string();
        let network = Scripted::new(move |request| {
            let answer =
                if request.uri().path().ends_with("/mcp") { body.clone() } else { "{}".into() };
            Ok(Response::new(answer.into()))
        });
        let upstream = url("https://u.example.com/mcp");
        let found = ProtectedResource::discover(&network, &upstream, None).await;
        assert_eq!(found, Err(DiscoveryError::WrongResource));
        assert_eq!(network.uris().len(), 1);
    }

    /// OC-6: credentials of one issuer are for no other.
    #[test]
    fn goes_where_we_are_known_or_to_the_first() {
        const CHANGED: Result<Option<&str>, DiscoveryError> = Err(DiscoveryError::IssuerChanged);
        let resource = |issuers: &[&str]| ProtectedResource {
            resource: String::new(),
            authorization_servers: issuers.iter().copied().map(IssuerId::new).collect(),
            scopes_supported: Vec::new(),
        };
        for (issuers, registered, expected) in [
            (&["https://a", "https://b"][..], None, Ok(Some("https://a"))),
            (&["https://a", "https://b"], Some("https://b"), Ok(Some("https://b"))),
            (&["https://a"], Some("https://a/"), CHANGED),
            (&["https://a"], Some("https://b"), CHANGED),
            (&[], None, Ok(None)),
            (&[], Some("https://b"), Ok(None)),
        ] {
            let resource = resource(issuers);
            let chosen = resource.issuer(registered.map(IssuerId::new).as_ref());
            assert_eq!(chosen.map(|issuer| issuer.map(IssuerId::as_str)), expected);
        }
    }

    #[test]
    fn survives_being_stored() {
        let body = br#"{"resource":"https://u.example.com/mcp","scopes_supported":["a","b c"],
            "authorization_servers":["https://as.example.com"],"resource_name":"<b>"}"#;
        let read = ProtectedResource::parse(&url("https://u.example.com/mcp"), body).unwrap();
        assert_eq!(read.scopes_supported, ["a"]);
        let stored = serde_json::to_string(&read).unwrap();
        assert_eq!(serde_json::from_str::<ProtectedResource>(&stored).unwrap(), read);
    }
}

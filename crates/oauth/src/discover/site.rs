//! The URL of an issuer or of a resource: where its documents are, and which addresses it may name.

use attache_core::IssuerId;
use url::Url;

use super::DiscoveryError;
use crate::address::is_loopback;

/// For building locations; issuers are compared as strings.
#[derive(Debug)]
pub(super) struct Site(Url);

impl Site {
    /// RFC 8414 section 2.
    pub(super) fn of_issuer(issuer: &str) -> Result<Self, DiscoveryError> {
        let url = Url::parse(issuer).map_err(|_| DiscoveryError::InvalidIssuer)?;
        if is_web(&url) && url.query().is_none() && url.fragment().is_none() {
            Ok(Self(url))
        } else {
            Err(DiscoveryError::InvalidIssuer)
        }
    }

    /// RFC 9728 section 1.2. A fragment is of no resource.
    pub(super) fn of_resource(resource: &Url) -> Self {
        let mut url = resource.clone();
        url.set_fragment(None);
        Self(url)
    }

    /// Only the host of it.
    pub(super) fn origin(&self) -> IssuerId {
        IssuerId::new(self.0.origin().ascii_serialization())
    }

    /// `well_known` at the root, whatever the path.
    pub(super) fn root(&self, well_known: &str) -> Url {
        let mut url = self.at(&format!("/.well-known/{well_known}"));
        url.set_query(None);
        url
    }

    /// `well_known` between host and path (RFC 8414 section 3.1, RFC 9728 section 3.1).
    pub(super) fn inserting(&self, well_known: &str) -> Url {
        self.at(&format!("/.well-known/{well_known}{}", self.path()))
    }

    /// `well_known` after the path (`OpenID` Connect Discovery section 4).
    pub(super) fn appending(&self, well_known: &str) -> Url {
        self.at(&format!("{}/.well-known/{well_known}", self.path()))
    }

    /// Empty for what is only a host; never with a `/` at its end.
    pub(super) fn path(&self) -> &str {
        self.0.path().strip_suffix('/').unwrap_or(self.0.path())
    }

    fn at(&self, path: &str) -> Url {
        let mut url = self.0.clone();
        url.set_path(path);
        url
    }

    /// An address this site names: no script or file for a browser to open (OC-30), and http only
    /// from this machine to itself (OC-29).
    pub(super) fn endpoint(&self, text: &str) -> Option<Url> {
        let url = Url::parse(text).ok()?;
        let as_safe = url.scheme() == "https" || (self.0.scheme() == "http" && is_loopback(&url));
        (is_web(&url) && as_safe && url.fragment().is_none()).then_some(url)
    }

    /// As [`Self::endpoint`], for one that must be there.
    pub(super) fn required(
        &self,
        text: Option<&str>,
        missing: &'static str,
    ) -> Result<Url, DiscoveryError> {
        text.and_then(|text| self.endpoint(text)).ok_or(DiscoveryError::Malformed(missing))
    }

    /// Whether metadata that says `resource` of itself may be used here (OC-2): it says exactly this
    /// URL, as RFC 9728 section 3.3 has it, or one above it on the same origin, as many servers do.
    pub(super) fn is_within(&self, resource: &Url) -> bool {
        let above = || {
            let path = resource.path().strip_suffix('/').unwrap_or(resource.path());
            let rest = self.0.path().strip_prefix(path);
            resource.query().is_none()
                && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        is_web(resource)
            && resource.fragment().is_none()
            && resource.origin() == self.0.origin()
            && (*resource == self.0 || above())
    }
}

fn is_web(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
}

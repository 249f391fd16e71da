//! An issuer's URL: where its documents are, and which endpoints it may name.

use attache_core::IssuerId;
use url::Url;

use super::DiscoveryError;

/// For building locations; issuers are compared as strings.
#[derive(Debug)]
pub(super) struct IssuerUrl(Url);

impl IssuerUrl {
    pub(super) fn parse(issuer: &IssuerId) -> Result<Self, DiscoveryError> {
        let url = Url::parse(issuer.as_str()).map_err(|_| DiscoveryError::InvalidIssuer)?;
        if is_web(&url) && url.query().is_none() && url.fragment().is_none() {
            Ok(Self(url))
        } else {
            Err(DiscoveryError::InvalidIssuer)
        }
    }

    /// `well_known` between host and path (RFC 8414 section 3.1).
    pub(super) fn inserting(&self, well_known: &str) -> Url {
        self.at(&format!("/.well-known/{well_known}{}", self.path()))
    }

    /// `well_known` after the path (`OpenID` Connect Discovery section 4).
    pub(super) fn appending(&self, well_known: &str) -> Url {
        self.at(&format!("{}/.well-known/{well_known}", self.path()))
    }

    /// Empty for an issuer that is only a host; never with a `/` at its end.
    pub(super) fn path(&self) -> &str {
        self.0.path().strip_suffix('/').unwrap_or(self.0.path())
    }

    fn at(&self, path: &str) -> Url {
        let mut url = self.0.clone();
        url.set_path(path);
        url
    }

    /// An endpoint this issuer names: no script or file for a browser to open (OC-30), and no http
    /// from an issuer that is on https.
    pub(super) fn endpoint(&self, text: &str) -> Option<Url> {
        let url = Url::parse(text).ok()?;
        let as_safe = url.scheme() == "https" || url.scheme() == self.0.scheme();
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
}

fn is_web(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
}

//! One metadata document: where it may be, what makes it trustworthy, what is read from it.

use attache_core::{
    IssuerId,
    outbound::{FetchError, Outbound},
};
use bytes::Bytes;
use http::{Request, StatusCode, header};
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use crate::endpoint::{LIMITS, is_transient};

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DiscoveryError {
    /// The operator's move: an issuer is an http(s) URL without query, fragment or password
    /// (RFC 8414 section 2).
    #[error("the issuer is not an http(s) URL without query, fragment and credentials")]
    InvalidIssuer,
    #[error("there is no metadata document where this issuer's should be")]
    NotFound,
    /// The document speaks for somebody else: none of it may be used (OC-4).
    #[error("the metadata document names another issuer, or none")]
    WrongIssuer,
    /// The text says what is wrong, in our words.
    #[error("the metadata document has {0}")]
    Malformed(&'static str),
    #[error("the metadata document cannot be fetched right now")]
    Unavailable,
    #[error("the issuer's address is not allowed by the egress rules")]
    Blocked,
}

/// Both standards' fields that anyone here reads.
#[derive(Debug, Deserialize)]
pub(super) struct Document {
    issuer: Option<String>,
    pub(super) authorization_endpoint: Option<String>,
    pub(super) token_endpoint: Option<String>,
    pub(super) jwks_uri: Option<String>,
    pub(super) userinfo_endpoint: Option<String>,
    pub(super) end_session_endpoint: Option<String>,
    pub(super) registration_endpoint: Option<String>,
    pub(super) revocation_endpoint: Option<String>,
    pub(super) scopes_supported: Option<Vec<String>>,
    pub(super) token_endpoint_auth_methods_supported: Option<Vec<String>>,
    pub(super) code_challenge_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    pub(super) authorization_response_iss_parameter_supported: bool,
    #[serde(default)]
    pub(super) client_id_metadata_document_supported: bool,
}

impl Document {
    /// The first document among `locations`, if it speaks for `issuer` character for character
    /// (RFC 8414 section 3.3). What is no JSON object is passed over: many sites answer any path
    /// with a page.
    pub(super) async fn fetch(
        outbound: &dyn Outbound,
        issuer: &IssuerId,
        locations: &[Url],
    ) -> Result<Self, DiscoveryError> {
        for location in locations {
            let request = Request::get(location.as_str())
                .header(header::ACCEPT, "application/json")
                .body(Bytes::new())
                .map_err(|_| DiscoveryError::InvalidIssuer)?;
            let response = outbound.fetch(request, LIMITS).await?;
            if is_transient(response.status()) {
                return Err(DiscoveryError::Unavailable);
            }
            if response.status() != StatusCode::OK {
                continue;
            }
            let Ok(object) = serde_json::from_slice(response.body()) else { continue };
            let document: Self = serde_json::from_value(Value::Object(object))
                .map_err(|_| DiscoveryError::Malformed("a field of the wrong type"))?;
            return if document.issuer.as_deref() == Some(issuer.as_str()) {
                Ok(document)
            } else {
                Err(DiscoveryError::WrongIssuer)
            };
        }
        Err(DiscoveryError::NotFound)
    }
}

impl From<FetchError> for DiscoveryError {
    fn from(error: FetchError) -> Self {
        match error {
            FetchError::Blocked | FetchError::Insecure => Self::Blocked,
            FetchError::Unreachable(_) | FetchError::Transport(_) | FetchError::Timeout(_) => {
                Self::Unavailable
            }
            FetchError::TooLarge(_) => Self::Malformed("too many bytes"),
        }
    }
}

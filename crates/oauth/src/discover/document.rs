//! The metadata of an authorization server as it is written (RFC 8414 section 2, `OpenID` Connect
//! Discovery section 3).

use attache_core::IssuerId;
use serde::{Deserialize, Serialize};

use super::{DiscoveryError, published::fields};

/// Both standards' fields that anyone here reads.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(super) struct Document {
    pub(super) issuer: Option<String>,
    pub(super) authorization_endpoint: Option<String>,
    pub(super) token_endpoint: Option<String>,
    pub(super) jwks_uri: Option<String>,
    pub(super) userinfo_endpoint: Option<String>,
    pub(super) end_session_endpoint: Option<String>,
    pub(super) introspection_endpoint: Option<String>,
    pub(super) registration_endpoint: Option<String>,
    pub(super) revocation_endpoint: Option<String>,
    pub(super) pushed_authorization_request_endpoint: Option<String>,
    pub(super) require_pushed_authorization_requests: bool,
    pub(super) scopes_supported: Option<Vec<String>>,
    pub(super) claims_supported: Option<Vec<String>>,
    pub(super) token_endpoint_auth_methods_supported: Option<Vec<String>>,
    pub(super) token_endpoint_auth_signing_alg_values_supported: Option<Vec<String>>,
    pub(super) code_challenge_methods_supported: Option<Vec<String>>,
    pub(super) authorization_response_iss_parameter_supported: bool,
    pub(super) client_id_metadata_document_supported: bool,
}

impl Document {
    /// Only what speaks for `issuer` character for character (RFC 8414 section 3.3, OC-4).
    pub(super) fn parse(issuer: &IssuerId, body: &[u8]) -> Result<Self, DiscoveryError> {
        let document: Self = fields(body)?;
        if document.issuer.as_deref() == Some(issuer.as_str()) {
            Ok(document)
        } else {
            Err(DiscoveryError::WrongIssuer)
        }
    }
}

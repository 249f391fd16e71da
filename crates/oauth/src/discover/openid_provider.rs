//! The company's identity provider, by its issuer (`OpenID` Connect Discovery 1.0).

use attache_core::{IssuerId, outbound::Outbound};
use url::Url;

use super::{DiscoveryError, Published, document::Document, site::Site};
use crate::scope;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenIdProvider {
    pub issuer: IssuerId,
    pub authorization_endpoint: Url,
    pub token_endpoint: Url,
    pub jwks_uri: Url,
    pub userinfo_endpoint: Option<Url>,
    pub revocation_endpoint: Option<Url>,
    pub end_session_endpoint: Option<Url>,
    /// RFC 7662.
    pub introspection_endpoint: Option<Url>,
    /// `authorization_response_iss_parameter_supported` (RFC 9207 section 3).
    pub iss_parameter_supported: bool,
    pub code_challenge_methods_supported: Vec<String>,
    /// Empty where it says nothing, as it may.
    pub scopes_supported: Vec<String>,
    /// As [`OpenIdProvider::scopes_supported`].
    pub claims_supported: Vec<String>,
}

impl OpenIdProvider {
    /// Reads `{issuer}/.well-known/openid-configuration`.
    pub async fn discover(
        outbound: &dyn Outbound,
        issuer: &IssuerId,
    ) -> Result<Published<Self>, DiscoveryError> {
        let site = Site::of_issuer(issuer.as_str())?;
        let locations = [site.appending("openid-configuration")];
        let found =
            Published::fetch(outbound, &locations).await?.ok_or(DiscoveryError::NotFound)?;
        found.read(|body| Self::parse(issuer, body))
    }

    /// Reads a document that was found for `issuer`.
    #[doc(hidden)]
    pub fn parse(issuer: &IssuerId, body: &[u8]) -> Result<Self, DiscoveryError> {
        let site = Site::of_issuer(issuer.as_str())?;
        let document = Document::parse(issuer, body)?;
        let optional = |text: Option<String>| text.and_then(|text| site.endpoint(&text));
        Ok(Self {
            issuer: issuer.clone(),
            authorization_endpoint: site.required(
                document.authorization_endpoint.as_deref(),
                "no usable authorization_endpoint",
            )?,
            token_endpoint: site
                .required(document.token_endpoint.as_deref(), "no usable token_endpoint")?,
            jwks_uri: site.required(document.jwks_uri.as_deref(), "no usable jwks_uri")?,
            userinfo_endpoint: optional(document.userinfo_endpoint),
            revocation_endpoint: optional(document.revocation_endpoint),
            end_session_endpoint: optional(document.end_session_endpoint),
            introspection_endpoint: optional(document.introspection_endpoint),
            iss_parameter_supported: document.authorization_response_iss_parameter_supported,
            code_challenge_methods_supported: document
                .code_challenge_methods_supported
                .unwrap_or_default(),
            scopes_supported: scope::list(document.scopes_supported.unwrap_or_default()),
            claims_supported: document.claims_supported.unwrap_or_default(),
        })
    }
}

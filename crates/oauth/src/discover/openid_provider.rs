//! The company's identity provider, by its issuer (`OpenID` Connect Discovery 1.0).

use attache_core::{IssuerId, outbound::Outbound};
use url::Url;

use super::{DiscoveryError, document::Document, issuer::IssuerUrl};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenIdProvider {
    pub issuer: IssuerId,
    pub authorization_endpoint: Url,
    pub token_endpoint: Url,
    pub jwks_uri: Url,
    pub userinfo_endpoint: Option<Url>,
    pub end_session_endpoint: Option<Url>,
    /// `authorization_response_iss_parameter_supported` (RFC 9207 section 3).
    pub iss_parameter_supported: bool,
    pub code_challenge_methods_supported: Vec<String>,
}

impl OpenIdProvider {
    /// Reads `{issuer}/.well-known/openid-configuration`.
    pub async fn discover(
        outbound: &dyn Outbound,
        issuer: &IssuerId,
    ) -> Result<Self, DiscoveryError> {
        let url = IssuerUrl::parse(issuer)?;
        let locations = [url.appending("openid-configuration")];
        let document = Document::fetch(outbound, issuer, &locations).await?;
        let optional = |text: Option<String>| text.and_then(|text| url.endpoint(&text));
        Ok(Self {
            issuer: issuer.clone(),
            authorization_endpoint: url.required(
                document.authorization_endpoint.as_deref(),
                "no usable authorization_endpoint",
            )?,
            token_endpoint: url
                .required(document.token_endpoint.as_deref(), "no usable token_endpoint")?,
            jwks_uri: url.required(document.jwks_uri.as_deref(), "no usable jwks_uri")?,
            userinfo_endpoint: optional(document.userinfo_endpoint),
            end_session_endpoint: optional(document.end_session_endpoint),
            iss_parameter_supported: document.authorization_response_iss_parameter_supported,
            code_challenge_methods_supported: document
                .code_challenge_methods_supported
                .unwrap_or_default(),
        })
    }
}

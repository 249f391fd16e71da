//! An upstream's authorization server, by its issuer (RFC 8414).

use attache_core::{IssuerId, outbound::Outbound};
use url::Url;

use super::{DiscoveryError, document::Document, issuer::IssuerUrl};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorizationServer {
    pub issuer: IssuerId,
    pub authorization_endpoint: Url,
    pub token_endpoint: Url,
    /// Where the keys of its access tokens are, when it signs them.
    pub jwks_uri: Option<Url>,
    pub registration_endpoint: Option<Url>,
    pub revocation_endpoint: Option<Url>,
    pub scopes_supported: Vec<String>,
    /// `client_secret_basic` alone when the server says nothing (OC-10).
    pub token_endpoint_auth_methods_supported: Vec<String>,
    pub code_challenge_methods_supported: Vec<String>,
    /// `authorization_response_iss_parameter_supported` (RFC 9207 section 3).
    pub iss_parameter_supported: bool,
    pub client_id_metadata_document_supported: bool,
}

impl AuthorizationServer {
    /// Asks where RFC 8414 puts the document, then where `OpenID` Connect does (OC-3).
    pub async fn discover(
        outbound: &dyn Outbound,
        issuer: &IssuerId,
    ) -> Result<Self, DiscoveryError> {
        let url = IssuerUrl::parse(issuer)?;
        let mut locations = vec![
            url.inserting("oauth-authorization-server"),
            url.inserting("openid-configuration"),
        ];
        if !url.path().is_empty() {
            locations.push(url.appending("openid-configuration"));
        }
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
            jwks_uri: optional(document.jwks_uri),
            registration_endpoint: optional(document.registration_endpoint),
            revocation_endpoint: optional(document.revocation_endpoint),
            scopes_supported: document.scopes_supported.unwrap_or_default(),
            token_endpoint_auth_methods_supported: document
                .token_endpoint_auth_methods_supported
                .unwrap_or_else(|| vec!["client_secret_basic".to_owned()]),
            code_challenge_methods_supported: document
                .code_challenge_methods_supported
                .unwrap_or_default(),
            iss_parameter_supported: document.authorization_response_iss_parameter_supported,
            client_id_metadata_document_supported: document.client_id_metadata_document_supported,
        })
    }

    /// Whether it says that it checks PKCE with `S256`; one that does not say so is refused (OC-5).
    pub fn supports_pkce(&self) -> bool {
        self.code_challenge_methods_supported.iter().any(|method| method == "S256")
    }
}

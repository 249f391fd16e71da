//! An upstream's authorization server, by its issuer (RFC 8414).

use attache_core::{IssuerId, outbound::Outbound};
use serde::{Deserialize, Serialize};
use url::Url;

use super::{DiscoveryError, Published, document::Document, site::Site};
use crate::{auth_method::AuthMethod, scope};

/// Its serialized form is a metadata document, read again by the same rules.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "Document", into = "Document")]
pub struct AuthorizationServer {
    pub issuer: IssuerId,
    pub authorization_endpoint: Url,
    pub token_endpoint: Url,
    /// Where the keys of its access tokens are, when it signs them.
    pub jwks_uri: Option<Url>,
    pub registration_endpoint: Option<Url>,
    pub revocation_endpoint: Option<Url>,
    pub pushed_authorization_request_endpoint: Option<Url>,
    /// There is an endpoint for them, then (RFC 9126 section 5).
    pub require_pushed_authorization_requests: bool,
    pub scopes_supported: Vec<String>,
    /// Of the methods we know; `client_secret_basic` alone when the server says nothing (OC-10).
    /// `private_key_jwt` is among them only where ES256 may sign.
    pub token_endpoint_auth_methods_supported: Vec<AuthMethod>,
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
    ) -> Result<Published<Self>, DiscoveryError> {
        let site = Site::of_issuer(issuer.as_str())?;
        let mut locations = vec![
            site.inserting("oauth-authorization-server"),
            site.inserting("openid-configuration"),
        ];
        if !site.path().is_empty() {
            locations.push(site.appending("openid-configuration"));
        }
        let found =
            Published::fetch(outbound, &locations).await?.ok_or(DiscoveryError::NotFound)?;
        found.read(|body| Self::parse(issuer, body))
    }

    /// Reads a document that was found for `issuer`.
    #[doc(hidden)]
    pub fn parse(issuer: &IssuerId, body: &[u8]) -> Result<Self, DiscoveryError> {
        let site = Site::of_issuer(issuer.as_str())?;
        Self::read(issuer.clone(), &site, Document::parse(issuer, body)?)
    }

    /// Whether it says that it checks PKCE with `S256`; one that does not say so is refused (OC-5).
    pub fn supports_pkce(&self) -> bool {
        self.code_challenge_methods_supported.iter().any(|method| method == "S256")
    }

    /// Where authorization requests must be pushed to; `None` where a browser may carry them.
    pub fn must_push_to(&self) -> Option<&Url> {
        self.pushed_authorization_request_endpoint
            .as_ref()
            .filter(|_| self.require_pushed_authorization_requests)
    }

    /// The metadata that an MCP server of 2025-03-26 has when it publishes none: fixed paths below
    /// its origin, and PKCE, which that revision demands.
    pub(super) fn by_default(site: &Site) -> Result<Self, DiscoveryError> {
        let origin = site.origin();
        let endpoint = |path: &str| Some(format!("{origin}/{path}"));
        Self::try_from(Document {
            issuer: Some(origin.to_string()),
            authorization_endpoint: endpoint("authorize"),
            token_endpoint: endpoint("token"),
            registration_endpoint: endpoint("register"),
            code_challenge_methods_supported: Some(vec!["S256".to_owned()]),
            ..Document::default()
        })
    }

    fn read(issuer: IssuerId, site: &Site, document: Document) -> Result<Self, DiscoveryError> {
        let optional = |text: Option<String>| text.and_then(|text| site.endpoint(&text));
        let push = optional(document.pushed_authorization_request_endpoint);
        if document.require_pushed_authorization_requests && push.is_none() {
            return Err(DiscoveryError::Malformed(
                "no usable pushed_authorization_request_endpoint",
            ));
        }
        let es256 = document
            .token_endpoint_auth_signing_alg_values_supported
            .is_none_or(|algorithms| algorithms.iter().any(|algorithm| algorithm == "ES256"));
        let methods = match document.token_endpoint_auth_methods_supported {
            None => vec![AuthMethod::ClientSecretBasic],
            Some(names) => AuthMethod::ALL
                .into_iter()
                .filter(|method| names.iter().any(|name| name == method.as_str()))
                .filter(|method| es256 || *method != AuthMethod::PrivateKeyJwt)
                .collect(),
        };
        Ok(Self {
            issuer,
            authorization_endpoint: site.required(
                document.authorization_endpoint.as_deref(),
                "no usable authorization_endpoint",
            )?,
            token_endpoint: site
                .required(document.token_endpoint.as_deref(), "no usable token_endpoint")?,
            jwks_uri: optional(document.jwks_uri),
            registration_endpoint: optional(document.registration_endpoint),
            revocation_endpoint: optional(document.revocation_endpoint),
            pushed_authorization_request_endpoint: push,
            require_pushed_authorization_requests: document.require_pushed_authorization_requests,
            scopes_supported: scope::list(document.scopes_supported.unwrap_or_default()),
            token_endpoint_auth_methods_supported: methods,
            code_challenge_methods_supported: document
                .code_challenge_methods_supported
                .unwrap_or_default(),
            iss_parameter_supported: document.authorization_response_iss_parameter_supported,
            client_id_metadata_document_supported: document.client_id_metadata_document_supported,
        })
    }
}

impl TryFrom<Document> for AuthorizationServer {
    type Error = DiscoveryError;

    fn try_from(document: Document) -> Result<Self, DiscoveryError> {
        let issuer = document.issuer.as_deref().ok_or(DiscoveryError::WrongIssuer)?;
        Self::read(IssuerId::new(issuer), &Site::of_issuer(issuer)?, document)
    }
}

impl From<AuthorizationServer> for Document {
    fn from(server: AuthorizationServer) -> Self {
        let methods = server.token_endpoint_auth_methods_supported;
        Self {
            issuer: Some(server.issuer.to_string()),
            authorization_endpoint: Some(server.authorization_endpoint.into()),
            token_endpoint: Some(server.token_endpoint.into()),
            jwks_uri: server.jwks_uri.map(Url::into),
            registration_endpoint: server.registration_endpoint.map(Url::into),
            revocation_endpoint: server.revocation_endpoint.map(Url::into),
            pushed_authorization_request_endpoint: server
                .pushed_authorization_request_endpoint
                .map(Url::into),
            require_pushed_authorization_requests: server.require_pushed_authorization_requests,
            scopes_supported: Some(server.scopes_supported),
            token_endpoint_auth_methods_supported: Some(
                methods.into_iter().map(|method| method.as_str().to_owned()).collect(),
            ),
            code_challenge_methods_supported: Some(server.code_challenge_methods_supported),
            authorization_response_iss_parameter_supported: server.iss_parameter_supported,
            client_id_metadata_document_supported: server.client_id_metadata_document_supported,
            ..Self::default()
        }
    }
}

//! What clients read about the authorization server (RFC 8414, AS-1).

use serde_json::{Value, json};

use super::{AuthorizationServer, device, id_jag, request::SCOPE};

impl AuthorizationServer {
    pub fn metadata(&self) -> Value {
        let origin = &self.resources().origin;
        let mut grant_types = vec!["authorization_code", "refresh_token", device::GRANT_TYPE];
        grant_types.extend(self.asserter.as_ref().map(|_| id_jag::GRANT_TYPE));
        let mut metadata = json!({
            "issuer": origin.as_str(),
            "authorization_endpoint": origin.url("/oauth/authorize"),
            "token_endpoint": origin.url("/oauth/token"),
            "device_authorization_endpoint": origin.url("/oauth/device_authorization"),
            "revocation_endpoint": origin.url("/oauth/revoke"),
            "jwks_uri": origin.url("/oauth/jwks.json"),
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": grant_types,
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported":
                ["none", "client_secret_basic", "client_secret_post"],
            "revocation_endpoint_auth_methods_supported":
                ["none", "client_secret_basic", "client_secret_post"],
            "scopes_supported": [SCOPE],
            "authorization_response_iss_parameter_supported": true,
            "client_id_metadata_document_supported": self.documents,
        });
        if let (true, Some(metadata)) = (self.registers(), metadata.as_object_mut()) {
            let endpoint = json!(origin.url("/oauth/register"));
            metadata.insert("registration_endpoint".to_owned(), endpoint);
        }
        if let (Some(_), Some(metadata)) = (&self.asserter, metadata.as_object_mut()) {
            let profiles = json!([id_jag::PROFILE]);
            metadata.insert("authorization_grant_profiles_supported".to_owned(), profiles);
        }
        metadata
    }
}

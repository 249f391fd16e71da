//! What we say about ourselves as a client, published (client-id metadata documents) or sent
//! (RFC 7591 section 2): OC-8, OC-9.

use serde::Serialize;
use url::Url;

use crate::{address::is_loopback, auth_method::AuthMethod};

/// What is true of us at every authorization server of one upstream.
#[derive(Clone, Copy, Debug)]
pub struct Ourselves<'a> {
    pub client_name: &'a str,
    /// The only one, which no other upstream has (OC-17).
    pub redirect_uri: &'a Url,
    /// Where our keys are, when servers can reach them.
    pub jwks_uri: Option<&'a Url>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClientMetadata {
    client_name: String,
    redirect_uris: [String; 1],
    grant_types: [&'static str; 2],
    response_types: [&'static str; 1],
    application_type: &'static str,
    token_endpoint_auth_method: AuthMethod,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwks_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
}

impl ClientMetadata {
    /// A client that renews what it is given, and authenticates by `method`.
    ///
    /// # Errors
    /// [`InvalidMetadata::NoKeys`] for `private_key_jwt` without keys that anyone can reach.
    pub fn new(ourselves: &Ourselves<'_>, method: AuthMethod) -> Result<Self, InvalidMetadata> {
        let jwks_uri = match (method, ourselves.jwks_uri) {
            (AuthMethod::PrivateKeyJwt, None) => return Err(InvalidMetadata::NoKeys),
            (AuthMethod::PrivateKeyJwt, Some(keys)) => Some(keys.to_string()),
            _ => None,
        };
        // a deployment that only this machine can reach; nothing else may call itself native (OC-9)
        let native = is_loopback(ourselves.redirect_uri);
        Ok(Self {
            client_name: ourselves.client_name.to_owned(),
            redirect_uris: [ourselves.redirect_uri.to_string()],
            grant_types: ["authorization_code", "refresh_token"],
            response_types: ["code"],
            application_type: if native { "native" } else { "web" },
            token_endpoint_auth_method: method,
            jwks_uri,
            scope: None,
        })
    }

    /// For a server that lets a client ask only for what it registered.
    #[must_use]
    pub fn with_scopes(self, scopes: &[String]) -> Self {
        Self { scope: (!scopes.is_empty()).then(|| scopes.join(" ")), ..self }
    }

    pub fn method(&self) -> AuthMethod {
        self.token_endpoint_auth_method
    }

    pub(crate) fn redirect_uri(&self) -> &str {
        let [redirect_uri] = &self.redirect_uris;
        redirect_uri
    }
}

/// A document at the URL that is our client id (draft-ietf-oauth-client-id-metadata-document).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClientIdMetadataDocument {
    client_id: String,
    #[serde(flatten)]
    metadata: ClientMetadata,
}

impl ClientIdMetadataDocument {
    /// # Errors
    /// [`InvalidMetadata`] for what servers would refuse to believe.
    pub fn new(
        client_id: &Url,
        ourselves: &Ourselves<'_>,
        method: AuthMethod,
    ) -> Result<Self, InvalidMetadata> {
        let plain = client_id.scheme() == "https"
            && client_id.path() != "/"
            && client_id.query().is_none()
            && client_id.fragment().is_none()
            && client_id.username().is_empty()
            && client_id.password().is_none();
        if !plain {
            return Err(InvalidMetadata::ClientId);
        }
        if ourselves.redirect_uri.origin() != client_id.origin() {
            return Err(InvalidMetadata::RedirectUri);
        }
        if !matches!(method, AuthMethod::PrivateKeyJwt | AuthMethod::None) {
            return Err(InvalidMetadata::SharedSecret);
        }
        let metadata = ClientMetadata::new(ourselves, method)?;
        let document = Self { client_id: client_id.to_string(), metadata };
        let size = serde_json::to_vec(&document).map_or(usize::MAX, |text| text.len());
        if size <= MAX_DOCUMENT { Ok(document) } else { Err(InvalidMetadata::TooLarge) }
    }
}

/// The operator's move, all of it: `public_url` and names decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMetadata {
    #[error("private_key_jwt needs keys that the authorization server can reach")]
    NoKeys,
    #[error("a client id is an https URL with a path and no query, fragment or credentials")]
    ClientId,
    #[error("the redirect URI is of another origin than the client id")]
    RedirectUri,
    #[error("whoever reads a published document shares no secret with us")]
    SharedSecret,
    #[error("the document is larger than servers read")]
    TooLarge,
}

/// Bytes that every server reads (draft section 6.6).
const MAX_DOCUMENT: usize = 5 * 1024;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    /// OC-8, letter by letter.
    #[test]
    fn the_document_of_an_upstream() {
        let (redirect_uri, jwks_uri) =
            (url("https://gw.example.com/cb/notes"), url("https://gw.example.com/jwks.json"));
        let client_id = url("https://gw.example.com/oauth/clients/notes/metadata.json");
        let ourselves = Ourselves {
            client_name: "attache",
            redirect_uri: &redirect_uri,
            jwks_uri: Some(&jwks_uri),
        };
        let document =
            ClientIdMetadataDocument::new(&client_id, &ourselves, AuthMethod::PrivateKeyJwt);
        let mut expected = json!({
            "client_id": "https://gw.example.com/oauth/clients/notes/metadata.json",
            "client_name": "attache",
            "redirect_uris": ["https://gw.example.com/cb/notes"],
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "application_type": "web",
            "token_endpoint_auth_method": "private_key_jwt",
            "jwks_uri": "https://gw.example.com/jwks.json",
        });
        assert_eq!(serde_json::to_value(document.unwrap()).unwrap(), expected);

        let public = ClientIdMetadataDocument::new(&client_id, &ourselves, AuthMethod::None);
        expected["token_endpoint_auth_method"] = json!("none");
        expected.as_object_mut().unwrap().remove("jwks_uri");
        assert_eq!(serde_json::to_value(public.unwrap()).unwrap(), expected);
    }

    #[test]
    fn nothing_is_published_that_servers_would_refuse() {
        use AuthMethod::{ClientSecretBasic, None as Public, PrivateKeyJwt};
        use InvalidMetadata::{ClientId, NoKeys, RedirectUri, SharedSecret, TooLarge};
        const GOOD: &str = "https://gw.example.com/notes.json";
        let long = "n".repeat(MAX_DOCUMENT);
        for (client_id, redirect_uri, client_name, method, expected) in [
            ("http://gw.example.com/notes.json", "http://gw.example.com/cb", "a", Public, ClientId),
            ("https://gw.example.com", "https://gw.example.com/cb", "a", Public, ClientId),
            ("https://gw.example.com/?n", "https://gw.example.com/cb", "a", Public, ClientId),
            ("https://gw.example.com/n#f", "https://gw.example.com/cb", "a", Public, ClientId),
            ("https://me@gw.example.com/n", "https://gw.example.com/cb", "a", Public, ClientId),
            (GOOD, "https://other.example.com/cb", "a", Public, RedirectUri),
            (GOOD, "https://gw.example.com/cb", "a", ClientSecretBasic, SharedSecret),
            (GOOD, "https://gw.example.com/cb", "a", PrivateKeyJwt, NoKeys),
            (GOOD, "https://gw.example.com/cb", &long, Public, TooLarge),
        ] {
            let redirect_uri = url(redirect_uri);
            let ourselves = Ourselves { client_name, redirect_uri: &redirect_uri, jwks_uri: None };
            let document = ClientIdMetadataDocument::new(&url(client_id), &ourselves, method);
            assert_eq!(document, Err(expected), "{client_id} {redirect_uri} {method:?}");
        }
    }

    /// OC-9.
    #[test]
    fn only_a_loopback_deployment_is_a_native_application() {
        for (redirect_uri, expected) in [
            ("https://gw.example.com/cb", "web"),
            ("https://10.0.0.1/cb", "web"),
            ("https://localhost.example.com/cb", "web"),
            ("http://localhost:8080/cb", "native"),
            ("http://127.0.0.1:8080/cb", "native"),
            ("http://[::1]:8080/cb", "native"),
        ] {
            let redirect_uri = url(redirect_uri);
            let ourselves =
                Ourselves { client_name: "a", redirect_uri: &redirect_uri, jwks_uri: None };
            let metadata = ClientMetadata::new(&ourselves, AuthMethod::None).unwrap();
            assert_eq!(metadata.application_type, expected, "{redirect_uri}");
        }
    }
}

//! Who an upstream trusts, found by what is published: protected-resource metadata (RFC 9728),
//! authorization-server metadata (RFC 8414) and that of `OpenID` providers (`OpenID` Connect
//! Discovery).

mod authorization_server;
mod document;
mod error;
mod openid_provider;
mod protected_resource;
mod published;
mod search;
mod site;

pub use self::{
    authorization_server::AuthorizationServer,
    error::DiscoveryError,
    openid_provider::OpenIdProvider,
    protected_resource::ProtectedResource,
    published::Published,
    search::{ChallengeSource, Found, Leniency, Search, initialize, list_tools},
};

#[cfg(test)]
mod tests {
    use attache_core::{
        IssuerId,
        outbound::{FetchError, Outbound},
    };
    use bytes::Bytes;
    use http::Response;
    use serde_json::{Value, json};
    use url::Url;

    use super::*;
    use crate::{auth_method::AuthMethod, scripted::Scripted};

    const ISSUER: &str = "https://as.example.com/t1";

    fn document() -> Value {
        json!({
            "issuer": ISSUER,
            "authorization_endpoint": "https://as.example.com/authorize",
            "token_endpoint": "https://as.example.com/token",
            "jwks_uri": "https://as.example.com/keys",
            "code_challenge_methods_supported": ["plain", "S256"],
        })
    }

    fn with(name: &str, value: impl Into<Value>) -> Value {
        let mut document = document();
        document[name] = value.into();
        document
    }

    /// Serves `document` at `location` and a page elsewhere.
    fn at(location: &'static str, document: &Value) -> Scripted {
        let document = document.to_string();
        Scripted::new(move |request| {
            let found = request.uri() == location;
            Ok(Response::new(Bytes::from(if found { document.clone() } else { "<p>".to_owned() })))
        })
    }

    async fn discover(outbound: &dyn Outbound) -> Result<OpenIdProvider, DiscoveryError> {
        let found = OpenIdProvider::discover(outbound, &IssuerId::new(ISSUER)).await?;
        Ok(found.value)
    }

    /// OC-3, and the trailing `/` that belongs to an issuer but not to a location.
    #[tokio::test]
    async fn asks_in_the_order_of_the_specification() {
        for (issuer, expected) in [
            (
                "https://as.example.com",
                &[
                    "https://as.example.com/.well-known/oauth-authorization-server",
                    "https://as.example.com/.well-known/openid-configuration",
                ][..],
            ),
            (
                "https://as.example.com:8443/t1/a%20b/",
                &[
                    "https://as.example.com:8443/.well-known/oauth-authorization-server/t1/a%20b",
                    "https://as.example.com:8443/.well-known/openid-configuration/t1/a%20b",
                    "https://as.example.com:8443/t1/a%20b/.well-known/openid-configuration",
                ],
            ),
        ] {
            let nothing = Scripted::always(404, &[], "");
            let found = AuthorizationServer::discover(&nothing, &IssuerId::new(issuer)).await;
            assert_eq!(found, Err(DiscoveryError::NotFound));
            assert_eq!(nothing.uris(), expected);
        }
    }

    #[tokio::test]
    async fn passes_over_pages_and_reads_the_document() {
        let last = "https://as.example.com/t1/.well-known/openid-configuration";
        let provider = discover(&at(last, &document())).await.unwrap();
        assert_eq!(provider.jwks_uri.as_str(), "https://as.example.com/keys");
        assert_eq!(provider.userinfo_endpoint, None);
        assert!(!provider.iss_parameter_supported);

        let issuer = IssuerId::new(ISSUER);
        let document = with("revocation_endpoint", "https://as.example.com/revoke");
        let server = AuthorizationServer::discover(&at(last, &document), &issuer).await.unwrap();
        let server = server.value;
        assert_eq!(server.token_endpoint.as_str(), "https://as.example.com/token");
        assert_eq!(server.jwks_uri.as_ref().map(Url::path), Some("/keys"));
        assert_eq!(server.revocation_endpoint.as_ref().map(Url::path), Some("/revoke"));
        assert_eq!(server.token_endpoint_auth_methods_supported, [AuthMethod::ClientSecretBasic]);
        assert!(server.supports_pkce());

        for methods in [json!(null), json!([]), json!(["plain"]), json!(["s256"])] {
            let document = with("code_challenge_methods_supported", methods);
            let server =
                AuthorizationServer::discover(&at(last, &document), &issuer).await.unwrap();
            assert!(!server.value.supports_pkce(), "{document}");
        }
    }

    /// OC-4, OC-30, one row a misbehaviour.
    #[tokio::test]
    async fn trusts_no_document_that_is_not_the_issuers_own() {
        use DiscoveryError::{Malformed, NotFound, Unavailable, WrongIssuer};
        let authorize = Malformed("no usable authorization_endpoint");
        let token = Malformed("no usable token_endpoint");
        for (status, body, expected) in [
            (200, with("issuer", "https://as.example.com/t1/"), WrongIssuer),
            (200, with("issuer", "https://as.example.com/{tenantid}"), WrongIssuer),
            (200, with("issuer", "https://AS.example.com/t1"), WrongIssuer),
            (200, with("issuer", Value::Null), WrongIssuer),
            (200, json!({}), WrongIssuer),
            (200, with("issuer", 7), Malformed("a field twice, or of the wrong type")),
            (200, with("authorization_endpoint", "javascript:alert(1)"), authorize),
            (200, with("authorization_endpoint", "data:text/html,x"), authorize),
            (200, with("authorization_endpoint", "file:///etc/passwd"), authorize),
            (200, with("authorization_endpoint", "http://as.example.com/authorize"), authorize),
            (200, with("authorization_endpoint", "https://a:b@as.example.com/"), authorize),
            (200, with("authorization_endpoint", "/authorize"), authorize),
            (200, with("token_endpoint", Value::Null), token),
            (200, with("token_endpoint", "https://as.example.com/token#x"), token),
            (200, with("jwks_uri", ""), Malformed("no usable jwks_uri")),
            (200, json!("page"), NotFound),
            (201, document(), NotFound),
            (302, document(), NotFound),
            (404, document(), NotFound),
            (429, document(), Unavailable),
            (503, document(), Unavailable),
        ] {
            let found = discover(&Scripted::always(status, &[], &body.to_string())).await;
            assert_eq!(found, Err(expected), "{status} {body}");
        }
        let blocked = Scripted::new(|_| Err(FetchError::Blocked));
        assert_eq!(discover(&blocked).await, Err(DiscoveryError::Blocked));
    }

    /// OC-29: http is for this machine alone, and only from it to itself.
    #[test]
    fn http_stays_on_this_machine() {
        for (issuer, endpoint, right) in [
            ("http://127.0.0.1:9", "http://127.0.0.1:9/token", true),
            ("http://127.0.0.1:9", "http://localhost:8/token", true),
            ("http://[::1]:9", "http://[::1]:9/token", true),
            ("http://127.0.0.1:9", "https://as.example.com/token", true),
            ("http://127.0.0.1:9", "http://as.example.com/token", false),
            ("http://as.example.com", "http://as.example.com/token", false),
            ("https://as.example.com", "http://127.0.0.1/token", false),
        ] {
            let mut document = with("issuer", issuer);
            document["authorization_endpoint"] = "https://as.example.com/".into();
            document["token_endpoint"] = endpoint.into();
            let issuer = IssuerId::new(issuer);
            let read = AuthorizationServer::parse(&issuer, document.to_string().as_bytes());
            assert_eq!(read.is_ok(), right, "{document}");
        }
    }

    #[test]
    fn an_authorization_server_is_read_alike_from_network_and_store() {
        use AuthMethod::{ClientSecretBasic, ClientSecretPost, PrivateKeyJwt};
        let issuer = IssuerId::new(ISSUER);
        let parse =
            |document: &Value| AuthorizationServer::parse(&issuer, document.to_string().as_bytes());
        let mut document = document();
        document["scopes_supported"] = json!(["a", "a", "b c"]);
        document["revocation_endpoint"] = json!("javascript:alert(1)");
        document["require_pushed_authorization_requests"] = json!(true);
        let missing = "no usable pushed_authorization_request_endpoint";
        assert_eq!(parse(&document), Err(DiscoveryError::Malformed(missing)));
        let par = "https://as.example.com/par";
        document["pushed_authorization_request_endpoint"] = json!(par);

        for (methods, algorithms, expected) in [
            (json!(null), json!(null), &[ClientSecretBasic][..]),
            (json!([]), json!(null), &[]),
            (json!(["tls_client_auth"]), json!(null), &[]),
            (
                json!(["private_key_jwt", "client_secret_post"]),
                json!(["RS256", "ES256"]),
                &[ClientSecretPost, PrivateKeyJwt],
            ),
            (json!(["private_key_jwt"]), json!(null), &[PrivateKeyJwt]),
            (json!(["private_key_jwt"]), json!(["RS256"]), &[]),
        ] {
            document["token_endpoint_auth_methods_supported"] = methods;
            document["token_endpoint_auth_signing_alg_values_supported"] = algorithms;
            let server = parse(&document).unwrap();
            assert_eq!(server.token_endpoint_auth_methods_supported, expected, "{document}");
            assert_eq!(server.scopes_supported, ["a"]);
            assert_eq!(server.revocation_endpoint, None);
            assert_eq!(server.must_push_to().map(Url::as_str), Some(par));
            let stored = serde_json::to_string(&server).unwrap();
            assert_eq!(serde_json::from_str::<AuthorizationServer>(&stored).unwrap(), server);
        }
        document["require_pushed_authorization_requests"] = json!(false);
        assert_eq!(parse(&document).unwrap().must_push_to(), None);

        for body in ["", "[]", "null", "{", r#"{"issuer":"a","issuer":"b"}"#] {
            let read = AuthorizationServer::parse(&issuer, body.as_bytes());
            assert!(matches!(read, Err(DiscoveryError::Malformed(_))), "{body}");
        }
    }

    #[tokio::test]
    async fn an_issuer_is_a_plain_web_address() {
        let network = Scripted::always(200, &[], &document().to_string());
        for issuer in [
            "as.example.com",
            "ftp://as.example.com",
            "https://as.example.com?t=1",
            "https://as.example.com/#t",
            "https://me@as.example.com",
            "https://:pw@as.example.com",
            "urn:as",
        ] {
            let found = OpenIdProvider::discover(&network, &IssuerId::new(issuer)).await;
            assert_eq!(found, Err(DiscoveryError::InvalidIssuer), "{issuer}");
        }
        assert!(network.asked.lock().unwrap().is_empty());
    }
}

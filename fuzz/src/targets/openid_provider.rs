//! An identity provider's metadata (OpenID Connect Discovery).
//!
//! As for an authorization server; and where both readings succeed, they see the same endpoints.

use attache_core::IssuerId;
use attache_oauth::discover::{AuthorizationServer, OpenIdProvider};

use super::check::{Elsewhere, assert_endpoint};
use crate::Outcome;

pub(crate) fn run(input: &[u8]) -> Outcome {
    let document = Elsewhere::read(input);
    let claimed = document.text("issuer").unwrap_or("https://idp.example.com");
    let issuer = IssuerId::new(claimed);
    let provider = match OpenIdProvider::parse(&issuer, input) {
        Ok(provider) => provider,
        Err(error) => return Outcome::refused(&error),
    };
    assert_eq!(provider.issuer, issuer);
    assert!(OpenIdProvider::parse(&IssuerId::new("https://other.example.com"), input).is_err());
    let addresses = [
        ("authorization_endpoint", Some(&provider.authorization_endpoint)),
        ("token_endpoint", Some(&provider.token_endpoint)),
        ("jwks_uri", Some(&provider.jwks_uri)),
        ("userinfo_endpoint", provider.userinfo_endpoint.as_ref()),
        ("end_session_endpoint", provider.end_session_endpoint.as_ref()),
        ("introspection_endpoint", provider.introspection_endpoint.as_ref()),
    ];
    for (name, url) in addresses {
        if let Some(url) = url {
            document.assert_address(name, url);
            assert_endpoint(url, claimed.to_ascii_lowercase().starts_with("https:"));
        }
    }
    if let Ok(server) = AuthorizationServer::parse(&issuer, input) {
        assert_eq!(server.authorization_endpoint, provider.authorization_endpoint);
        assert_eq!(server.token_endpoint, provider.token_endpoint);
        assert_eq!(server.jwks_uri.as_ref(), Some(&provider.jwks_uri));
        assert_eq!(server.iss_parameter_supported, provider.iss_parameter_supported);
    }
    let there = addresses.iter().filter(|(_, url)| url.is_some()).count();
    Outcome::read([there, provider.code_challenge_methods_supported.len().min(3)])
}

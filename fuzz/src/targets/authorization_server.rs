//! An authorization server's metadata (RFC 8414).
//!
//! It speaks for its own issuer, every address in it may be asked, a reader that lets the last of
//! equal names win sees the same addresses, and what was kept of it is read back unchanged.

use attache_core::IssuerId;
use attache_oauth::discover::AuthorizationServer;

use super::check::{Elsewhere, assert_endpoint, assert_scopes};
use crate::Outcome;

pub(crate) fn run(input: &[u8]) -> Outcome {
    let document = Elsewhere::read(input);
    let claimed = document.text("issuer").unwrap_or("https://as.example.com");
    // what the document says of itself, so that a changed issuer does not end every reading there
    let issuer = IssuerId::new(claimed);
    let server = match AuthorizationServer::parse(&issuer, input) {
        Ok(server) => server,
        Err(error) => return Outcome::refused(&error),
    };
    assert_eq!(server.issuer, issuer);
    assert!(
        AuthorizationServer::parse(&IssuerId::new("https://other.example.com"), input).is_err()
    );

    let push = server.pushed_authorization_request_endpoint.as_ref();
    let addresses = [
        ("authorization_endpoint", Some(&server.authorization_endpoint)),
        ("token_endpoint", Some(&server.token_endpoint)),
        ("jwks_uri", server.jwks_uri.as_ref()),
        ("registration_endpoint", server.registration_endpoint.as_ref()),
        ("revocation_endpoint", server.revocation_endpoint.as_ref()),
        ("pushed_authorization_request_endpoint", push),
    ];
    for (name, url) in addresses {
        if let Some(url) = url {
            document.assert_address(name, url);
            assert_endpoint(url, claimed.to_ascii_lowercase().starts_with("https:"));
        }
    }
    assert_scopes(&server.scopes_supported);
    assert!(!server.require_pushed_authorization_requests || server.must_push_to().is_some());

    let kept = serde_json::to_vec(&server).expect("metadata is JSON");
    assert!(kept.len() <= 6 * input.len() + 1024, "no larger than what came, escapes aside");
    let again: AuthorizationServer = serde_json::from_slice(&kept).expect("what was kept is read");
    assert_eq!(again, server, "kept and read back, it is the same");

    let there = addresses.iter().filter(|(_, url)| url.is_some()).count();
    let methods = server.token_endpoint_auth_methods_supported.len();
    Outcome::read([there, methods, usize::from(server.supports_pkce())])
}

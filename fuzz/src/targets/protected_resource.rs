//! What an upstream says about itself (RFC 9728).
//!
//! It speaks for this upstream's origin alone, names boundedly many servers, and is read back
//! unchanged.

use attache_oauth::discover::ProtectedResource;
use url::Url;

use super::check::{Elsewhere, assert_scopes};
use crate::Outcome;

pub(crate) fn run(input: &[u8]) -> Outcome {
    let upstream = Url::parse("https://mcp.example.com/v1/mcp").expect("a URL");
    let resource = match ProtectedResource::parse(&upstream, input) {
        Ok(resource) => resource,
        Err(error) => return Outcome::refused(&error),
    };
    let named = Url::parse(&resource.resource).expect("what was compared is a URL");
    assert_eq!(named.origin(), upstream.origin(), "of this origin alone");
    assert!(upstream.path().starts_with(named.path().trim_end_matches('/')));
    Elsewhere::read(input).assert_text("resource", &resource.resource);
    assert!(resource.authorization_servers.len() <= 16);
    assert_scopes(&resource.scopes_supported);

    let kept = serde_json::to_vec(&resource).expect("metadata is JSON");
    let again: ProtectedResource = serde_json::from_slice(&kept).expect("what was kept is read");
    assert_eq!(again, resource, "kept and read back, it is the same");
    Outcome::read([resource.authorization_servers.len(), resource.scopes_supported.len().min(4)])
}

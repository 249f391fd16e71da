//! Where a request came from.

use std::net::IpAddr;

use http::request::Parts;

/// In the extensions of a request, where whoever accepted it knows.
#[derive(Clone, Copy, Debug)]
pub struct ClientAddress(pub IpAddr);

impl ClientAddress {
    pub fn of(parts: &Parts) -> Option<IpAddr> {
        parts.extensions.get().map(|Self(address)| *address)
    }
}

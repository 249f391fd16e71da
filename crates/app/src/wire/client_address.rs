//! Where a request came from, as far as that can be believed.

use std::{net::IpAddr, sync::Arc};

use attache_core::{
    ClientAddress, Principal, Timestamp,
    authenticator::{Authenticator, AuthnError},
};
use attache_net::serve::PeerAddr;
use http::{HeaderMap, Request, request::Parts};
use ipnet::IpNet;

/// Says it in the extensions of the request.
pub(super) fn tell<B>(request: &mut Request<B>, trusted_proxies: &[IpNet]) {
    let Some(PeerAddr(peer)) = request.extensions().get().copied() else { return };
    let address = client(peer.ip(), request.headers(), trusted_proxies);
    request.extensions_mut().insert(ClientAddress(address));
}

/// Says it where a caller is not known yet: on the data plane nobody else asks.
#[derive(Debug)]
pub(super) struct Telling {
    pub(super) authenticator: Arc<dyn Authenticator>,
    pub(super) trusted_proxies: Vec<IpNet>,
}

#[async_trait::async_trait]
impl Authenticator for Telling {
    fn recall(&self, parts: &Parts, now: Timestamp) -> Option<Arc<Principal>> {
        self.authenticator.recall(parts, now)
    }

    async fn authenticate(&self, parts: &Parts) -> Result<Arc<Principal>, AuthnError> {
        let mut parts = parts.clone();
        if let Some(PeerAddr(peer)) = parts.extensions.get().copied() {
            let address = client(peer.ip(), &parts.headers, &self.trusted_proxies);
            parts.extensions.insert(ClientAddress(address));
        }
        self.authenticator.authenticate(&parts).await
    }

    async fn still_admits(&self, who: &Principal) -> Result<bool, AuthnError> {
        self.authenticator.still_admits(who).await
    }
}

/// The last address that no trusted proxy has. What is before it, the client may have written.
fn client(peer: IpAddr, headers: &HeaderMap, trusted_proxies: &[IpNet]) -> IpAddr {
    let is_proxy = |address: IpAddr| {
        trusted_proxies.iter().any(|network| network.contains(&address.to_canonical()))
    };
    let forwarded = headers.get_all("x-forwarded-for").iter();
    let said: Vec<&str> = forwarded
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .collect();
    let mut client = peer;
    for hop in said.iter().rev() {
        if !is_proxy(client) {
            break;
        }
        match hop.trim().parse() {
            Ok(address) => client = address,
            Err(_) => break,
        }
    }
    client
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trusted_proxies_are_believed() {
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        for (peer, forwarded, expected) in [
            ("192.0.2.1", None, "192.0.2.1"),
            ("192.0.2.1", Some("198.51.100.1"), "192.0.2.1"),
            ("10.0.0.1", Some("198.51.100.1"), "198.51.100.1"),
            ("10.0.0.1", Some("6.6.6.6, 198.51.100.1"), "198.51.100.1"),
            ("10.0.0.1", Some("6.6.6.6, 198.51.100.1, 10.0.0.2"), "198.51.100.1"),
            ("10.0.0.1", Some("198.51.100.1, nonsense"), "10.0.0.1"),
            ("10.0.0.1", None, "10.0.0.1"),
            ("::ffff:10.0.0.1", Some("198.51.100.1"), "198.51.100.1"),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(forwarded) = forwarded {
                headers.insert("x-forwarded-for", forwarded.parse().unwrap());
            }
            let found = client(peer.parse().unwrap(), &headers, &trusted);
            assert_eq!(found, expected.parse::<IpAddr>().unwrap(), "{peer} {forwarded:?}");
        }
    }
}

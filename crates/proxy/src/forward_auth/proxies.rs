//! Which proxies there are, and how one proves that it is one of them.

use std::num::NonZeroU32;

use attache_core::{Secret, UpstreamName};
use attache_crypto::digest::{same, sha256};
use attache_net::tls::PeerCertificate;
use http::request;

use super::{PROXY_SECRET, pace::Pace};

/// A proxy that may ask.
#[derive(Debug)]
pub struct Proxy {
    pub(super) name: String,
    proof: Proof,
    upstreams: Vec<UpstreamName>,
    pub(super) pace: Pace,
}

/// What a proxy proves itself with.
#[derive(Debug)]
pub enum Proof {
    /// By its SHA-256: comparing digests tells nothing of the length, either.
    Secret([u8; 32]),
    /// A certificate for this DNS name, of the issuer that the listener wants.
    Certificate(String),
}

impl Proof {
    pub fn secret(secret: &Secret) -> Self {
        Self::Secret(sha256(secret.expose().as_bytes()))
    }
}

impl Proxy {
    /// `rate` is how often a second one person is answered through it.
    pub fn new(name: String, proof: Proof, upstreams: Vec<UpstreamName>, rate: NonZeroU32) -> Self {
        Self { name, proof, upstreams, pace: Pace::new(rate) }
    }

    pub(super) fn may_ask_for(&self, upstream: &UpstreamName) -> bool {
        self.upstreams.contains(upstream)
    }
}

#[derive(Debug)]
pub(crate) struct Proxies(pub(crate) Vec<Proxy>);

impl Proxies {
    /// By the certificate of its connection, where it has shown one: a header may be a caller's.
    pub(super) fn proven(&self, head: &request::Parts) -> Option<&Proxy> {
        if let Some(certificate) = head.extensions.get() {
            return self.certified(certificate);
        }
        let mut presented = head.headers.get_all(PROXY_SECRET).iter();
        let (Some(secret), None) = (presented.next(), presented.next()) else { return None };
        self.knowing(secret.as_bytes())
    }

    /// Takes as long for every secret, whichever it is like.
    fn knowing(&self, secret: &[u8]) -> Option<&Proxy> {
        let secret = sha256(secret);
        let is_it =
            |one: &&Proxy| matches!(&one.proof, Proof::Secret(theirs) if same(theirs, &secret));
        self.0.iter().fold(None, |found, one| Some(one).filter(is_it).or(found))
    }

    /// A certificate with the names of two is neither's.
    fn certified(&self, certificate: &PeerCertificate) -> Option<&Proxy> {
        let is_it = |one: &&Proxy| matches!(&one.proof, Proof::Certificate(name) if certificate.is_for(name));
        let mut found = self.0.iter().filter(is_it);
        found.next().filter(|_| found.next().is_none())
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[test]
    fn one_whole_secret_names_one_proxy() {
        let proxy = |name: &str, secret: &str| {
            let proof = Proof::secret(&Secret::new(secret));
            Proxy::new(name.to_owned(), proof, vec![], NonZeroU32::MIN)
        };
        let proxies = Proxies(vec![proxy("a", "secret-a"), proxy("b", "secret-b")]);
        let cases: [(&[&str], Option<&str>); 8] = [
            (&["secret-a"], Some("a")),
            (&["secret-b"], Some("b")),
            (&[], None),
            (&[""], None),
            (&["secret-"], None),
            (&["secret-a "], None),
            (&["secret-a", "secret-a"], None),
            (&["secret-b", "x"], None),
        ];
        for (presented, expected) in cases {
            let (mut head, ()) = Request::new(()).into_parts();
            for value in presented {
                head.headers.append(PROXY_SECRET, value.parse().unwrap());
            }
            let found = proxies.proven(&head).map(|proxy| proxy.name.as_str());
            assert_eq!(found, expected, "{presented:?}");
        }
    }
}

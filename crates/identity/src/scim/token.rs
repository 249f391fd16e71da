//! How a provider proves itself: by a secret that it sends as a bearer token.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use attache_core::{Secret, Timestamp};
use attache_crypto::digest::{same, sha256};
use http::{HeaderMap, header};

use super::ScimError;
use crate::throttle::{Pace, Throttle, network};

/// Wrong tokens from one address: so many at once, and then one an interval. Who has the right one is
/// not held up by who has not.
const EACH_ADDRESS: Pace = Pace { burst: 10, interval: Duration::from_secs(10) };
/// From all.
const ALL_ADDRESSES: Pace = Pace { burst: 100, interval: Duration::from_secs(1) };

/// By its SHA-256: comparing takes as long for any other.
#[derive(Debug)]
pub struct ScimToken {
    digest: [u8; 32],
    wrong: Throttle<IpAddr>,
}

impl ScimToken {
    pub fn new(token: &Secret) -> Self {
        let digest = sha256(token.expose().as_bytes());
        Self { digest, wrong: Throttle::new(EACH_ADDRESS, ALL_ADDRESSES) }
    }

    /// `address`: where the request came from, if that is known.
    pub fn check(
        &self,
        headers: &HeaderMap,
        address: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<(), ScimError> {
        let presented = presented(headers).map(|token| sha256(token.as_bytes()));
        if presented.is_some_and(|presented| same(&presented, &self.digest)) {
            return Ok(());
        }
        let address = address.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
        if self.wrong.permits(&network(address), now) {
            Err(ScimError::Unauthenticated)
        } else {
            Err(ScimError::TooOften)
        }
    }
}

/// In the one header where it may be.
fn presented(headers: &HeaderMap) -> Option<&str> {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (given.next(), given.next()) else { return None };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

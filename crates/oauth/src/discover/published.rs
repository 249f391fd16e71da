//! A document at one of the places where it may be, and for how long it may be believed.

use std::time::Duration;

use attache_core::outbound::Outbound;
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, header};
use serde::de::{DeserializeOwned, IgnoredAny};
use url::Url;

use super::DiscoveryError;
use crate::endpoint::{LIMITS, is_transient};

/// Something read from metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published<T> {
    pub value: T,
    /// How long it may be kept, as its server says: between five minutes and a day (OC-6).
    pub fresh_for: Duration,
}

impl Published<Bytes> {
    /// The first JSON object among `locations`; `None` when there is none. What is no object is
    /// passed over: many sites answer any path with a page.
    pub(super) async fn fetch(
        outbound: &dyn Outbound,
        locations: &[Url],
    ) -> Result<Option<Self>, DiscoveryError> {
        for location in locations {
            let request = Request::get(location.as_str())
                .header(header::ACCEPT, "application/json")
                .body(Bytes::new())
                .map_err(|_| DiscoveryError::Malformed("an address that cannot be asked"))?;
            let response = outbound.fetch(request, LIMITS).await?;
            if is_transient(response.status()) {
                return Err(DiscoveryError::Unavailable);
            }
            if response.status() == StatusCode::OK && is_object(response.body()) {
                let fresh_for = freshness(response.headers());
                return Ok(Some(Self { value: response.into_body(), fresh_for }));
            }
        }
        Ok(None)
    }

    /// What this document says, by one of the `parse` functions here.
    pub(super) fn read<T>(
        self,
        read: impl FnOnce(&[u8]) -> Result<T, DiscoveryError>,
    ) -> Result<Published<T>, DiscoveryError> {
        Ok(Published { value: read(&self.value)?, fresh_for: self.fresh_for })
    }
}

impl<T> Published<T> {
    /// What a specification says in the place of a document that is not there.
    pub(super) fn unsaid(value: T) -> Self {
        Self { value, fresh_for: DEFAULT_FRESHNESS }
    }
}

/// The fields of a document. A name that comes twice is an error: another reader might believe the
/// other one.
pub(super) fn fields<T: DeserializeOwned>(body: &[u8]) -> Result<T, DiscoveryError> {
    if !is_object(body) {
        return Err(DiscoveryError::Malformed("no JSON object"));
    }
    serde_json::from_slice(body)
        .map_err(|_| DiscoveryError::Malformed("a field twice, or of the wrong type"))
}

fn is_object(body: &[u8]) -> bool {
    body.trim_ascii_start().starts_with(b"{") && serde_json::from_slice::<IgnoredAny>(body).is_ok()
}

/// `max-age` of `Cache-Control` (RFC 9111 section 5.2.2), within our own bounds.
fn freshness(headers: &HeaderMap) -> Duration {
    let directives = headers
        .get_all(header::CACHE_CONTROL)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    let mut fresh_for = DEFAULT_FRESHNESS;
    for directive in directives {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        let value = value.trim().trim_matches('"').parse();
        match name.trim().to_ascii_lowercase().as_str() {
            "no-store" | "no-cache" => return MIN_FRESHNESS,
            "max-age" => fresh_for = value.map_or(MIN_FRESHNESS, Duration::from_secs),
            _ => {}
        }
    }
    fresh_for.clamp(MIN_FRESHNESS, MAX_FRESHNESS)
}

/// Metadata changes when somebody reconfigures a server.
const DEFAULT_FRESHNESS: Duration = Duration::from_hours(1);

/// Shorter, and every connect would ask again.
const MIN_FRESHNESS: Duration = Duration::from_mins(5);

/// A server that moved is noticed within a day (OC-6).
const MAX_FRESHNESS: Duration = Duration::from_hours(24);

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    /// OC-6.
    #[test]
    fn metadata_is_believed_for_minutes_to_a_day() {
        for (values, expected) in [
            (&[][..], DEFAULT_FRESHNESS),
            (&["public"], DEFAULT_FRESHNESS),
            (&["public, max-age=7200"], Duration::from_hours(2)),
            (&["public", "MAX-AGE=\"7200\""], Duration::from_hours(2)),
            (&["s-maxage=7200"], DEFAULT_FRESHNESS),
            (&["max-age=0"], MIN_FRESHNESS),
            (&["max-age=31536000"], MAX_FRESHNESS),
            (&["max-age=18446744073709551616"], MIN_FRESHNESS),
            (&["max-age=-1"], MIN_FRESHNESS),
            (&["max-age=7200, no-store"], MIN_FRESHNESS),
            (&["no-cache"], MIN_FRESHNESS),
        ] {
            let headers = values
                .iter()
                .map(|value| (header::CACHE_CONTROL, HeaderValue::from_static(value)))
                .collect();
            assert_eq!(freshness(&headers), expected, "{values:?}");
        }
    }
}

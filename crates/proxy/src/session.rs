//! Upstream session ids never leave the gateway: a caller gets one sealed for them (PX-12).
//!
//! `Mcp-Session-Id` towards the caller is the upstream's id under a key that all replicas share,
//! bound to person, upstream and account. There is no table to fill or to lose, and any replica continues
//! what another began; in somebody else's hands an id is unknown.

use std::sync::Arc;

use attache_core::{
    ConnectionName, Slot, UserId,
    store::{Sealed, Version},
};
use attache_crypto::{
    digest::base64url,
    seal::{self, Binding, DataKey},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderName, HeaderValue};

pub(crate) const MCP_SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");

/// The name of the [service key](attache_broker::ServiceKey) that seals session ids.
pub const SESSION_KEY: &str = "mcp-sessions";

#[derive(Debug)]
pub(crate) struct SessionIds(pub(crate) Arc<DataKey>);

impl SessionIds {
    pub(crate) fn outward(
        &self,
        user: &UserId,
        server: &ConnectionName,
        id: &HeaderValue,
    ) -> Option<HeaderValue> {
        let slot = Slot::Upstream(server.clone());
        let sealed = seal::seal(&self.0, &binding(user, &slot), id.as_bytes());
        HeaderValue::from_str(&base64url(&sealed.0)).ok()
    }

    /// `None`: not an id that a replica gave to this person for this account.
    pub(crate) fn inward(
        &self,
        user: &UserId,
        server: &ConnectionName,
        id: &HeaderValue,
    ) -> Option<HeaderValue> {
        let sealed = Sealed(URL_SAFE_NO_PAD.decode(id.as_bytes()).ok()?);
        let slot = Slot::Upstream(server.clone());
        let opened = seal::open(&self.0, &binding(user, &slot), &sealed).ok()?;
        HeaderValue::from_bytes(&opened).ok()
    }
}

/// Of the one endpoint for all upstreams, whose id has the upstreams' ids in it: bound to the person.
impl SessionIds {
    pub(crate) fn seal_all(&self, user: &UserId, ids: &[u8]) -> Option<HeaderValue> {
        let sealed = seal::seal(&self.0, &of_all(user, &slot_of_all()?), ids);
        HeaderValue::from_str(&base64url(&sealed.0)).ok()
    }

    pub(crate) fn open_all(&self, user: &UserId, id: &HeaderValue) -> Option<Vec<u8>> {
        let sealed = Sealed(URL_SAFE_NO_PAD.decode(id.as_bytes()).ok()?);
        seal::open(&self.0, &of_all(user, &slot_of_all()?), &sealed).ok().map(|ids| ids.to_vec())
    }
}

/// Of sessions that are the gateway's alone, because the upstream has none ([`crate::bridge`]).
impl SessionIds {
    pub(crate) fn seal_bridged(
        &self,
        user: &UserId,
        server: &ConnectionName,
        agreed: &[u8],
    ) -> Option<HeaderValue> {
        let slot = Slot::Upstream(server.clone());
        let sealed = seal::seal(&self.0, &of_bridged(user, &slot), agreed);
        HeaderValue::try_from(format!("{BRIDGED}{}", base64url(&sealed.0))).ok()
    }

    pub(crate) fn open_bridged(
        &self,
        user: &UserId,
        server: &ConnectionName,
        id: &HeaderValue,
    ) -> Option<Vec<u8>> {
        let id = id.as_bytes().strip_prefix(BRIDGED.as_bytes())?;
        let sealed = Sealed(URL_SAFE_NO_PAD.decode(id).ok()?);
        let slot = Slot::Upstream(server.clone());
        seal::open(&self.0, &of_bridged(user, &slot), &sealed).ok().map(|agreed| agreed.to_vec())
    }
}

/// No other id has a point in it.
const BRIDGED: &str = "b.";

/// Whether it says that it is one of those.
pub(crate) fn is_bridged(id: &HeaderValue) -> bool {
    id.as_bytes().starts_with(BRIDGED.as_bytes())
}

fn binding<'a>(user: &'a UserId, slot: &'a Slot) -> Binding<'a> {
    Binding { user, slot, version: Version(0) }
}

/// The version tells it from the ids of an upstream of that name.
fn of_all<'a>(user: &'a UserId, slot: &'a Slot) -> Binding<'a> {
    Binding { user, slot, version: Version(1) }
}

fn of_bridged<'a>(user: &'a UserId, slot: &'a Slot) -> Binding<'a> {
    Binding { user, slot, version: Version(2) }
}

fn slot_of_all() -> Option<Slot> {
    "mcp".parse().ok().map(Slot::Upstream)
}

#[cfg(test)]
mod tests {
    use attache_crypto::random::SystemRandom;

    use super::*;

    #[test]
    fn a_session_opens_for_its_person_and_account_only() {
        let fresh = || SessionIds(Arc::new(DataKey::generate(&SystemRandom)));
        let ids = fresh();
        let (ada, grace) = (UserId::new("ada"), UserId::new("grace"));
        let [notes, other, work]: [ConnectionName; 3] =
            ["notes", "other", "notes@work"].map(|name| name.parse().unwrap());
        let upstream_id = HeaderValue::from_static("s-1");

        let given = ids.outward(&ada, &notes, &upstream_id).unwrap();
        assert!(!given.to_str().unwrap().contains("s-1"));
        assert_eq!(ids.inward(&ada, &notes, &given), Some(upstream_id.clone()));
        assert_eq!(ids.inward(&grace, &notes, &given), None);
        assert_eq!(ids.inward(&ada, &other, &given), None);
        assert_eq!(ids.inward(&ada, &work, &given), None);
        assert_eq!(ids.inward(&ada, &notes, &upstream_id), None);
        assert_eq!(fresh().inward(&ada, &notes, &given), None);

        let bridged = ids.seal_bridged(&ada, &notes, b"agreed").unwrap();
        assert!(is_bridged(&bridged) && !is_bridged(&given));
        assert_eq!(ids.open_bridged(&ada, &notes, &bridged).as_deref(), Some(&b"agreed"[..]));
        for (user, server, id) in [
            (&grace, &notes, &bridged),
            (&ada, &other, &bridged),
            (&ada, &work, &bridged),
            (&ada, &notes, &given),
        ] {
            assert_eq!(ids.open_bridged(user, server, id), None);
        }
        assert_eq!(ids.inward(&ada, &notes, &bridged), None);
    }
}

//! An upstream as the broker sees it.

use std::sync::Arc;

use attache_core::{Access, CredentialKey, Principal, UpstreamName, audit::Method};

use crate::{connect::OauthConnect, injection::HeaderForm};

/// An upstream with an `auth_broker` block, built once when the configuration loads.
#[derive(Debug)]
pub struct Brokered {
    pub name: UpstreamName,
    pub access: Access,
    pub form: HeaderForm,
    pub connect: Arc<OauthConnect>,
}

impl Brokered {
    /// Whether this person may use it, and with the proof they gave (RS-9, RS-18).
    pub fn permits(&self, who: &Principal) -> bool {
        who.reach.includes(&self.name) && self.access.permits(who)
    }

    pub fn key(&self, who: &Principal) -> CredentialKey {
        CredentialKey::upstream(who.user.clone(), self.name.clone())
    }

    /// `auth_broker.mode` as configured.
    pub fn mode(&self) -> &'static str {
        "oauth_connect"
    }

    /// The same, as the audit says it.
    pub fn method(&self) -> Method {
        Method::Connect
    }
}

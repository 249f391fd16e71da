//! A client that proves itself with a certificate that was registered for it (RFC 7523 section 2.2),
//! as Microsoft Entra wants it.

use std::{sync::Arc, time::Duration};

use attache_core::{Clock, Secret};
use attache_crypto::{
    jose::CertifiedKey,
    random::{self, Random},
};
use serde_json::Value;
use url::Url;

/// Enough for the request and for clocks that differ a little; Entra asks for no more than ten.
const LIFETIME: Duration = Duration::from_mins(5);

#[derive(Clone, Debug)]
pub struct CertificateSigner {
    pub key: Arc<CertifiedKey>,
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
}

impl CertificateSigner {
    /// Good for one use at one endpoint.
    pub(crate) fn assertion(&self, client_id: &str, endpoint: &Url) -> Secret {
        let now = self.clock.now();
        let claims = [
            ("aud", Value::from(endpoint.as_str())),
            ("exp", Value::from(now.plus(LIFETIME).as_seconds())),
            ("iat", Value::from(now.as_seconds())),
            ("iss", Value::from(client_id)),
            ("jti", Value::from(random::token(&*self.random))),
            ("nbf", Value::from(now.as_seconds())),
            ("sub", Value::from(client_id)),
        ];
        let claims = claims.map(|(name, value)| (name.to_owned(), value)).into_iter().collect();
        Secret::new(self.key.sign(&claims))
    }
}

//! What a proxy of the operator's signs of whom it let through, in a header of its own: Cloudflare
//! Access, Google's Identity-Aware Proxy, Pomerium.
//!
//! The header itself is worth nothing: whoever reaches the gateway past the proxy can write it. Its
//! signature is checked at each request, and nothing of it is remembered.

use std::sync::Arc;

use attache_core::{Principal, PublicOrigin, Timestamp, authenticator::AuthnError};
use attache_crypto::jose::Verified;
use attache_oauth::issuer::{Issuer, Issuers};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::{
    audience::Audiences,
    bearer::{AccessToken, Bearers, SKEW, Terms, verify},
    claims::Claims,
    settings::AssertionSettings,
};

#[derive(Debug)]
pub(crate) struct Assertions {
    accepted: Vec<Accepted>,
    bearers: Arc<Bearers>,
}

/// The assertions of one proxy.
#[derive(Debug)]
pub(crate) struct Accepted {
    header: HeaderName,
    issuer: Arc<Issuer>,
    terms: Terms,
    /// Whether an address counts of which it does not say that it was verified.
    trust_email: bool,
}

impl Accepted {
    pub(crate) fn new(
        settings: AssertionSettings,
        origin: &PublicOrigin,
        issuers: &mut Issuers,
        hosted_domains: Vec<String>,
    ) -> Self {
        let mut audiences = Audiences::new(origin.clone());
        audiences.insert(settings.audience);
        Self {
            header: settings.header,
            issuer: issuers.of(&settings.issuer, Some(&settings.jwks_uri)),
            terms: Terms {
                issuer: settings.issuer,
                audiences,
                subject_claim: settings.subject_claim,
                groups_claim: settings.groups_claim,
                hosted_domains,
                is_exchanged: false,
            },
            trust_email: settings.trust_email,
        }
    }

    async fn check(&self, text: &str, now: Timestamp) -> Result<AccessToken, AuthnError> {
        let Verified { typ, mut claims, .. } = verify(&self.issuer, text).await?;
        if typ.is_some_and(|typ| !typ.eq_ignore_ascii_case("jwt")) {
            return Err(AuthnError::Rejected("what the proxy's header holds is another token"));
        }
        if self.trust_email {
            claims.entry("email_verified").or_insert_with(|| true.into());
        }
        let read = self.terms.read(text, claims, now)?;
        match Claims(&read.claims).time("iat") {
            Some(issued_at) if issued_at <= now.plus(SKEW) => Ok(read),
            _ => Err(AuthnError::Rejected("the proxy's assertion does not say when it was made")),
        }
    }
}

impl Assertions {
    pub(crate) fn new(accepted: Vec<Accepted>, bearers: Arc<Bearers>) -> Self {
        Self { accepted, bearers }
    }

    /// Whom a proxy let through; `None` where none says so.
    ///
    /// # Errors
    /// [`AuthnError`] for one that proves nobody: the rest of the request is not looked at, then.
    pub(crate) async fn caller(
        &self,
        headers: &HeaderMap,
    ) -> Result<Option<Arc<Principal>>, AuthnError> {
        let Some((accepted, value)) = self.said(headers)? else { return Ok(None) };
        let text = value.to_str().map_err(|_| {
            AuthnError::Malformed("the proxy's assertion is not a signed JSON web token")
        })?;
        let token = accepted.check(text, self.bearers.now()).await?;
        self.bearers.recognize(token).await.map(|who| Some(Arc::new(who)))
    }

    fn said<'a>(
        &'a self,
        headers: &'a HeaderMap,
    ) -> Result<Option<(&'a Accepted, &'a HeaderValue)>, AuthnError> {
        let mut found = None;
        for accepted in &self.accepted {
            for value in headers.get_all(&accepted.header) {
                if found.replace((accepted, value)).is_some() {
                    return Err(AuthnError::Malformed("there is more than one proxy's assertion"));
                }
            }
        }
        Ok(found)
    }
}

/// Whether a page of another site, or a link, may have had a browser send this. The proxy in front
/// signs whatever comes with its cookie.
pub(crate) fn is_of_a_browser_elsewhere(headers: &HeaderMap) -> bool {
    headers.get_all("sec-fetch-site").iter().any(|site| site != "same-origin")
}

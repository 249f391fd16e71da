//! Access tokens that say nothing themselves: their issuer is asked what they are (RFC 7662).

use std::{net::IpAddr, sync::Arc, time::Duration};

use attache_core::{PublicOrigin, Timestamp, authenticator::AuthnError, outbound::Outbound};
use attache_crypto::digest::sha256;
use attache_oauth::{
    client_auth::Client,
    discover::DiscoveryError,
    error::TokenError,
    introspection::IntrospectionEndpoint,
    issuer::{Issuer, IssuerError},
};
use quick_cache::sync::Cache;
use serde_json::{Map, Value};
use tokio::{sync::Semaphore, time::timeout};
use url::Url;

use super::access_token::{AccessToken, Terms, rejected};
use crate::{
    audience::Audiences,
    claims::Claims,
    settings::IntrospectionSettings,
    throttle::{Pace, Throttle, network},
};

/// Bytes of a token that is asked about.
const LONGEST: usize = 4096;
/// How long a token without an end of its own is believed: as long as a caller is remembered.
const ENDLESS: Duration = Duration::from_mins(1);
/// How long a token that was refused is not asked about again.
const REFUSED_FOR: Duration = Duration::from_secs(10);
/// Those remembered; about 100 bytes each. Who sends more meets the bounds below.
const REFUSED: usize = 10_000;
/// Refused tokens from one address, and from all: a mistyped one is no flood, and a flood does not
/// reach the issuer.
const EACH: Pace = Pace { burst: 60, interval: Duration::from_secs(1) };
const ALL: Pace = Pace { burst: 1_000, interval: Duration::from_millis(20) };
/// Questions under way at once, and how long others wait for their turn.
const AT_ONCE: usize = 64;
const TURN_LIMIT: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(crate) struct Introspection {
    issuer: Arc<Issuer>,
    terms: Terms,
    /// `None`: as the issuer's metadata says.
    endpoint: Option<Url>,
    client: Client,
    outbound: Arc<dyn Outbound>,
    /// By SHA-256 of the token: why, and until when.
    refused: Cache<[u8; 32], (&'static str, Timestamp)>,
    strangers: Throttle<Option<IpAddr>>,
    turns: Semaphore,
}

/// Why nobody knows what a token is. Nothing is said against the token.
#[derive(Debug, thiserror::Error)]
enum Unanswered {
    #[error("too many tokens that are none were sent from this address, or from all")]
    Flood,
    #[error("too many tokens are being asked about")]
    Busy,
    #[error("the issuer's metadata: {0}")]
    Issuer(#[from] IssuerError),
    #[error("the introspection endpoint: {0}")]
    Endpoint(#[from] TokenError),
}

impl From<Unanswered> for AuthnError {
    fn from(error: Unanswered) -> Self {
        Self::Unavailable(Box::new(error))
    }
}

impl Introspection {
    pub(crate) fn new(
        settings: IntrospectionSettings,
        issuer: Arc<Issuer>,
        origin: &PublicOrigin,
        outbound: Arc<dyn Outbound>,
        hosted_domains: Vec<String>,
    ) -> Self {
        let mut audiences = Audiences::new(origin.clone());
        audiences.insert(settings.audience);
        Self {
            issuer,
            terms: Terms {
                issuer: settings.issuer,
                audiences,
                subject_claim: settings.subject_claim,
                groups_claim: settings.groups_claim,
                is_exchanged: settings.is_exchanged,
                hosted_domains,
            },
            endpoint: settings.endpoint,
            client: settings.client,
            outbound,
            refused: Cache::new(REFUSED),
            strangers: Throttle::new(EACH, ALL),
            turns: Semaphore::new(AT_ONCE),
        }
    }

    pub(crate) fn issuer(&self) -> &str {
        self.terms.issuer.as_str()
    }

    /// # Errors
    /// [`AuthnError::Unavailable`] when the issuer does not say, or must not be asked so often.
    pub(crate) async fn check(
        &self,
        token: &str,
        from: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<AccessToken, AuthnError> {
        if token.len() > LONGEST {
            return rejected("the token is longer than any that is asked about");
        }
        let (digest, from) = (sha256(token.as_bytes()), from.map(network));
        self.refused_before(&digest, now)?;
        if !self.strangers.has_room(&from, now) {
            return Err(Unanswered::Flood.into());
        }
        let turn = timeout(TURN_LIMIT, self.turns.acquire()).await;
        let _turn = turn.ok().and_then(Result::ok).ok_or(Unanswered::Busy)?;
        // Whoever waited may have waited for the answer about the same token.
        self.refused_before(&digest, now)?;
        let said = self.ask(token).await.inspect_err(|error| {
            tracing::warn!(issuer = %self.terms.issuer, %error, "nobody can be asked about a token");
        })?;
        let read = match said {
            Some(said) => self.read(token, said, now),
            None => rejected("its issuer says that the token is none, or not any more"),
        };
        if let Err(AuthnError::Rejected(why)) = &read {
            self.refused.insert(digest, (why, now.plus(REFUSED_FOR)));
            self.strangers.permits(&from, now);
        }
        read
    }

    fn refused_before(&self, digest: &[u8; 32], now: Timestamp) -> Result<(), AuthnError> {
        match self.refused.get(digest) {
            Some((why, until)) if now < until => Err(AuthnError::Rejected(why)),
            _ => Ok(()),
        }
    }

    async fn ask(&self, token: &str) -> Result<Option<Map<String, Value>>, Unanswered> {
        let url = match self.endpoint.clone() {
            Some(url) => url,
            None => self.published().await?,
        };
        let endpoint = IntrospectionEndpoint { url, client: self.client.clone() };
        Ok(endpoint.ask(&*self.outbound, token).await?)
    }

    async fn published(&self) -> Result<Url, IssuerError> {
        let endpoint = self.issuer.metadata().await?.introspection_endpoint.clone();
        let missing = DiscoveryError::Malformed("no usable introspection_endpoint");
        endpoint.ok_or(IssuerError::Metadata(missing))
    }

    /// Whoever answers is the issuer: where it does not repeat who it is, or when the token ends, it
    /// need not (RFC 7662 section 2.2). Whom it is for and whose it is must be said.
    fn read(
        &self,
        token: &str,
        mut said: Map<String, Value>,
        now: Timestamp,
    ) -> Result<AccessToken, AuthnError> {
        let claims = Claims(&said);
        // A refresh token is active, too; and one that is bound to a key is another's to use.
        let is_bearer = |kind: &str| kind.eq_ignore_ascii_case("bearer");
        if claims.has("token_type") && !claims.text("token_type").is_some_and(is_bearer) {
            return rejected("the token is not an access token");
        }
        said.entry("iss").or_insert_with(|| self.terms.issuer.as_str().into());
        said.entry("exp").or_insert_with(|| now.plus(ENDLESS).as_seconds().into());
        self.terms.read(token, said, now)
    }
}

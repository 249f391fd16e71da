//! Somebody who vouches for people: their metadata and keys, when they are needed.

use std::{collections::HashMap, sync::Arc, time::Duration};

use attache_core::{
    Clock, IssuerId,
    audit::Reason,
    authenticator::AuthnError,
    outbound::{FetchError, Limits, Outbound},
};
use attache_crypto::jose::KeySet;
use bytes::Bytes;
use http::{Request, StatusCode, header};
use url::Url;

use crate::{
    discover::{AuthorizationServer, DiscoveryError, OpenIdProvider},
    kept::Kept,
};

/// Of a key set. Somebody waits for it.
const LIMITS: Limits = Limits { timeout: Duration::from_secs(10), max_body: 256 * 1024 };

/// Why an issuer's word cannot be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IssuerError {
    #[error("the issuer's metadata: {0}")]
    Metadata(#[from] DiscoveryError),
    /// The operator's move.
    #[error("the address of the issuer's keys is not allowed by the egress rules")]
    KeysBlocked,
    #[error("the issuer's keys cannot be fetched right now")]
    KeysUnavailable,
    #[error("what is at the address of the issuer's keys is no key set")]
    KeysMalformed,
}

impl IssuerError {
    /// The word for logs, answers and the audit.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Metadata(DiscoveryError::Unavailable) | Self::KeysUnavailable => {
                Reason::ProviderUnavailable
            }
            Self::Metadata(_) | Self::KeysBlocked => Reason::Misconfigured,
            Self::KeysMalformed => Reason::MalformedResponse,
        }
    }
}

impl From<FetchError> for IssuerError {
    fn from(error: FetchError) -> Self {
        match error {
            FetchError::Blocked | FetchError::Insecure => Self::KeysBlocked,
            FetchError::Unreachable(_) | FetchError::Transport(_) | FetchError::Timeout(_) => {
                Self::KeysUnavailable
            }
            FetchError::TooLarge(_) => Self::KeysMalformed,
        }
    }
}

impl From<IssuerError> for AuthnError {
    fn from(error: IssuerError) -> Self {
        Self::Unavailable(Box::new(error))
    }
}

/// By its issuer URL. What it publishes is kept for an hour, and for a day while it does not answer.
#[derive(Debug)]
pub struct Issuer {
    pub id: IssuerId,
    /// `None`: as the metadata says.
    jwks_uri: Option<Url>,
    outbound: Arc<dyn Outbound>,
    metadata: Kept<OpenIdProvider, DiscoveryError>,
    keys: Kept<KeySet, IssuerError>,
}

impl Issuer {
    /// Its keys are at `jwks_uri`; `None`: where its metadata says.
    pub fn new(
        id: IssuerId,
        jwks_uri: Option<Url>,
        outbound: Arc<dyn Outbound>,
        clock: &Arc<dyn Clock>,
    ) -> Self {
        let (metadata, keys) = (Kept::new(Arc::clone(clock)), Kept::new(Arc::clone(clock)));
        Self { id, jwks_uri, outbound, metadata, keys }
    }

    pub async fn metadata(&self) -> Result<Arc<OpenIdProvider>, IssuerError> {
        let metadata = self.metadata.get(async || {
            OpenIdProvider::discover(&*self.outbound, &self.id).await.map(|found| found.value)
        });
        Ok(metadata.await?)
    }

    pub async fn keys(&self) -> Result<Arc<KeySet>, IssuerError> {
        self.keys.get(async || self.fetch_keys().await).await
    }

    /// For a token signed with a key that is not among `seen`: the issuer may have a new one.
    pub async fn keys_newer_than(&self, seen: &Arc<KeySet>) -> Result<Arc<KeySet>, IssuerError> {
        self.keys.newer_than(seen, async || self.fetch_keys().await).await
    }

    async fn fetch_keys(&self) -> Result<KeySet, IssuerError> {
        let outcome = self.ask_for_keys().await;
        if let Err(error) = &outcome {
            tracing::warn!(issuer = %self.id, %error, "no new keys; known ones serve for a day");
        }
        outcome
    }

    async fn ask_for_keys(&self) -> Result<KeySet, IssuerError> {
        let location = match &self.jwks_uri {
            Some(uri) => uri.clone(),
            None => self.locate_keys().await?,
        };
        let request = Request::get(location.as_str())
            .header(header::ACCEPT, "application/jwk-set+json, application/json")
            .body(Bytes::new())
            .map_err(|_| IssuerError::KeysMalformed)?;
        let response = self.outbound.fetch(request, LIMITS).await?;
        if response.status() != StatusCode::OK {
            return Err(IssuerError::KeysUnavailable);
        }
        KeySet::parse(response.body()).map_err(|_| IssuerError::KeysMalformed)
    }

    /// As its `OpenID` metadata says or, for an issuer that has none because it signs nobody in, as
    /// an authorization server's does (RFC 8414).
    async fn locate_keys(&self) -> Result<Url, IssuerError> {
        match self.metadata().await {
            Ok(provider) => Ok(provider.jwks_uri.clone()),
            Err(IssuerError::Metadata(DiscoveryError::NotFound)) => {
                let server = AuthorizationServer::discover(&*self.outbound, &self.id).await?;
                Ok(server.value.jwks_uri.ok_or(DiscoveryError::Malformed("no usable jwks_uri"))?)
            }
            Err(error) => Err(error),
        }
    }
}

/// Makes issuers, so that sign-in and access tokens share what they know about the same one.
#[derive(Debug)]
pub struct Issuers {
    outbound: Arc<dyn Outbound>,
    clock: Arc<dyn Clock>,
    known: HashMap<(IssuerId, Option<Url>), Arc<Issuer>>,
}

impl Issuers {
    pub fn new(outbound: Arc<dyn Outbound>, clock: Arc<dyn Clock>) -> Self {
        Self { outbound, clock, known: HashMap::new() }
    }

    pub fn of(&mut self, id: &IssuerId, jwks_uri: Option<&Url>) -> Arc<Issuer> {
        let (outbound, clock) = (&self.outbound, &self.clock);
        let issuer = self.known.entry((id.clone(), jwks_uri.cloned())).or_insert_with(|| {
            Arc::new(Issuer::new(id.clone(), jwks_uri.cloned(), Arc::clone(outbound), clock))
        });
        Arc::clone(issuer)
    }
}
